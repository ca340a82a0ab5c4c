"""Operations of a program mean what torch's own layers compute."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from gdbench_biggan import networks as biggan
from gdbench_biggan.operations import program as biggan_program
from gdbench_progan import networks as progan
from gdbench_progan.operations import program as progan_program
from gdbench_sngan.networks import Config, Generator
from gdbench_sngan.operations import program as sngan_program
from gdbench_stylegan2 import networks as stylegan2
from gdbench_stylegan2.operations import program as stylegan2_program
from torch.nn import functional as F

from gdbench import Op, ProgramWriter, Stream, initialised, normal
from gdbench.programs import interpret


def drawn(write: ProgramWriter, **inputs: torch.Tensor) -> torch.Tensor:
    return interpret(write.taken(), write.tensors, inputs)


@pytest.mark.parametrize("up", [1, 2])
def test_a_convolution_sees_repeated_pixels(up: int) -> None:
    rng = Stream(0, "t").at()
    x, weight, bias = normal(rng, 3, 5, 4), normal(rng, 2, 3, 3, 3), normal(rng, 2)
    write = ProgramWriter()
    write.conv("x", weight, bias, up=up)
    wide = x.repeat_interleave(up, 1).repeat_interleave(up, 2)
    assert torch.allclose(drawn(write, x=x), F.conv2d(wide[None], weight, bias, padding=1)[0], atol=1e-5)


def test_the_filter_of_an_upsampling_keeps_a_flat_image_inside() -> None:
    write = ProgramWriter()
    write.upsample("x", "fir")
    found = drawn(write, x=torch.ones(1, 4, 4))
    assert found.shape == (1, 8, 8)
    assert torch.allclose(found[:, 2:-2, 2:-2], torch.ones(1, 4, 4))


def test_truncation_goes_from_the_centre_to_the_code() -> None:
    write = ProgramWriter()
    write.lerp("x", torch.tensor([1.0, 1.0]), 0.25)
    assert drawn(write, x=torch.tensor([5.0, -3.0])).tolist() == [2.0, 0.0]


@pytest.mark.parametrize("classes", [0, 3])
@pytest.mark.parametrize("bypass", [0, 1, 3])
@pytest.mark.parametrize("upsampling", ["nearest", "bilinear"])
def test_a_network_of_any_form_is_its_program(classes: int, bypass: int, upsampling: str) -> None:
    widths = (6, 6, 6) if bypass == 0 else (6, 5, 4)
    config = Config(widths, 7, (bypass, bypass), upsampling=upsampling, classes=classes)  # type: ignore[arg-type]
    network = initialised(Stream(0, "t").at(), lambda: Generator(config))
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean = torch.linspace(-1, 1, module.num_features)
            module.running_var = torch.linspace(0.5, 2, module.num_features)
    network = network.eval()
    codes = normal(Stream(1, "t").at(), 2, 7)
    labels = torch.eye(3)[:2] if classes else None
    with torch.no_grad():
        wanted = network(codes, labels=labels)
    made = sngan_program(network, 1.0)
    for row in range(2):
        assert torch.allclose(made.image(codes[row], None if labels is None else labels[row]), wanted[row], atol=1e-5)


@pytest.mark.parametrize("space", ["w", "z"])
@pytest.mark.parametrize(("classes", "clamp", "noise"), [(0, None, False), (3, None, True), (0, 0.5, True)])
def test_a_style_based_network_of_any_form_is_its_program(
    space: str, classes: int, clamp: float | None, noise: bool
) -> None:
    config = stylegan2.Config((6, 5, 4), 7, 8, 2, classes, noise=noise, conv_clamp=clamp)
    network = initialised(Stream(0, "t").at(), lambda: stylegan2.Generator(config)).eval()
    for name, parameter in network.named_parameters():
        parameter.data.add_(0.3 if "noise_strength" in name or "bias" in name else 0)
    network.mapping.w_avg.fill_(0.2)
    normals, label = normal(Stream(1, "t").at(), 1, 7), torch.eye(3)[:1] if classes else None
    with torch.no_grad():
        w = network.mapping.w_avg.lerp(network.mapping(normals, label), 0.7)
        wanted = network.synthesis(w[:, None].expand(-1, config.style_layers, -1), "const" if noise else "none")[0]
    made = stylegan2_program(network, space, 0.7, noise)
    own = None if label is None else label[0]
    assert torch.allclose(made.image(made.code(normals[0], own), own), wanted, atol=1e-5)


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("class_dim", [0, 4])
def test_a_class_conditional_network_of_any_form_is_its_program(slots: int, class_dim: int) -> None:
    config = biggan.Config((6, 5, 4), 6, 3, class_dim, slots, (0, 1))
    network = initialised(Stream(0, "t").at(), lambda: biggan.Generator(config)).eval()
    codes, label = normal(Stream(1, "t").at(), 1, 6), torch.tensor([[0.2, 0.8, 0.0]])
    with torch.no_grad():
        wanted = network(codes, label)[0]
    made = biggan_program(network, 1.0, None)
    assert made is not None
    assert torch.allclose(made.image(codes[0], label[0]), wanted, atol=1e-5)
    attentive = replace(config, widths=(16, 16, 16), attention=(0,))
    assert biggan_program(initialised(Stream(0, "t").at(), lambda: biggan.Generator(attentive)), 1.0, None) is None


@pytest.mark.parametrize(("lod", "normalisations", "labels"), [(0.0, 1, 0), (1.0, 2, 2), (0.0, 0, 2)])
def test_a_progressive_network_of_any_form_is_its_program(lod: float, normalisations: int, labels: int) -> None:
    config = progan.Config((6, 5, 4), 7 + labels, (0, 1, 2), 3, labels, normalisations, tanh=bool(labels))
    network = initialised(Stream(0, "t").at(), lambda: progan.Generator(config)).eval()
    codes, label = normal(Stream(1, "t").at(), 1, 7), torch.eye(2)[:1] if labels else None
    with torch.no_grad():
        wanted = network(codes, label, lod=lod)[0]
    made = progan_program(network, 1.0, lod)
    assert made is not None
    assert torch.allclose(made.image(codes[0], None if label is None else label[0]), wanted, atol=1e-5)
    assert progan_program(network, 1.0, 0.5) is None


def test_truncation_of_a_program_scales_its_codes() -> None:
    network = initialised(Stream(0, "t").at(), lambda: Generator(Config((4, 4), 3, (1,))))
    numbers = torch.tensor([1.0, -2.0, 3.0])
    assert sngan_program(network, 0.5).code(numbers).tolist() == [0.5, -1.0, 1.5]


def test_what_is_not_there_is_said() -> None:
    with pytest.raises(ValueError, match="no operation 'fold'; operations: activate, add"):
        Op("fold", "y")
    write = ProgramWriter()
    write.tanh("nothing")
    with pytest.raises(ValueError, match="tanh: no value nothing"):
        drawn(write, x=torch.zeros(1))
