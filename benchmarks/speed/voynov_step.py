"""How fast a voynov step is: ratios to a plain transcription of the published algorithm, and to the arithmetic floor.

    python benchmarks/speed/voynov_step.py --rounds 8

All variants take the same steps (batch 32, K = 32) on generators of equal weights, in turn, round after round, so that
a busy machine slows them alike; each ratio is the median of the ratios of the rounds. Seconds are process CPU time on
one thread, wall-clock beside.

- plain: both images rendered with gradients, also for the generator's weights; A = exp(S) of a d x d matrix; default
  memory layout; two optimisers; the loss read at every step.
- plain, channels_last: the same, networks in the other layout.
- floor: three generator and three reconstructor passes without gradients: what base image, shifted image, gradient to
  the latents and gradient to the reconstructor's weights cost at least.
"""

from __future__ import annotations

import argparse
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from statistics import median

import numpy as np
import torch
from gdbench_sngan import Params
from gdbench_sngan.generator import SNGAN
from gdbench_sngan.networks import Generator
from gdbench_sngan.recipe import Recipe
from gdbench_voynov.base import BaseImages
from gdbench_voynov.discover import Batch, prepare, train_step
from gdbench_voynov.params import VoynovParams
from gdbench_voynov.shifts import draw
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import Context, Stream, initialised, normal

K, BATCH = 32, 32
CPU = torch.device("cpu")
Run = Callable[[int], None]
Seconds = dict[str, list[tuple[float, float]]]


class PlainBlock(nn.Module):
    """bn ReLU up conv bn ReLU conv, plus the upsampled input through a 1x1 convolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.bn1, self.bn2 = nn.BatchNorm2d(inputs), nn.BatchNorm2d(outputs)
        self.conv1, self.conv2 = nn.Conv2d(inputs, outputs, 3, padding=1), nn.Conv2d(outputs, outputs, 3, padding=1)
        self.bypass = nn.Conv2d(inputs, outputs, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.conv1(F.interpolate(F.relu(self.bn1(x)), scale_factor=2.0))
        y = self.conv2(F.relu(self.bn2(y)))
        return y + self.bypass(F.interpolate(x, scale_factor=2.0))


class PlainGenerator(nn.Module):
    """The SNGAN of the paper's formulas, in whatever layout it is given."""

    def __init__(self, widths: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        self.width = widths[0]
        self.linear = nn.Linear(latent_dim, widths[0] * 16)
        self.blocks = nn.Sequential(*(PlainBlock(a, b) for a, b in itertools.pairwise(widths)))
        self.bn, self.conv = nn.BatchNorm2d(widths[-1]), nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, z: Tensor) -> Tensor:
        x = self.linear(z).view(-1, self.width, 4, 4)
        return torch.tanh(self.conv(F.relu(self.bn(self.blocks(x)))))


