"""How fast a voynov step is: ratios to a plain transcription of the published algorithm, and to the arithmetic floor.

    python benchmarks/speed/voynov_step.py --gan stylegan2 --rounds 8
    python benchmarks/speed/voynov_step.py --gan biggan --profile

The generators have the architecture of the shipped checkpoints; the weights, on which speed does not depend, are random
for sngan and stylegan2. All variants take the same steps (batch 32, K = 32) on generators of equal weights, in turn,
round after round, so that a busy machine slows them alike; each ratio is the median of the ratios of the rounds.
Seconds are process CPU time on one thread, wall-clock beside.

- plain: both images rendered with gradients, also for the generator's weights; each network written as its paper has it
  (upsampling before the convolution, style convolutions with weights for each sample); A = exp(S) of a d x d matrix;
  default memory layout; two optimisers; the loss read at every step. What the papers recompute of fixed weights
  (spectral norm, equalised learning rate) is left out of biggan and progan, which flatters the plain side a little.
- plain, channels_last: the same, networks in the other layout.
- floor: three generator and three reconstructor passes without gradients: what base image, shifted image, gradient to
  the latents and gradient to the reconstructor's weights cost at least.

--profile prints where the time of our step goes: its parts by stopwatch, its operators by torch.profiler.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from statistics import median
from typing import Any

import gdbench_sngan
import gdbench_stylegan2
import numpy as np
import torch
from gdbench_sngan.generator import SNGAN
from gdbench_sngan.recipe import Recipe as SNGANRecipe
from gdbench_stylegan2.generator import StyleGAN2
from gdbench_stylegan2.networks import blur, upsample_image
from gdbench_stylegan2.recipe import Recipe as StyleGAN2Recipe
from gdbench_voynov.base import BaseImages
from gdbench_voynov.discover import Batch, Training, prepare, train_step
from gdbench_voynov.params import VoynovParams
from gdbench_voynov.shifts import draw
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity

from gdbench import Codes, Context, Generator, Stream, initialised, load_generator, normal

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


class PlainSNGAN(nn.Module):
    """The SNGAN of the paper's formulas, in whatever layout it is given."""

    def __init__(self, widths: tuple[int, ...], latent_dim: int) -> None:
        super().__init__()
        self.width = widths[0]
        self.linear = nn.Linear(latent_dim, widths[0] * 16)
        self.blocks = nn.Sequential(*(PlainBlock(a, b) for a, b in itertools.pairwise(widths)))
        self.bn, self.conv = nn.BatchNorm2d(widths[-1]), nn.Conv2d(widths[-1], 3, 3, padding=1)

    def forward(self, codes: Codes) -> Tensor:
        x = self.linear(codes.latents).view(-1, self.width, 4, 4)
        return torch.tanh(self.conv(F.relu(self.bn(self.blocks(x)))))


class PlainStyleGAN2(nn.Module):
    """The synthesis of StyleGAN2 by equations 1 to 3 of its paper: a weight for each sample, as groups."""

    def __init__(self, weights: Mapping[str, Tensor], resolutions: tuple[int, ...]) -> None:
        super().__init__()
        self.resolutions = resolutions
        for name, weight in weights.items():
            self.register_parameter(name.replace(".", "_"), nn.Parameter(weight.clone()))

    def forward(self, codes: Codes) -> Tensor:
        w, image = codes.latents, None
        x = self.get_parameter("b4_const").expand(len(w), -1, -1, -1)
        for resolution in self.resolutions:
            x = self._styled(f"b{resolution}_conv0", x, w, up=True) if resolution > 4 else x
            x = self._styled(f"b{resolution}_conv1", x, w)
            rgb = self._rgb(f"b{resolution}_torgb", x, w)
            image = rgb if image is None else upsample_image(image) + rgb
        assert image is not None
        return image

    def _style(self, layer: str, w: Tensor) -> Tensor:
        weight = self.get_parameter(f"{layer}_affine_weight")
        return F.linear(w, weight * weight.shape[1] ** -0.5, self.get_parameter(f"{layer}_affine_bias"))

    def _styled(self, layer: str, x: Tensor, w: Tensor, up: bool = False) -> Tensor:
        kernel = self.get_parameter(f"{layer}_weight") * self._style(layer, w)[:, None, :, None, None]
        kernel = kernel * (kernel.square().sum((2, 3, 4), keepdim=True) + 1e-8).rsqrt()
        n, outputs, inputs = kernel.shape[:3]
        x = x.reshape(1, n * inputs, *x.shape[2:])
        if up:
            kernel = kernel.transpose(1, 2).reshape(n * inputs, outputs, 3, 3)
            x = 4 * blur(F.conv_transpose2d(x, kernel, stride=2, groups=n), 1)
        else:
            x = F.conv2d(x, kernel.reshape(n * outputs, inputs, 3, 3), padding=1, groups=n)
        x = x.reshape(n, outputs, *x.shape[2:]) + self.get_parameter(f"{layer}_bias")[:, None, None]
        return F.leaky_relu(x, 0.2) * 2**0.5

    def _rgb(self, layer: str, x: Tensor, w: Tensor) -> Tensor:
        kernel = self.get_parameter(f"{layer}_weight") * self._style(layer, w)[:, None, :, None, None]
        n, outputs, inputs = kernel.shape[:3]
        kernel = kernel.reshape(n * outputs, inputs, 1, 1) * inputs**-0.5
        x = F.conv2d(x.reshape(1, n * inputs, *x.shape[2:]), kernel, groups=n)
        return x.reshape(n, outputs, *x.shape[2:]) + self.get_parameter(f"{layer}_bias")[:, None, None]


