"""A class-conditional discriminator for training: strided convolutions under spectral norm, and a projection."""

from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.parametrizations import spectral_norm


class Discriminator(nn.Module):
    """Images (n, c, r, r) and class indices (n,) to logits (n,).

    Linear in the pooled features, plus their projection on the class embedding (Miyato and Koyama, arXiv:1802.05637).
    `widths` are the channels at r, r/2, ... 4. Strided convolutions instead of BigGAN's residual blocks, which cost
    three times as much per step at equal width.
    """

    def __init__(self, widths: tuple[int, ...], classes: int, image_channels: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(image_channels, widths[0], 3, padding=1), nn.LeakyReLU(0.1)]
        for a, b in pairwise(widths):
            layers += [nn.Conv2d(a, b, 4, stride=2, padding=1), nn.LeakyReLU(0.1)]
            layers += [nn.Conv2d(b, b, 3, padding=1), nn.LeakyReLU(0.1)]
        self.layers = nn.Sequential(*layers)
        self.out = nn.Linear(widths[-1], 1)
        self.embed = nn.Embedding(classes, widths[-1])
        for module in [*self.layers, self.out, self.embed]:
            if isinstance(module, nn.Conv2d | nn.Linear | nn.Embedding):
                nn.init.orthogonal_(module.weight)
                spectral_norm(module)

    def forward(self, x: Tensor, labels: Tensor) -> Tensor:
        pooled = F.relu(self.layers(x)).sum((2, 3))
        logits: Tensor = self.out(pooled)[:, 0] + torch.sum(self.embed(labels) * pooled, 1)
        return logits
