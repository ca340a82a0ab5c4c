"""SNGAN's building blocks against float64 re-derivations, and its training pieces."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from gdbench_sngan.networks import Block, Config, Discriminator, Generator, conv_of_nearest, infer_config
from gdbench_sngan.recipe import Recipe
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import initialised

SMALL = Config((6, 5, 4), latent_dim=7, bypass=(1, 3))
TABLE = {
    "32 px, all widths equal, no bypass": Config((4, 4, 4, 4), 5, (0, 0, 0)),
    "64 px, 3x3 bypasses": Config((8, 6, 4, 3, 2), 5, (3, 3, 3, 3)),
    "48 px from 6 px, 1x1 bypasses": Config((8, 6, 4, 3), 5, (1, 1, 1), base=6),
    "grey, mixed": Config((4, 4, 3), 9, (0, 1), image_channels=1),
    "bilinear": replace(SMALL, upsampling="bilinear"),
}


@pytest.fixture
def dice() -> torch.Generator:
    return torch.Generator().manual_seed(4)


def filled(module: nn.Module, dice: torch.Generator) -> nn.Module:
    """The module in float64, evaluating, with every parameter and statistic random (variances positive)."""
    module = module.double().eval()
    with torch.no_grad():
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if tensor.is_floating_point():
                values = torch.randn(tensor.shape, generator=dice)
                tensor.copy_(values.square() + 0.5 if name.endswith("running_var") else values)
    return module


def normalised(x: Tensor, norm: nn.BatchNorm2d) -> Tensor:
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    scaled = (x - mean[:, None, None]) / torch.sqrt(var[:, None, None] + 1e-5)
    return scaled * norm.weight[:, None, None] + norm.bias[:, None, None]


def doubled(x: Tensor, mode: str) -> Tensor:
    """Nearest by repetition; bilinear without aligned corners by its weights 3/4 and 1/4, edges repeated."""
    if mode == "nearest":
        return x.repeat_interleave(2, 2).repeat_interleave(2, 3)
    for dim in (2, 3):
        n = x.shape[dim]
        before = x.index_select(dim, torch.arange(n).sub(1).clamp_min(0))
        after = x.index_select(dim, torch.arange(n).add(1).clamp_max(n - 1))
        x = torch.stack([0.75 * x + 0.25 * before, 0.75 * x + 0.25 * after], dim + 1).flatten(dim, dim + 1)
    return x


def test_transposed_form_equals_convolution_of_the_upsampled_image(dice: torch.Generator) -> None:
    conv = filled(nn.Conv2d(3, 4, 3, padding=1), dice)
    assert isinstance(conv, nn.Conv2d)
    x = torch.randn(2, 3, 5, 5, generator=dice, dtype=torch.float64)
    assert torch.allclose(conv_of_nearest(x, conv), conv(doubled(x, "nearest")), atol=1e-12)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("bypass", [0, 1, 3])
def test_block_is_the_written_formula(dice: torch.Generator, mode: str, bypass: int) -> None:
    block = filled(Block(4, 4, bypass, mode), dice)  # type: ignore[arg-type]
    assert isinstance(block, Block)
    x = torch.randn(2, 4, 5, 5, generator=dice, dtype=torch.float64)
    y = F.conv2d(doubled(F.relu(normalised(x, block.bn1)), mode), block.conv1.weight, block.conv1.bias, padding=1)
    y = F.conv2d(F.relu(normalised(y, block.bn2)), block.conv2.weight, block.conv2.bias, padding=1)
    kept = doubled(x, mode)
    if block.bypass is not None:
        kept = F.conv2d(kept, block.bypass.weight, block.bypass.bias, padding=bypass // 2)
    assert torch.allclose(block(x), y + kept, atol=1e-11)


def test_generator_is_linear_blocks_and_tanh(dice: torch.Generator) -> None:
    network = filled(Generator(SMALL), dice)
    assert isinstance(network, Generator)
    z = torch.randn(3, 7, generator=dice, dtype=torch.float64)
    x = (z @ network.linear.weight.T + network.linear.bias).reshape(3, 6, 4, 4)
    for block in network.blocks:
        x = block(x)
    expected = torch.tanh(network.conv(F.relu(normalised(x, network.bn))))
    assert network.config.resolution == 16
    assert torch.allclose(network(z), expected, atol=1e-11)


@pytest.mark.parametrize("config", TABLE.values(), ids=TABLE.keys())
def test_sizes_are_inferred_from_the_weights(config: Config) -> None:
    network = Generator(config)
    assert infer_config(network.state_dict(), config.upsampling) == config
    assert network.eval()(torch.zeros(1, config.latent_dim)).shape[2] == config.resolution


def test_other_weights_are_refused() -> None:
    with pytest.raises(ValueError, match="not an SNGAN"):
        infer_config({"mapping.fc0.weight": torch.zeros(1, 1)})


def test_gradients_are_right(dice: torch.Generator) -> None:
    network = filled(Generator(Config((3, 2), 4, (1,))), dice)
    z = torch.randn(1, 4, generator=dice, dtype=torch.float64).requires_grad_()
    assert torch.autograd.gradcheck(network, (z,))


def test_discriminator_layers_have_spectral_norm_one(dice: torch.Generator) -> None:
    rng = np.random.default_rng(0)
    network = initialised(rng, lambda: Discriminator((4, 6, 8)))
    with torch.no_grad():
        for _ in range(200):  # each training pass is one power iteration
            network(torch.randn(2, 3, 16, 16, generator=dice))
        weights = [module.weight for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
        norms = [float(torch.linalg.matrix_norm(weight.flatten(1), 2)) for weight in weights]
    assert len(norms) == 6
    assert norms == pytest.approx([1.0] * 6, abs=0.01)


def test_settling_gives_the_statistics_of_many_batches() -> None:
    recipe = Recipe(latent_dim=8, widths=(6, 4), discriminator_widths=(4, 4), batch=16, settle_batches=8)
    network = initialised(np.random.default_rng(1), recipe.generator)
    assert isinstance(network, Generator)
    recipe.settle(network, np.random.default_rng(2))
    assert not network.training
    z = torch.from_numpy(np.random.default_rng(3).standard_normal((4000, 8), dtype=np.float32))
    with torch.no_grad():
        first = network.linear(z).unflatten(1, (6, 4, 4))
    mean = network.blocks[0].bn1.running_mean
    assert torch.allclose(mean, first.mean((0, 2, 3)), atol=0.1)
    assert torch.allclose(network.blocks[0].bn1.running_var, first.transpose(0, 1).flatten(1).var(1), rtol=0.2)
