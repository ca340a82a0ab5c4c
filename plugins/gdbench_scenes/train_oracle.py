"""Train an oracle on fresh renders: ``python -m gdbench_scenes.train_oracle --which a --minutes 6``.

The budget is CPU time of this process, so a busy machine makes the training longer, not worse. A stopped training goes
on from its state file when the same command is given again.
"""

from __future__ import annotations

import argparse
import json
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor
from torch.nn.functional import avg_pool2d, binary_cross_entropy_with_logits, cross_entropy, pad

from gdbench import Stream, atomic_write, initialised, normal, sha256, uniform, write_text
from gdbench_scenes.factors import FACTORS, PRESENCE_VISIBLE, RANGES, split, truth
from gdbench_scenes.heldout import held_out
from gdbench_scenes.oracle import NETWORKS, RESOLUTION, WEIGHTS, Network, Which, load, paths
from gdbench_scenes.render import render, sample_factors

BATCH = 64
RATE = 2e-3
WARM_UP = 0.02  # share of the budget over which the learning rate rises
DECAY = 0.999  # of the moving average of the weights
HELD_OUT = 10_000
BAR = 0.95
SAVE_EVERY = 250
SEEDS = {"a": 1, "b": 2}


@dataclass
class Training:
    """The state of a training: everything that a stopped one needs to go on."""

    network: Network
    average: dict[str, Tensor]
    optimiser: torch.optim.Adam
    step: int = 0
    seconds: float = 0.0

    def save(self, path: Path) -> None:
        """Replace the state file."""
        state = {
            "network": self.network.state_dict(),
            "average": self.average,
            "optimiser": self.optimiser.state_dict(),
            "step": self.step,
            "seconds": self.seconds,
        }
        with atomic_write(path) as file:
            torch.save(state, file)

    def restore(self, path: Path) -> None:
        """Go on from a state file."""
        state = torch.load(path, weights_only=True)
        self.network.load_state_dict(state["network"])
        self.average = state["average"]
        self.optimiser.load_state_dict(state["optimiser"])
        self.step, self.seconds = state["step"], state["seconds"]


def main() -> None:
    """Train, write weights and card, print the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--which", choices=sorted(NETWORKS), required=True)
    parser.add_argument("--minutes", type=float, default=6, help="budget of CPU time")
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="where weights, card and state are written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    state = options.folder / f".oracle-{options.which}-{RESOLUTION}.state"
    training = train(options.which, options.minutes * 60, state)
    print(publish(training, options.which, options.minutes, options.folder))
    state.unlink(missing_ok=True)


def train(which: Which, budget: float, state: Path) -> Training:
    """Spend `budget` CPU seconds, those of earlier attempts included."""
    stream = Stream(SEEDS[which], f"scenes/oracle-{which}")
    training = start(which, stream)
    if state.exists():
        training.restore(state)
    begun = time.process_time() - training.seconds
    while training.seconds < budget:
        loss = advance(training, stream.of("step").at(training.step), training.seconds / budget)
        training.step += 1
        training.seconds = time.process_time() - begun
        if training.step % SAVE_EVERY == 0:
            training.save(state)
            print(f"step {training.step}  {training.seconds:.0f} CPU s  loss {float(loss):.4f}", flush=True)
    return training


def start(which: Which, stream: Stream) -> Training:
    """A new network and its optimiser."""
    network = initialised(stream.of("initialise").at(), NETWORKS[which])
    assert isinstance(network, Network)
    network.to(memory_format=torch.channels_last)
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    return Training(network, average, torch.optim.Adam(network.parameters(), RATE))


def advance(training: Training, rng: np.random.Generator, progress: float) -> Tensor:
    """One step on a new batch; linear warm-up and decay of the learning rate over `progress` from 0 to 1."""
    scenes = sample_factors(BATCH, rng)
    images, masks = (torch.from_numpy(array) for array in render(scenes))
    loss = objective(training.network, disturb(images, rng), masks, truth(scenes))
    for group in training.optimiser.param_groups:
        group["lr"] = RATE * min(1.0, progress / WARM_UP + 1e-2, (1 - progress) / (1 - WARM_UP))
    training.optimiser.zero_grad()
    torch.autograd.backward(loss)
    training.optimiser.step()
    follow(training)
    return loss.detach()


@torch.no_grad()
def follow(training: Training) -> None:
    """Move the average towards the network; faster at first, so that it forgets the initial weights."""
    share = 1 - min(DECAY, (1 + training.step) / (10 + training.step))
    for name, tensor in training.network.state_dict().items():
        if tensor.is_floating_point():
            training.average[name].lerp_(tensor, share)


def disturb(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur and noise of random strength on half of the images, so that a GAN's slips do not mislead the oracle."""
    n = len(images)
    chosen = (uniform(rng, 0, 1, n, 1, 1, 1) < 0.5).float()
    blurred = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, blurred, chosen * uniform(rng, 0, 1, n, 1, 1, 1))
    noise = chosen * uniform(rng, 0, 0.1, n, 1, 1, 1) * normal(rng, *images.shape)
    return (images + noise).contiguous(memory_format=torch.channels_last)


