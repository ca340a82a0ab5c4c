"""Train an oracle's classifier: ``python -m gdbench_mnist.train_oracle --which a --data FOLDER``.

Beside the digit its features have to tell the five measures, so that the distance of oracle A sees more than the class.
A fixed number of steps, so that the same files give the same weights on the same machine.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor, nn
from torch.nn.functional import affine_grid, avg_pool2d, cross_entropy, grid_sample, pad

from gdbench import Stream, atomic_write, initialised, integers, normal, sha256, uniform, write_text
from gdbench_mnist import files
from gdbench_mnist.domain import to_images
from gdbench_mnist.heldout import held_out
from gdbench_mnist.measures import NAMES, measure
from gdbench_mnist.oracle import FEATURES, NETWORKS, WEIGHTS, Network, Which, load, paths

BATCH = 64
RATE = 3e-3
WARM_UP = 0.02  # share of the steps over which the learning rate rises
DECAY = 0.998  # of the moving average of the weights
STEPS = 3000
BAR = 0.95
SEEDS: dict[Which, int] = {"a": 1, "b": 2}


def main() -> None:
    """Train, write weights and card, print the card."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--which", choices=sorted(NETWORKS), required=True)
    parser.add_argument("--data", type=Path, help="folder of the idx files [default: GDBENCH_MNIST, else the user's]")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--folder", type=Path, default=WEIGHTS, help="where weights and card are written")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.folder.mkdir(parents=True, exist_ok=True)
    pictures, digits = files.training(options.data)
    begun = time.process_time()
    average = train(options.which, to_images(pictures), torch.from_numpy(digits.astype(np.int64)), options.steps)
    minutes = (time.process_time() - begun) / 60
    facts = {"images": len(pictures), "steps": options.steps, "cpu_minutes": round(minutes, 2)}
    print(publish(average, options.which, facts, options.folder))


def train(which: Which, images: Tensor, digits: Tensor, steps: int) -> dict[str, Tensor]:
    """The moving average of the weights after `steps` batches of images (n, 1, 32, 32) and digits (n,)."""
    stream = Stream(SEEDS[which], f"mnist/oracle-{which}")
    network = initialised(stream.of("initialise").at(), NETWORKS[which])
    assert isinstance(network, Network)
    shape = initialised(stream.of("initialise-shape").at(), lambda: nn.Linear(FEATURES, len(NAMES)))
    network.to(memory_format=torch.channels_last)
    scale = measure(images[:1000], enlarged=1)
    scales = [(float(scale[name].mean()), float(scale[name].std())) for name in NAMES]
    average = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    optimiser = torch.optim.Adam([*network.parameters(), *shape.parameters()], RATE)
    for step in range(steps):
        rng = stream.of("step").at(step)
        for group in optimiser.param_groups:
            group["lr"] = RATE * min(1.0, step / steps / WARM_UP + 1e-2, (1 - step / steps) / (1 - WARM_UP))
        chosen = integers(rng, len(images), BATCH)
        loss = objective(network, shape, disturb(moved(images[chosen], rng), rng), digits[chosen], scales)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
        follow(average, network, step)
        if step % 250 == 0:
            print(f"step {step}  loss {float(loss.detach()):.4f}", flush=True)
    return average


def objective(
    network: Network, shape: nn.Module, images: Tensor, digits: Tensor, scales: list[tuple[float, float]]
) -> Tensor:
    """Cross entropy of the digit, and a tenth of the squared error of the standardised measures."""
    with torch.no_grad():
        measured = measure(images, enlarged=1)  # coarse, and a tenth of the time
        wanted = torch.stack([(measured[n] - m) / s for n, (m, s) in zip(NAMES, scales, strict=True)], 1)
    features = network.features(network.trunk(images)[-1])
    loss: Tensor = cross_entropy(network.digit(features), digits) + 0.1 * (shape(features) - wanted).square().mean()
    return loss


def moved(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Images sheared, turned (up to 11 degrees), scaled and shifted (up to 2 px) at random."""
    n = len(images)
    angle, shear = uniform(rng, -0.2, 0.2, n), uniform(rng, -0.25, 0.25, n)
    wide, high = uniform(rng, 0.85, 1.15, n), uniform(rng, 0.85, 1.15, n)
    shift = uniform(rng, -0.125, 0.125, n, 2)
    top = torch.stack([wide * angle.cos(), high * (shear - angle.sin()), shift[:, 0]], 1)
    bottom = torch.stack([wide * angle.sin(), high * angle.cos(), shift[:, 1]], 1)
    grid = affine_grid(torch.stack([top, bottom], 1), list(images.shape), align_corners=False)
    return grid_sample(images + 1, grid, align_corners=False) - 1  # what comes in from outside is background


def disturb(images: Tensor, rng: np.random.Generator) -> Tensor:
    """Blur and noise of random strength on half of the images, so that a GAN's slips do not mislead the oracle."""
    n = len(images)
    chosen = (uniform(rng, 0, 1, n, 1, 1, 1) < 0.5).float()
    blurred = avg_pool2d(pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, blurred, chosen * uniform(rng, 0, 1, n, 1, 1, 1))
    noise = chosen * uniform(rng, 0, 0.1, n, 1, 1, 1) * normal(rng, *images.shape)
    return (images + noise).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def follow(average: dict[str, Tensor], network: Network, step: int) -> None:
    """Move the average towards the network; faster at first, so that it forgets the initial weights."""
    share = 1 - min(DECAY, (1 + step) / (10 + step))
    for name, tensor in network.state_dict().items():
        if tensor.is_floating_point():
            average[name].lerp_(tensor, share)


def publish(
    average: dict[str, Tensor], which: Which, facts: dict[str, Any], folder: Path, judged: int | None = None
) -> str:
    """Write the averaged weights in half precision, then the card: what it reads off (`judged`) held-out digits."""
    weights, card_file = paths(which, folder)
    tensors = {n: t.half() if t.is_floating_point() else t for n, t in average.items()}
    with atomic_write(weights) as file:
        file.write(save({name: tensor.contiguous() for name, tensor in tensors.items()}))
    with torch.device("meta"):
        parameters = sum(p.numel() for p in NETWORKS[which]().parameters())
    card = {
        "oracle": which,
        "command": f"python -m gdbench_mnist.train_oracle --which {which} --steps {facts['steps']}",
        **facts,
        "batch": BATCH,
        "seed": SEEDS[which],
        "parameters": parameters,
        "sha256": sha256(weights),
        "passed": dict.fromkeys(("digit", *NAMES), False),
    }
    write_text(card_file, json.dumps(card))
    figures = held_out(load(which, torch.device("cpu"), folder), judged)
    card["held_out"] = {"bar": BAR, **{name: round(value, 4) for name, value in figures.items()}}
    card["passed"] = {name: value >= BAR for name, value in figures.items()}
    text = json.dumps(card, indent=2) + "\n"
    write_text(card_file, text)
    return text


if __name__ == "__main__":
    main()
