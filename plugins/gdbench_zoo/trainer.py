"""Trains the small GANs that gdbench ships: one loop for all families, each of which brings a recipe.

A training is a folder: `state.pt` (everything that a resumed run needs, replaced atomically), `log.jsonl` and sample
grids. The budget is process CPU time, so that a busy machine changes nothing; one thread.
"""

import copy
import dataclasses
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torch.optim import Optimizer

from gdbench import DataFolder, Domain, Stream, TrainingImages, UsageError, atomic_write, initialised

Reals = Any
"""What a recipe's `update` takes: images (n, c, r, r) in [-1, 1], or those with class indices (n,)."""
Draw = Callable[[int, np.random.Generator], Reals]
"""Gives reals, fresh for every call."""


class Recipe(Protocol):
    """What a family brings: networks, losses, schedule.

    `label` is the factor that is the class of an image, None for an unconditional family. Steps count batches;
    `inputs` are what the generator takes; `rate` multiplies the learning rates; `update` is one step of both players;
    `settle` recomputes the statistics that averaged weights lack; `facts` are what the weights do not tell the family's
    loader.
    """

    @property
    def batch(self) -> int: ...
    @property
    def label(self) -> str | None: ...
    @property
    def average(self) -> float: ...
    def generator(self) -> nn.Module: ...
    def discriminator(self) -> nn.Module: ...
    def optimisers(self, generator: Any, discriminator: Any) -> tuple[Optimizer, Optimizer]: ...
    def inputs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, ...]: ...
    def rate(self, progress: float) -> float: ...
    def update(
        self, generator: Any, discriminator: Any, optimisers: Any, reals: Any, step: int, rng: np.random.Generator
    ) -> Mapping[str, Tensor]: ...
    def settle(self, generator: Any, rng: np.random.Generator) -> None: ...
    def facts(self) -> dict[str, Any]: ...


def drawer(domain: Domain, label: str | None) -> Draw:
    """How a domain's training images are drawn, with the class indices of its factor `label` where one is named.

    A domain that keeps images back for measuring has `training_images`; one that renders them makes fresh ones.
    """
    source = domain.training_images if isinstance(domain, TrainingImages) else domain.images

    def draw(n: int, rng: np.random.Generator) -> Reals:
        images, labels = (source(n, rng), None) if label is None else _labelled(domain, label, n, rng)
        images = images.contiguous(memory_format=torch.channels_last)
        return images if labels is None else (images, labels)

    return draw


