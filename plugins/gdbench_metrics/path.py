"""Is the way from -t to +t straight, and are its steps equal, in the domain's perceptual space? (PROTOCOL, `path`)"""

from __future__ import annotations

import torch
from torch import Tensor

from gdbench import Codes, Context, Scores, Subject, block_values, embed
from gdbench_metrics.params import PathParams

POINTS = 11


@torch.no_grad()
def measure(subject: Subject, params: PathParams, context: Context) -> Scores:
    """Walk every direction from the calibrated magnitude of one sign to that of the other, in equal steps of each sign.

    A dead sign walks to its limit and its direction counts half; a dead direction counts 0.
    """
    reach = subject.calibration.usable()
    towards = torch.linspace(-1, 1, POINTS)
    walks = torch.where(towards < 0, reach[:, 1:], reach[:, :1]) * towards
    alive = (~subject.calibration.dead).double().mean(1)
    codes = subject.codes(params.codes, "metric/path")
    together = max(1, subject.batch // POINTS)  # paths whose maps are held at a time
    straight, even = torch.zeros(2, subject.k, params.codes, dtype=torch.float64)
    with context.reporter.task("path", subject.k) as task:
        for k, walk in enumerate(walks):
            for start in range(0, len(codes), together):
                here = slice(start, start + together)
                shape = shapes(_points(subject, codes[here], k, walk))
                straight[k, here], even[k, here] = (alive[k] * part for part in shape)
            task.advance()
    found = {"straightness": straight, "evenness": even}
    values = {name: float(part.mean()) for name, part in found.items()}
    blocks = block_values(
        lambda kept: {name: float(part[:, kept].mean()) for name, part in found.items()}, params.codes
    )
    return Scores(values, {name: part.mean(1).tolist() for name, part in found.items()}, blocks=blocks)


def _points(subject: Subject, codes: Codes, k: int, walk: Tensor) -> Tensor:
    """Perceptual points (n, POINTS, m) of the images on the way along direction ``k``."""
    assert subject.domain is not None
    oracle = subject.domain.oracle("a")
    repeated = codes.repeated(POINTS)
    index = torch.full((len(repeated),), k)
    moved = subject.directions.displace(repeated, index, walk.repeat(len(codes)))
    parts = [embed(oracle, subject.generator.render(chunk)).maps for chunk in moved.chunks(subject.batch)]
    return torch.cat(parts).reshape(len(codes), POINTS, -1)


def shapes(points: Tensor) -> tuple[Tensor, Tensor]:
    """Straightness and evenness (n,) of paths (n, points, m), both in [0, 1].

    Straightness: length of the chord by length of the way; lengths are roots of the perceptual distance, which is a
    squared one, so that 1 is a straight line. Evenness: 1 / (1 + standard deviation by mean of the steps).
    """
    steps = torch.linalg.vector_norm(points[:, 1:] - points[:, :-1], dim=2).double()
    chord = torch.linalg.vector_norm(points[:, -1] - points[:, 0], dim=1).double()
    way = steps.sum(1)
    moved = way > 0
    straight = torch.where(moved, chord / way.clamp_min(1e-12), 0.0)
    variation = steps.std(1, correction=0) / steps.mean(1).clamp_min(1e-12)
    even = torch.where(moved, 1 / (1 + variation), 0.0)
    return straight, even
