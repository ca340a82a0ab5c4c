"""Networks of one's own: what a wrapped one does, and the line that each fault gets."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from gdbench import Codes, Stream, UsageError, initialised, wrap
from gdbench.protocols import Generator


class Net(nn.Module):
    """Latents (n, 6) to images (n, 3, 8, 8) in (-1, 1), with batch normalisation."""

    def __init__(self, channels: int = 3) -> None:
        super().__init__()
        self.linear, self.norm = nn.Linear(6, 4 * 16), nn.BatchNorm2d(4)
        self.out = nn.ConvTranspose2d(4, channels, 2, 2)

    def forward(self, z: Tensor) -> Tensor:
        return torch.tanh(3 * self.out(self.norm(self.linear(z).reshape(-1, 4, 4, 4))))


def net(channels: int = 3) -> Net:
    made = initialised(np.random.default_rng(0), lambda: Net(channels))
    assert isinstance(made, Net)
    return made


def codes(n: int = 3) -> Tensor:
    return torch.from_numpy(np.random.default_rng(1).standard_normal((n, 6)).astype(np.float32))


def test_a_module_renders_as_itself_and_stays_as_it_was() -> None:
    mine = net().train()
    generator: Generator = wrap(mine, 6)
    assert mine.training
    assert mine.linear.weight.requires_grad
    expected = mine.eval()(codes())
    images = generator.render(Codes(codes(), "z"))
    assert torch.equal(images, expected)
    assert not images.requires_grad
    assert (generator.image_shape, generator.dim("z"), generator.domain) == ((3, 8, 8), 6, "plain")
    sample = generator.sample(4, "z", Stream(0, "x").at())
    assert torch.equal(sample.latents, generator.sample(4, "z", Stream(0, "x").at()).latents)
    with pytest.raises(UsageError, match="no space 'w'"):
        generator.dim("w")


def test_gradients_flow_to_latents_and_not_to_weights() -> None:
    generator = wrap(net(), 6)
    latents = codes().requires_grad_()
    generator.render(Codes(latents, "z")).square().sum().backward()  # type: ignore[no-untyped-call]
    assert latents.grad is not None
    assert latents.grad.abs().sum() > 0
    assert all(p.grad is None for p in generator.network.parameters())  # type: ignore[attr-defined]


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-0.5, 0.5)])
def test_the_range_of_images_is_brought_to_ours(low: float, high: float) -> None:
    mine = net().eval()
    generator = wrap(lambda z: (mine(z) + 1) / 2 * (high - low) + low, 6, (low, high))
    torch.testing.assert_close(generator.render(Codes(codes(), "z")), mine(codes()), rtol=0, atol=1e-5)


def test_latents_come_in_the_shape_that_the_network_takes() -> None:
    mine = nn.Sequential(nn.ConvTranspose2d(6, 3, 4), nn.Tanh())
    generator = wrap(mine, (6, 1, 1))
    assert generator.dim("z") == 6
    assert generator.render(Codes(codes(), "z")).shape == (3, 3, 4, 4)
    with pytest.raises(UsageError, match=r"if it takes maps, say dim=\(6, 1, 1\)"):
        wrap(mine, 6)


@pytest.mark.parametrize("channels", [1, 2, 4])
def test_one_to_four_channels(channels: int) -> None:
    assert wrap(net(channels), 6).image_shape == (channels, 8, 8)


def drawing(z: Tensor) -> Tensor:
    return net().eval()(z) + 0.01 * torch.rand(len(z), 3, 8, 8)


def in_numpy(z: Tensor) -> Tensor:
    return torch.from_numpy(np.tanh(np.outer(z.numpy().sum(1), np.linspace(-1, 1, 192))).reshape(-1, 3, 8, 8)).float()


def of_batch(z: Tensor) -> Tensor:
    return torch.tanh(net()(z - z.mean(0)))


def grey(z: Tensor) -> Tensor:
    return torch.full((len(z), 3, 8, 8), -0.5) + 0 * z.sum()


@pytest.mark.parametrize(
    ("network", "how", "message"),
    [
        (lambda z: z, {}, r"gives shape \(4, 6\) for 4 codes, expected \(4, channels, height, width\)"),
        (lambda z: (net()(z), z), {}, "gives tuple, expected a tensor"),
        (lambda z: net(5).eval()(z), {}, "gives 5 channels, expected 1 to 4"),
        (lambda z: net().eval()(z).permute(0, 2, 3, 1), {}, "are channels last"),
        (lambda z: net().eval()(z).double(), {}, "gives torch.float64, expected torch.float32"),
        (lambda z: net().eval()(z) / 0, {}, "not finite"),
        (lambda z: net().eval()(z).add(1).div(2), {}, r"the darkest value is 0.*image_range=\(0, 1\)"),
        (lambda z: 127 * net().eval()(z), {}, r"of values lie outside image_range \(-1, 1\)"),
        (drawing, {}, "give other images the next time"),
        (of_batch, {}, r"rendered alone differs by .* eval\(\)"),
        (grey, {}, "the same image for every code"),
        (in_numpy, {}, "no gradient flows"),
        (lambda z: net().eval()(z.detach()), {}, "gradient"),
        (net(), {"dim": 7}, r"raised RuntimeError for latents \(4, 7\)"),
        (net(), {"dim": 0}, "dim must be a positive whole number"),
        (net(), {"image_range": (1, 0)}, "image_range is"),
    ],
)
def test_each_fault_gets_one_line(network: object, how: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        wrap(network, **{"dim": 6, **how})  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)


def test_a_network_without_a_gradient_may_be_taken_as_it_is() -> None:
    assert wrap(lambda z: net().eval()(z.detach()), 6, differentiable=False).image_shape == (3, 8, 8)


def test_other_weights_are_told_apart_also_those_a_function_uses() -> None:
    one, other = net(), net()
    other.linear.bias.data[0] += 1

    def through(network: Net) -> str:
        return wrap(lambda z: network.eval()(z), 6).sha256

    assert wrap(one, 6).sha256 == wrap(net(), 6).sha256 != wrap(other, 6).sha256
    assert through(one) == through(net()) != through(other)
