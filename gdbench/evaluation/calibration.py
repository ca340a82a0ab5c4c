"""Calibration: how far to go along each direction, and against it, so that images change equally much.

A direction may change an image much or little for the same latent length. Metrics therefore compare directions at equal
visible change: for every direction and sign, calibration finds the magnitudes t at which the median perceptual distance
between an image and its edit is a given share of D-bar, the median distance between two independent images of the same
generator (PROTOCOL, "Calibration").
"""

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
from gdbench.files import parsing, write_text
from gdbench.protocols import Directions, Generator, Oracle, Void
from gdbench.streams import Stream
from gdbench.tensors import save_weights

TAUS = (0.15, 0.30, 0.45)
"""The visible changes to find magnitudes for, as shares of D-bar."""
HEADLINE = 0.30
"""The visible change at which directions are judged; a direction that does not reach it is called dead."""
CAP = 12.0
"""The longest displacement that is tried, in prior standard deviations along the displacement."""
PAIRS = 512
"""How many pairs of independent images D-bar is the median of."""
USUAL = 5
"""About how many images are rendered for each code, direction and sign: what progress is shown against. The search
(see ``curves``) takes fewer or more, as it meets its targets."""
WIDENINGS = 6
"""How often the upper end of the bisection for the longest magnitude is doubled, at most."""
NO_SHELL = Void("the prior fills a flat part of this space, which has no shell")
SIGNS = (1.0, -1.0)
"""Along the direction, and against it: index 0 and 1 of every (k, 2) tensor."""
TENSORS, FACTS = "calibration.safetensors", "calibration.json"


@dataclass(frozen=True)
class Calibration:
    """How much images change along K directions and both signs: one measured curve each.

    All tensors are float32 on the CPU. Their second axis is the sign, + first.
    """

    magnitudes: Tensor
    """(k, 2, m): the latent lengths at which change was measured, increasing from 0. The last is repeated where a curve
    has fewer points than m."""
    change: Tensor
    """(k, 2, m): at each of them, the median over codes of D(image, edited image) / D-bar, made non-decreasing."""
    limit: Tensor
    """(k, 2): the magnitude at which the displacement is ``CAP`` prior standard deviations long."""
    outside: Tensor
    """(k, 2) in [0, 1]: the share of edited codes that leave the shell which holds 99.8 % of the prior's codes, at the
    headline change, or at the limit where the direction is dead. NaN where the prior is flat, and has no shell."""
    deviations: Tensor
    """(k, 2): the length of the displacement at the same point, in prior standard deviations along itself."""
    dbar: float
    """D-bar: the median distance D between two independent images of the generator."""

    def __len__(self) -> int:
        return len(self.limit)

    def magnitude(self, tau: float = HEADLINE) -> Tensor:
        """The latent lengths (k, 2) at which the visible change is ``tau``; NaN where it stays below.

        Solved by ``interpolate`` between measured points.
        """
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
        """The magnitudes (k, 2) at ``tau``, and the limit where that is not reached: a dead direction is scored
        there."""
        magnitude = self.magnitude(tau)
        return torch.where(magnitude.isnan(), self.limit, magnitude)

    def interpolate(self, fraction: Tensor, index: Tensor, sign: Tensor) -> Tensor:
        """Magnitudes (n,) at which direction ``index`` (n,) with ``sign`` (n,) in {+1, -1} changes images by
        ``fraction``.

        fraction: (n,) visible changes, as shares of D-bar. A line is drawn between neighbouring points in
        (magnitude, sqrt(change)), because a squared distance grows with the square of a small shift. Where a curve ends
        below ``fraction``, its last magnitude is given.
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
        with parsing(folder / FACTS):
            dbar = json.loads((folder / FACTS).read_text())["dbar"]
        with parsing(folder / TENSORS):
            return cls(**load_file(folder / TENSORS), dbar=dbar)


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
    """Find, for every direction and sign, the magnitudes that change images by the shares ``TAUS`` of D-bar.

    The curve that is followed is t -> median over codes c of D(G(c), G(displace(c, k, t))) / D-bar, with D the distance
    of ``oracle``. Magnitudes end at ``CAP`` standard deviations of the prior, whose ``moments`` are those of the
    directions' space.
    stream: the evaluation stream of this generator and seed; all methods see the same codes. codes: how many of them
    the median at the headline is over; the way there is searched on a quarter (see ``curves``). batch: the most images
    to render at a time. Raises PluginError at the first image that is not finite.
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
    """The images of codes as points in which a squared distance is the perceptual distance, rendered in batches."""
    parts = list(in_batches(lambda here: embed(oracle, _rendered(generator, codes[here])), len(codes), batch))
    return Embedded(torch.cat([part.maps for part in parts]), torch.cat([part.pooled for part in parts]))


