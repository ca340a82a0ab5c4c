"""The encoder ("contrastor"): what it sees in an image, as a short code."""

from __future__ import annotations

from itertools import pairwise

from torch import Tensor, nn
from torch.nn import functional as F

HIDDEN = 256


class Encoder(nn.Module):
    """Images (n, c, size, size) -> codes (n, width); strided convolutions down to 4 x 4, then dense layers.

    official: the network of the authors' code, for 64 px where images are larger than 32; else a tenth of its work, and
    always for 32 px. Images of another size are averaged, or enlarged, to it.
    """

    def __init__(self, official: bool, channels: int, size: int, width: int) -> None:
        super().__init__()
        self.side = 64 if official and size > 32 else 32
        if official:
            widths = (64, 128, 256, 256, *(256,) * (self.side // 64))
            layers = [nn.Conv2d(channels, 64, 7, padding=3), nn.LeakyReLU(), *_strided(*widths), nn.Flatten()]
        else:
            widths = (channels, 32, 32, 64)
            layers = [*_strided(*widths), nn.Flatten()]
        dense = (16 * widths[-1], HIDDEN, *(HIDDEN,) * official)
        for a, b in pairwise(dense):
            layers += [nn.Linear(a, b), nn.LeakyReLU()]
        self.body = nn.Sequential(*layers, nn.Linear(HIDDEN, width))
        for layer in self.body:
            if isinstance(layer, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        if images.shape[2:] != (self.side, self.side):
            images = F.interpolate(images, (self.side, self.side), mode="area")
        code: Tensor = self.body(images)
        return code


def _strided(*channels: int) -> list[nn.Module]:
    pairs = pairwise(channels)
    return [layer for a, b in pairs for layer in (nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU())]