class PlainReconstructor(nn.Module):
    """The LeNet of the paper, layers in the published order."""

    def __init__(self, k: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for a, b in ((6, 6), (6, 16), (16, 120)):
            layers += [nn.Conv2d(a, b, 5), nn.BatchNorm2d(b), nn.ReLU(), nn.MaxPool2d(2)]
        self.body = nn.Sequential(*layers[:-1])
        self.direction, self.shift = (
            nn.Sequential(nn.Linear(120, 84), nn.BatchNorm1d(84), nn.ReLU(), nn.Linear(84, n)) for n in (k, 1)
        )

    def forward(self, a: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
        features = self.body(torch.cat([a, b], 1)).mean((2, 3))
        return self.direction(features), self.shift(features).squeeze()


@dataclass
class Plain:
    """The published algorithm: A = exp(S - S') over the whole space, of which the first K columns are used."""

    generator: nn.Module
    reconstructor: nn.Module
    logarithm: nn.Parameter
    optimisers: tuple[torch.optim.Optimizer, ...]

    @classmethod
    def of(cls, weights: Mapping[str, Tensor], recipe: Recipe, layout: torch.memory_format) -> Plain:
        """Networks with these weights, in a memory layout."""
        generator = PlainGenerator(recipe.widths, recipe.latent_dim)
        generator.load_state_dict(dict(weights))
        generator.eval().to(memory_format=layout)
        rng = np.random.default_rng(0)
        reconstructor = initialised(rng, lambda: PlainReconstructor(K)).to(memory_format=layout)
        logarithm = nn.Parameter(normal(rng, recipe.latent_dim, recipe.latent_dim))  # the official start
        adam = torch.optim.Adam([logarithm], 1e-4), torch.optim.Adam(reconstructor.parameters(), 1e-4)
        return cls(generator, reconstructor, logarithm, adam)

    def step(self, z: Tensor, index: Tensor, shift: Tensor) -> None:
        """One update."""
        for module in (self.generator, *self.optimisers):
            module.zero_grad()
        matrix = torch.matrix_exp(self.logarithm - self.logarithm.T)
        basis = F.one_hot(index, z.shape[1]) * shift[:, None]
        logits, guess = self.reconstructor(self.generator(z), self.generator(z + F.linear(basis, matrix)))
        loss = F.cross_entropy(logits, index) + 0.25 * (guess - shift).abs().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            optimiser.step()
        loss.item()


def ours(generator: SNGAN, reuse: int) -> Run:
    """Steps of the plugin; base images are rendered within the steps measured."""
    context = Context(0, CPU, K, "z")
    training = prepare(generator, VoynovParams(batch=BATCH), context)
    stream = context.stream("discover")

    def run(steps: int) -> None:
        params = VoynovParams(batch=BATCH, reuse=reuse, steps=steps)
        base = BaseImages(generator, "z", stream.of("base"), params)
        for step in range(steps):
            index, shift = draw(params, K, stream.at(step))
            train_step(generator, training, Batch(*base.at(step), index, shift), params.shift_weight)

    return run


def plain(weights: Mapping[str, Tensor], recipe: Recipe, layout: torch.memory_format) -> Run:
    """Steps of the transcription."""
    transcription = Plain.of(weights, recipe, layout)
    rng = np.random.default_rng(0)

    def run(steps: int) -> None:
        for _ in range(steps):
            index, shift = draw(VoynovParams(batch=BATCH), K, rng)
            transcription.step(normal(rng, BATCH, recipe.latent_dim), index, shift)

    return run


def floor(generator: SNGAN) -> Run:
    """Three forward passes of each network, for each step."""
    context = Context(0, CPU, K, "z")
    reconstructor = prepare(generator, VoynovParams(), context).reconstructor
    codes = generator.sample(BATCH, "z", np.random.default_rng(0))

    @torch.no_grad()
    def run(steps: int) -> None:
        for _ in range(3 * steps):
            images = generator.render(codes)
            reconstructor(images, images)

    return run


def measure(variants: Mapping[str, Run], rounds: int, steps: int) -> Seconds:
    """CPU and wall-clock seconds of each round of each variant, in turn; an unmeasured round comes first."""
    seconds: Seconds = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, run in variants.items():
            cpu, wall = time.process_time(), time.perf_counter()
            run(steps)
            if turn:
                seconds[name].append((time.process_time() - cpu, time.perf_counter() - wall))
    return seconds


def report(seconds: Seconds, steps: int) -> None:
    """Milliseconds a step, and ratios with the aims of the benchmark."""
    for name, rounds in seconds.items():
        cpu, wall = (median(values) / steps * 1e3 for values in zip(*rounds, strict=True))
        print(f"{name:24} {cpu:8.1f} ms CPU {wall:8.1f} ms wall")
    for name, best, wanted in (
        ("plain / ours", ("plain",), "aim 4, floor 3"),
        ("better plain / ours", ("plain", "plain, channels_last"), "aim 2, floor 1.6"),
        ("ours / arithmetic floor", ("floor",), "at most 1.3"),
    ):
        for label in ("ours", "ours, reuse 1"):
            ratios = []
            for column in (0, 1):
                rows = zip(seconds[label], *(seconds[other] for other in best), strict=True)
                pairs = [(row[0][column], min(cell[column] for cell in row[1:])) for row in rows]
                ratios.append(median(mine / other if "floor" in best else other / mine for mine, other in pairs))
            print(f"{name + ' [' + label + ']':44} {ratios[0]:5.2f} CPU {ratios[1]:5.2f} wall   ({wanted})")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    recipe = Recipe()
    network = initialised(Stream(0, "speed").at(), recipe.generator)
    assert isinstance(network, Generator)
    weights = network.state_dict()
    generator = SNGAN(network, "scenes", Params(), CPU)
    z = normal(np.random.default_rng(1), 8, recipe.latent_dim)
    check = Plain.of(weights, recipe, torch.contiguous_format).generator
    assert torch.allclose(check(z), network(z), atol=1e-4), "the plain generator must show the same images"
    variants = {
        "ours": ours(generator, reuse=5),
        "ours, reuse 1": ours(generator, reuse=1),
        "plain": plain(weights, recipe, torch.contiguous_format),
        "plain, channels_last": plain(weights, recipe, torch.channels_last),
        "floor": floor(generator),
    }
    report(measure(variants, args.rounds, args.steps), args.steps)


if __name__ == "__main__":
    main()
