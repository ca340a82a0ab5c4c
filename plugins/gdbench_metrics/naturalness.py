"""Naturalness of variations (Voynov and Babenko 2020, 4.2), at equal visible change (PROTOCOL, `naturalness`).

For each direction a classifier learns to tell +t from -t; it labels real images; a second classifier learns these
labels, and is asked to tell +t from -t. It can only if what the direction changes varies among real images too.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gdbench import Context, Scores, Stream, Subject, block_values, fitted, initialised, integers
from gdbench_metrics.params import NaturalnessParams
from gdbench_metrics.reconstructor import enlarged

BALANCE = (0.2, 0.8)  # share of real images on one side beyond which the labels say nothing
TOGETHER = 8  # directions whose classifiers are trained side by side

Batch = tuple[Tensor, Tensor]


class Classifiers(nn.Module):
    """``groups`` independent binary classifiers of the paper's LeNet form in one network, by grouped convolution."""

    def __init__(self, groups: int, channels: int) -> None:
        super().__init__()
        self.first = nn.Conv2d(groups * channels, groups * 6, 5, groups=groups)
        layers: list[nn.Module] = [nn.BatchNorm2d(groups * 6), nn.MaxPool2d(2), nn.ReLU()]
        for inputs, outputs, pool in ((6, 16, nn.MaxPool2d(2)), (16, 120, nn.AdaptiveAvgPool2d(1))):
            layers += [nn.Conv2d(groups * inputs, groups * outputs, 5, groups=groups), nn.BatchNorm2d(groups * outputs)]
            layers += [nn.ReLU(), pool]
        hidden = [nn.Conv2d(groups * 120, groups * 84, 1, groups=groups), nn.BatchNorm2d(groups * 84), nn.ReLU()]
        self.layers = nn.Sequential(*layers, *hidden, nn.Conv2d(groups * 84, groups, 1, groups=groups))

    def forward(self, images: Tensor) -> Tensor:
        """Logits (n, groups) of images (n, d * c, h, w): one image for all classifiers, or one for each groups / d."""
        images = enlarged(images)
        sources = images.shape[1] // self.first.weight.shape[1]
        features = nn.functional.conv2d(images, self.first.weight, self.first.bias, groups=sources)
        logits: Tensor = self.layers(features)[:, :, 0, 0]
        return logits


def measure(subject: Subject, params: NaturalnessParams, context: Context) -> Scores:
    """Train and test the classifiers of all directions of which both signs are alive; the others count 0."""
    assert subject.domain is not None
    stream = context.stream("metric").of("naturalness")
    real = subject.domain.images(params.real, stream.of("real").at()).clamp(-1, 1)
    real = fitted(real, subject.generator.image_shape)
    both = (~subject.calibration.dead.any(1)).nonzero()[:, 0]
    tests = params.codes - params.codes // 2
    natural, balanced = torch.zeros(subject.k, tests, dtype=torch.float64), torch.zeros(subject.k)
    with context.reporter.task("naturalness", len(both)) as task:
        for number, start in enumerate(range(0, len(both), TOGETHER)):
            index = both[start : start + TOGETHER]
            images = edited(subject, index, params)
            natural[index], balanced[index] = score(images, real, params, stream.of(f"part{number}"))
            task.advance(len(index))
    values = {"naturalness": float(natural.mean()), "balanced": float(balanced.mean())}
    blocks = block_values(lambda kept: {"naturalness": float(natural[:, kept].mean())}, tests)
    return Scores(values, {"naturalness": natural.mean(1).tolist(), "balanced": balanced.tolist()}, blocks=blocks)


