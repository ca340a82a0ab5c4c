"""Jacobian-vector products of the shipped families: ``python benchmarks/speed/jacobian.py``.

One code of ``jacobian`` at its defaults: its metric from as many products as the space has dimensions, 128 at a time,
of pixels averaged to 16 x 16, in the space that the family searches by default. A product counts as one image in the
records; the last column says how many plain images, rendered 32 at a time, it costs in truth. Both take turns, round
after round, so that a busy machine slows them alike; medians, process CPU time on one thread.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from gdbench_jacobian.discover import metric
from gdbench_jacobian.params import JacobianParams
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gdbench import Codes, Stream, load_generator, moments
from gdbench.runs.counting import Counted

FAMILIES = ("sngan", "stylegan2", "biggan", "progan")
IMAGES = 32
"""A batch, as in voynov's steps."""


def race(family: str, rounds: int) -> tuple[int, float, float]:
    """Products of one code, their CPU seconds, and those of one image."""
    generator, params = Counted(load_generator(family)), JacobianParams()
    space = generator.spaces[0]
    tangents = torch.eye(generator.dim(space)) if space == "z" else moments(generator, space).root().float()
    codes = generator.sample(IMAGES, space, Stream(0, "speed").at())

    def pixels(some: Codes) -> Tensor:
        return adaptive_avg_pool2d(generator.render(some), params.side).flatten(1)

    metric(pixels, codes[:1], tangents, params.batch)
    products, seconds = generator.images, []
    for _ in range(rounds):
        code = _timed(lambda: metric(pixels, codes[:1], tangents, params.batch))
        seconds.append((code, _timed(lambda: generator.render(codes))))
    code, batch = (median(column) for column in zip(*seconds, strict=True))
    return products, code, batch / IMAGES


@torch.no_grad()
def _timed(call: Callable[[], Any]) -> float:
    begun = time.process_time()
    call()
    return time.process_time() - begun


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--only", choices=FAMILIES, help="one family")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    print("family    products a code  ms a code  ms a product  ms an image  ratio")
    for family in (asked.only,) if asked.only else FAMILIES:
        products, code, image = race(family, asked.rounds)
        each = code / products
        print(f"{family:9} {products:15} {1e3 * code:10.0f} {1e3 * each:13.2f} {1e3 * image:12.2f} {each / image:6.1f}")


if __name__ == "__main__":
    main()
