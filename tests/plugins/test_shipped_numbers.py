"""Numbers that depend on a checkpoint alone ship beside it, keyed by fingerprint; they are what the code derives."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gdbench_metrics import factor_gates
from gdbench_metrics.factor_gates import VERSION, measured
from gdbench_metrics.params import RecoveryParams

from gdbench import LinearDirections, Subject, load_domain, load_generator, moments, normal
from gdbench.evaluation.calibration import Calibration
from gdbench.registry import load_registry
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.runs.stages import numbers_beside
from gdbench.streams import Stream
from tests.plugins.metrics_subjects import PLANTED, subject

REGISTRY = load_registry()
SHIPPED = [
    (name, card.name)
    for name, offer in REGISTRY.generators.items()
    for card in offer.spec.checkpoints
    if card.shipped and "factors" in REGISTRY.domain(card.domain).spec.offers
]
KEY = f"gates-{VERSION}-{RecoveryParams().samples}"


def test_a_shipped_table_is_taken_for_its_fingerprint_alone(tmp_path: Path) -> None:
    path = tmp_path / "weights.numbers.json"
    path.write_text(json.dumps({f"{'ab' * 8}-key": {"value": 1.0}}))
    mine = replace(subject(PLANTED[:1]), shipped=path, fingerprint="ab" * 32, _kept={})
    assert mine.cached("key", lambda: {"value": 2.0}) == {"value": 1.0}
    other = replace(mine, fingerprint="cd" * 32, _kept={})
    assert other.cached("key", lambda: {"value": 2.0}) == {"value": 2.0}
    assert replace(mine, _kept={}).cached("other", lambda: {"value": 3.0}) == {"value": 3.0}
    path.write_text("{")
    assert replace(mine, _kept={}).cached("key", lambda: {"value": 4.0}) == {"value": 4.0}


@pytest.mark.parametrize(("generator", "checkpoint"), SHIPPED, ids=["/".join(pair) for pair in SHIPPED])
def test_every_checkpoint_with_factors_ships_its_numbers(generator: str, checkpoint: str, tmp_path: Path) -> None:
    made = plan(RunRequest(generator, "random", checkpoint, out=tmp_path), REGISTRY)
    beside = numbers_beside(made.checkpoint.path)
    assert beside is not None
    tables = json.loads(beside.read_text())
    assert f"{made.fingerprint[:16]}-{KEY}" in tables, "run benchmarks/ship_numbers.py"


@pytest.mark.slow
@pytest.mark.parametrize(("generator", "checkpoint"), SHIPPED, ids=["/".join(pair) for pair in SHIPPED])
def test_shipped_numbers_are_what_the_code_derives(generator: str, checkpoint: str, tmp_path: Path) -> None:
    """To .02: other processors round convolutions otherwise, and medians move by a code."""
    made = plan(RunRequest(generator, "random", checkpoint, out=tmp_path), REGISTRY)
    beside = numbers_beside(made.checkpoint.path)
    assert beside is not None
    shipped = json.loads(beside.read_text())[f"{made.fingerprint[:16]}-{KEY}"]
    loaded = load_generator(generator, checkpoint)
    space = loaded.spaces[0]
    vectors = normal(Stream(0, "check").at(), 1, loaded.dim(space))
    nothing = Calibration(*(vectors.new_zeros(1, 2, 2),) * 2, *(vectors.new_zeros(1, 2),) * 3, dbar=1.0)
    domain = load_domain(made.domain.spec.name)
    anything = Subject(loaded, LinearDirections(vectors, space), nothing, domain, moments(loaded, space), seed=0)
    derived = measured(anything, domain, RecoveryParams().samples)
    assert derived == pytest.approx(shipped, rel=0.02, abs=0.02)
    passed = domain.oracle("b").passed
    assert factor_gates.reasons(domain.factors, passed, derived) == factor_gates.reasons(
        domain.factors, passed, shipped
    )
