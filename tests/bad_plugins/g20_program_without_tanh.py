"""Breaks G20: its program leaves the last operation out."""

import torch
from gdbench_toy.generator import Toy, load

from gdbench import GeneratorSpec, ProgramWriter, hookimpl
from gdbench.programs import CODE, NORMAL, Program


class Flat(Toy):
    """Grey images whose left half brightens with the first component."""

    def render(self, codes):
        image = codes.latents[:, :1].tanh()[:, :, None, None].expand(-1, 3, 32, 32).clone()
        image[..., 16:] = -0.5
        return image

    def program(self, space):
        writer = ProgramWriter()
        writer.activate(NORMAL, 1.0)
        draw = writer.taken()
        x = writer.linear(CODE, torch.eye(64)[:1].expand(3 * 32 * 32, 64))
        writer.reshape(x, (3, 32, 32))
        return Program(draw, writer.taken(), writer.tensors, 64)


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(
        "bad", "breaks one clause", lambda *given: Flat(**vars(load(*given))), domain="toy", provides=("program",)
    )
