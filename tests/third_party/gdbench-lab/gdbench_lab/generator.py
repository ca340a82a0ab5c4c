"""A generator is any object with these seven members; this one draws a disc whose place, hue and ground are latents."""

import torch

from gdbench import Codes, normal


class Disc:
    spaces = ("z",)
    image_shape = (3, 32, 32)
    domain = "toy"

    def __init__(self, device):
        self.device = device
        self.axis = (torch.arange(32, device=device) + 0.5) / 16 - 1

    def dim(self, space):
        return 16

    def sample(self, n, space, rng):
        return Codes(normal(rng, n, 16).to(self.device), space)

    def render(self, codes):
        x, y, hue, ground = torch.tanh(codes.latents[:, :4, None, None] / 3).unbind(1)
        distance = (self.axis - 0.5 * x) ** 2 + (self.axis[:, None] - 0.5 * y) ** 2
        mask = torch.sigmoid((0.15 - distance) / 0.02)[:, None]
        colour = 0.4 * torch.cos(torch.pi * hue[:, None] + torch.tensor([0.0, 2.1, -2.1]).to(hue).view(3, 1, 1))
        return mask * colour + (1 - mask) * 0.8 * ground[:, None]


def load(path, params, device):
    """path is None: there are no weights. Otherwise it is the checkpoint's file, whose hash was checked."""
    return Disc(device)
