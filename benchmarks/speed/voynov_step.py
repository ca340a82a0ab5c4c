"""How fast a voynov step is: ratios to a plain transcription of the published algorithm, and to the arithmetic floor.

    python benchmarks/speed/voynov_step.py --rounds 4 --steps 5
    python benchmarks/speed/voynov_step.py --gan biggan --profile

The generators are the shipped checkpoints, each in the space that it searches by default. All variants take the same
steps (batch 32, K = 32) on generators of equal weights, in turn, round after round, so that a busy machine slows them
alike; each ratio is the median of the ratios of the rounds. Seconds are process CPU time on one thread. Base images are
rendered within the steps measured.

- plain: both images rendered with gradients, also for the generator's weights; each network written as its paper has it
  (upsampling before the convolution, style convolutions with weights for each sample); A = exp(S) of a d x d matrix;
  default memory layout; two optimisers; the loss read at every step. What the papers recompute of fixed weights
  (spectral norm, equalised learning rate) is left out of biggan and progan, which flatters the plain side a little.
- plain, channels_last: the same, networks in the other layout.
- floor: three generator and three reconstructor passes without gradients: what base image, shifted image, gradient to
  the latents and gradient to the reconstructor's weights cost at least.

Writes voynov.md and voynov.json into ``--out``. --profile prints where the time of our step goes instead: its parts by
stopwatch, its operators by torch.profiler.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from gdbench_stylegan2.networks import blur, upsample_image
from gdbench_voynov.base import BaseImages
from gdbench_voynov.discover import Batch, Training, prepare, train_step
from gdbench_voynov.params import VoynovParams
from gdbench_voynov.shifts import draw
from torch import Tensor, nn
from torch.nn import functional as F
from torch.profiler import ProfilerActivity

from gdbench import Codes, Context, Generator, initialised, load_generator, normal, write_text
from gdbench.boards.cells import markdown_table
from gdbench.runs.environment import describe
from gdbench.runs.heap import keep_freed_memory

K, BATCH = 32, 32
CPU = torch.device("cpu")
Run = Callable[[int], None]
Seconds = dict[str, list[float]]


class PlainSNGAN(nn.Module):
    """The SNGAN of its paper's table 3: both paths of a block double the image first and convolve then."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network: Any = network

    def forward(self, codes: Codes) -> Tensor:
        x = self.network.linear(codes.latents).view(len(codes), -1, 4, 4)
        for block in self.network.blocks:
            y = block.conv1(F.interpolate(F.relu(block.bn1(x)), scale_factor=2.0))
            y = block.conv2(F.relu(block.bn2(y)))
            x = y + block.bypass(F.interpolate(x, scale_factor=2.0))
        return torch.tanh(self.network.conv(F.relu(self.network.bn(x))))


