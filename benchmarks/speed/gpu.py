"""Images and steps a second on a GPU, of each family at official sizes: ``python benchmarks/speed/gpu.py``.

Random weights, on which speed does not depend. Each model is rendered (images/s), and takes steps as a learned method
asks them of a generator (steps/s): a batch and the same batch shifted, and the gradient of their difference to the
shift. In four ways: as gdbench does it (32 bits, channels_last), in the default layout, with autocast to 16 bits, and
compiled by ``torch.compile``. Wall-clock seconds of the whole device, after two calls that are not counted; memory is
the device's peak. Ways that come after ``--budget`` seconds are left out, and say so: it ends within ten minutes.

Writes gpu.md and gpu.json into ``--out``. ``--device cpu --tiny`` tries the script itself on a machine without a GPU.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from gdbench_biggan import networks as biggan
from gdbench_biggan.generator import BigGAN
from gdbench_progan import networks as progan
from gdbench_progan.generator import ProGAN
from gdbench_sngan import Params as SNGANParams
from gdbench_sngan import networks as sngan
from gdbench_sngan.generator import SNGAN
from gdbench_stylegan2 import Params as StyleGAN2Params
from gdbench_stylegan2 import networks as stylegan2
from gdbench_stylegan2.generator import StyleGAN2
from gdbench_stylegan3 import Params as StyleGAN3Params
from gdbench_stylegan3 import networks as stylegan3
from gdbench_stylegan3.design import Design
from gdbench_stylegan3.generator import StyleGAN3
from generators import CONFIG_F, GROWN, Contiguous

from gdbench import Codes, Generator, Stream, initialised, write_text
from gdbench.boards.cells import markdown_table
from gdbench.runs.environment import describe

WAYS = ("32 bits", "default layout", "16 bits", "compiled")
UNCOUNTED, SECONDS, MOST = 2, 2.0, 200
"""Calls that warm up, and what is counted of each way: so many seconds or calls."""


@dataclass(frozen=True)
class Model:
    """A family at a size, and the batch of the learned methods' papers or what a GPU of 40 GB takes."""

    name: str
    batch: int
    make: Callable[[torch.device], Generator]


def models(tiny: bool) -> tuple[Model, ...]:
    """The official sizes, or networks of a moment."""
    if tiny:
        styled = stylegan2.Config((8, 8, 8), z_dim=8, w_dim=8, mapping_layers=2)
        return (
            Model("sngan 16", 2, lambda device: _sngan((8, 8, 8), device)),
            Model("biggan 16", 2, lambda device: _biggan(biggan.Config((8, 8, 8), 6, 5, 4, 3, (0, 1)), device)),
            Model("progan 16", 2, lambda device: _progan(progan.Config((8, 8, 8), 8, (2,)), device)),
            Model("stylegan2 16", 2, lambda device: _stylegan2(styled, device)),
            Model("stylegan3 16", 2, lambda device: _stylegan3(SMALL, device)),
        )
    big = biggan.Config((1536, 1536, 768, 384, 192, 96), 120, 1000, 128, 6, tuple(range(5)), attention=(3,))
    return (
        Model("sngan 128", 64, lambda device: _sngan((1024, 1024, 512, 256, 128, 64), device)),
        Model("biggan 128", 32, lambda device: _biggan(big, device)),
        Model("progan 1024", 8, lambda device: _progan(progan.Config(GROWN, 512, (8,)), device)),
        Model("stylegan2 256", 16, lambda device: _stylegan2(_config_f(7), device)),
        Model("stylegan2 1024", 8, lambda device: _stylegan2(_config_f(9), device)),
        Model("stylegan3-t 256", 8, lambda device: _stylegan3(Design(resolution=256, channel_base=16384), device)),
        Model("stylegan3-r 512", 4, lambda device: _stylegan3(RADIAL, device)),
    )


SMALL = Design(resolution=16, channel_base=64, channel_max=8, z_dim=8, w_dim=8, layers=4)
RADIAL = Design(resolution=512, channel_base=65536, channel_max=1024, kernel=1, radial=True)


def _config_f(levels: int) -> Any:
    return stylegan2.Config(CONFIG_F[:levels], z_dim=512, w_dim=512, mapping_layers=8)


def _random(build: Callable[[], torch.nn.Module]) -> Any:
    return initialised(Stream(0, "speed").at(), build)


def _sngan(widths: tuple[int, ...], device: torch.device) -> Generator:
    config = sngan.Config(widths, 128, (1,) * (len(widths) - 1))
    return SNGAN(_random(lambda: sngan.Generator(config)), "faces", SNGANParams(), device)


def _biggan(config: Any, device: torch.device) -> Generator:
    return BigGAN(_random(lambda: biggan.Generator(config)), "imagenet", 1.0, device)


def _progan(config: Any, device: torch.device) -> Generator:
    return ProGAN(_random(lambda: progan.Generator(config)), "faces", 1.0, device)


