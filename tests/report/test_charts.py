"""Labels of crowded charts can be read: none lies upon another or a point, and each is near its own or led to it."""

from __future__ import annotations

import itertools
import random

import pytest

from gdbench.boards.board import Entry
from gdbench.report import charts

NAMES = ("voynov", "disco", "latentclr", "orojar", "jacobian", "sefa", "ganspace", "hessian-penalty", "warpedganspace")
NAMES += ("coordinate", "random")


def entry(value: float) -> Entry:
    return Entry("m", "c", value, value - 0.01, value + 0.01, 3, 3)


@pytest.mark.parametrize("seed", range(5))
def test_labels_of_a_crowd_lie_apart(seed: int) -> None:
    """Letters are 6 pixels wide and 9 high at this size of type, and points have a radius of 4.5."""
    draw = random.Random(seed)
    points = [
        charts.Point(name, entry(draw.gauss(0.2, 0.03)), entry(draw.gauss(0.15, 0.02)), (), "method", n)
        for n, name in enumerate(NAMES)
    ]
    points += [charts.Point("far", entry(0.6), entry(0.5), (), "control", 0)]
    picture = charts.scatter("crowd", ("x", "y"), points, "random")
    assert picture is not None
    boxes = []
    for mark in picture.marks:
        left = mark.label_x - 6 * len(mark.label) * mark.before
        boxes.append((left, mark.label_y - 9, left + 6 * len(mark.label), mark.label_y))
        assert (abs(mark.label_x - mark.x) < 12 and abs(mark.label_y - mark.y) < 20) or mark.led
        assert left > 0
        assert boxes[-1][2] < picture.wide
    for one, other in itertools.combinations(boxes, 2):
        assert one[0] >= other[2] or other[0] >= one[2] or one[1] >= other[3] or other[1] >= one[3]
    for (left, top, right, bottom), label in zip(boxes, picture.marks, strict=True):
        for mark in picture.marks:
            inside = left < mark.x + 4.5 and mark.x - 4.5 < right and top < mark.y + 4.5 and mark.y - 4.5 < bottom
            assert not inside or mark is label
