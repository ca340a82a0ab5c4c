"""Calibration: the magnitudes that give equal visible change, per direction and sign (PROTOCOL, "Calibration")."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from gdbench.codes import Codes
from gdbench.context import SILENT, Reporter
from gdbench.errors import PluginError
from gdbench.evaluation.curves import trace
from gdbench.evaluation.memory import BATCH, in_batches
from gdbench.evaluation.perception import Embedded, distance, embed
from gdbench.evaluation.prior import Moments
from gdbench.files import write_text
from gdbench.protocols import Directions, Generator, Oracle, Void
from gdbench.streams import Stream
from gdbench.tensors import save_weights

TAUS = (0.15, 0.30, 0.45)
HEADLINE = 0.30
CAP = 12.0
"""A magnitude ends at this many prior standard deviations along the displacement."""
PAIRS = 512
USUAL = 5
"""Renders for each code, direction and sign, about: what progress is shown against."""
WIDENINGS = 6
NO_SHELL = Void("the prior fills a flat part of this space, which has no shell")
SIGNS = (1.0, -1.0)
TENSORS, FACTS = "calibration.safetensors", "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """Calibration curves of K directions and two signs (+ first).

    magnitudes (k, 2, m): increasing, the first 0; change (k, 2, m): monotone median of D / D-bar there; limit (k, 2):
    the magnitude at which the displacement is ``CAP`` prior standard deviations long; outside (k, 2): share of codes
    outside the prior's shell at the headline (at the limit where dead); deviations (k, 2): the same point in standard
    deviations. dbar: median distance of independent pairs.
    """

    magnitudes: Tensor
    change: Tensor
    limit: Tensor
    outside: Tensor
    deviations: Tensor
    dbar: float

    def __len__(self) -> int:
        return len(self.limit)

    def magnitude(self, tau: float = HEADLINE) -> Tensor:
        """t(tau): (k, 2) latent lengths, NaN where the change stays below ``tau``."""
        index = torch.arange(len(self)).repeat_interleave(2)
        sign = torch.tensor(SIGNS).repeat(len(self))
        solved = self.interpolate(torch.full((2 * len(self),), tau), index, sign).reshape(-1, 2)
        return torch.where(self.change[..., -1] >= tau, solved, torch.nan)

    @property
    def dead(self) -> Tensor:
        """(k, 2): True where a direction and sign does not reach the headline change."""
        return self.change[..., -1] < HEADLINE

    @property
    def alive_share(self) -> float:
        """Mean over directions of 1 minus half a failure per dead sign."""
        return 1.0 - float(self.dead.double().mean())

    def usable(self, tau: float = HEADLINE) -> Tensor:
        """(k, 2) magnitudes at ``tau``, and the limit where that is not reached: what a dead direction is scored at."""
        magnitude = self.magnitude(tau)
        return torch.where(magnitude.isnan(), self.limit, magnitude)

    def interpolate(self, fraction: Tensor, index: Tensor, sign: Tensor) -> Tensor:
        """Magnitudes (n,) at which direction ``index`` (n,) with ``sign`` (n,) in {+1, -1} changes by ``fraction``.

        Linear between measured points in (magnitude, sqrt(change)), because a squared distance grows with the square of
        a small shift; the last magnitude where the curve ends below ``fraction``.
        """
        side = (sign < 0).long()
        roots, points = self.change[index, side].sqrt(), self.magnitudes[index, side]
        wanted = fraction.to(roots)[:, None].sqrt()
        upper = torch.searchsorted(roots, wanted).clamp(1, roots.shape[1] - 1)
        low, high = roots.gather(1, upper - 1), roots.gather(1, upper)
        weight = ((wanted - low) / (high - low).clamp_min(1e-12)).clamp(0, 1)
        return (points.gather(1, upper - 1) * (1 - weight) + points.gather(1, upper) * weight)[:, 0]

    def scores(self) -> dict[str, float | Void]:
        """The columns of ``gdbench.columns.CALIBRATION``."""
        alive = ~self.dead
        magnitude = self.usable()
        chosen = alive if bool(alive.any()) else torch.ones_like(alive)
        return {
            "alive_share": self.alive_share,
            "magnitude": float(magnitude[chosen].median()),
            "deviations": float(self.deviations[chosen].median()),
            "outside_prior": NO_SHELL if bool(self.outside.isnan().any()) else float(self.outside.mean()),
        }

    def save(self, folder: Path) -> None:
        """Write ``calibration.safetensors`` and ``calibration.json``."""
        names = ("magnitudes", "change", "limit", "outside", "deviations")
        write_text(folder / FACTS, json.dumps({"dbar": self.dbar, "taus": TAUS, "headline": HEADLINE, "cap": CAP}))
        save_weights(folder / TENSORS, {name: getattr(self, name).contiguous() for name in names}, {})

    @classmethod
    def load(cls, folder: Path) -> Calibration:
        """The calibration that ``save`` wrote."""
        return cls(**load_file(folder / TENSORS), dbar=json.loads((folder / FACTS).read_text())["dbar"])


@torch.no_grad()
def calibrate(
    generator: Generator,
    directions: Directions,
    oracle: Oracle,
    moments: Moments,
    stream: Stream,
    codes: int = 64,
    batch: int = BATCH,
    reporter: Reporter = SILENT,
) -> Calibration:
    """Measure t -> median D(G(c), G(displace(c, k, t))) / D-bar of every direction and sign around the three changes.

    stream: the evaluation stream of this generator and seed, the same for all methods. codes: how many the median at
    the headline is over; the way there is searched on a quarter of them (see ``curves``).
    """
    base = generator.sample(codes, directions.space, stream.of("codes").at())
    before = _embed(generator, oracle, base, batch)
    dbar = _typical_distance(generator, oracle, directions.space, stream, batch)
    limit = _limits(directions, base, moments)
    lengths, signs = limit.flatten(), torch.tensor(SIGNS).repeat(len(directions))
    with reporter.task("calibrate", USUAL * codes * len(lengths)) as task:

        def measure(curves: Tensor, fractions: Tensor, which: slice) -> Tensor:
            rows = torch.arange(codes)[which].repeat(len(curves))
            repeated = curves.repeat_interleave(which.stop - which.start)
            signed = (fractions * lengths[curves] * signs[curves]).repeat_interleave(which.stop - which.start)

            def apart(here: slice) -> Tensor:
                edited = directions.displace(base[rows[here]], repeated[here] // 2, signed[here])
                after = embed(oracle, _rendered(generator, edited))
                task.advance(len(after.maps))
                return (after.maps - before.maps[rows[here]]).square().sum(1).cpu()

            return torch.cat(list(in_batches(apart, len(rows), batch))).reshape(len(curves), -1) / dbar

        fractions, change = trace(measure, len(lengths), codes, TAUS)
    shape = (*limit.shape, -1)
    magnitudes, change = (fractions * lengths[:, None]).reshape(shape), change.reshape(shape)
    refined = Calibration(magnitudes, change, limit, limit, limit, dbar)
    outside, deviations = _departure(directions, base, moments, refined.usable(), generator, stream)
    return Calibration(magnitudes, change, limit, outside, deviations, dbar)


def _embed(generator: Generator, oracle: Oracle, codes: Codes, batch: int) -> Embedded:
    parts = list(in_batches(lambda here: embed(oracle, _rendered(generator, codes[here])), len(codes), batch))
    return Embedded(torch.cat([part.maps for part in parts]), torch.cat([part.pooled for part in parts]))


def _rendered(generator: Generator, codes: Codes) -> Tensor:
    """The images of codes. Raises PluginError at the first that is not finite: the directions are to blame where their
    codes are not finite either, else the generator."""
    images = generator.render(codes)
    if not bool(torch.isfinite(images).all()):
        if not bool(torch.isfinite(codes.latents).all()):
            raise PluginError("the directions displace codes to numbers that are not finite (NaN or infinite)")
        bad = int((~torch.isfinite(images)).flatten(1).any(1).sum())
        raise PluginError(f"the generator's images are not finite (NaN or infinite): {bad} of {len(images)} are not")
    return images


def _typical_distance(generator: Generator, oracle: Oracle, space: str, stream: Stream, batch: int) -> float:
    codes = generator.sample(2 * PAIRS, space, stream.of("pairs").at())
    left, right = codes[:PAIRS], codes[PAIRS:]

    def apart(here: slice) -> Tensor:
        images = _rendered(generator, left[here]), _rendered(generator, right[here])
        return distance(embed(oracle, images[0]), embed(oracle, images[1]))

    return max(float(torch.cat(list(in_batches(apart, PAIRS, batch))).median()), 1e-12)


def _limits(directions: Directions, base: Codes, moments: Moments) -> Tensor:
    """(k, 2) magnitudes whose median displacement is CAP prior standard deviations; bisection, renders nothing."""
    k = len(directions)
    longest = CAP * moments.largest
    low, high = torch.zeros(k, 2), torch.full((k, 2), longest * 1.000001)
    few = base[: min(len(base), 16)]
    reached = _deviations(directions, few, moments, high)
    for _ in range(WIDENINGS):  # straight unit vectors are there at once; short ones and bent ways may lead on
        farther = _deviations(directions, few, moments, 2 * high)
        wider = (reached <= CAP) & (farther > 1.1 * reached)
        if not wider.any():
            break
        high, reached = torch.where(wider, 2 * high, high), torch.where(wider, farther, reached)
    for _ in range(30):
        middle = (low + high) / 2
        beyond = _deviations(directions, few, moments, middle) > CAP
        low, high = torch.where(beyond, low, middle), torch.where(beyond, middle, high)
    return low


def _deviations(directions: Directions, codes: Codes, moments: Moments, magnitudes: Tensor) -> Tensor:
    """Median over codes of the displacement in prior standard deviations, at signless magnitudes (k, 2)."""

    def lengths(index: Tensor, signed: Tensor, rows: Tensor) -> Tensor:
        repeated = codes[rows]
        return moments.deviations(_displacement(directions.displace(repeated, index, signed), repeated))

    return _per_direction(len(codes), magnitudes[..., None], lengths, batch=1 << 14)[..., 0].median(-1).values.float()


def _displacement(edited: Codes, original: Codes) -> Tensor:
    """(n, dim): the shift; in w+ that of the layer which moves most."""
    delta = edited.latents - original.latents
    if delta.dim() == 2:
        return delta
    layer = delta.square().sum(2).argmax(1)
    return delta[torch.arange(len(delta), device=delta.device), layer]


def _per_direction(
    n: int, magnitudes: Tensor, measure: Callable[[Tensor, Tensor, Tensor], Tensor], batch: int
) -> Tensor:
    """Apply ``measure(index, signed magnitude, code)`` to every (direction, sign, step, code): (k, 2, steps, n)."""
    k, _, steps = magnitudes.shape
    index = torch.arange(k).repeat_interleave(2 * steps * n)
    signed = (magnitudes * torch.tensor(SIGNS)[None, :, None]).reshape(-1).repeat_interleave(n)
    which = torch.arange(n).repeat(k * 2 * steps)
    parts = list(in_batches(lambda here: measure(index[here], signed[here], which[here]), len(index), batch))
    return torch.cat(parts).reshape(k, 2, steps, n)


def _departure(
    directions: Directions, base: Codes, moments: Moments, magnitudes: Tensor, generator: Generator, stream: Stream
) -> tuple[Tensor, Tensor]:
    """Share of edited codes outside the prior's shell, and displacement in standard deviations: two (k, 2).

    The share is NaN where the prior is flat: a direction in it stays within, and any other leaves it at once.
    """
    if moments.singular:
        return torch.full_like(magnitudes, torch.nan), _deviations(directions, base, moments, magnitudes)
    prior = generator.sample(10_000, directions.space, stream.of("shell").at()).latents
    radii = moments.mahalanobis(prior if prior.dim() == 2 else prior[:, 0])
    low, high = torch.quantile(radii, torch.tensor((0.001, 0.999), dtype=radii.dtype))

    def beyond(index: Tensor, signed: Tensor, rows: Tensor) -> Tensor:
        latents = directions.displace(base[rows], index, signed).latents
        radius = moments.mahalanobis(latents if latents.dim() == 2 else latents[:, 0])
        departed: Tensor = (radius < low) | (radius > high)
        return departed.float()

    share: Tensor = _per_direction(len(base), magnitudes[..., None], beyond, batch=1 << 14)[..., 0].mean(-1)
    return share, _deviations(directions, base, moments, magnitudes)
