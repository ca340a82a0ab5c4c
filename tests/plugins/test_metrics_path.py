"""Path: lines, arcs and uneven steps with known numbers; a bent path scores worse; dead directions fail."""

from __future__ import annotations

import math

import pytest
import torch
from gdbench_metrics.params import PathParams
from gdbench_metrics.path import POINTS, measure, shapes
from torch import Tensor

from tests.plugins.metrics_subjects import PLANTED, context, paths, random_directions, subject

FEW = PathParams(codes=4)


def shape(points: Tensor) -> tuple[float, float]:
    straight, even = shapes(points)
    return float(straight.mean()), float(even.mean())


def on_a_plane(x: Tensor, y: Tensor) -> Tensor:
    return torch.stack([x, y], -1)[None]


def test_a_line_in_equal_steps_is_perfect() -> None:
    x = torch.linspace(0, 1, POINTS)
    assert shape(on_a_plane(x, 2 * x)) == pytest.approx((1, 1), abs=1e-6)


def test_a_half_circle() -> None:
    angle = torch.linspace(0, math.pi, POINTS)
    way = 10 * 2 * math.sin(math.pi / 20)
    assert shape(on_a_plane(angle.cos(), angle.sin())) == pytest.approx((2 / way, 1), abs=1e-5)


def test_uneven_steps() -> None:
    steps = torch.tensor([1.0, 3.0] * 5)
    x = torch.cat([torch.zeros(1), steps.cumsum(0)])
    straight, even = shape(on_a_plane(x, 0 * x))
    assert straight == pytest.approx(1)
    assert even == pytest.approx(1 / (1 + 1 / 2))


def test_standing_still_is_nothing() -> None:
    assert shape(torch.ones(3, POINTS, 5)) == (0, 0)


def test_bending_a_path_scores_worse() -> None:
    x = torch.linspace(-1, 1, POINTS)
    bends = [shape(on_a_plane(x, bend * x.square())) for bend in (0.0, 0.5, 2.0)]
    assert bends[0][0] > bends[1][0] > bends[2][0]


def test_toy_directions_and_what_must_not_matter() -> None:
    vectors = torch.cat([PLANTED[[4, 6]], random_directions(1), torch.zeros(1, 64)])
    order = torch.tensor([3, 1, 0, 2])
    other = (vectors * torch.tensor([-1.0, 2.0, -0.5, 1.0])[:, None])[order]
    one, two = (measure(subject(v), FEW, context(4)) for v in (vectors, paths(other)))
    assert one.values == pytest.approx(two.values, abs=1e-3)
    for name in ("straightness", "evenness"):
        assert one.directions[name][3] == 0
        assert all(0.2 < value <= 1 for value in one.directions[name][:3])
        assert one.values[name] == pytest.approx(sum(one.directions[name]) / 4)
