"""Images per second and memory of the four families: ``python benchmarks/speed/generators.py``.

Shipped checkpoints as they are; official sizes with random weights, on which neither depends. Each is rendered without
gradients, and with the gradient to the latents; in both memory layouts (``channels_last`` is what gdbench uses); and
compiled by ``torch.compile`` at the shipped size, for compiling takes longer than all the rest (``--compiled all``).

Every cell (model, layout, compiled or not) has a process of its own, so that its peak memory is its own; cells take
turns, round after round, as long as the budget of CPU seconds lasts, so that a busy machine slows them alike. Seconds
are process CPU time on one thread; the table shows medians. Memory is the peak of the process less what it held when
the model was loaded; that of a compiled cell includes the compiler and is left out.

Writes generators.md and generators.json into ``--out``.
"""

from __future__ import annotations

import argparse
import contextlib
import gc
import json
import multiprocessing
import os
import resource
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

import pandas as pd
import torch
from gdbench_biggan import networks as biggan
from gdbench_biggan.generator import BigGAN
from gdbench_progan import networks as progan
from gdbench_progan.generator import ProGAN
from gdbench_stylegan2 import Params as StyleGAN2Params
from gdbench_stylegan2 import networks as stylegan2
from gdbench_stylegan2.generator import StyleGAN2
from torch.overrides import TorchFunctionMode

from gdbench import Codes, Generator, Stream, initialised, load_generator, write_text
from gdbench.boards.cells import markdown_table
from gdbench.evaluation.memory import held_memory, peak_memory
from gdbench.runs.environment import describe

CPU = torch.device("cpu")
CONFIG_F = (512, 512, 512, 512, 512, 256, 128, 64, 32)
GROWN = (512, 512, 512, 512, 256, 128, 64, 32, 16)
LONG = 1.0  # CPU seconds from which a first call counts, for setting up is then a small part of it
ENOUGH = 0.4  # CPU seconds of calls in one turn
ROUNDS = 7


@dataclass(frozen=True)
class Model:
    """What is measured: a family at a size, with a batch that a CPU of a few GB takes."""

    name: str
    batch: int
    make: Callable[[], Generator] = field(repr=False)
    shipped: bool = False


@dataclass(frozen=True)
class Cell:
    """One process: a model in one memory layout, compiled or not."""

    model: Model
    layout: str
    compiled: bool

    @property
    def name(self) -> str:
        """As ``--only`` sees it."""
        return f"{self.model.name}/{self.layout}{'/compiled' * self.compiled}"


@dataclass
class Measured:
    """CPU seconds of each call, and peak bytes above the loaded model, by what was done; why there is nothing."""

    seconds: dict[str, list[float]] = field(default_factory=dict)
    memory: dict[str, int] = field(default_factory=dict)
    preparing: dict[str, float] = field(default_factory=dict)
    note: str = ""


def models() -> tuple[Model, ...]:
    """The shipped checkpoints, then the official sizes."""
    shipped = (Model(f"{family} shipped", 32, _shipped(family), True) for family in FAMILIES)
    return (
        *shipped,
        Model("biggan 128", 4, _biggan_128),
        Model("stylegan2 256", 2, lambda: _stylegan2(7)),
        Model("stylegan2 1024", 1, lambda: _stylegan2(9)),
        Model("progan 1024", 1, _progan_1024),
    )


FAMILIES = ("sngan", "stylegan2", "biggan", "progan")


def _shipped(family: str) -> Callable[[], Generator]:
    return lambda: load_generator(family)


def _biggan_128() -> Generator:
    """BigGAN of 96 channels, as ajbrock's."""
    config = biggan.Config((1536, 1536, 768, 384, 192, 96), 120, 1000, 128, 6, tuple(range(5)), attention=(3,))
    return BigGAN(_random(lambda: biggan.Generator(config)), "imagenet", 1.0, CPU)


