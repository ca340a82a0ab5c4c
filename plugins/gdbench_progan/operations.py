"""The generator as a list of operations, which pages draw without torch."""

from __future__ import annotations

from torch import nn

from gdbench import Program, ProgramWriter
from gdbench_progan.networks import EPSILON, Config, Generator


def program(network: Generator, truncation: float, lod: float) -> Program | None:
    """The program of a network at a whole level of detail; codes are standard normal times ``truncation``."""
    config, write = network.config, ProgramWriter()
    dropped = int(lod)
    if lod != dropped:
        return None
    write.activate("normal", slope=1.0, gain=truncation)
    draw = write.taken()
    x = write.linear(_inputs(write, config), network.linear.weight, network.linear.bias)
    x = _activate(write, write.reshape(x, (config.widths[0], 4, 4)), config)
    last = len(config.widths) - 1 - dropped
    for level in range(last + 1):
        if level:
            x = _activate(write, _conv(write, x, network.convs[2 * level - 1], 2), config)
        x = _activate(write, _conv(write, x, network.convs[2 * level], 1), config)
    image = _conv(write, x, network.outputs[str(last)], 1)
    image = write.tanh(image) if config.tanh else image
    for _ in range(dropped):
        image = write.upsample(image)
    return Program(draw, write.taken(), write.tensors, config.latent_dim, config.label_dim)


def _inputs(write: ProgramWriter, config: Config) -> str:
    x = "code"
    for _ in range(config.normalisations - 1):
        x = write.pixel_norm(x, EPSILON)
    x = write.concat(x, "label") if config.label_dim else x
    return write.pixel_norm(x, EPSILON) if config.normalisations else x


def _activate(write: ProgramWriter, x: str, config: Config) -> str:
    x = write.activate(x, config.slope)
    return write.pixel_norm(x, EPSILON) if config.pixel_norm else x


def _conv(write: ProgramWriter, x: str, conv: nn.Module, up: int) -> str:
    assert isinstance(conv, nn.Conv2d)
    return write.conv(x, conv.weight, conv.bias, up)
