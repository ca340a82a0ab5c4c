"""The generator as a list of operations, which pages draw without torch."""

from __future__ import annotations

from torch import nn

from gdbench import Program, ProgramWriter
from gdbench_sngan.networks import Block, Generator, Upsampling


def program(network: Generator, psi: float) -> Program:
    """The program of a network; codes are standard normal times ``psi``."""
    config, write = network.config, ProgramWriter()
    write.activate("normal", slope=1.0, gain=psi)
    draw = write.taken()
    x = write.linear("code", network.linear.weight, network.linear.bias)
    x = write.reshape(x, (config.widths[0], config.base, config.base))
    for block in network.blocks:
        assert isinstance(block, Block)
        x = _block(write, x, block)
    x = write.activate(_norm(write, x, network.bn, None))
    write.tanh(write.conv(x, network.conv.weight, network.conv.bias))
    return Program(draw, write.taken(), write.tensors, config.latent_dim, config.classes)


def _block(write: ProgramWriter, x: str, block: Block) -> str:
    y = write.activate(_norm(write, x, block.bn1, block.embed1))
    y = _conv_of_upsampled(write, y, block.conv1, block.upsampling)
    y = write.activate(_norm(write, y, block.bn2, block.embed2))
    y = write.conv(y, block.conv2.weight, block.conv2.bias)
    if block.bypass is None:
        return write.add(write.upsample(x, block.upsampling), y)
    if block.bypass.kernel_size == (1, 1):
        kept = write.upsample(write.conv(x, block.bypass.weight, block.bypass.bias), block.upsampling)
    else:
        kept = _conv_of_upsampled(write, x, block.bypass, block.upsampling)
    return write.add(kept, y)


def _conv_of_upsampled(write: ProgramWriter, x: str, conv: nn.Conv2d, mode: Upsampling) -> str:
    if mode == "nearest":
        return write.conv(x, conv.weight, conv.bias, up=2)
    return write.conv(write.upsample(x, mode), conv.weight, conv.bias)


def _norm(write: ProgramWriter, x: str, norm: nn.BatchNorm2d, embed: nn.Embedding | None) -> str:
    assert norm.running_mean is not None
    assert norm.running_var is not None
    mean, var = norm.running_mean, norm.running_var
    if embed is None:
        return write.norm(x, mean, var, norm.weight, norm.bias, norm.eps)
    embedded = write.linear("label", embed.weight.T)
    half = embed.weight.shape[1] // 2
    gain_and_shift = write.slice(embedded, 0, half), write.slice(embedded, half, 2 * half)
    return write.norm(x, mean, var, eps=norm.eps, gain_and_shift=gain_and_shift)
