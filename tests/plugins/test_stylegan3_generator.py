"""The adapter of StyleGAN3: spaces, truncation, batches, capabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_stylegan3 import Params
from gdbench_stylegan3.design import Design
from gdbench_stylegan3.generator import StyleGAN3, load
from gdbench_stylegan3.networks import Generator
from torch import Tensor

from gdbench import Codes, UsageError, initialised, save_weights

CPU = torch.device("cpu")
DESIGN = Design(resolution=16, channel_base=24, channel_max=5, layers=3, margin=4, z_dim=7, w_dim=9)
LAYERS = ("L0_24_5", "L1_24_2", "L2_16_2")


def network(design: Design = DESIGN) -> Generator:
    made = initialised(np.random.default_rng(0), design.generator)
    assert isinstance(made, Generator)
    dice = torch.Generator().manual_seed(1)
    with torch.no_grad():
        made.mapping.w_avg.normal_(generator=dice)
        made.synthesis.input.affine.weight.normal_(generator=dice)
    return made


def adapter(design: Design = DESIGN, **params: object) -> StyleGAN3:
    return StyleGAN3(network(design), "scenes", Params(**params), CPU)  # type: ignore[arg-type]


def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def test_a_saved_generator_is_the_same_again(tmp_path: Path) -> None:
    made = network(replace(DESIGN, radial=True, kernel=1))
    made.config = replace(made.config, conv_clamp=0.4, output_scale=2.0)
    for layer in made.synthesis.layers().values():
        layer.clamp = 0.4
    made.synthesis.config = made.config
    facts = {"conv_clamp": 0.4, "output_scale": 2.0, "sampling_rate": 16, "domain": "toy"}
    save_weights(tmp_path / "w.safetensors", made.state_dict(), facts)
    loaded = load(tmp_path / "w.safetensors", Params(), CPU)
    codes = loaded.sample(3, "z", rng())
    assert loaded.domain == "toy"
    assert loaded.network.config == made.config
    assert torch.allclose(loaded.render(codes), made(codes.latents), atol=1e-6)


def test_w_is_the_mapping_of_the_same_draws() -> None:
    generator = adapter()
    z, w = generator.sample(4, "z", rng()), generator.sample(4, "w", rng())
    assert torch.equal(generator.map(z).latents, w.latents)
    assert torch.allclose(generator.render(z), generator.render(w), atol=1e-6)
    assert (generator.dim("z"), generator.dim("w"), generator.dim("w+")) == (7, 9, 45)
    assert generator.render(w).shape == (4, *generator.image_shape) == (4, 3, 16, 16)


@pytest.mark.parametrize("layer", range(5))
def test_w_plus_gives_the_input_and_each_layer_its_own_code(layer: int) -> None:
    generator = adapter()
    w = generator.sample(4, "w", rng())
    same = Codes(w.latents[:, None].repeat(1, 5, 1), "w+")
    other = Codes(same.latents.clone(), "w+")
    other.latents[:, layer] += 1
    assert torch.allclose(generator.render(same), generator.render(w), atol=1e-6)
    assert not torch.allclose(generator.render(other), generator.render(w), atol=1e-3)


def test_truncation_pulls_samples_towards_the_mean() -> None:
    full, half = adapter().sample(4, "w", rng()).latents, adapter(psi=0.5).sample(4, "w", rng()).latents
    mean = adapter().network.mapping.w_avg
    assert torch.allclose(half, mean + 0.5 * (full - mean), atol=1e-6)


def test_a_cutoff_truncates_the_first_layers_of_codes_in_z() -> None:
    generator = adapter(psi=0.5, cutoff=2)
    codes = generator.map(generator.sample(4, "z", rng()))
    half, full = adapter(psi=0.5).sample(4, "w", rng()).latents, adapter().sample(4, "w", rng()).latents
    assert codes.space == "w+"
    assert torch.allclose(codes.latents[:, 1], half, atol=1e-6)
    assert torch.allclose(codes.latents[:, 2], full, atol=1e-6)
    assert torch.equal(generator.sample(4, "w+", rng()).latents, codes.latents.flatten(1))
    with pytest.raises(UsageError, match="cutoff"):
        generator.sample(4, "w", rng())


def test_an_image_does_not_depend_on_its_batch() -> None:
    generator = adapter()
    codes = generator.sample(9, "w", rng())
    together = generator.render(codes)
    alone = torch.cat([generator.render(codes[i : i + 1]) for i in range(9)])
    assert torch.allclose(together, alone, atol=1e-5)


def test_images_have_gradients_in_the_latents_and_parameters_none() -> None:
    generator = adapter()
    for space in ("z", "w"):
        codes = generator.sample(2, space, rng())
        latents = codes.latents.requires_grad_()
        generator.render(Codes(latents, space)).sum().backward()
        assert latents.grad is not None
        assert float(latents.grad.abs().sum()) > 0
    assert not any(parameter.requires_grad for parameter in generator.network.parameters())


def test_modulation_weights_are_the_jacobian_of_the_styles() -> None:
    generator = adapter()
    weights = generator.modulation_weights("w")
    assert list(weights) == ["input", *LAYERS, "L3_16_3"]
    for name, weight in weights.items():
        affine = generator.network.get_submodule(f"synthesis.{name}.affine")
        assert torch.allclose(weight, torch.autograd.functional.jacobian(affine, torch.zeros(9)))


def test_modulation_weights_of_z_are_the_first_mapping_layer() -> None:
    generator = adapter(replace(DESIGN, label_dim=3))
    (weight,) = generator.modulation_weights("z").values()
    jacobian = torch.autograd.functional.jacobian(generator.network.get_submodule("mapping.fc0"), torch.zeros(7 + 9))
    assert torch.allclose(weight, jacobian[:, :7])


def test_features_are_what_the_layers_give() -> None:
    generator = adapter()
    codes = generator.sample(3, "w", rng())
    shapes = {layer: generator.features(codes, layer).shape for layer in generator.feature_layers}
    assert shapes == dict(zip(LAYERS, [(3, 5, 24, 24), (3, 2, 24, 24), (3, 2, 16, 16)], strict=True))
    seen: list[Tensor] = []
    generator.network.get_submodule("synthesis.L1_24_2").register_forward_hook(lambda _m, _a, out: seen.append(out))
    features = generator.features(codes, "L1_24_2")
    assert torch.equal(features, seen[0])


def test_labels_are_drawn_kept_and_used() -> None:
    generator = adapter(replace(DESIGN, label_dim=3))
    codes = generator.sample(20, "z", rng())
    assert codes.labels is not None
    assert set(codes.labels.tolist()) == {0, 1, 2}
    assert torch.equal(generator.map(codes).labels, codes.labels)
    soft = Codes(codes.latents, "z", torch.nn.functional.one_hot(codes.labels, 3).double())
    assert torch.equal(generator.render(soft), generator.render(codes))
    other = Codes(codes.latents, "z", (codes.labels + 1) % 3)
    assert not torch.allclose(generator.render(other), generator.render(codes), atol=1e-3)


def test_codes_in_float64_are_cast() -> None:
    generator = adapter()
    for space in ("z", "w"):
        codes = generator.sample(2, space, rng())
        wide = replace(codes, latents=codes.latents.double())
        assert torch.equal(generator.render(wide), generator.render(codes))


def test_unknown_names_are_refused_in_one_line() -> None:
    generator = adapter()
    with pytest.raises(UsageError, match="no space 'q'"):
        generator.sample(1, "q", rng())
    with pytest.raises(UsageError, match="no layer"):
        generator.features(generator.sample(1, "w", rng()), "L3_16_3")
    with pytest.raises(UsageError, match="codes in z"):
        generator.map(generator.sample(1, "w", rng()))
