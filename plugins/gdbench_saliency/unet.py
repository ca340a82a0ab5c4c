"""The segmenter: a U-Net with bilinear upsampling, as in the paper's code, of any width; its training and its use."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, interpolate

from gdbench import Context, Generator, Stream, fitted, initialised
from gdbench_saliency.masks import Source
from gdbench_saliency.params import SaliencyParams

DECAY = 0.2  # by which the rate is multiplied every ``decay`` steps


def double(inputs: int, outputs: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU, twice."""
    layers: list[nn.Module] = []
    for width in (inputs, outputs):
        layers += [nn.Conv2d(width, outputs, 3, padding=1), nn.BatchNorm2d(outputs), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Levels of ``widths`` channels, each at half the size of the one before, and back with skip connections.

    (64, 128, 256, 512, 512) is the paper's. Two logits, background first.
    """

    def __init__(self, channels: int, widths: tuple[int, ...]) -> None:
        super().__init__()
        self.channels = channels
        self.stem = double(channels, widths[0])
        self.down = nn.ModuleList(double(i, o) for i, o in pairwise(widths))
        self.up = nn.ModuleList()
        state = widths[-1]
        for level in range(len(widths) - 2, -1, -1):
            outputs = widths[max(level - 1, 0)]
            self.up.append(double(state + widths[level], outputs))
            state = outputs
        self.logits = nn.Conv2d(state, 2, 1)

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, 2, h, w) of images (n, c, h, w): a generator may be grey where the test images have colours."""
        levels = [self.stem(fitted(images, (self.channels, *images.shape[2:])))]
        for down in self.down:
            levels.append(down(nn.functional.max_pool2d(levels[-1], 2)))
        state = levels.pop()
        for up in self.up:
            skip = levels.pop()
            state = interpolate(state, skip.shape[-2:], mode="bilinear", align_corners=True)
            state = up(torch.cat([skip, state], 1))
        logits: Tensor = self.logits(state)
        return logits


def trained(
    source: Source, generator: Generator, params: SaliencyParams, stream: Stream, context: Context, title: str
) -> UNet:
    """A U-Net trained on pairs of ``source``, in evaluation mode. Raises NoMasks."""
    channels = generator.image_shape[0]
    network = initialised(stream.of("weights").at(), lambda: UNet(channels, params.widths)).to(generator.device)
    assert isinstance(network, UNet)
    network = network.to(memory_format=torch.channels_last)
    optimiser = torch.optim.Adam(network.parameters(), params.rate)
    schedule = torch.optim.lr_scheduler.StepLR(optimiser, params.decay, DECAY)
    with context.reporter.task(title, params.steps) as task:
        for images, masks in _batches(source, params, stream):
            loss = cross_entropy(network(images) / params.temperature, masks)
            optimiser.zero_grad()
            torch.autograd.backward(loss)
            optimiser.step()
            schedule.step()
            task.advance()
    return network.eval()


@torch.no_grad()
def predict(network: UNet, images: Tensor, temperature: float, batch: int = 128) -> Tensor:
    """Probability of the object (n, h, w): the softmax that the training fitted, temperature and all."""
    device = next(network.parameters()).device
    parts = [network(chunk.to(device)) / temperature for chunk in torch.split(images, batch)]
    return torch.cat(parts).softmax(1)[:, 1]


def _batches(source: Source, params: SaliencyParams, stream: Stream) -> Iterator[tuple[Tensor, Tensor]]:
    """Images and int64 masks of each step: a pool is seen ``reuse`` times in new orders, then drawn anew."""
    per_epoch = max(params.pool // params.batch, 1)
    for step in range(params.steps):
        epoch, place = divmod(step, per_epoch)
        if place == 0:
            if epoch % params.reuse == 0:
                pairs = source(per_epoch * params.batch, stream.of("pairs").of(str(epoch // params.reuse)))
            order = torch.from_numpy(stream.of("order").at(epoch).permutation(len(pairs))).to(pairs.masks.device)
        index = order[place * params.batch :][: params.batch]
        yield pairs.images[index].contiguous(memory_format=torch.channels_last), pairs.masks[index].long()
