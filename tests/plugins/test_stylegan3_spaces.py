"""w+, s and layers of StyleGAN3: the same images as w, and edits that stay in their layers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_stylegan3.generator import StyleGAN3

from gdbench import Codes, UsageError, moments
from tests.plugins.test_stylegan3_generator import adapter, network

LAYERS = 5
WIDTHS = {"input": 4, "L0_24_5": 5, "L1_24_2": 5, "L2_16_2": 2, "L3_16_3": 2}
"""How many channels each affine scales: the inputs of its convolution; of the input the four numbers of a transform."""


@pytest.fixture(scope="module")
def generator() -> StyleGAN3:
    return adapter()


def sample(generator: StyleGAN3, space: str, n: int = 4) -> Codes:
    return generator.sample(n, space, np.random.default_rng(2))


def moved(codes: Codes, start: int, stop: int, by: float = 1.0) -> Codes:
    delta = torch.zeros(codes.latents.shape[1])
    delta[start:stop] = by
    return codes.shifted(delta)


@pytest.mark.parametrize("space", ["w+", "s", "w:0-3", "w:4", "w+:0-1,4", "s:1-2", "s:0", "w:0-4"])
def test_samples_of_every_space_are_the_images_of_w(space: str, generator: StyleGAN3) -> None:
    codes = sample(generator, space)
    assert codes.latents.shape == (4, generator.dim(space))
    torch.testing.assert_close(generator.render(codes), generator.render(sample(generator, "w")), rtol=0, atol=1e-5)


def test_dimensions(generator: StyleGAN3) -> None:
    dims = {"w+": 45, "w+:0-1": 18, "w:0-1": 9, "s": sum(WIDTHS.values()), "s:0": 4, "s:1-2": 10, "s:4": 2}
    assert {space: generator.dim(space) for space in dims} == dims


@pytest.mark.parametrize("layer", range(LAYERS))
def test_an_edit_in_some_layers_is_one_in_the_rest_of_w_plus(layer: int, generator: StyleGAN3) -> None:
    """Both ways to say it, and (n, layers, dim) by hand."""
    ws = sample(generator, "w").latents[:, None].repeat(1, LAYERS, 1)
    ws[:, layer] += 1
    expected = generator.render(Codes(ws, "w+"))
    layered = generator.render(moved(sample(generator, f"w:{layer}"), 0, 9))
    torch.testing.assert_close(layered, expected, rtol=0, atol=1e-5)
    flat = generator.render(moved(sample(generator, "w+"), 9 * layer, 9 * layer + 9))
    torch.testing.assert_close(flat, expected, rtol=0, atol=1e-5)
    assert float((expected - generator.render(sample(generator, "w"))).abs().max()) > 1e-4


@pytest.mark.parametrize("layer", range(LAYERS))
def test_a_style_channel_is_one_output_of_one_affine(layer: int, generator: StyleGAN3) -> None:
    """By hand: the bias of that unit, moved by as much."""
    name, made = list(WIDTHS)[layer], network()
    with torch.no_grad():
        made.synthesis.get_submodule(f"{name}.affine").bias[1] += 0.7  # type: ignore[index,operator]
    other = adapter()
    other.network.load_state_dict(made.state_dict())
    expected = other.render(sample(other, "w"))
    at = sum(list(WIDTHS.values())[:layer]) + 1
    for space, place in (("s", at), (f"s:{layer}", 1)):
        edited = generator.render(moved(sample(generator, space), place, place + 1, 0.7))
        torch.testing.assert_close(edited, expected, rtol=0, atol=1e-5)


def test_the_first_style_channels_move_the_image() -> None:
    """t_x of the input shifts its signal as the transform that a user sets does, where w does not turn it."""
    still = adapter()
    with torch.no_grad():
        still.network.synthesis.input.affine.weight.zero_()
    shifted = still.render(moved(sample(still, "s"), 2, 3, 0.1))
    still.network.synthesis.input.transform[0, 2] = -0.1
    torch.testing.assert_close(shifted, still.render(sample(still, "w")), rtol=0, atol=1e-5)


def test_other_layers_need_the_code_they_were_sampled_from(generator: StyleGAN3) -> None:
    codes = sample(generator, "w:0-1")
    with pytest.raises(UsageError, match="need the z"):
        generator.render(Codes(codes.latents, "w:0-1"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("w:5", "layers 0 to 4"),
        ("w:", "numbers and ranges"),
        ("w:3-1", "layers 0 to 4"),
        ("z:0", "no space"),
        ("v", "no space"),
    ],
)
def test_spaces_that_are_not_there(space: str, message: str, generator: StyleGAN3) -> None:
    with pytest.raises(UsageError, match=message):
        generator.dim(space)


def test_weights_that_act_on_layers(generator: StyleGAN3) -> None:
    w, plus, some = (generator.modulation_weights(space) for space in ("w", "w+", "w+:1,3"))
    assert list(generator.modulation_weights("w:0-1")) == ["input", "L0_24_5"]
    assert generator.modulation_weights("s") == {}
    for weights, name, place in ((plus, "L2_16_2", 3), (plus, "input", 0), (some, "L2_16_2", 1)):
        rest = weights[name].clone()
        assert torch.equal(rest[:, 9 * place : 9 * place + 9], w[name])
        rest[:, 9 * place : 9 * place + 9] = 0
        assert not rest.any()


def test_the_priors_of_w_plus_and_s_are_flat(generator: StyleGAN3) -> None:
    assert [moments(generator, space, 2_000).singular for space in ("w", "w+", "s")] == [False, True, True]
