"""StyleGAN2's building blocks against float64 re-derivations from the paper's equations."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from gdbench_stylegan2.discriminator import Discriminator, ResidualBlock, minibatch_deviation
from gdbench_stylegan2.networks import (
    Config,
    Dense,
    Generator,
    MappingNetwork,
    StyledConv,
    ToRGB,
    blur,
    infer_config,
    modulated_conv,
    truncate,
    upsample_image,
)
from scipy.signal import convolve2d
from torch import Tensor, nn
from torch.nn import functional as F

FIR = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64
SMALL = Config((6, 5, 4), z_dim=7, w_dim=8, mapping_layers=2)


@pytest.fixture
def dice() -> torch.Generator:
    return torch.Generator().manual_seed(3)


def filled(module: nn.Module, dice: torch.Generator) -> nn.Module:
    """The module in float64 with every parameter and buffer random."""
    module = module.double()
    with torch.no_grad():
        for tensor in (*module.parameters(), *module.buffers()):
            tensor.copy_(torch.randn(tensor.shape, generator=dice))
    return module


def draw(dice: torch.Generator, *shape: int) -> Tensor:
    return torch.randn(shape, generator=dice, dtype=torch.float64)


def demodulated(weight: Tensor, style: Tensor) -> Tensor:
    """Equations 1 and 3 for one sample, written out."""
    w = style[None, :, None, None] * weight
    return w / torch.sqrt(w.square().sum((1, 2, 3), keepdim=True) + 1e-8)


def zero_inserted(x: np.ndarray) -> np.ndarray:
    big = np.zeros((2 * x.shape[0], 2 * x.shape[1]))
    big[::2, ::2] = x
    return big


def test_modulated_conv_is_convolution_with_each_samples_own_weights(dice: torch.Generator) -> None:
    x, weight, styles = draw(dice, 3, 4, 5, 5), draw(dice, 6, 4, 3, 3), draw(dice, 3, 4)
    out, factor = modulated_conv(x, weight, styles)
    expected = torch.cat([F.conv2d(x[i : i + 1], demodulated(weight, styles[i]), padding=1) for i in range(3)])
    assert torch.allclose(out * factor, expected, atol=1e-12)


def test_up_convolution_is_zero_insertion_kernel_and_filter(dice: torch.Generator) -> None:
    x, weight, styles = draw(dice, 2, 3, 4, 4), draw(dice, 2, 3, 3, 3), draw(dice, 2, 3)
    out, factor = modulated_conv(x, weight, styles, up=True)
    for n in range(2):
        kernels = demodulated(weight, styles[n]).numpy()
        for o in range(2):
            planes = [
                convolve2d(convolve2d(zero_inserted(x[n, i].numpy())[:-1, :-1], kernels[o, i]), 4 * FIR)
                for i in range(3)
            ]
            expected = sum(planes)[2:-2, 2:-2]  # (2r + 1) + 3 pixels less 2 on each side: one of padding was asked for
            assert np.allclose((out * factor)[n, o].numpy(), expected, atol=1e-12)


def test_image_upsampling_is_zero_insertion_and_filter(dice: torch.Generator) -> None:
    x = draw(dice, 1, 2, 4, 4)
    for c in range(2):
        padded = np.pad(zero_inserted(x[0, c].numpy()), (2, 1))
        assert np.allclose(upsample_image(x)[0, c].numpy(), convolve2d(padded, 4 * FIR, mode="valid"), atol=1e-12)


def test_upsampling_keeps_a_constant_inside(dice: torch.Generator) -> None:
    up = upsample_image(torch.ones(1, 1, 8, 8, dtype=torch.float64))
    assert torch.allclose(up[..., 1:-1, 1:-1], torch.ones(14, 14, dtype=torch.float64))


def test_blur_is_the_filter(dice: torch.Generator) -> None:
    x = draw(dice, 1, 3, 6, 6)
    expected = np.stack([convolve2d(np.pad(plane.numpy(), 1), FIR, mode="valid") for plane in x[0]])
    assert np.allclose(blur(x, 1)[0].numpy(), expected, atol=1e-12)


def test_dense_layer_scales_stored_weights(dice: torch.Generator) -> None:
    layer, x = filled(Dense(5, 3, lr=0.01), dice), draw(dice, 4, 5)
    expected = x @ layer.weight.T * 0.01 / math.sqrt(5) + layer.bias * 0.01  # type: ignore[operator, union-attr]
    assert torch.allclose(layer(x), expected)


@pytest.mark.parametrize(("labels", "widths"), [(0, {}), (3, {}), (3, {"hidden_dim": 7, "embed_dim": 4})])
def test_mapping_is_the_written_formula(dice: torch.Generator, labels: int, widths: dict[str, int]) -> None:
    config = Config((4,), z_dim=6, w_dim=5, mapping_layers=3, label_dim=labels, **widths)
    network, z = filled(MappingNetwork(config), dice), draw(dice, 4, 6)
    state = {name: tensor.numpy() for name, tensor in network.state_dict().items()}
    x = z.numpy() / np.sqrt((z.numpy() ** 2).mean(1, keepdims=True) + 1e-8)
    one_hot = F.one_hot(torch.tensor([0, 1, 2, 2]), 3).double() if labels else None
    if one_hot is not None:
        y = one_hot.numpy() @ state["embed.weight"].T / math.sqrt(3) + state["embed.bias"]
        x = np.concatenate([x, y / np.sqrt((y**2).mean(1, keepdims=True) + 1e-8)], 1)
    for i in range(3):
        weight = state[f"fc{i}.weight"]
        a = 0.01 / math.sqrt(weight.shape[1]) * x @ weight.T + 0.01 * state[f"fc{i}.bias"]
        x = math.sqrt(2) * np.where(a > 0, a, 0.2 * a)
    assert np.allclose(network(z, one_hot).detach().numpy(), x, atol=1e-12)


def test_conditional_mapping_asks_for_labels() -> None:
    network = MappingNetwork(Config((4,), 6, 5, 1, label_dim=3))
    with pytest.raises(ValueError, match="labels"):
        network(torch.zeros(1, 6))


@pytest.mark.parametrize("clamp", [None, 0.5])
def test_styled_conv_adds_noise_and_bias_then_activates_then_clamps(dice: torch.Generator, clamp: float | None) -> None:
    config = Config((4,), 6, 5, 1, conv_clamp=clamp)
    layer = filled(StyledConv(3, 4, 6, config), dice)
    x, w, noise = draw(dice, 2, 3, 6, 6), draw(dice, 2, 5), draw(dice, 6, 6)
    styles = w @ layer.affine.weight.T / math.sqrt(5) + layer.affine.bias  # type: ignore[operator, union-attr]
    raw = torch.cat([F.conv2d(x[i : i + 1], demodulated(layer.weight, styles[i]), padding=1) for i in range(2)])  # type: ignore[arg-type]
    raw = raw + layer.noise_strength * noise + layer.bias[:, None, None]  # type: ignore[operator, index]
    expected = math.sqrt(2) * F.leaky_relu(raw, 0.2)
    expected = expected if clamp is None else expected.clamp(-clamp, clamp)
    assert torch.allclose(layer(x, w, noise), expected, atol=1e-12)


def test_to_rgb_is_not_demodulated(dice: torch.Generator) -> None:
    layer = filled(ToRGB(3, Config((3,), 6, 5, 1)), dice)
    x, w = draw(dice, 2, 3, 4, 4), draw(dice, 2, 5)
    styles = w @ layer.affine.weight.T / math.sqrt(5) + layer.affine.bias  # type: ignore[operator, union-attr]
    kernel = layer.weight[:, :, 0, 0][None] * styles[:, None] / math.sqrt(3)  # type: ignore[index]
    expected = torch.einsum("nchw,noc->nohw", x, kernel) + layer.bias[:, None, None]  # type: ignore[index]
    assert torch.allclose(layer(x, w), expected, atol=1e-12)


def test_each_layer_takes_its_own_style(dice: torch.Generator) -> None:
    """Convolution i uses w[i], the ToRGB after it w[i + 1]; the next resolution's first convolution shares that w."""
    network = filled(Generator(SMALL), dice).synthesis
    assert isinstance(network, nn.Module)
    ws = draw(dice, 1, 6, 8)
    seen: dict[str, Tensor] = {}
    for name, module in network.named_modules():
        if isinstance(module, StyledConv | ToRGB):
            module.register_forward_hook(lambda _m, args, _o, name=name: seen.update({name: args[1]}))
    network(ws)
    order = {"b4.conv1": 0, "b4.torgb": 1, "b8.conv0": 1, "b8.conv1": 2, "b8.torgb": 3, "b16.conv0": 3}
    order |= {"b16.conv1": 4, "b16.torgb": 5}
    assert set(seen) == set(order)
    assert all(torch.equal(seen[name], ws[:, i]) for name, i in order.items())


