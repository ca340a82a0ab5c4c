"""Official scripts draw z in float64 and cast it: every family renders such codes as their float32 selves."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from gdbench import load_generator


@pytest.mark.parametrize("family", ["biggan", "progan", "sngan", "stylegan2"])
def test_codes_in_float64_are_cast(family: str) -> None:
    generator = load_generator(family)
    codes = generator.sample(2, "z", np.random.default_rng(0))
    wide = replace(codes, latents=codes.latents.double())
    assert torch.equal(generator.render(wide), generator.render(codes))
    if codes.labels is not None:
        soft = torch.nn.functional.one_hot(codes.labels, 4).double()  # the shapes of scenes
        assert torch.equal(generator.render(replace(wide, labels=soft)), generator.render(codes))