def _stylegan2(config: Any, device: torch.device) -> Generator:
    return StyleGAN2(_random(lambda: stylegan2.Generator(config)), "faces", StyleGAN2Params(), device)


def _stylegan3(design: Design, device: torch.device) -> Generator:
    return StyleGAN3(_random(lambda: stylegan3.Generator(design.config())), "faces", StyleGAN3Params(), device)


@contextlib.contextmanager
def way_of(way: str, generator: Any, device: torch.device) -> Iterator[None]:
    """What a way changes while the block runs."""
    if way == "compiled":
        network = generator.network
        for part in (network.mapping, network.synthesis) if hasattr(network, "synthesis") else (network,):
            part.compile()
    half = torch.float16 if device.type == "cuda" else torch.bfloat16
    with (
        Contiguous() if way == "default layout" else contextlib.nullcontext(),
        torch.autocast(device.type, half, enabled=way == "16 bits"),
    ):
        yield


def measured(model: Model, way: str, device: torch.device, seconds: float) -> dict[str, Any]:
    """Images and steps a second, and peak memory; a note where it did not work."""
    row: dict[str, Any] = {"model": model.name, "batch": model.batch, "way": way}
    try:
        with Contiguous() if way == "default layout" else contextlib.nullcontext():
            generator = model.make(device)
        if device.type == "cuda":
            torch.cuda.reset_peak_memory_stats(device)
        with way_of(way, generator, device):
            codes = generator.sample(model.batch, "z", Stream(0, "speed").at())
            row["images/s"] = model.batch * _rate(lambda: _render(generator, codes), device, seconds)
            row["steps/s"] = _rate(lambda: _step(generator, codes), device, seconds)
    except Exception as error:  # too little memory, no compiler
        row["note"] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0][:100]}"
    if device.type == "cuda":
        row["memory MiB"] = round(torch.cuda.max_memory_allocated(device) / 2**20)
        torch.cuda.empty_cache()
    return row


@torch.no_grad()
def _render(generator: Generator, codes: Codes) -> None:
    generator.render(codes)


def _step(generator: Generator, codes: Codes) -> None:
    """What a learned method asks of a generator in one step."""
    shift = torch.zeros_like(codes.latents, requires_grad=True)
    apart = generator.render(codes.shifted(shift + 0.1)) - generator.render(codes).detach()
    torch.autograd.grad(apart.float().square().mean(), shift)


def _rate(call: Callable[[], None], device: torch.device, seconds: float) -> float:
    """Calls a second."""
    for _ in range(UNCOUNTED):
        call()
    _wait(device)
    begun, calls = time.perf_counter(), 0
    while calls < MOST and time.perf_counter() - begun < seconds:
        call()
        _wait(device)
        calls += 1
    return calls / (time.perf_counter() - begun)


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def run(device: torch.device, tiny: bool, budget: float, ways: Sequence[str], out: Path) -> None:
    """A row for each model and way, written as soon as it is there; compiling comes last, for it takes longest."""
    begun, rows = time.monotonic(), list[dict[str, Any]]()
    for way in ways:
        for model in models(tiny):
            if time.monotonic() - begun > budget:
                row = {"model": model.name, "batch": model.batch, "way": way, "note": "left out: no time was left"}
            else:
                row = measured(model, way, device, 0.05 if tiny else SECONDS)
            print(row, flush=True)
            rows.append(row)
            write(rows, device, out)


def write(rows: list[dict[str, Any]], device: torch.device, folder: Path) -> None:
    """gpu.md for people, gpu.json for programs."""
    facts = describe()
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "gpu.json", json.dumps({"environment": facts, "rows": rows}, indent=1) + "\n")
    head = ["model", "batch", "way", "images/s", "steps/s", "memory MiB", "note"]
    body = [[_text(row.get(name, "")) for name in head] for row in rows]
    where = torch.cuda.get_device_name(device) if device.type == "cuda" else facts["cpu"]
    intro = "Made by `python benchmarks/speed/gpu.py`, whose first lines say what is measured."
    made = f"# Speed on a GPU\n\n{intro} {where}, torch {facts['torch']}.\n\n{markdown_table(head, body)}\n"
    write_text(folder / "gpu.md", made)


def _text(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="networks of a moment, to try the script itself")
    parser.add_argument("--ways", default=",".join(WAYS), help="some of them, separated by commas")
    parser.add_argument("--budget", type=float, default=480, help="seconds after which no other way is begun")
    asked = parser.parse_args()
    device = torch.device(asked.device)
    if device.type == "cuda" and not torch.cuda.is_available():
        parser.exit(1, "no CUDA device on this machine; --device cpu --tiny tries the script itself\n")
    run(device, asked.tiny, asked.budget, asked.ways.split(","), asked.out)


if __name__ == "__main__":
    main()