class PlainBigGAN(nn.Module):
    """The BigGAN of its paper's figure 15b: both paths of a block double the image first and convolve then."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, codes: Codes) -> Tensor:
        first, *conditions = self.network.conditions(codes.latents, self.network.embed(codes.labels))
        x = self.network.linear(first).view(len(first), -1, 4, 4)
        for block, condition in zip(self.network.blocks, conditions, strict=True):
            y = block.conv1(F.interpolate(F.relu(block.bn1(x, condition)), scale_factor=2.0))
            y = block.conv2(F.relu(block.bn2(y, condition)))
            x = y + block.shortcut(F.interpolate(x, scale_factor=2.0))
        return torch.tanh(self.network.output(F.relu(self.network.output_norm(x))))


class PlainProGAN(nn.Module):
    """The ProGAN of its paper's table 2: double, convolve twice, each convolution followed by leaky ReLU and norm."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, codes: Codes) -> Tensor:
        z = codes.latents
        x = self._activated(self.network.linear(self._normal(z)).view(len(z), -1, 4, 4))
        for layer, conv in enumerate(self.network.convs):
            x = self._activated(conv(F.interpolate(x, scale_factor=2.0) if layer % 2 else x))
        image: Tensor = list(self.network.outputs.values())[-1](x)
        return image

    def _activated(self, x: Tensor) -> Tensor:
        return self._normal(F.leaky_relu(x, 0.2))

    def _normal(self, x: Tensor) -> Tensor:
        return x / (x.square().mean(1, keepdim=True) + 1e-8).sqrt()


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
    def of(cls, generator: nn.Module, dim: int, layout: torch.memory_format) -> Plain:
        """The plain networks in a memory layout."""
        rng = np.random.default_rng(0)
        generator.eval().to(memory_format=layout)
        reconstructor = initialised(rng, lambda: PlainReconstructor(K)).to(memory_format=layout)
        logarithm = nn.Parameter(normal(rng, dim, dim))  # the official start
        adam = torch.optim.Adam([logarithm], 1e-4), torch.optim.Adam(reconstructor.parameters(), 1e-4)
        return cls(generator, reconstructor, logarithm, adam)

    def step(self, codes: Codes, index: Tensor, shift: Tensor) -> None:
        """One update."""
        for module in (self.generator, *self.optimisers):
            module.zero_grad()
        matrix = torch.matrix_exp(self.logarithm - self.logarithm.T)
        basis = F.one_hot(index, len(matrix)) * shift[:, None]
        shifted = codes.shifted(F.linear(basis, matrix))
        logits, guess = self.reconstructor(self.generator(codes), self.generator(shifted))
        loss = F.cross_entropy(logits, index) + 0.25 * (guess - shift).abs().mean()
        loss.backward()  # type: ignore[no-untyped-call]
        for optimiser in self.optimisers:
            optimiser.step()
        loss.item()


@dataclass(frozen=True)
class Family:
    """A generator behind the protocol, the space searched, and its plain form with the same weights."""

    generator: Generator
    space: str
    plain: Callable[[], nn.Module]


def sngan() -> Family:
    """The small SNGAN, in z."""
    recipe = SNGANRecipe()
    network = initialised(Stream(0, "speed").at(), recipe.generator)

    def plain() -> nn.Module:
        generator = initialised(Stream(0, "speed").at(), lambda: PlainSNGAN(recipe.widths, recipe.latent_dim))
        generator.load_state_dict(network.state_dict())
        return generator

    return Family(SNGAN(network, "scenes", gdbench_sngan.Params(), CPU), "z", plain)  # type: ignore[arg-type]


def stylegan2() -> Family:
    """The small StyleGAN2, in w."""
    network = initialised(Stream(0, "speed").at(), StyleGAN2Recipe().generator)
    generator = StyleGAN2(network, "scenes", gdbench_stylegan2.Params(), CPU)  # type: ignore[arg-type]
    synthesis = generator.network.synthesis

    def plain() -> nn.Module:
        return PlainStyleGAN2(synthesis.state_dict(), generator.network.config.resolutions)

    return Family(generator, "w", plain)


