"""The adapter of StyleGAN2: spaces, truncation, noise, batches, capabilities."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_stylegan2 import Params
from gdbench_stylegan2.generator import StyleGAN2, load
from gdbench_stylegan2.networks import Config, Generator
from torch import Tensor

from gdbench import Codes, UsageError, initialised, save_weights

CPU = torch.device("cpu")
CONFIG = Config((8, 6, 4), z_dim=7, w_dim=9, mapping_layers=2)


def network(config: Config = CONFIG) -> Generator:
    made = initialised(np.random.default_rng(0), lambda: Generator(config))
    assert isinstance(made, Generator)
    with torch.no_grad():
        made.mapping.w_avg.normal_(generator=torch.Generator().manual_seed(1))
        for name, parameter in made.named_parameters():
            if name.endswith("noise_strength"):
                parameter.fill_(0.3)
    return made


def adapter(config: Config = CONFIG, **params: object) -> StyleGAN2:
    return StyleGAN2(network(config), "scenes", Params(**params), CPU)  # type: ignore[arg-type]


def rng() -> np.random.Generator:
    return np.random.default_rng(2)


def test_a_saved_generator_is_the_same_again(tmp_path: Path) -> None:
    config = Config((6, 4), 5, 5, 2, noise=False, lr_multiplier=0.1, conv_clamp=0.4)
    made = network(config)
    facts = {"lr_multiplier": 0.1, "conv_clamp": 0.4, "domain": "toy"}
    save_weights(tmp_path / "w.safetensors", made.state_dict(), facts)
    loaded = load(tmp_path / "w.safetensors", Params(), CPU)
    codes = loaded.sample(3, "z", rng())
    assert loaded.domain == "toy"
    assert loaded.network.config == config
    assert torch.allclose(loaded.render(codes), made(codes.latents), atol=1e-6)


def test_w_is_the_mapping_of_the_same_draws() -> None:
    generator = adapter()
    z, w = generator.sample(4, "z", rng()), generator.sample(4, "w", rng())
    assert torch.equal(generator.map(z).latents, w.latents)
    assert torch.allclose(generator.render(z), generator.render(w), atol=1e-6)
    assert (generator.dim("z"), generator.dim("w"), generator.dim("w+")) == (7, 9, 54)


def test_w_plus_gives_each_layer_its_own_code() -> None:
    generator = adapter()
    w = generator.sample(4, "w", rng())
    same = Codes(w.latents[:, None].repeat(1, 6, 1), "w+")
    other = Codes(same.latents.clone(), "w+")
    other.latents[:, 5] += 1
    assert torch.allclose(generator.render(same), generator.render(w), atol=1e-6)
    assert not torch.allclose(generator.render(other), generator.render(w), atol=1e-4)
    assert torch.allclose(
        generator.render(same.shifted(torch.ones(9))), generator.render(w.shifted(torch.ones(9))), atol=1e-5
    )


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


def test_noise_is_fixed_and_can_be_left_out() -> None:
    codes = adapter().sample(2, "w", rng())
    const, none = adapter(noise="const"), adapter(noise="none")
    assert torch.equal(const.render(codes), const.render(codes))
    assert not torch.allclose(const.render(codes), none.render(codes), atol=1e-3)
    assert adapter(Config((6, 4), 5, 5, 2, noise=False)).noise == "none"


def test_maps_can_be_given_even_where_the_weights_have_none() -> None:
    with_maps, without = adapter(), adapter(replace(CONFIG, maps=False))
    strengths = {name: t for name, t in with_maps.network.state_dict().items() if not name.endswith("noise_const")}
    without.network.load_state_dict(strengths)
    codes = with_maps.sample(2, "w", rng())
    assert without.noise == "none"
    without.noise = [t for name, t in with_maps.network.named_buffers() if name.endswith("noise_const")]
    assert torch.equal(without.render(codes), with_maps.render(codes))


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
    assert len(weights) == 5 + 3  # convolutions and ToRGBs
    affine = generator.network.get_submodule("synthesis.b8.conv0.affine")
    jacobian = torch.autograd.functional.jacobian(affine, torch.zeros(9))
    assert torch.allclose(weights["b8.conv0"], jacobian)


def test_modulation_weights_of_z_are_the_first_mapping_layer() -> None:
    generator = adapter()
    (weight,) = generator.modulation_weights("z").values()
    jacobian = torch.autograd.functional.jacobian(generator.network.get_submodule("mapping.fc0"), torch.zeros(7))
    assert torch.allclose(weight, jacobian)


def test_features_are_activations_of_the_blocks() -> None:
    generator = adapter()
    codes = generator.sample(3, "w", rng())
    shapes = {layer: generator.features(codes, layer).shape for layer in generator.feature_layers}
    assert shapes == {"b4": (3, 8, 4, 4), "b8": (3, 6, 8, 8), "b16": (3, 4, 16, 16)}
    block = generator.network.synthesis.b16
    seen: list[Tensor] = []
    block.conv1.register_forward_hook(lambda _m, _a, out: seen.append(out))  # type: ignore[union-attr, operator]
    features = generator.features(codes, "b16")
    assert torch.equal(features, seen[0])


def test_labels_are_drawn_kept_and_used() -> None:
    generator = adapter(Config((6, 4), 5, 6, 2, label_dim=3))
    codes = generator.sample(20, "z", rng())
    assert codes.labels is not None
    assert set(codes.labels.tolist()) == {0, 1, 2}
    assert torch.equal(generator.map(codes).labels, codes.labels)
    soft = Codes(codes.latents, "z", torch.nn.functional.one_hot(codes.labels, 3).float())
    assert torch.equal(generator.render(soft), generator.render(codes))
    other = Codes(codes.latents, "z", (codes.labels + 1) % 3)
    assert not torch.allclose(generator.render(other), generator.render(codes), atol=1e-3)


def test_unknown_names_are_refused_in_one_line() -> None:
    generator = adapter()
    with pytest.raises(UsageError, match="no space 'q'"):
        generator.sample(1, "q", rng())
    with pytest.raises(UsageError, match="no layer"):
        generator.features(generator.sample(1, "w", rng()), "b64")
    with pytest.raises(UsageError, match="codes in z"):
        generator.map(generator.sample(1, "w", rng()))