def _stylegan2(levels: int) -> Generator:
    """StyleGAN2 of config f."""
    config = stylegan2.Config(CONFIG_F[:levels], z_dim=512, w_dim=512, mapping_layers=8)
    return StyleGAN2(_random(lambda: stylegan2.Generator(config)), "faces", StyleGAN2Params(), CPU)


def _progan_1024() -> Generator:
    return ProGAN(_random(lambda: progan.Generator(progan.Config(GROWN, 512, (8,)))), "faces", 1.0, CPU)


def _random(build: Callable[[], torch.nn.Module]) -> Any:
    return initialised(Stream(0, "speed").at(), build)


class Contiguous(TorchFunctionMode):
    """Wherever channels_last is asked for, the default layout is given: the same code in the other layout."""

    def __torch_function__(self, call: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        given = dict(kwargs or {})
        if given.get("memory_format") is torch.channels_last:
            given["memory_format"] = torch.contiguous_format
        return call(*args, **given)


def measure(cell: Cell) -> Measured:
    """One turn of a cell, in this process."""
    torch.set_num_threads(1)
    found = Measured()
    with Contiguous() if cell.layout == "default" else contextlib.nullcontext():
        generator = cell.model.make()
        if cell.compiled:
            _compile(generator)
        codes = generator.sample(cell.model.batch, "z", Stream(0, "speed").at())
        gc.collect()
        held = held_memory(CPU)
        calls = {"forward": lambda: _forward(generator, codes), "forward+backward": lambda: _backward(generator, codes)}
        for name, call in calls.items():
            found.preparing[name], found.seconds[name] = _timed(call, cell.compiled)
            found.memory[name] = peak_memory() - held
    return found


def _compile(generator: Any) -> None:
    network = generator.network
    parts = (network.mapping, network.synthesis) if hasattr(network, "synthesis") else (network,)
    for part in parts:
        part.compile()


@torch.no_grad()
def _forward(generator: Generator, codes: Codes) -> None:
    generator.render(codes)


def _backward(generator: Generator, codes: Codes) -> None:
    latents = codes.latents.clone().requires_grad_()
    torch.autograd.grad(generator.render(Codes(latents, "z", codes.labels)).square().mean(), latents)


def _timed(call: Callable[[], None], compiled: bool) -> tuple[float, list[float]]:
    """CPU seconds of the first call, and of each one that counts: those after it, or itself where it is long."""
    first = _seconds(call)
    if first > LONG and not compiled:
        return 0.0, [first]
    counted: list[float] = []
    while sum(counted) < ENOUGH and len(counted) < 100:
        counted.append(_seconds(call))
    return first, counted


def _seconds(call: Callable[[], None]) -> float:
    """Process CPU seconds of a call, those of a compiler that it started included."""
    before = _spent()
    call()
    return _spent() - before


def _spent() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def in_child(cell: Cell) -> Measured:
    """``measure`` in a fork of this process: it starts with torch imported and nothing computed."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)
    child = context.Process(target=_answer, args=(cell, there))
    child.start()
    there.close()
    try:
        answer: Measured = here.recv()
    except EOFError:
        answer = Measured(note=f"the process ended with {child.exitcode}")
    child.join()
    return answer


def _answer(cell: Cell, pipe: Any) -> None:
    try:
        pipe.send(measure(cell))
    except Exception as error:
        pipe.send(Measured(note=f"{type(error).__name__}: {str(error).splitlines()[0][:100]}"))


def rounds(cells: Sequence[Cell], budget: float) -> dict[Cell, Measured]:
    """Every cell once, then again, the cheap ones first, as long as a turn as dear as its last fits into the budget."""
    kept, cost = {cell: Measured() for cell in cells}, dict.fromkeys(cells, 0.0)
    for number in range(ROUNDS):
        for cell in sorted(cells, key=cost.__getitem__):
            begun = _spent()
            if number and begun + cost[cell] > budget:
                continue
            _add(kept[cell], in_child(cell))
            cost[cell] = _spent() - begun
            print(f"round {number + 1}: {cell.name}: {kept[cell].note or 'done'}, {_spent():.0f} CPU s", flush=True)
    return kept


def _add(kept: Measured, new: Measured) -> None:
    kept.note = new.note
    for name, seconds in new.seconds.items():
        kept.seconds.setdefault(name, []).extend(seconds)
        kept.memory[name] = min(new.memory[name], kept.memory.get(name, new.memory[name]))
        kept.preparing.setdefault(name, new.preparing[name])


def table(found: Mapping[Cell, Measured]) -> pd.DataFrame:
    """One row for each cell and each of forward, forward+backward."""
    return pd.DataFrame([row for cell, measured in found.items() for row in _rows(cell, measured)])


def _rows(cell: Cell, measured: Measured) -> Iterator[dict[str, object]]:
    for name in measured.seconds or ("forward", "forward+backward"):
        seconds = measured.seconds.get(name)
        yield {
            "model": cell.model.name,
            "batch": cell.model.batch,
            "layout": cell.layout,
            "compiled": "yes" if cell.compiled else "no",
            "pass": name,
            "images/s": round(cell.model.batch / median(seconds), 3) if seconds else None,
            "calls": len(seconds or ()),
            "memory MiB": round(measured.memory[name] / 2**20) if seconds and not cell.compiled else None,
            "compiling s": round(measured.preparing[name]) if seconds and cell.compiled else None,
            "note": measured.note,
        }


def cells_of(only: str, compiled: str) -> list[Cell]:
    """The cells whose name contains ``only``; compiled ones where there is a compiler."""
    made = []
    for model in models():
        made += [Cell(model, layout, False) for layout in ("channels_last", "default")]
        if compiled == "all" or (compiled == "shipped" and model.shipped):
            made.append(Cell(model, "channels_last", True))
    return [cell for cell in made if only in cell.name and (has_compiler() or not cell.compiled)]


def has_compiler() -> bool:
    """Whether ``torch.compile`` finds a C++ compiler."""
    return any(map(shutil.which, filter(None, (os.environ.get("CXX"), "g++", "clang++", "c++"))))


def write(found: Mapping[Cell, Measured], folder: Path, seconds: float) -> None:
    """generators.md for people, generators.json for programs."""
    frame, facts = table(found), {**describe(), "threads": 1, "cpp_compiler": has_compiler()}
    folder.mkdir(parents=True, exist_ok=True)
    whole = {"environment": facts, "cpu_seconds": round(seconds), "rows": json.loads(frame.to_json(orient="records"))}
    write_text(folder / "generators.json", json.dumps(whole, indent=1) + "\n")
    machine = (
        f"{facts['cpu']}, one thread, torch {facts['torch']}, {facts['system']}; {seconds:.0f} CPU seconds in all."
    )
    missing = "" if has_compiler() else "\n\nNo C++ compiler is here, so nothing was compiled."
    intro = "Made by `python benchmarks/speed/generators.py`, whose first lines say what is measured."
    text = f"# Speed of the generators\n\n{intro} {machine}{missing}\n\n{_markdown(frame)}\n"
    write_text(folder / "generators.md", text)


def _markdown(frame: pd.DataFrame) -> str:
    shown = frame if frame["note"].any() else frame.drop(columns="note")
    return markdown_table(list(shown.columns), [[_text(value) for value in row] for row in shown.to_numpy()])


def _text(value: object) -> str:
    if value is None or value != value:  # NaN
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--only", default="", help="cells whose name contains this text, as 'sngan' or '1024/default'")
    parser.add_argument("--compiled", choices=("shipped", "all", "none"), default="shipped")
    parser.add_argument("--budget", type=float, default=340, help="CPU seconds; one round is always done")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as cache:  # nothing is compiled beforehand
        os.environ |= {"TORCHINDUCTOR_CACHE_DIR": cache, "TORCHINDUCTOR_COMPILE_THREADS": "1"}
        found = rounds(cells_of(asked.only, asked.compiled), asked.budget)
    write(found, asked.out, _spent())
    print(table(found).to_string(index=False))


if __name__ == "__main__":
    main()