class PlainStyleGAN2(nn.Module):
    """The synthesis of StyleGAN2 by equations 1 to 3 of its paper: a weight for each sample, as groups."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        whole: Any = network
        self.resolutions = whole.config.resolutions
        for name, weight in whole.synthesis.state_dict().items():
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


PLAIN: Mapping[str, Callable[[nn.Module], nn.Module]] = {
    "sngan": PlainSNGAN,
    "stylegan2": PlainStyleGAN2,
    "biggan": PlainBigGAN,
    "progan": PlainProGAN,
}


def shipped(name: str) -> Family:
    """The first shipped checkpoint of a family, and its plain form around a copy of the weights."""
    generator: Any = load_generator(name)
    space = generator.spaces[0]
    return Family(generator, space, lambda: PLAIN[name](copy.deepcopy(generator.network).requires_grad_(True)))


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
    """CPU seconds a step in each round of each variant, in turn; an unmeasured round comes first."""
    seconds: Seconds = {name: [] for name in variants}
    for turn in range(rounds + 1):
        for name, run in variants.items():
            begun = time.process_time()
            run(steps)
            if turn:
                seconds[name].append((time.process_time() - begun) / steps)
    return seconds


def race(name: str, rounds: int, steps: int) -> list[dict[str, Any]]:
    """The rows of a family, one for each reuse."""
    family = shipped(name)
    codes = family.generator.sample(8, family.space, np.random.default_rng(1))
    check = family.plain().eval()(codes)
    assert torch.allclose(check, family.generator.render(codes), atol=1e-4), "both must render the same images"
    variants = {
        "ours, reuse 5": ours(family, reuse=5),
        "ours, reuse 1": ours(family, reuse=1),
        "plain": plain(family, torch.contiguous_format),
        "plain, channels_last": plain(family, torch.channels_last),
        "floor": floor(family),
    }
    seconds = measure(variants, rounds, steps)
    return [{"family": name, "space": family.space, "reuse": reuse, **figures(seconds, reuse)} for reuse in (5, 1)]


def figures(seconds: Seconds, reuse: int) -> dict[str, Any]:
    """Medians over the rounds: milliseconds a step, then ratios with their lowest and highest round."""
    mine, first, other, least = (
        seconds[name] for name in (f"ours, reuse {reuse}", "plain", "plain, channels_last", "floor")
    )
    better = map(min, first, other)
    return {
        "ours ms": round(median(mine) * 1e3, 1),
        "plain / ours": spread(first, mine),
        "better plain / ours": spread(better, mine),
        "ours / floor": spread(mine, least),
    }


def spread(over: Iterable[float], under: Iterable[float]) -> list[float]:
    """Median, lowest and highest ratio."""
    ratios = [a / b for a, b in zip(over, under, strict=True)]
    return [round(value, 3) for value in (median(ratios), min(ratios), max(ratios))]


AIMS = {
    "plain / ours": "aim 4, floor 3",
    "better plain / ours": "aim 2, floor 1.6",
    "ours / floor": "at most 1.3",
}


def table(rows: Sequence[Mapping[str, Any]]) -> str:
    """In Markdown; the aims stand in the header."""
    head = [f"{name} ({AIMS[name]})" if name in AIMS else name for name in rows[0]]
    return markdown_table(head, [[_text(value) for value in row.values()] for row in rows])


def _text(value: Any) -> str:
    return "{:.2f} ({:.2f} to {:.2f})".format(*value) if isinstance(value, list) else str(value)


def write(rows: Sequence[Mapping[str, Any]], folder: Path, rounds: int, steps: int) -> None:
    """voynov.md for people, voynov.json for programs."""
    facts = {**describe(), "threads": 1}
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"environment": facts, "rounds": rounds, "steps": steps, "rows": rows}
    write_text(folder / "voynov.json", json.dumps(whole, indent=1) + "\n")
    command = f"python benchmarks/speed/voynov_step.py --rounds {rounds} --steps {steps}"
    machine = f"{facts['cpu']}, one thread, torch {facts['torch']}, {facts['system']}"
    text = f"""# Speed of a voynov step

Made by `{command}`, whose first lines say what is measured.
Batch {BATCH}, K = {K}, shipped checkpoints. {machine}.
The machine may have been busy: read the ratios, of interleaved CPU times, not the milliseconds.
Medians of {rounds} rounds (lowest to highest).

{table(rows)}
"""
    write_text(folder / "voynov.md", text)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--gan", nargs="+", choices=PLAIN, default=list(PLAIN))
    parser.add_argument("--profile", action="store_true", help="where the time goes, instead of ratios")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--steps", type=int, default=10)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    keep_freed_memory()  # as every run does; it helps the plain steps as well
    if asked.profile:
        for name in asked.gan:
            profile(shipped(name), asked.steps)
        return
    rows = [row for name in asked.gan for row in race(name, asked.rounds, asked.steps)]
    write(rows, asked.out, asked.rounds, asked.steps)
    print(table(rows))


if __name__ == "__main__":
    main()
