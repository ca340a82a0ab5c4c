"""StyleGAN3's building blocks against float64 re-derivations, its design against scipy, and its equivariance."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gdbench_stylegan3 import networks
from gdbench_stylegan3.design import Design, lowpass, radial_lowpass
from gdbench_stylegan3.networks import (
    FourierInput,
    Generator,
    MappingNetwork,
    SynthesisLayer,
    downsample,
    truncate,
    upsample,
)
from gdbench_stylegan3.shapes import LayerShape, infer_config
from scipy.ndimage import map_coordinates
from scipy.signal import convolve2d, firwin
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import initialised, unfilled
from tests.plugins import writers_stylegan3

T = Design(resolution=32, channel_base=48, channel_max=5, layers=5, z_dim=7, w_dim=8)
R = replace(T, kernel=1, radial=True)


@pytest.fixture
def dice() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def draw(dice: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=dice, dtype=torch.float64)


def filled(module: nn.Module, dice: torch.Generator) -> nn.Module:
    """The module in float64 with random parameters; running magnitudes and filters positive, filters not symmetric."""
    module = module.double()
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            drawn = torch.randn(tensor.shape, generator=dice, dtype=torch.float64)
            tensor.copy_(drawn.abs() if name.endswith(("magnitude_ema", "filter")) else drawn)
            if name.endswith("filter"):
                tensor /= tensor.sum()
    return module


def fresh(design: Design, seed: int = 0) -> Generator:
    made = initialised(np.random.default_rng(seed), design.generator)
    assert isinstance(made, Generator)
    return made


# Design


PUBLISHED = {
    "t 1024": (
        Design(),
        "36_512 36_512 52_512 52_512 84_512 148_512 148_512 276_323 276_203 532_128 1044_81 1044_51 1044_32 1024_32 "
        "1024_3",
    ),
    "t 512": (
        Design(resolution=512),
        "36_512 36_512 52_512 52_512 84_512 84_512 148_512 148_483 276_323 276_215 532_144 532_96 532_64 512_64 512_3",
    ),
    "t 256": (
        Design(resolution=256, channel_base=16384),
        "36_512 36_512 36_512 52_512 52_512 84_512 84_512 148_362 148_256 148_181 276_128 276_91 276_64 256_64 256_3",
    ),
    "r 1024": (
        Design(channel_base=65536, channel_max=1024, kernel=1, radial=True),
        "36_1024 36_1024 52_1024 52_1024 84_1024 148_1024 148_1024 276_645 276_406 532_256 1044_161 1044_102 1044_64 "
        "1024_64 1024_3",
    ),
}
PADDED = {
    "t 1024": "9/8 9/8 -6/-9 9/8 -6/-9 -6/-9 9/8 -6/-9 9/8 -6/-9 -6/-9 9/8 9/8 -11/-12 0/0",
    "r 1024": "11/10 11/10 -2/-5 11/10 -2/-5 -2/-5 11/10 -2/-5 11/10 -2/-5 -2/-5 11/10 11/10 -9/-10 0/0",
}


@pytest.mark.parametrize("name", PUBLISHED)
def test_layers_are_those_of_the_published_networks(name: str) -> None:
    design, layers = PUBLISHED[name]
    shapes = design.config().layers
    assert [shape.name for shape in shapes] == [f"L{i}_{layer}" for i, layer in enumerate(layers.split())]
    assert PADDED.get(name) in (None, " ".join("/".join(map(str, shape.padding)) for shape in shapes))


PARAMETERS = {"t 1024": 22_313_167, "t 512": 24_873_519, "t 256": 23_320_443, "r 1024": 15_093_151}


@pytest.mark.parametrize("name", PARAMETERS)
def test_published_sizes_are_met(name: str) -> None:
    made = unfilled(lambda: Generator(PUBLISHED[name][0].config()))
    assert sum(parameter.numel() for parameter in made.parameters()) == PARAMETERS[name]
    assert len(made.state_dict()) == 114


@pytest.mark.parametrize("radial", [False, True])
def test_designed_filters_are_scipys_on_an_independent_schedule(radial: bool) -> None:
    sizes = writers_stylegan3.Sizes(radial=radial, kernel=1 if radial else 3)
    made = fresh(R if radial else T).synthesis.layers()
    expected = {layer.name: layer for layer in writers_stylegan3.layers(sizes)}
    assert made.keys() == expected.keys()
    for name, layer in made.items():
        for own, reference in ((layer.up_filter, "up_filter"), (layer.down_filter, "down_filter")):
            kernel = getattr(expected[name], reference)
            assert (own is None) == (kernel is None)
            assert own is None or np.allclose(own.numpy(), kernel, atol=2e-7)


@pytest.mark.parametrize(
    ("taps", "cutoff", "width"), [(12, 2.0, 12.0), (12, 200.0, 50.0), (24, 7.0, 30.0), (60, 5, 40)]
)
def test_a_lowpass_is_scipys_over_all_three_branches_of_kaisers_formula(taps: int, cutoff: float, width: float) -> None:
    reference = firwin(taps, cutoff, width=width, fs=1024.0)
    assert np.allclose(lowpass(taps, cutoff, width, 1024.0).numpy(), reference, atol=1e-7)


def test_a_radial_lowpass_passes_low_and_stops_high_frequencies_in_every_direction() -> None:
    kernel = radial_lowpass(48, 8.0, 4.0, 64.0).double().numpy()
    response = np.abs(np.fft.fft2(kernel, (256, 256)))  # bins of a quarter of a cycle
    for angle in np.linspace(0, np.pi / 2, 7):
        column, row = np.cos(angle), np.sin(angle)
        low, half, high = (response[round(4 * f * row), round(4 * f * column)] for f in (4, 8, 12))
        assert abs(low - 1) < 0.01
        assert abs(half - 0.5) < 0.1  # of a steep slope, between bins
        assert high < 0.01


# Blocks


@pytest.mark.parametrize(("up", "taps"), [(2, 12), (4, 24), (3, 9), (2, 8)])
@pytest.mark.parametrize("padding", [(9, 8), (-6, -9), (0, 0), (-3, 20), (30, -2)])
def test_upsampling_is_zero_insertion_padding_and_a_convolution(
    up: int, taps: int, padding: tuple[int, int], dice: torch.Generator
) -> None:
    x, kernel = draw(dice, 2, 3, 20, 20), draw(dice, taps)
    made = upsample(x, kernel, up, padding)
    for n in range(2):
        for c in range(3):
            stuffed = np.zeros((20 * up, 20 * up))
            stuffed[::up, ::up] = x[n, c].numpy()
            low, high = padding
            padded = np.pad(stuffed, (max(low, 0), max(high, 0)))[max(-low, 0) :, max(-low, 0) :]
            padded = padded[: len(padded) - max(-high, 0), : len(padded) - max(-high, 0)]
            expected = convolve2d(padded, np.outer(kernel, kernel) * up**2, "valid")
            assert np.allclose(made[n, c].numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("shape", [(12,), (8, 8)])
def test_downsampling_is_a_convolution_of_which_every_second_sample_stays(
    shape: tuple[int, ...], dice: torch.Generator
) -> None:
    x, kernel = draw(dice, 1, 2, 19, 19), draw(dice, *shape)
    square = kernel.numpy() if len(shape) == 2 else np.outer(kernel, kernel)
    for c in range(2):
        expected = convolve2d(x[0, c].numpy(), square, "valid")[::2, ::2]
        assert np.allclose(downsample(x, kernel, 2)[0, c].numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("clamp", [None, 0.3])
@pytest.mark.parametrize("radial", [False, True])
def test_a_layer_is_the_written_formula(radial: bool, clamp: float | None, dice: torch.Generator) -> None:
    design = R if radial else T
    config = replace(design.config(), conv_clamp=clamp)
    for shape in (config.layers[0], config.layers[2], config.layers[-1]):
        layer = filled(SynthesisLayer(shape, config), dice)
        assert isinstance(layer, SynthesisLayer)
        x, w = draw(dice, 2, shape.inputs, shape.before, shape.before), draw(dice, 2, 8)
        made = layer(x, w).detach()
        assert made.shape == (2, shape.outputs, shape.after, shape.after)
        for n in range(2):
            assert torch.allclose(made[n : n + 1], one_sample(layer, x[n : n + 1], w[n]), atol=1e-9)


@torch.no_grad()
def one_sample(layer: SynthesisLayer, x: Tensor, w: Tensor) -> Tensor:
    """A layer on one image, with a kernel of its own and 2-D filters."""
    shape = layer.shape
    style = layer.affine.weight @ w / math.sqrt(len(w)) + layer.affine.bias
    if shape.rgb:
        kernel = layer.weight * style[None, :, None, None] / math.sqrt(shape.inputs)
    else:
        norm = layer.weight.square().mean((1, 2, 3), keepdim=True).sqrt()
        kernel = layer.weight / norm * (style / style.square().mean().sqrt())[None, :, None, None]
        kernel = kernel / (kernel.square().sum((1, 2, 3), keepdim=True) + 1e-8).sqrt()
    y = F.conv2d(x, kernel / layer.magnitude_ema.sqrt(), padding=shape.kernel - 1) + layer.bias[:, None, None]
    planes = []
    for plane in y[0]:
        p = plane[None, None]
        if layer.up_filter is not None:
            p = upsample(p, layer.up_filter, shape.up, shape.padding)
        if not shape.rgb:
            p = math.sqrt(2) * torch.where(p > 0, p, 0.2 * p)
        if layer.clamp is not None:
            p = p.clamp(-layer.clamp, layer.clamp)
        down = layer.down_filter
        if down is not None:
            square = down if down.ndim == 2 else torch.outer(down, down)
            p = F.conv2d(p, square.flip(0, 1)[None, None])[:, :, :: shape.down, :: shape.down]
        planes.append(p[0, 0])
    return torch.stack(planes)[None]


def test_channels_that_do_not_fit_are_filtered_in_parts(dice: torch.Generator, monkeypatch: pytest.MonkeyPatch) -> None:
    config = T.config()
    shape = config.layers[1]
    layer = filled(SynthesisLayer(shape, config), dice)
    x, w = draw(dice, 2, shape.inputs, shape.before, shape.before), draw(dice, 2, 8)
    whole = layer(x, w)
    seen: list[int] = []
    monkeypatch.setattr(networks, "LARGEST", 2 * 2 * 90**2)
    monkeypatch.setattr(
        layer, "activated", lambda part: seen.append(part.shape[1]) or type(layer).activated(layer, part)
    )
    assert torch.equal(layer(x, w), whole)
    assert seen == [2, 2, 1]


def test_the_input_is_rotated_and_shifted_waves(dice: torch.Generator) -> None:
    config = T.config()
    layer = filled(FourierInput(config), dice)
    w = draw(dice, 3, 8)
    made, t = layer(w).detach(), w @ layer.affine.weight.T / math.sqrt(8) + layer.affine.bias  # type: ignore[operator, union-attr]
    weight = layer.weight.detach() / math.sqrt(5)  # type: ignore[operator]
    user, freqs, phases = layer.transform.numpy(), layer.freqs.numpy(), layer.phases.numpy()  # type: ignore[operator]
    for n in range(3):
        c, s, x, y = (t[n] / t[n, :2].norm()).detach().numpy()
        turn, shift = np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]), np.array([[1, 0, -x], [0, 1, -y], [0, 0, 1]])
        whole = turn @ shift @ user
        for row, column in ((0, 0), (7, 30), (35, 35)):
            place = whole @ [(column + 0.5) / 16 - 36 / 32, (row + 0.5) / 16 - 36 / 32, 1]
            lengths = np.linalg.norm(freqs @ whole[:2, :2], axis=1)
            fade = np.clip(1 - (lengths - 2) / (8 - 2), 0, 1)
            waves = fade * np.sin(2 * np.pi * (freqs @ place[:2] + phases))
            assert np.allclose(made[n, :, row, column].numpy(), weight.numpy() @ waves, atol=1e-9)


def test_fresh_waves_fill_the_disc_of_the_bandwidth_evenly() -> None:
    made = initialised(
        np.random.default_rng(0), lambda: FourierInput(replace(T, channel_max=4000, channel_base=10**6).config())
    )
    assert isinstance(made, FourierInput)
    lengths = made.freqs.norm(dim=1).sort().values
    assert float(lengths.max()) <= 2
    assert float((lengths.square() / 4 - torch.linspace(0, 1, 4000)).abs().max()) < 0.04  # the area within a radius
    assert float(made.phases.abs().max()) <= 0.5
    assert torch.equal(made.transforms(made.affine(torch.randn(2, 8))), torch.eye(3).expand(2, 3, 3))


@pytest.mark.parametrize("labels", [0, 3])
def test_mapping_is_the_written_formula(labels: int, dice: torch.Generator) -> None:
    config = replace(T.config(), label_dim=labels, mapping_layers=3)
    network, z = filled(MappingNetwork(config), dice), draw(dice, 4, 7)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    x = z.numpy() / np.sqrt((z.numpy() ** 2).mean(1, keepdims=True) + 1e-8)
    one_hot = F.one_hot(torch.tensor([0, 1, 2, 2]), 3).double() if labels else None
    if one_hot is not None:
        y = one_hot.numpy() @ state["embed.weight"].T / math.sqrt(3) + state["embed.bias"]
        x = np.concatenate([x, y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-8)], 1)
        with pytest.raises(ValueError, match="labels"):
            network(z)
    for i in range(3):
        a = 0.01 / math.sqrt(x.shape[1]) * x @ state[f"fc{i}.weight"].T + 0.01 * state[f"fc{i}.bias"]
        x = math.sqrt(2) * np.where(a > 0, a, 0.2 * a)
    assert np.allclose(network(z, one_hot).detach().numpy(), x, atol=1e-12)


def test_magnitudes_follow_the_mean_square_of_inputs_only_when_asked(dice: torch.Generator) -> None:
    network = fresh(T).double()
    network.requires_grad_(False)
    ws = draw(dice, 4, 7, 8)
    before = {name: layer.magnitude_ema.clone() for name, layer in network.synthesis.layers().items()}
    seen: dict[str, Tensor] = {}
    for name, layer in network.synthesis.layers().items():
        layer.register_forward_pre_hook(lambda _m, args, name=name: seen.update({name: args[0].square().mean()}))
    network.synthesis(ws)
    assert all(torch.equal(layer.magnitude_ema, before[name]) for name, layer in network.synthesis.layers().items())
    network.synthesis(ws, keep=0.75)
    for name, layer in network.synthesis.layers().items():
        assert float(layer.magnitude_ema) == pytest.approx(0.75 + 0.25 * float(seen[name]))


@pytest.mark.parametrize("design", [T, R], ids=["t", "r"])
def test_gradients_of_synthesis_are_right(design: Design, dice: torch.Generator) -> None:
    small = replace(design, resolution=8, margin=2, layers=3, channel_max=2, w_dim=4)
    network = fresh(small).double()
    with torch.no_grad():
        network.synthesis.input.affine.weight.normal_(generator=dice)
    ws = draw(dice, 1, 5, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda codes: network.synthesis(codes), (ws,))


# Sizes


@pytest.mark.parametrize(
    "design",
    [
        T,
        R,
        replace(T, label_dim=4, mapping_layers=1),
        replace(T, image_channels=1, layers=12, resolution=64),
        replace(R, layers=3, resolution=64, z_dim=3),
    ],
)
def test_sizes_are_inferred_from_the_weights(design: Design) -> None:
    made = fresh(design)
    assert infer_config(made.state_dict()) == made.config


def test_what_tensors_do_not_tell_is_given() -> None:
    made = fresh(replace(T, margin=4))
    facts = {"lr_multiplier": 0.1, "conv_clamp": None, "output_scale": 1.0, "bandwidth": 3.0}
    config = infer_config(made.state_dict(), sampling_rate=16, **facts)  # type: ignore[arg-type]
    assert config == replace(made.config, **facts)
    assert infer_config(made.state_dict()).sampling_rate == 4  # read as if the margin were that of the published files


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"synthesis.input.freqs": None}, "not a StyleGAN3"),
        ({"synthesis.L1_36_5.up_filter": torch.zeros(10)}, "10 and 12 taps"),
        ({"synthesis.L1_36_5.up_filter": torch.zeros(12, 12)}, "L1_36_5"),
    ],
)
def test_other_weights_are_refused(changed: dict[str, Tensor | None], reason: str) -> None:
    state = {name: tensor for name, tensor in (fresh(T).state_dict() | changed).items() if tensor is not None}
    with pytest.raises(ValueError, match=reason):
        infer_config(state)


def test_truncation_pulls_the_first_layers_only(dice: torch.Generator) -> None:
    w, mean = draw(dice, 2, 3), draw(dice, 3)
    half = mean + 0.5 * (w - mean)
    assert torch.allclose(truncate(w, mean, 4, 0.5)[:, 2], half)
    cut = truncate(w, mean, 4, 0.5, cutoff=1)
    assert torch.allclose(cut[:, 0], half)
    assert torch.equal(cut[:, 1:], w[:, None].expand(-1, 3, -1))
    assert torch.equal(truncate(w, mean, 4), w[:, None].expand(-1, 4, -1))


def test_a_layer_of_an_odd_geometry_still_gives_its_side(dice: torch.Generator) -> None:
    config = T.config()
    for after, up, down in ((23, 3, 3), (17, 2, 4), (40, 4, 2)):
        shape = LayerShape("L0_9_2", 2, 2, 20, after, 3, up, down, 6 * up, 6 * down)
        layer = filled(SynthesisLayer(shape, config), dice)
        assert layer(draw(dice, 1, 2, 20, 20), draw(dice, 1, 8)).shape == (1, 2, after, after)


# Equivariance


@torch.no_grad()
def images(network: Generator, transform: list[list[float]]) -> Tensor:
    network.synthesis.input.transform.copy_(torch.tensor(transform))
    ws = torch.randn(2, network.config.style_layers, 16, generator=torch.Generator().manual_seed(5))
    return network.synthesis(ws)


def decibels(a: Tensor, b: Tensor) -> float:
    """Peak signal to noise ratio, the peak being the range of the images."""
    return 20 * math.log10(float(b.max() - b.min())) - 10 * math.log10(float((a - b).square().mean()))


EQUIVARIANT = Design(resolution=64, channel_base=768, channel_max=24, layers=14, z_dim=16, w_dim=16)
STILL = [[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]


@pytest.mark.parametrize("config", ["t", "r"])
def test_images_move_with_the_transform_of_the_input(config: str) -> None:
    """In pixels to the right and down; the wrong sign gives about 25 dB."""
    network = fresh(EQUIVARIANT if config == "t" else replace(EQUIVARIANT, kernel=1, radial=True))
    still = images(network, STILL)
    moved = images(network, [[1, 0, -3 / 64], [0, 1, -1 / 64], [0, 0, 1]])
    assert decibels(moved[..., 12:-9, 12:-9], still[..., 11:-10, 9:-12]) > (50 if config == "t" else 65)
    assert decibels(moved[..., 12:-9, 12:-9], still[..., 12:-9, 12:-9]) < 45


def test_config_r_turns_with_the_transform_and_config_t_does_not() -> None:
    quarter = [[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]  # counter-clockwise on the screen, as rot90
    r, t = fresh(replace(EQUIVARIANT, kernel=1, radial=True)), fresh(EQUIVARIANT)
    assert decibels(images(r, quarter), images(r, STILL).rot90(1, (2, 3))) > 95
    assert decibels(images(t, quarter), images(t, STILL).rot90(1, (2, 3))) < 40
    c, s = math.cos(math.pi / 6), math.sin(math.pi / 6)
    turned, still = images(r, [[c, -s, 0], [s, c, 0], [0, 0, 1]]), images(r, STILL)
    axis = np.arange(64) - 31.5
    x, y = np.meshgrid(axis, axis)
    places = np.stack([s * x + c * y, c * x - s * y]) + 31.5  # rows and columns of `still`
    disc = torch.from_numpy(x**2 + y**2 < 24**2)
    expected = torch.stack(
        [torch.stack([torch.from_numpy(map_coordinates(plane.numpy(), places)) for plane in image]) for image in still]
    )
    assert decibels(turned[..., disc], expected[..., disc]) > 55