def test_gradients_of_synthesis_are_right(dice: torch.Generator) -> None:
    network = filled(Generator(Config((3, 2), 4, 4, 1)), dice)
    ws = draw(dice, 1, 4, 4).requires_grad_()
    assert torch.autograd.gradcheck(lambda codes: network.synthesis(codes, "const"), (ws,))  # type: ignore[operator]


TABLE = {
    "4 px": Config((4,), 5, 6, 1),
    "wide, deep mapping": Config((16, 8, 4, 2), 5, 6, 8),
    "conditional": Config((4, 4), 5, 6, 2, label_dim=3),
    "grey": Config((4, 4), 5, 5, 2, image_channels=1),
    "no noise": Config((4, 4), 5, 5, 2, noise=False),
    "clamped": Config((4, 4), 5, 5, 2, lr_multiplier=0.1, conv_clamp=256.0),
    "1024 px": Config((2,) * 9, 3, 3, 8),
    "strengths without maps": Config((4, 4), 5, 5, 2, maps=False),
    "mapping of other widths": Config((4, 4), 5, 6, 3, label_dim=3, hidden_dim=7, embed_dim=4),
}


@pytest.mark.parametrize("config", TABLE.values(), ids=TABLE.keys())
def test_sizes_are_inferred_from_the_weights(config: Config) -> None:
    state = Generator(config).state_dict()
    assert infer_config(state, config.lr_multiplier, config.conv_clamp) == config


