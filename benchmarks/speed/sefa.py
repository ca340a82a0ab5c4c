"""SeFa on a StyleGAN2 of 1024 pixels: ``python benchmarks/speed/sefa.py``.

Random weights, the widths of config f (512 channels up to 64 pixels, then halved), w of 512 numbers. Discovery alone is
timed, process CPU time and wall-clock on one thread, from the loaded generator to all 512 directions. The aim is 2 s.
"""

from __future__ import annotations

import argparse
import time
from statistics import median

import torch
from gdbench_sefa.discover import discover
from gdbench_stylegan2 import Params
from gdbench_stylegan2.generator import StyleGAN2
from gdbench_stylegan2.networks import Config, Generator

from gdbench import Context, NoParams, Stream, initialised

CPU = torch.device("cpu")
CONFIG_F = Config(widths=(512, 512, 512, 512, 512, 256, 128, 64, 32), z_dim=512, w_dim=512, mapping_layers=8)


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--k", type=int, default=512)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    network = initialised(Stream(0, "speed").at(), lambda: Generator(CONFIG_F))
    generator = StyleGAN2(network, "faces", Params(), CPU)  # type: ignore[arg-type]
    rows = sum(len(weight) for weight in generator.modulation_weights("w").values())
    seconds = []
    for turn in range(asked.rounds + 1):
        cpu, wall = time.process_time(), time.perf_counter()
        found = discover(generator, NoParams(), Context(0, CPU, asked.k, "w"))
        if turn:
            seconds.append((time.process_time() - cpu, time.perf_counter() - wall))
    cpu, wall = (median(column) for column in zip(*seconds, strict=True))
    print(f"{generator.image_shape[1]} px, {rows:,} rows of {generator.dim('w')}: {len(found)} directions")
    print(f"{cpu:.2f} s CPU, {wall:.2f} s wall, one thread, median of {asked.rounds} (aim 2)")


if __name__ == "__main__":
    main()
