"""Do edited images still look like the generator's own, and like real ones? KID and precision (PROTOCOL 5.5)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from gdbench import Codes, Context, Scores, Subject, Void, embed, integers
from gdbench_metrics.pairs import alive_directions
from gdbench_metrics.params import RealismParams
from gdbench_metrics.sample_distances import kid, precision

TAUS = (0.15, 0.30, 0.45)


@torch.no_grad()
def measure(subject: Subject, params: RealismParams, context: Context) -> Scores:
    """Edit fresh codes along random alive directions and signs; equally many images in every sample.

    A direction that does not reach a visible change is edited at its limit. Void where no direction is alive.
    """
    assert subject.domain is not None
    n = params.images
    real = _features(subject, subject.domain.images(n, context.stream("metric").of("realism/real").at()))
    own = _rendered(subject, subject.codes(n, "metric/realism/unedited"))
    values: dict[str, float | Void] = {"kid_real_00": kid(own, real)[0], "precision_real_00": precision(real, own)}
    for tau in TAUS:
        with context.reporter.task(f"realism at {tau:.2f}", 1) as task:
            values |= _at(subject, context, tau, own, real)
            task.advance()
    return Scores(values)


def _at(subject: Subject, context: Context, tau: float, own: Tensor, real: Tensor) -> Mapping[str, float | Void]:
    name = f"{tau:.2f}"[2:]
    columns = (f"kid_{name}", f"kid_{name}_se", f"precision_{name}", f"kid_real_{name}", f"precision_real_{name}")
    if subject.calibration.dead.all():
        return dict.fromkeys(columns, Void("no direction is alive"))
    edited = _rendered(subject, _edited(subject, context, tau, len(own)))
    distance, error = kid(edited, own)
    numbers = (distance, error, precision(own, edited), kid(edited, real)[0], precision(real, edited))
    return dict(zip(columns, numbers, strict=True))


def _edited(subject: Subject, context: Context, tau: float, n: int) -> Codes:
    """Fresh codes, the same at every tau, each moved along a random alive direction with one of its alive signs."""
    rng = context.stream("metric").of("realism/edits").at()
    alive = alive_directions(subject.calibration)
    direction, side = alive[integers(rng, len(alive), n)], integers(rng, 2, n)
    side = torch.where(subject.calibration.dead[direction, side], 1 - side, side)
    magnitude = subject.calibration.usable(tau)[direction, side] * (1 - 2 * side)
    return subject.directions.displace(subject.codes(n, "metric/realism/edited"), direction, magnitude)


def _rendered(subject: Subject, codes: Codes) -> Tensor:
    parts = [_features(subject, subject.generator.render(chunk)) for chunk in codes.chunks(subject.batch)]
    return torch.cat(parts)


def _features(subject: Subject, images: Tensor) -> Tensor:
    """Pooled features (n, d) of the domain on the CPU."""
    assert subject.domain is not None
    oracle = subject.domain.oracle("a")
    return torch.cat([embed(oracle, part).pooled.cpu() for part in torch.split(images, subject.batch)])
