"""w+, s and layers of StyleGAN2: the same images as w, edits that stay in their layers, flat priors that are told."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_stylegan2 import Params
from gdbench_stylegan2.generator import StyleGAN2
from gdbench_stylegan2.networks import Config, Generator
from torch import Tensor

from gdbench import (
    Codes,
    DenseMoments,
    LinearDirections,
    LowRankMoments,
    Stream,
    UsageError,
    calibrate,
    initialised,
    load_domain,
    moments,
)
from gdbench.evaluation import prior

CONFIG = Config((8, 6, 4), z_dim=7, w_dim=9, mapping_layers=2)
LAYERS = 6
NAMES = ("b4.conv1", "b4.torgb", "b8.conv0", "b8.conv1", "b8.torgb", "b16.conv0", "b16.conv1", "b16.torgb")
"""By hand, of figure 7b of the paper; their layers are 0, 1, 1, 2, 3, 3, 4, 5."""
WIDTHS = (8, 8, 8, 6, 6, 6, 4, 4)


@pytest.fixture(scope="module")
def generator() -> StyleGAN2:
    made = initialised(np.random.default_rng(0), lambda: Generator(CONFIG))
    assert isinstance(made, Generator)
    return StyleGAN2(made, "toy", Params(), torch.device("cpu"))


def sample(generator: StyleGAN2, space: str, n: int = 4) -> Codes:
    return generator.sample(n, space, np.random.default_rng(2))


def moved(codes: Codes, start: int, stop: int) -> Codes:
    delta = torch.zeros(codes.latents.shape[1])
    delta[start:stop] = 1
    return codes.shifted(delta)


@pytest.mark.parametrize("space", ["w+", "s", "w:0-3", "w:5", "w+:0-1,4", "s:1-2", "w:0-5"])
def test_samples_of_every_space_are_the_images_of_w(space: str, generator: StyleGAN2) -> None:
    codes = sample(generator, space)
    assert codes.latents.shape == (4, generator.dim(space))
    torch.testing.assert_close(generator.render(codes), generator.render(sample(generator, "w")), rtol=0, atol=1e-5)


def test_dimensions(generator: StyleGAN2) -> None:
    dims = {"w+": 54, "w+:0-1": 18, "w:0-1": 9, "s": sum(WIDTHS), "s:0": 8, "s:1": 16, "s:3": 12, "s:5": 4}
    assert {space: generator.dim(space) for space in dims} == dims
    assert [(affine.name, affine.width) for affine in generator.affines] == list(zip(NAMES, WIDTHS, strict=True))
    assert [affine.layer for affine in generator.affines] == [0, 1, 1, 2, 3, 3, 4, 5]


@pytest.mark.parametrize("layer", range(LAYERS))
def test_an_edit_in_some_layers_is_one_in_the_rest_of_w_plus(layer: int, generator: StyleGAN2) -> None:
    """Both ways to say it, and (n, layers, dim) by hand."""
    ws = sample(generator, "w").latents[:, None].repeat(1, LAYERS, 1)
    ws[:, layer] += 1
    expected = generator.render(Codes(ws, "w+"))
    layered = generator.render(moved(sample(generator, f"w:{layer}"), 0, 9))
    torch.testing.assert_close(layered, expected, rtol=0, atol=1e-5)
    flat = generator.render(moved(sample(generator, "w+"), 9 * layer, 9 * layer + 9))
    torch.testing.assert_close(flat, expected, rtol=0, atol=1e-5)
    assert float((expected - generator.render(sample(generator, "w"))).abs().max()) > 1e-4


def test_a_style_channel_scales_one_input_of_one_convolution(generator: StyleGAN2) -> None:
    """By hand: the bias of one unit of an affine, moved by as much."""
    made = initialised(np.random.default_rng(0), lambda: Generator(CONFIG))
    assert isinstance(made, Generator)
    with torch.no_grad():
        made.synthesis.get_submodule("b8.conv1.affine").bias[2] += 0.7  # type: ignore[index,operator]
    other = StyleGAN2(made, "toy", Params(), torch.device("cpu"))
    at = sum(WIDTHS[:3]) + 2
    for space, place in (("s", at), ("s:2", 2)):
        codes = sample(generator, space)
        delta = torch.zeros(codes.latents.shape[1])
        delta[place] = 0.7
        edited = generator.render(codes.shifted(delta))
        torch.testing.assert_close(edited, other.render(sample(other, "w")), rtol=0, atol=1e-5)


def test_other_layers_need_the_code_they_were_sampled_from(generator: StyleGAN2) -> None:
    codes = sample(generator, "w:0-1")
    with pytest.raises(UsageError, match="need the z"):
        generator.render(Codes(codes.latents, "w:0-1"))


@pytest.mark.parametrize(
    ("space", "message"),
    [
        ("w:6", "layers 0 to 5"),
        ("w:", "numbers and ranges"),
        ("w:3-1", "layers 0 to 5"),
        ("z:0", "no space"),
        ("v", "no space"),
    ],
)
def test_spaces_that_are_not_there(space: str, message: str, generator: StyleGAN2) -> None:
    with pytest.raises(UsageError, match=message):
        generator.dim(space)


def test_weights_that_act_on_layers(generator: StyleGAN2) -> None:
    w, plus = generator.modulation_weights("w"), generator.modulation_weights("w+")
    assert set(generator.modulation_weights("w:1")) == {"b4.torgb", "b8.conv0"}
    assert generator.modulation_weights("s") == {}
    for name, layer in (("b8.conv1", 2), ("b16.torgb", 5)):
        rest = plus[name].clone()
        assert torch.equal(rest[:, 9 * layer : 9 * layer + 9], w[name])
        rest[:, 9 * layer : 9 * layer + 9] = 0
        assert not rest.any()


def test_the_prior_of_w_is_full_and_those_of_w_plus_and_s_are_flat(generator: StyleGAN2) -> None:
    assert not moments(generator, "w", 2_000).singular
    for space in ("w+", "s"):
        assert moments(generator, space, 2_000).singular


def test_moments_of_low_rank_say_what_dense_ones_say(generator: StyleGAN2, monkeypatch: pytest.MonkeyPatch) -> None:
    dense = moments(generator, "w+", 2_000)
    monkeypatch.setattr(prior, "DENSE", 20)
    monkeypatch.setattr(prior, "ROWS", 2_000)
    low = moments(generator, "w+", 2_000)
    assert isinstance(dense, DenseMoments)
    assert isinstance(low, LowRankMoments)
    assert len(low.basis) == 9
    torch.testing.assert_close(low.covariance, dense.covariance, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(low.variances, dense.variances, rtol=1e-6, atol=1e-9)
    assert low.largest == pytest.approx(dense.largest, rel=1e-6)
    delta = torch.from_numpy(np.random.default_rng(0).standard_normal((5, 54)))
    torch.testing.assert_close(low.deviations(delta), dense.deviations(delta), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(low.unwhitened(delta), dense.unwhitened(delta), rtol=1e-4, atol=1e-6)
    latents = sample(generator, "w+", 50).latents
    torch.testing.assert_close(low.mahalanobis(latents), dense.mahalanobis(latents), rtol=1e-3, atol=1e-3)


def test_a_direction_without_prior_variance_is_dead_and_the_shell_is_void(generator: StyleGAN2) -> None:
    against = torch.zeros(54)
    against[0], against[9] = 1, -1  # two layers apart: no sampled code does that
    one = torch.zeros(54)
    one[0] = 1
    directions = LinearDirections(torch.stack([against, one]), "w+")
    oracle = load_domain("plain").oracle("a")
    found = calibrate(generator, directions, oracle, moments(generator, "w+", 2_000), Stream(0, "c"), codes=16)
    assert found.dead[0].all()
    assert float(found.limit[0].max()) < 1e-3 * float(found.limit[1].min())
    scores = found.scores()
    assert "flat" in scores["outside_prior"].reason  # type: ignore[union-attr]
    assert scores["alive_share"] <= 0.5


def test_directions_of_w_are_the_same_where_their_layers_are_all(generator: StyleGAN2) -> None:
    def images(space: str) -> Tensor:
        directions = LinearDirections(torch.eye(9)[:1], space)
        codes = sample(generator, space)
        return generator.render(directions.displace(codes, torch.zeros(4, dtype=torch.long), torch.full((4,), 2.0)))

    torch.testing.assert_close(images("w:0-5"), images("w"), rtol=0, atol=1e-5)
    assert float((images("w:0-2") - images("w")).abs().max()) > 1e-4
