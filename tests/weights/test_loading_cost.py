"""Loading a generator imports what it needs: torch, and neither its compiler nor the libraries of tables."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from torch import nn

from gdbench import load_generator
from gdbench.registry import load_registry
from gdbench.streams import unfilled

NEEDLESS = (
    "torch._dynamo",
    "torch._inductor",
    "torch.fx.experimental.symbolic_shapes",
    "sympy",
    "pandas",
    "matplotlib",
)
FAMILIES = [
    name for name, offer in load_registry().generators.items() if any(card.shipped for card in offer.spec.checkpoints)
]


@pytest.mark.parametrize("name", [*FAMILIES, "domain scenes"])
def test_loading_imports_no_compiler(name: str) -> None:
    load = "gdbench.load_domain('scenes')" if name == "domain scenes" else f"gdbench.load_generator({name!r})"
    code = f"import gdbench, json, sys; {load}; print(json.dumps([m for m in {NEEDLESS!r} if m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=300)
    assert json.loads(done.stdout) == []


def test_nothing_is_drawn_for_weights_that_are_loaded() -> None:
    before = torch.random.get_rng_state()
    network = unfilled(
        lambda: nn.Sequential(nn.Linear(3, 3), nn.Conv2d(3, 3, 3), nn.Embedding(3, 3), nn.BatchNorm2d(3))
    )
    for name in FAMILIES:
        load_generator(name)
    assert torch.equal(torch.random.get_rng_state(), before)
    assert len(list(network.parameters())) == 7