def shipped(name: str, plain: Callable[[nn.Module], nn.Module]) -> Family:
    """The first shipped checkpoint of a family, and its plain form around a copy of the weights."""
    generator: Any = load_generator(name)
    return Family(generator, "z", lambda: plain(copy.deepcopy(generator.network).requires_grad_(True)))


FAMILIES: Mapping[str, Callable[[], Family]] = {
    "sngan": sngan,
    "stylegan2": stylegan2,
    "biggan": partial(shipped, "biggan", PlainBigGAN),
    "progan": partial(shipped, "progan", PlainProGAN),
}


def ours(family: Family, reuse: int, watch: Stopwatch | None = None) -> Run:
    """Steps of the plugin; base images are rendered within the steps measured."""
    context = Context(0, CPU, K, family.space)
    training = prepare(family.generator, VoynovParams(batch=BATCH), context)
    training, watch = (training, Stopwatch()) if watch is None else (watch.on(training), watch)
    stream = context.stream("discover")

    def run(steps: int) -> None:
        params = VoynovParams(batch=BATCH, reuse=reuse, steps=steps)
        base = BaseImages(family.generator, family.space, stream.of("base"), params)
        watch.start()
        for step in range(steps):
            index, shift = draw(params, K, stream.at(step))
            batch = Batch(*base.at(step), index, shift)
            watch.lap("draws, base image")
            train_step(training, batch, params.shift_weight)
            watch.lap("A backward, Adam")

    return run


@dataclass
class Stopwatch:
    """Seconds of each part of a step; the backward passes end where a gradient arrives."""

    seconds: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    last: float = 0.0

    def start(self) -> None:
        """Begin anew."""
        self.last = time.perf_counter()

    def lap(self, name: str) -> None:
        """What passed since the last lap belongs to ``name``."""
        now = time.perf_counter()
        self.seconds[name] += now - self.last
        self.last = now

    def on(self, training: Training) -> Training:
        """The training, its parts watched."""
        calls = training.calls
        form = self._watched(calls.form, "A forward", "generator backward")
        render = self._watched(calls.render, "generator forward", "reconstructor backward")
        read = self._watched(calls.read, "reconstructor forward")
        return replace(training, calls=replace(calls, form=form, render=render, read=read))

    def _watched(self, call: Callable[..., Any], forward: str, backward: str = "") -> Callable[..., Any]:
        def watched(*inputs: Tensor | Codes) -> Any:
            output = call(*inputs)
            self.lap(forward)
            if backward:
                output.register_hook(lambda _: self.lap(backward))
            return output

        return watched


def profile(family: Family, steps: int) -> None:
    """Where the time of our step goes."""
    watch = Stopwatch()
    run = ours(family, 5, watch)
    run(steps)
    watch.seconds.clear()
    run(steps)
    total = sum(watch.seconds.values())
    for name, seconds in watch.seconds.items():
        print(f"{name:24} {seconds / steps * 1e3:8.2f} ms {seconds / total:6.1%}")
    with torch.profiler.profile(activities=[ProfilerActivity.CPU]) as profiler:
        ours(family, 5)(steps)
    print(profiler.key_averages().table(sort_by="self_cpu_time_total", row_limit=12, max_name_column_width=40))


def plain(family: Family, layout: torch.memory_format) -> Run:
    """Steps of the transcription."""
    transcription = Plain.of(family.plain(), family.generator.dim(family.space), layout)
    rng = np.random.default_rng(0)

    def run(steps: int) -> None:
        for _ in range(steps):
            index, shift = draw(VoynovParams(batch=BATCH), K, rng)
            transcription.step(family.generator.sample(BATCH, family.space, rng), index, shift)

    return run


def floor(family: Family) -> Run:
    """Three forward passes of each network, for each step."""
    reconstructor = prepare(family.generator, VoynovParams(), Context(0, CPU, K, family.space)).reconstructor
    codes = family.generator.sample(BATCH, family.space, np.random.default_rng(0))

    @torch.no_grad()
    def run(steps: int) -> None:
        for _ in range(3 * steps):
            images = family.generator.render(codes)
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
    parser.add_argument("--gan", choices=FAMILIES, default="sngan")
    parser.add_argument("--profile", action="store_true", help="where the time goes, instead of ratios")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    args = parser.parse_args()
    torch.set_num_threads(1)
    family = FAMILIES[args.gan]()
    if args.profile:
        profile(family, args.steps)
        return
    codes = family.generator.sample(8, family.space, np.random.default_rng(1))
    check = family.plain().eval()(codes)
    assert torch.allclose(check, family.generator.render(codes), atol=1e-4), "both must render the same images"
    variants = {
        "ours": ours(family, reuse=5),
        "ours, reuse 1": ours(family, reuse=1),
        "plain": plain(family, torch.contiguous_format),
        "plain, channels_last": plain(family, torch.channels_last),
        "floor": floor(family),
    }
    report(measure(variants, args.rounds, args.steps), args.steps)


if __name__ == "__main__":
    main()
