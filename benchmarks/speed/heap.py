"""What it saves that runs keep freed memory: CPU time a step with and without, in processes of their own, in turn.

    python benchmarks/speed/heap.py --rounds 3 --steps 12

Each process takes the same steps of each learned method on sngan and stylegan2 (quick settings, one thread) and renders
250 images. Seconds are of CPU, user and system: the kernel clears pages in the latter. ``same`` says whether the last
losses of both are equal bit for bit. Writes heap.md into ``--out``.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from statistics import median

import torch
from gdbench_penalties import discover as penalties
from gdbench_penalties.params import PenaltyParams
from gdbench_penalties.penalties import hessian_penalty, orojar_penalty
from gdbench_voynov import discover as voynov
from gdbench_voynov.base import BaseImages
from gdbench_voynov.params import VoynovParams
from gdbench_voynov.shifts import draw
from gdbench_warped import discover as warped
from gdbench_warped.params import WarpedParams
from torch import Tensor

from gdbench import Context, Generator, load_generator, write_text
from gdbench.boards.cells import markdown_table
from gdbench.runs.environment import describe
from gdbench.runs.heap import keep_freed_memory

K = 32
GENERATORS = {"sngan": "z", "stylegan2": "w"}
Work = Callable[[int], Tensor]
Found = dict[str, tuple[float, float]]
"""What was done -> CPU seconds of a step, and the last loss."""


def works(generator: Generator, space: str) -> Iterator[tuple[str, Work]]:
    """What is timed, by name: a step by its number."""
    context = Context(0, torch.device("cpu"), K, space)
    stream = context.stream("discover")

    params = VoynovParams()
    training = voynov.prepare(generator, params, context)
    base = BaseImages(generator, space, stream.of("base"), params, training.calls.base)

    def voynov_step(n: int) -> Tensor:
        batch = voynov.Batch(*base.at(n), *draw(params, K, stream.at(n)))
        return voynov.train_step(training, batch, params.shift_weight)

    yield "voynov", voynov_step
    for name, penalty in (("hessian-penalty", hessian_penalty), ("orojar", orojar_penalty)):
        own = PenaltyParams()
        basis = penalties.prepare(generator, own, context)

        def step(n: int, basis: penalties.Training = basis, penalty: penalties.Penalty = penalty) -> Tensor:
            return penalties.train_step(generator, basis, PenaltyParams(), penalty, stream.at(n), space)

        yield name, step
    bent = WarpedParams()
    fields = warped.prepare(generator, bent, context)
    images = warped.BaseImages(generator, space, stream.of("base"), bent)

    def warped_step(n: int) -> Tensor:
        batch = warped.Batch(*images.at(n), *warped.draw(bent, K, stream, n))
        return warped.train_step(generator, fields, batch, bent)

    yield "warpedganspace", warped_step
    codes = generator.sample(250, space, stream.of("codes").at())

    def rendering(_: int) -> Tensor:
        with torch.no_grad():
            return generator.render(codes)

    yield "250 images", rendering


def timed(name: str, steps: int) -> Found:
    """CPU seconds of a step of everything on one generator; the first, which renders ahead, does not count."""
    found = {}
    for what, work in works(load_generator(name), GENERATORS[name]):
        work(0)
        start = time.process_time()
        for n in range(1, steps + 1):
            last = work(n)
        found[what] = ((time.process_time() - start) / steps, float(last.flatten()[0]))
    return found


def elsewhere(name: str, steps: int, keep: bool) -> Found:
    """``timed`` in a process of its own."""
    command = [sys.executable, __file__, "--one", name, "--steps", str(steps), *(["--keep"] if keep else [])]
    return dict(json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout))


def main() -> None:
    """Measure and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=Path("results/speed"))
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--one", choices=GENERATORS, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.one:
        torch.set_num_threads(1)
        if asked.keep and not keep_freed_memory():
            raise SystemExit("the heap is not glibc's, or the environment sets its options: nothing to compare")
        print(json.dumps(timed(asked.one, asked.steps)))
        return
    rows = []
    for name in GENERATORS:
        rounds = [[elsewhere(name, asked.steps, keep) for keep in (False, True)] for _ in range(asked.rounds)]
        for what in rounds[0][0]:
            before, after = (median(1e3 * pair[side][what][0] for pair in rounds) for side in (0, 1))
            saved = median(1 - pair[1][what][0] / pair[0][what][0] for pair in rounds)
            same = all(pair[0][what][1] == pair[1][what][1] for pair in rounds)
            rows.append([name, what, f"{before:.1f}", f"{after:.1f}", f"{100 * saved:.0f} %", "yes" if same else "no"])
    head = ["generator", "step of", "ms, returned", "ms, kept", "saved", "same"]
    facts = describe()
    made = f"python benchmarks/speed/heap.py --rounds {asked.rounds} --steps {asked.steps}"
    text = (
        f"# What keeping freed memory saves\n\nMade by `{made}`, whose first lines say what is measured. "
        f"{facts['cpu']}, one thread, torch {facts['torch']}, {facts['system']}. Medians of {asked.rounds} rounds.\n\n"
        f"{markdown_table(head, rows)}\n"
    )
    write_text(asked.out / "heap.md", text)
    print(text)


if __name__ == "__main__":
    main()
