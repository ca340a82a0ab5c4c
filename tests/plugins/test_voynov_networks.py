"""voynov's reconstructors against the published order of layers, and its curved forms against their formulas."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_voynov import forms
from gdbench_voynov.curved import CurvedDirections
from gdbench_voynov.discover import discover
from gdbench_voynov.params import Form, VoynovParams
from gdbench_voynov.reconstructors import Reconstructor
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Codes, PluginError, Stream, initialised, normal
from gdbench.directions import load_directions
from tests.plugins.methods_generators import DIM, Convnet, context


def _reconstructor(name: str, size: int, resize: int | None = None) -> Reconstructor:
    module = initialised(Stream(0, "test").at(), lambda: Reconstructor(name, 3, size, 7, resize))  # type: ignore[arg-type]
    assert isinstance(module, Reconstructor)
    return module


def _images(n: int, size: int) -> tuple[Tensor, Tensor]:
    rng = np.random.default_rng(0)
    return normal(rng, n, 3, size, size), normal(rng, n, 3, size, size)


def _published_lenet(network: nn.Module, pair: Tensor) -> tuple[Tensor, Tensor]:
    """Convolution, batch norm, ReLU, pooling, three times; global average; two heads with one hidden layer."""
    convolutions = [module for module in network.body if isinstance(module, nn.Conv2d)]
    norms = [module for module in network.body if isinstance(module, nn.BatchNorm2d)]
    x = pair
    for i, (convolution, norm) in enumerate(zip(convolutions, norms, strict=True)):
        x = F.relu(F.batch_norm(convolution(x), None, None, norm.weight, norm.bias, training=True))
        x = F.max_pool2d(x, 2) if i < 2 else x
    x = x.mean((2, 3))

    def head(layers: nn.Sequential) -> Tensor:
        hidden = F.batch_norm(layers[0](x), None, None, layers[1].weight, layers[1].bias, training=True)
        return F.linear(F.relu(hidden), layers[3].weight, layers[3].bias)

    return head(network.direction), head(network.shift)[:, 0]


@pytest.mark.parametrize("size", [32, 48])
def test_the_lenet_equals_the_published_order_of_layers(size: int) -> None:
    reconstructor = _reconstructor("lenet", size)
    with torch.no_grad():
        for parameter in reconstructor.parameters():  # negative batch-norm scales too: pooling must not pass them
            parameter.copy_(normal(np.random.default_rng(parameter.numel()), *parameter.shape) * 0.3)
    images, shifted = _images(5, size)
    published = _published_lenet(reconstructor.network, torch.cat([images, shifted], 1))
    for found, expected in zip(reconstructor(images, shifted), published, strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_the_lenet_has_the_published_widths() -> None:
    body = _reconstructor("lenet", 32).network.body
    shapes = [tuple(module.weight.shape) for module in body if isinstance(module, nn.Conv2d)]
    assert shapes == [(6, 6, 5, 5), (16, 6, 5, 5), (120, 16, 5, 5)]


def test_small_images_are_enlarged_for_the_lenet_and_others_on_request() -> None:
    assert _reconstructor("lenet", 16).resize == 32
    assert _reconstructor("lenet", 64).resize is None
    assert _reconstructor("lenet", 64, 32).resize == 32
    with pytest.raises(PluginError, match="resize=16: the LeNet needs 32 pixels"):
        _reconstructor("lenet", 64, 16)
    small, shifted = _images(4, 16)
    doubled = [image.repeat_interleave(2, 2).repeat_interleave(2, 3) for image in (small, shifted)]
    answers = _reconstructor("lenet", 16)(small, shifted), _reconstructor("lenet", 32)(*doubled)
    for found, expected in zip(*answers, strict=True):
        torch.testing.assert_close(found, expected)


def test_the_resnet_reads_both_images() -> None:
    reconstructor = _reconstructor("resnet18", 32)
    assert reconstructor.network.body.conv1.weight.shape == (64, 6, 7, 7)
    images, shifted = _images(4, 32)
    logits, shift = reconstructor(images, shifted)
    assert (logits.shape, shift.shape) == ((4, 7), (4,))
    assert not torch.allclose(logits, reconstructor(shifted, images)[0])


def test_the_resnet_trains() -> None:
    found = discover(Convnet(), VoynovParams(reconstructor="resnet18", steps=2, batch=4, resize=32), context())
    assert len(found) == 4


# curved forms


def test_projective_equals_its_formula() -> None:
    rng = np.random.default_rng(0)
    weight, bias = rng.standard_normal((DIM, 4)), rng.standard_normal(DIM)
    form = forms.Projective(torch.from_numpy(weight), torch.from_numpy(bias))
    index, shift = torch.tensor([0, 3, 3]), torch.tensor([2.0, 1.5, -1.5], dtype=torch.float64)
    found = form(index, shift).detach().numpy()
    for row, k, e in zip(found, index.tolist(), shift.tolist(), strict=True):
        moved = e * weight[:, k] + bias
        np.testing.assert_allclose(row, abs(e) * moved / np.linalg.norm(moved), rtol=1e-9)
    assert np.abs(found[1] + found[2]).max() > 0.1  # +e and -e are not opposite: curved


def test_projective_without_bias_is_the_unit_form() -> None:
    columns = normal(np.random.default_rng(0), DIM, 4)
    index, shift = torch.tensor([0, 1, 2]), torch.tensor([2.0, -1.0, 0.0])
    straight = forms.Columns(columns, forms.unit)(index, shift)
    torch.testing.assert_close(forms.Projective(columns, torch.zeros(DIM))(index, shift), straight)


def test_the_perceptron_equals_its_formula_and_leaves_zero_alone() -> None:
    form = forms.build("fc", Stream(0, "discover"), 4, DIM).eval()
    assert isinstance(form, forms.Perceptron)
    with torch.no_grad():  # it starts at zero, where the layers before it would not be seen
        form.last.weight.copy_(normal(np.random.default_rng(0), *form.last.weight.shape))
        form.last.bias.fill_(1.0)
    index, shift = torch.tensor([0, 3, 1]), torch.tensor([2.0, -1.5, 0.0])

    def network(x: Tensor) -> Tensor:
        one = form.layers[0](x)
        two = form.layers[1](F.elu(form.norms[0](one)))
        three = form.layers[2](F.elu(form.norms[1](two + one)))
        return form.last(F.elu(form.norms[2](three + two + one)))

    x = torch.zeros(3, 4)
    x[[0, 1, 2], index] = shift
    expected = x @ form.start.T + network(x) - network(torch.zeros(1, 4))
    found = form(index, shift)
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-5)
    assert (found - x @ form.start.T).abs().max() > 1
    assert found[2].abs().max() < 1e-6


@pytest.mark.parametrize("form", ["projective", "fc"])
@pytest.mark.parametrize("space", ["z", "w"])
def test_curved_directions_survive_saving_and_move_by_the_length_asked(form: Form, space: str, tmp_path: Path) -> None:
    params = VoynovParams(form=form, steps=30, batch=8, lr=0.01)
    found = discover(Convnet(), params, context(4, space))
    assert isinstance(found, CurvedDirections)
    found.save(tmp_path)
    loaded = load_directions(tmp_path, frozenset({"gdbench_voynov"}))
    codes = Codes(torch.ones(8, DIM), space)
    index, sign = torch.arange(4).repeat(2), torch.tensor([1.0, -1.0]).repeat_interleave(4)
    half = 3 * found.unit[index] * sign  # half the longest shift of training
    moved = found.displace(codes, index, half)
    again = loaded.displace(codes, index, half).latents  # large tensors are kept in halves: eleven bits of a number
    torch.testing.assert_close(moved.latents, again, rtol=2e-3, atol=2e-3)
    lengths = (moved.latents - 1).norm(dim=1).view(2, 4).mean(0)
    torch.testing.assert_close(lengths, 3 * found.unit, rtol=1e-3, atol=0)
    still = found.displace(codes, index, torch.zeros(8))
    torch.testing.assert_close(still.latents, codes.latents, atol=1e-6, rtol=0)
    assert (loaded.space, len(loaded)) == (space, 4)