@torch.no_grad()
def edited(subject: Subject, index: Tensor, params: NaturalnessParams) -> Tensor:
    """Images (directions, 2, codes, c, h, w) at +t and -t; the codes are the same for all directions."""
    codes = subject.codes(params.codes, "metric/naturalness")
    found = []
    for direction in index:
        for sign, magnitude in zip((1, -1), subject.calibration.usable()[direction], strict=True):
            moved = subject.directions.displace(
                codes, direction.expand(len(codes)), (sign * magnitude).expand(len(codes))
            )
            found.append(torch.cat([subject.generator.render(chunk) for chunk in moved.chunks(subject.batch)]))
    return torch.stack(found).clamp(-1, 1).reshape(len(index), 2, len(codes), *subject.generator.image_shape)


def score(images: Tensor, real: Tensor, params: NaturalnessParams, stream: Stream) -> tuple[Tensor, Tensor]:
    """Naturalness (d, tested codes), 2 * accuracy - 1, and share (d,) of balanced labellings, over initialisations.

    images: (d, 2, codes, c, h, w), half of the codes for training. An unbalanced labelling counts 0.
    """
    d, repeats = len(images), params.initialisations
    half = images.shape[2] // 2
    first = _classifiers(d * repeats, images, stream.of("first"))
    _train(first, _synthetic(images[:, :, :half], repeats, params.batch, stream.of("synthetic")), params)
    labels = _label(first, real)
    second = _classifiers(d * repeats, images, stream.of("second"))
    _train(second, _pseudo(real, labels, params.batch, stream.of("pseudo")), params)
    share = labels.double().mean(0)
    balanced = (share >= BALANCE[0]) & (share <= BALANCE[1])
    natural = torch.where(balanced, 2 * _accuracy(second, images[:, :, half:]) - 1, 0.0).T
    return natural.reshape(d, repeats, -1).mean(1), balanced.reshape(d, repeats).double().mean(1).float()


def _classifiers(groups: int, images: Tensor, stream: Stream) -> nn.Module:
    return initialised(stream.at(), lambda: Classifiers(groups, images.shape[3])).to(images.device)


def _train(network: nn.Module, batch: Callable[[int], Batch], params: NaturalnessParams) -> None:
    """Each classifier learns its own labels: the losses are added, so none sees another's gradient."""
    optimiser = torch.optim.Adam(network.train().parameters(), params.rate)
    for step in range(params.steps):
        images, labels = batch(step)
        loss = binary_cross_entropy_with_logits(network(images), labels, reduction="none").mean(0).sum()
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    network.eval()


def _synthetic(images: Tensor, repeats: int, size: int, stream: Stream) -> Callable[[int], Batch]:
    """Batches of +t (label 1) and -t (0), half each, drawn alike for all directions."""
    label = (torch.arange(size) % 2 == 0).long()
    labels = label.to(images)[:, None].expand(-1, len(images) * repeats)

    def batch(step: int) -> Batch:
        code = integers(stream.at(step), images.shape[2], size)
        return _side_by_side(images[:, 1 - label, code]), labels

    return batch


def _pseudo(real: Tensor, labels: Tensor, size: int, stream: Stream) -> Callable[[int], Batch]:
    """Batches of real images with each classifier's own labels."""

    def batch(step: int) -> Batch:
        index = integers(stream.at(step), len(real), size).to(real.device)
        return real[index], labels[index].to(real)

    return batch


def _side_by_side(images: Tensor) -> Tensor:
    """(d, n, c, h, w) -> (n, d * c, h, w): each direction's image in its own group of channels."""
    return images.transpose(0, 1).flatten(1, 2)


@torch.no_grad()
def _label(network: nn.Module, real: Tensor) -> Tensor:
    """Labels (n, groups) bool that each classifier gives the real images."""
    return torch.cat([network(part) > 0 for part in torch.split(real, 64)])


@torch.no_grad()
def _accuracy(network: nn.Module, images: Tensor) -> Tensor:
    """Accuracy (n, groups) on each code of images (d, 2, n, c, h, w) at +t and -t: 0, a half or 1."""
    right = [network(_side_by_side(images[:, side])) > 0 for side in (0, 1)]
    return torch.stack([right[0], ~right[1]]).double().mean(0).cpu()
