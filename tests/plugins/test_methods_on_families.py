"""Every installed method at K = 32 on biggan and progan, with its smoke parameters, some of them shortened."""

from __future__ import annotations

from functools import cache

import pytest
import torch

from gdbench import Codes, Context, Generator
from gdbench.registry import load_registry
from gdbench.runs.planning import Plan, plan
from gdbench.runs.request import RunRequest
from gdbench.specs import resolve

pytestmark = pytest.mark.usefixtures("one_thread")

CPU = torch.device("cpu")
FAMILIES = ("biggan", "progan")
K = 32
REGISTRY = load_registry()
SHORTER: dict[str, dict[str, object]] = {
    "disco": {"images": 300},
    "hessian-penalty": {"steps": 10},
    "orojar": {"steps": 10},
    "steerability": {"steps": 10},
    "ganspace": {"estimator": "incremental"},  # the exact one, on biggan, is in test_ganspace.py: half a minute
}
"""What is changed of the smoke parameters, so that two families take no minute."""

CANNOT = {"local-basis": "local-basis needs mapping, which {} does not provide"}


@cache
def _generator(family: str) -> Generator:
    made = _plan(family, "random")
    loaded: Generator = resolve(made.generator.spec.load)(made.checkpoint.path, made.generator_params, CPU)
    return loaded


def _plan(family: str, method: str) -> Plan:
    return plan(RunRequest(family, method, k=K, tier="smoke", method_params=SHORTER.get(method, {})), REGISTRY)


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("method", sorted(REGISTRY.methods))
def test_a_method_finds_32_directions_that_move_every_code(method: str, family: str) -> None:
    made, generator = _plan(family, method), _generator(family)
    assert made.incompatible == CANNOT.get(method, "").format(family)
    if made.incompatible:
        return
    domain = resolve(made.domain.spec.load)(CPU) if "domain" in made.method.spec.needs else None
    context = Context(0, CPU, K, made.cell.space, "smoke", domain)
    found = resolve(made.method.spec.discover)(generator, made.method_params, context)
    assert len(found) == K
    codes = generator.sample(2, found.space, context.stream("test").at())
    for magnitude in (2.0, -2.0):
        moved: Codes = found.displace(codes.repeated(K), torch.arange(K).repeat(2), torch.full((2 * K,), magnitude))
        delta = moved.latents - codes.repeated(K).latents
        assert delta.isfinite().all()
        # a unit of a direction is a length in latents; the control that does nothing stands still
        assert delta.norm(dim=1).median() == pytest.approx(0.0 if method == "dead" else 2.0, rel=0.2)