def _labelled(domain: Domain, label: str, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
    images, truth = domain.truth(n, rng)
    return images, truth[label]


def with_data(domain: Domain, folder: Path | None) -> Domain:
    """The domain with its training images in `folder`. Raises UsageError where it reads no files."""
    if folder is None:
        return domain
    if not isinstance(domain, DataFolder):
        raise UsageError(f"the domain {domain.name} makes its training images, --data does not apply")
    return domain.with_data(folder)


def channels(domain: Domain) -> int:
    """How many channels the images of a domain have."""
    return domain.images(1, Stream(0, "zoo/channels").at()).shape[1]


@dataclass(frozen=True)
class Budget:
    """When training ends: CPU seconds, or steps (which make two runs equal bit for bit)."""

    cpu_seconds: float = float("inf")
    steps: float = float("inf")

    def progress(self, step: int, cpu_seconds: float) -> float:
        """Share of the budget that is spent, from 0; 1 ends the training."""
        return max(step / self.steps, cpu_seconds / self.cpu_seconds)


@dataclass(frozen=True)
class Players:
    """The networks of one training and their optimisers."""

    generator: nn.Module
    discriminator: nn.Module
    average: nn.Module
    optimisers: tuple[Optimizer, Optimizer]

    def state(self) -> dict[str, Any]:
        """Everything that changes, as plain values and tensors."""
        return {
            "generator": self.generator.state_dict(),
            "discriminator": self.discriminator.state_dict(),
            "average": self.average.state_dict(),
            "optimisers": [_lean(optimiser.state_dict()) for optimiser in self.optimisers],
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take over what `state` returned."""
        self.generator.load_state_dict(state["generator"])
        self.discriminator.load_state_dict(state["discriminator"])
        self.average.load_state_dict(state["average"])
        for optimiser, saved in zip(self.optimisers, state["optimisers"], strict=True):
            for moments in saved["state"].values():
                moments.setdefault("exp_avg", torch.zeros_like(moments["exp_avg_sq"]))
            optimiser.load_state_dict(saved)


def _lean(state: dict[str, Any]) -> dict[str, Any]:
    """The state of an Adam without the first moments where beta1 is 0: they are overwritten before they are read."""
    if any(group["betas"][0] for group in state["param_groups"]):
        return state
    kept = {
        key: {name: value for name, value in moments.items() if name != "exp_avg"}
        for key, moments in state["state"].items()
    }
    return state | {"state": kept}


def new_players(recipe: Recipe, seed: int) -> Players:
    """Fresh networks in channels_last, initialised from the seed."""
    rng = Stream(seed, "zoo/initialise").at()
    generator, discriminator = (
        initialised(rng, build).to(memory_format=torch.channels_last)
        for build in (recipe.generator, recipe.discriminator)
    )
    average = copy.deepcopy(generator).requires_grad_(False)
    optimisers = recipe.optimisers(generator, discriminator)
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            group["base_lr"] = group["lr"]
    return Players(generator, discriminator, average, optimisers)


@torch.no_grad()
def follow(average: nn.Module, generator: nn.Module, decay: float, step: int) -> None:
    """Exponential moving average of the parameters (faster at first); buffers are copied."""
    weight = 1 - min(decay, (1 + step) / (10 + step))
    torch._foreach_lerp_(list(average.parameters()), list(generator.parameters()), weight)
    for kept, new in zip(average.buffers(), generator.buffers(), strict=True):
        kept.copy_(new)


def train(
    recipe: Recipe,
    draw: Draw,
    folder: Path,
    budget: Budget,
    seed: int = 0,
    save_every: float = 120.0,
    grid_every: float = 300.0,
) -> Players:
    """Train until the budget is spent, from the state in `folder` if there is one; intervals in CPU seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    players, step, spent = new_players(recipe, seed), 0, 0.0
    if (folder / "state.pt").exists():
        state = torch.load(folder / "state.pt", weights_only=True)
        _check_same(folder, state, recipe, seed)
        players.restore(state)
        step, spent = state["step"], state["cpu_seconds"]
    clock = _Clock(spent)
    saved, drawn = spent, spent
    while (progress := budget.progress(step, clock())) < 1:
        shown = _step(recipe, players, draw, step, seed, progress)
        step += 1
        if step % 100 == 0:
            _log(folder, step, clock(), shown)
        if clock() - saved > save_every:
            saved = clock()
            _save(folder, players, step, saved, seed, recipe)
        if clock() - drawn > grid_every:
            drawn = clock()
            draw_grid(recipe, players.average, folder / f"grid-{step:06d}.png")
    _save(folder, players, step, clock(), seed, recipe)
    draw_grid(recipe, players.average, folder / f"grid-{step:06d}.png")
    return players


class _Clock:
    """Process CPU seconds of a training, over all its sittings."""

    def __init__(self, spent: float) -> None:
        self.start = time.process_time() - spent

    def __call__(self) -> float:
        return time.process_time() - self.start


def _step(recipe: Recipe, players: Players, draw: Draw, step: int, seed: int, progress: float) -> Mapping[str, Tensor]:
    for optimiser in players.optimisers:
        for group in optimiser.param_groups:
            group["lr"] = group["base_lr"] * recipe.rate(progress)
    reals = draw(recipe.batch, Stream(seed, "zoo/images").at(step))
    rng = Stream(seed, "zoo/latents").at(step)
    shown = recipe.update(players.generator, players.discriminator, players.optimisers, reals, step, rng)
    follow(players.average, players.generator, recipe.average, step)
    return shown


def _log(folder: Path, step: int, cpu_seconds: float, shown: Mapping[str, Tensor]) -> None:
    row = {"step": step, "cpu_seconds": round(cpu_seconds, 1), "steps_per_cpu_second": round(step / cpu_seconds, 2)}
    losses = {name: round(float(value), 4) for name, value in shown.items()}
    with (folder / "log.jsonl").open("a") as file:
        file.write(json.dumps(row | losses) + "\n")


def _save(folder: Path, players: Players, step: int, cpu_seconds: float, seed: int, recipe: Recipe) -> None:
    facts = {"step": step, "cpu_seconds": cpu_seconds, "seed": seed, "recipe": fields(recipe)}
    with atomic_write(folder / "state.pt") as file:
        torch.save(players.state() | facts, file)


def fields(recipe: Recipe) -> dict[str, Any]:
    """The fields of a recipe, as plain values."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(recipe)))  # type: ignore[call-overload]
    return plain


def _check_same(folder: Path, state: Mapping[str, Any], recipe: Recipe, seed: int) -> None:
    """A training goes on with the seed and the recipe that it began with."""
    if state["seed"] != seed:
        raise UsageError(f"{folder} holds a training with seed {state['seed']}, not {seed}")
    for name, value in fields(recipe).items():
        if (before := state.get("recipe", {}).get(name, value)) != value:
            raise UsageError(f"{folder} holds a training with {name}={before}, not {value}")


@torch.no_grad()
def draw_grid(recipe: Recipe, generator: nn.Module, path: Path, side: int = 10, zoom: int = 3) -> None:
    """Save side x side samples of the averaged generator, always of the same latents."""
    network = copy.deepcopy(generator)
    recipe.settle(network, Stream(0, "zoo/settle").at())
    images = network(*recipe.inputs(side * side, Stream(0, "zoo/grid").at()))
    save_grid(images, path, side, zoom)


def save_grid(images: Tensor, path: Path, side: int, zoom: int) -> None:
    """Write the first side x side images (n, 1 or 3, r, r) as one PNG; pixels are repeated `zoom` times."""
    size = images.shape[-1]
    pixels = ((images.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    rows = (
        pixels[: side * side]
        .expand(-1, 3, -1, -1)
        .reshape(side, side, 3, size, size)
        .permute(0, 3, 1, 4, 2)
        .reshape(side * size, side * size, 3)
    )
    Image.fromarray(rows.numpy()).resize((side * size * zoom,) * 2, Image.Resampling.NEAREST).save(path)
