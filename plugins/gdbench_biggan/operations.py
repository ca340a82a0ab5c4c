"""The generator as a list of operations, which pages draw without torch."""

from __future__ import annotations

import torch

from gdbench import Program, ProgramWriter
from gdbench_biggan.networks import Block, ConditionalNorm, Config, Generator


def program(network: Generator, truncation: float, label: int | None) -> Program | None:
    """The program of a network; codes are normal times ``truncation``. None for deep networks and for attention."""
    config, write = network.config, ProgramWriter()
    if config.deep or config.attention:
        return None
    write.activate("normal", slope=1.0, gain=truncation)
    draw = write.taken()
    embedded = "label" if network.shared is None else write.linear("label", network.shared.weight.T)
    first, *conditions = _conditions(write, config, embedded)
    x = write.linear(first, network.linear.weight, network.linear.bias)
    x = write.reshape(x, (config.widths[0], 4, 4))
    for block, condition in zip(network.blocks, conditions, strict=True):
        assert isinstance(block, Block)
        x = _block(write, x, condition, block)
    norm = network.output_norm
    assert norm.running_mean is not None
    assert norm.running_var is not None
    x = write.activate(write.norm(x, norm.running_mean, norm.running_var, norm.weight, norm.bias, norm.eps))
    write.tanh(write.conv(x, network.output.weight, network.output.bias))
    return Program(draw, write.taken(), write.tensors, config.latent_dim, config.classes, label)


def _conditions(write: ProgramWriter, config: Config, embedded: str) -> list[str]:
    """What the first layer and the norms of each block see."""
    if config.slots == 1:
        return ["code"] + [embedded] * config.blocks
    width = config.latent_dim // config.slots
    first, *others = (write.slice("code", i * width, (i + 1) * width) for i in range(config.slots))
    return [first, *(write.concat(embedded, slot) for slot in others)]


def _block(write: ProgramWriter, x: str, condition: str, block: Block) -> str:
    y = write.activate(_norm(write, x, condition, block.bn1))
    y = write.conv(y, block.conv1.weight, block.conv1.bias, up=2)
    y = write.activate(_norm(write, y, condition, block.bn2))
    y = write.conv(y, block.conv2.weight, block.conv2.bias)
    return write.add(y, write.upsample(write.conv(x, block.shortcut.weight, block.shortcut.bias)))


def _norm(write: ProgramWriter, x: str, condition: str, norm: ConditionalNorm) -> str:
    mean, var = norm.norm.running_mean, norm.norm.running_var
    assert mean is not None
    assert var is not None
    gain = write.linear(condition, norm.gain.weight, torch.ones(len(mean)))  # 1 + gain
    shift = write.linear(condition, norm.bias.weight)
    return write.norm(x, mean, var, eps=norm.norm.eps, gain_and_shift=(gain, shift))