def test_other_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="not a StyleGAN2"):
        infer_config({"linear.weight": torch.zeros(1, 1)})


def test_truncation_pulls_the_first_layers_only(dice: torch.Generator) -> None:
    w, mean = draw(dice, 2, 3), draw(dice, 3)
    half = mean + 0.5 * (w - mean)
    assert torch.allclose(truncate(w, mean, 4, 0.5)[:, 2], half)
    cut = truncate(w, mean, 4, 0.5, cutoff=1)
    assert torch.allclose(cut[:, 0], half)
    assert torch.equal(cut[:, 1:], w[:, None].expand(-1, 3, -1))
    assert torch.equal(truncate(w, mean, 4), w[:, None].expand(-1, 4, -1))


def test_noise_modes(dice: torch.Generator) -> None:
    network = filled(Generator(SMALL), dice)
    z = draw(dice, 2, 7)
    const, none = network(z, None, "const"), network(z, None, "none")
    maps = [tensor for name, tensor in network.named_buffers() if name.endswith("noise_const")]
    assert not torch.allclose(const, none)
    assert torch.equal(const, network(z, None, "const"))
    assert torch.allclose(const, network(z, None, maps))
    assert torch.allclose(none, network(z, None, [torch.zeros_like(noise) for noise in maps]))
    for wrong in ("random", maps[:2]):
        with pytest.raises(ValueError, match="noise must be"):
            network(z, None, wrong)
    with pytest.raises(ValueError, match="no noise"):
        Generator(Config((4,), 5, 5, 1, noise=False))(torch.zeros(1, 5), None, "const")


def test_minibatch_deviation_sees_neighbours_only(dice: torch.Generator) -> None:
    x = draw(dice, 8, 2, 4, 4)
    out = minibatch_deviation(x)
    expected = [np.sqrt(x[i : i + 4].numpy().var(0) + 1e-8).mean() for i in (0, 4)]
    assert torch.equal(out[:, :2], x)
    assert np.allclose(out[:, 2].numpy(), np.repeat(expected, 4)[:, None, None])


def test_residual_block_is_the_written_formula(dice: torch.Generator) -> None:
    block = filled(ResidualBlock(3, 4), dice)
    assert isinstance(block, ResidualBlock)
    x = draw(dice, 2, 3, 8, 8)
    kernel = torch.from_numpy(FIR).expand(3, 1, 4, 4)

    def activated(y: Tensor, bias: Tensor | None) -> Tensor:
        assert bias is not None
        return math.sqrt(2) * F.leaky_relu(y + bias[:, None, None], 0.2)

    y = activated(F.conv2d(x, block.conv0.weight / math.sqrt(27), padding=1), block.conv0.bias)
    y = F.conv2d(F.pad(y, (2, 2, 2, 2)), kernel, groups=3)
    y = activated(F.conv2d(y, block.conv1.weight / math.sqrt(27), stride=2), block.conv1.bias)
    kept = F.conv2d(F.pad(x, (1, 1, 1, 1)), kernel, groups=3)[:, :, ::2, ::2]
    kept = F.conv2d(kept, block.skip.weight / math.sqrt(3))
    assert torch.allclose(block(x), (kept + y) / math.sqrt(2), atol=1e-12)


def test_discriminator_gives_one_logit_an_image() -> None:
    assert Discriminator((4, 6, 8))(torch.zeros(4, 3, 16, 16)).shape == (4,)
