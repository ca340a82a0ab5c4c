"""The generator as a list of operations, which pages draw without torch."""

from __future__ import annotations

import math

from gdbench import Program, ProgramWriter
from gdbench_stylegan2.networks import (
    EPSILON,
    GAIN,
    Dense,
    Generator,
    MappingNetwork,
    StyledConv,
    SynthesisNetwork,
    ToRGB,
)


def program(network: Generator, space: str, psi: float, const_noise: bool) -> Program:
    """The program of a network for codes in ``space``, w or z; w of z is truncated by ``psi``."""
    config, write = network.config, ProgramWriter()
    if space == "z":
        write.activate("normal", slope=1.0)
        draw = write.taken()
        _synthesis(write, _mapping(write, "code", network.mapping, psi), network.synthesis, const_noise)
    else:
        _mapping(write, "normal", network.mapping, psi)
        draw = write.taken()
        _synthesis(write, "code", network.synthesis, const_noise)
    return Program(draw, write.taken(), write.tensors, config.z_dim, config.label_dim)


def _mapping(write: ProgramWriter, z: str, mapping: MappingNetwork, psi: float) -> str:
    x = write.pixel_norm(z, EPSILON)
    if mapping.embed is not None:
        x = write.concat(x, write.pixel_norm(_dense(write, "label", mapping.embed), EPSILON))
    for i in range(mapping.layers):
        dense = mapping.get_submodule(f"fc{i}")
        assert isinstance(dense, Dense)
        x = write.activate(_dense(write, x, dense), 0.2, GAIN)
    return x if psi == 1 else write.lerp(x, mapping.w_avg, psi)


def _dense(write: ProgramWriter, x: str, dense: Dense, gain: float = 1.0) -> str:
    scale = gain * dense.lr / math.sqrt(dense.weight.shape[1])
    return write.linear(x, dense.weight, dense.bias, scale, gain * dense.lr)


def _synthesis(write: ProgramWriter, w: str, synthesis: SynthesisNetwork, const_noise: bool) -> str:
    x, image = "", ""
    for block in synthesis.blocks():
        x = x or write.constant(block.const)
        for conv in block.convolutions:
            x = _styled_conv(write, x, w, conv, const_noise)
        rgb = _to_rgb(write, x, w, block.torgb)
        image = write.add(write.upsample(image, "fir"), rgb) if image else rgb
    return image


def _styled_conv(write: ProgramWriter, x: str, w: str, conv: StyledConv, const_noise: bool) -> str:
    x = write.modulated_conv(x, _dense(write, w, conv.affine), conv.weight, conv.bias, up=conv.up, eps=EPSILON)
    if const_noise:
        x = write.add_map(x, conv.noise_const * conv.noise_strength)
    return write.activate(x, 0.2, GAIN, conv.clamp)


def _to_rgb(write: ProgramWriter, x: str, w: str, layer: ToRGB) -> str:
    style = _dense(write, w, layer.affine, 1 / math.sqrt(layer.weight.shape[1]))
    rgb = write.modulated_conv(x, style, layer.weight, layer.bias, demodulate=False)
    return rgb if layer.clamp is None else write.activate(rgb, 1.0, 1.0, layer.clamp)
