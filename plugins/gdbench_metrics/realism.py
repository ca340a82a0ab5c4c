"""Do edited images still look like the generator's own, and like real ones? KID and precision (PROTOCOL, `realism`)."""

from __future__ import annotations

import torch
from torch import Tensor

from gdbench import (
    Codes,
    Context,
    Scores,
    Subject,
    UsageError,
    Void,
    block_values,
    image_features,
    inside,
    integers,
    kid,
    precision,
)
from gdbench_metrics.pairs import alive_directions
from gdbench_metrics.params import RealismParams

TAUS = (0.15, 0.30, 0.45)


@torch.no_grad()
def measure(subject: Subject, params: RealismParams, context: Context) -> Scores:
    """Edit fresh codes along random alive directions and signs; equally many images in every sample.

    A held-out set of fewer images than asked for sets the size of all samples. A direction that does not reach a
    visible change is edited at its limit. Void where no direction is alive; against real images, where there are none.
    The table: images edited by .30 along each direction, and their share inside the unedited manifold.
    """
    real = _real(subject, params.images, context)
    n = params.images if isinstance(real, Void) else len(real)
    own = _rendered(subject, subject.codes(n, "metric/realism/unedited"))
    values = dict(_compared("real_00", own, real))
    drawn = _drawn(subject, context, n)
    edited: dict[str, Tensor] = {}
    with context.reporter.task("realism", len(TAUS)) as task:
        for tau in TAUS:
            name = f"{tau:.2f}"[2:]
            if drawn:
                edited[name] = _rendered(subject, _edited(subject, *drawn, tau))
            images = edited.get(name, Void("no direction is alive"))
            values |= _compared(name, images, own) | _compared(f"real_{name}", images, real)
            task.advance()

    def of_part(kept: Tensor) -> dict[str, float]:
        return {f"kid_{name}": kid(images[kept], own[kept])[0] for name, images in edited.items()}

    table = _table(drawn[0], inside(own, edited["30"]), subject.k) if drawn else {}
    return Scores(values, table, blocks=block_values(of_part, n))


def _compared(name: str, images: Tensor | Void, reference: Tensor | Void) -> dict[str, float | Void]:
    """KID of ``images`` against ``reference``, its standard error, and precision; void where either is."""
    columns = (f"kid_{name}", f"kid_{name}_se", f"precision_{name}")
    if isinstance(images, Void):
        return dict.fromkeys(columns, images)
    if isinstance(reference, Void):
        return dict.fromkeys(columns, reference)
    return dict(zip(columns, (*kid(images, reference), precision(reference, images)), strict=True))


def _real(subject: Subject, n: int, context: Context) -> Tensor | Void:
    """Features of at most ``n`` real images, none of them twice: repeats would shrink the manifold and bias KID."""
    assert subject.domain is not None
    try:
        images = subject.domain.images(n, context.stream("metric").of("realism/real").at())
    except UsageError as none:
        return Void(str(none))
    return _features(subject, images[_first_seen(images)])


def _first_seen(images: Tensor) -> Tensor:
    """Positions, in order, of the images (n, c, h, w) that equal no earlier one."""
    group = torch.unique(images.flatten(1), dim=0, return_inverse=True)[1]
    place = torch.arange(len(group), device=group.device)
    first = torch.full_like(place, len(group)).scatter_reduce(0, group, place, "amin")
    return first[first < len(group)].sort().values


def _drawn(subject: Subject, context: Context, n: int) -> tuple[Tensor, Tensor] | None:
    """For each of n images a random alive direction and one of its alive signs (0 is +); none where none is alive."""
    alive = alive_directions(subject.calibration)
    if not len(alive):
        return None
    rng = context.stream("metric").of("realism/edits").at()
    direction, side = alive[integers(rng, len(alive), n)], integers(rng, 2, n)
    return direction, torch.where(subject.calibration.dead[direction, side], 1 - side, side)


def _edited(subject: Subject, direction: Tensor, side: Tensor, tau: float) -> Codes:
    """Fresh codes, the same at every tau, moved along directions and signs (n,)."""
    magnitude = subject.calibration.usable(tau)[direction, side] * (1 - 2 * side)
    codes = subject.codes(len(direction), "metric/realism/edited")
    return subject.directions.displace(codes, direction, magnitude)


def _table(direction: Tensor, hits: Tensor, k: int) -> dict[str, list[float]]:
    """For each direction, how many images were drawn and the share of hits among them; NaN where none was drawn."""
    drawn, hit = (torch.bincount(found, minlength=k).double() for found in (direction, direction[hits]))
    return {"drawn": drawn.tolist(), "precision_30": (hit / drawn).tolist()}


def _rendered(subject: Subject, codes: Codes) -> Tensor:
    parts = [_features(subject, subject.generator.render(chunk)) for chunk in codes.chunks(subject.batch)]
    return torch.cat(parts)


def _features(subject: Subject, images: Tensor) -> Tensor:
    """Pooled features (n, d) of the domain on the CPU."""
    assert subject.domain is not None
    oracle = subject.domain.oracle("a")
    return torch.cat([image_features(oracle, part.clamp(-1, 1)).cpu() for part in torch.split(images, subject.batch)])
