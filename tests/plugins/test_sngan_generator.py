"""The adapter of SNGAN."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_sngan import Params
from gdbench_sngan.generator import SNGAN, load
from gdbench_sngan.networks import Config, Generator

from gdbench import Codes, UsageError, initialised, save_weights

CPU = torch.device("cpu")
CONFIG = Config((8, 6, 4), latent_dim=7, bypass=(1, 1), upsampling="bilinear")


def network() -> Generator:
    made = initialised(np.random.default_rng(0), lambda: Generator(CONFIG))
    assert isinstance(made, Generator)
    return made.eval()


def adapter(**params: float) -> SNGAN:
    return SNGAN(network(), "scenes", Params(**params), CPU)


def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def test_a_saved_generator_is_the_same_again(tmp_path: Path) -> None:
    save_weights(tmp_path / "w.safetensors", network().state_dict(), {"upsampling": "bilinear", "domain": "toy"})
    loaded = load(tmp_path / "w.safetensors", Params(), CPU)
    codes = loaded.sample(3, "z", rng())
    assert loaded.domain == "toy"
    assert loaded.network.config == CONFIG
    assert torch.allclose(loaded.render(codes), network()(codes.latents), atol=1e-6)


def test_psi_scales_samples() -> None:
    assert torch.allclose(adapter(psi=0.5).sample(3, "z", rng()).latents, adapter().sample(3, "z", rng()).latents / 2)


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = adapter()
    codes = generator.sample(9, "z", rng())
    alone = torch.cat([generator.render(codes[i : i + 1]) for i in range(9)])
    assert torch.allclose(generator.render(codes), alone, atol=1e-5)


def test_images_have_gradients_in_the_latents_and_parameters_none() -> None:
    generator = adapter()
    latents = generator.sample(2, "z", rng()).latents.requires_grad_()
    generator.render(Codes(latents, "z")).sum().backward()
    assert latents.grad is not None
    assert float(latents.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in generator.network.parameters())


def test_modulation_weights_are_the_jacobian_of_the_first_layer() -> None:
    generator = adapter()

    def first(z: torch.Tensor) -> torch.Tensor:
        return generator.features(Codes(z[None], "z"), "linear").flatten()

    weights = generator.modulation_weights("z")
    assert torch.allclose(weights["linear"], torch.autograd.functional.jacobian(first, torch.zeros(7)))


def test_features_have_the_shapes_of_the_blocks() -> None:
    generator = adapter()
    codes = generator.sample(3, "z", rng())
    shapes = {layer: generator.features(codes, layer).shape for layer in generator.feature_layers}
    assert shapes == {"linear": (3, 8, 4, 4), "block0": (3, 6, 8, 8), "block1": (3, 4, 16, 16)}


def test_unknown_names_are_refused_in_one_line() -> None:
    generator = adapter()
    with pytest.raises(UsageError, match="no space 'w'"):
        generator.sample(1, "w", rng())
    with pytest.raises(UsageError, match="no layer"):
        generator.features(generator.sample(1, "z", rng()), "b64")