def _rendered(generator: Generator, codes: Codes) -> Tensor:
    """The images of codes. Raises PluginError where one is not finite, which blames the directions if the codes that
    they displaced are not finite either, else the generator."""
    images = generator.render(codes)
    if not bool(torch.isfinite(images).all()):
        if not bool(torch.isfinite(codes.latents).all()):
            raise PluginError("the directions displace codes to numbers that are not finite (NaN or infinite)")
        bad = int((~torch.isfinite(images)).flatten(1).any(1).sum())
        raise PluginError(f"the generator's images are not finite (NaN or infinite): {bad} of {len(images)} are not")
    return images


def _typical_distance(generator: Generator, oracle: Oracle, space: str, stream: Stream, batch: int) -> float:
    """D-bar: the median distance over ``PAIRS`` pairs of independent images, kept above 0 for generators that give one
    image always."""
    codes = generator.sample(2 * PAIRS, space, stream.of("pairs").at())
    left, right = codes[:PAIRS], codes[PAIRS:]

    def apart(here: slice) -> Tensor:
        images = _rendered(generator, left[here]), _rendered(generator, right[here])
        return distance(embed(oracle, images[0]), embed(oracle, images[1]))

    return max(float(torch.cat(list(in_batches(apart, PAIRS, batch))).median()), 1e-12)


def _limits(directions: Directions, base: Codes, moments: Moments) -> Tensor:
    """The longest magnitudes (k, 2): the median displacement over codes is ``CAP`` prior standard deviations there.

    Found by bisection on displaced codes, without rendering.
    """
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
    """How long displacements at ``magnitudes`` (k, 2) >= 0 are, in prior standard deviations: the median over codes,
    (k, 2)."""

    def lengths(index: Tensor, signed: Tensor, rows: Tensor) -> Tensor:
        repeated = codes[rows]
        return moments.deviations(_displacement(directions.displace(repeated, index, signed), repeated))

    return _per_direction(len(codes), magnitudes[..., None], lengths, batch=1 << 14)[..., 0].median(-1).values.float()


def _displacement(edited: Codes, original: Codes) -> Tensor:
    """The shift (n, dim) between codes. Codes of w+ have one vector for each layer: that of the layer which moves most
    stands for all."""
    delta = edited.latents - original.latents
    if delta.dim() == 2:
        return delta
    layer = delta.square().sum(2).argmax(1)
    return delta[torch.arange(len(delta), device=delta.device), layer]


def _per_direction(
    n: int, magnitudes: Tensor, measure: Callable[[Tensor, Tensor, Tensor], Tensor], batch: int
) -> Tensor:
    """Apply ``measure(index, signed magnitude, code)`` in batches to every direction, sign, step and code.

    magnitudes: (k, 2, steps). n: how many codes. Gives (k, 2, steps, n).
    """
    k, _, steps = magnitudes.shape
    index = torch.arange(k).repeat_interleave(2 * steps * n)
    signed = (magnitudes * torch.tensor(SIGNS)[None, :, None]).reshape(-1).repeat_interleave(n)
    which = torch.arange(n).repeat(k * 2 * steps)
    parts = list(in_batches(lambda here: measure(index[here], signed[here], which[here]), len(index), batch))
    return torch.cat(parts).reshape(k, 2, steps, n)


def _departure(
    directions: Directions, base: Codes, moments: Moments, magnitudes: Tensor, generator: Generator, stream: Stream
) -> tuple[Tensor, Tensor]:
    """How far edits at ``magnitudes`` (k, 2) leave what the generator was trained on.

    Two tensors (k, 2): the share of edited codes whose Mahalanobis radius lies outside that of 99.8 % of the prior's
    codes (of 10,000 samples), and the length of the displacement in prior standard deviations. The share is NaN where
    the prior is flat: a direction in it stays within, and any other leaves it at once.
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
