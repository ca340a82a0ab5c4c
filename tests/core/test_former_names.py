"""Names that plugins used before they were renamed still mean the same."""

from __future__ import annotations

from dataclasses import replace

import torch

import gdbench
from gdbench import Column, Context, MetricSpec, Scores, Subject


def test_a_metric_may_still_say_beside() -> None:
    spec = MetricSpec("m", "a test", "a:b", (Column("c", "one"),), beside=("diversity",))
    assert spec.measured_with == ("diversity",)
    assert replace(spec, summary="another").measured_with == ("diversity",)


def test_scores_may_still_say_units() -> None:
    assert Scores({"c": 1.0}, units={"c": [1.0, 2.0]}).blocks == {"c": [1.0, 2.0]}


def test_a_context_is_still_charged() -> None:
    counted: list[tuple[int, int]] = []
    context = Context(0, torch.device("cpu"), 1, "z", add_cost=lambda *numbers: counted.append(numbers))
    context.charge(3, 2)
    assert counted == [(3, 2)]


def test_former_functions_are_the_present_ones() -> None:
    assert gdbench.unit_values is gdbench.block_values
    assert gdbench.unit_blocks is gdbench.block_numbers
    assert Subject.once is Subject.cached