def objective(network: Network, images: Tensor, masks: Tensor, true: dict[str, Tensor]) -> Tensor:
    """Squared errors of the codes, cross entropies of shape and mask; what the image does not show weighs nothing."""
    maps = network.trunk(images)
    parts = split(network.code(network.features(maps[-1])))
    weights = {"background_hue": true["presence"], "phase": true["presence"] * true["texture"]}
    # On white the texture cannot be seen: it is taught as none, so that a reader can tell that there is no phase.
    true = true | {"texture": true["texture"] * (true["presence"] / PRESENCE_VISIBLE).clamp(max=1)}
    loss = binary_cross_entropy_with_logits(network.paint(maps), masks) + cross_entropy(parts["shape"], true["shape"])
    for factor in FACTORS:
        if factor.kind != "class":
            error = (parts[factor.name] - encoded(factor.name, true[factor.name])).square().mean(1)
            weight = weights.get(factor.name)
            loss = loss + (error.mean() if weight is None else (error * weight).sum() / weight.sum().clamp(min=1))
    return loss


def encoded(name: str, values: Tensor) -> Tensor:
    """The code (n, width) of true values of a linear or circular factor."""
    if name in RANGES:
        low, high = RANGES[name]
        return ((values - low) / (high - low) * 2 - 1)[:, None]
    angle = 2 * torch.pi * values
    return torch.stack([angle.sin(), angle.cos()], 1)


def publish(training: Training, which: Which, minutes: float, folder: Path) -> str:
    """Write the averaged weights in half precision, then the card with what that very file reads off new renders."""
    weights, card_file = paths(which, folder)
    tensors = {n: t.half() if t.is_floating_point() else t for n, t in training.average.items()}
    with atomic_write(weights) as file:
        file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
    card = {
        "oracle": which,
        "command": f"python -m gdbench_scenes.train_oracle --which {which} --minutes {minutes:g}",
        "cpu_minutes": round(training.seconds / 60, 2),
        "steps": training.step,
        "batch": BATCH,
        "seed": SEEDS[which],
        "parameters": sum(p.numel() for p in training.network.parameters()),
        "sha256": sha256(weights),
        "passed": {},
    }
    write_text(card_file, json.dumps(card))
    figures = held_out(load(which, torch.device("cpu"), folder), HELD_OUT, Stream(0, "scenes/held-out").at())
    card["held_out"] = {"renders": HELD_OUT, "bar": BAR, **{name: round(value, 4) for name, value in figures.items()}}
    card["passed"] = {name: value >= BAR for name, value in figures.items()}
    text = json.dumps(card, indent=2) + "\n"
    write_text(card_file, text)
    return text


if __name__ == "__main__":
    main()
