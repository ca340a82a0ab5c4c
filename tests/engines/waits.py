"""A suite of six cells, and a method that waits until it is let go: for trials of engines."""

from __future__ import annotations

SUITE = """
name: slurm-trial
tier: smoke
k: 4
seeds: [0, 1, 2]
metrics: [distinct]
generators: [toy]
methods: [random, waits]
resources: {cpus: 1, memory: 900MB, time: 20m}
"""

SLOW = '''
"""The method waits: it writes its process's number beside the file that lets it go, and waits for that."""

import os
import time
from pathlib import Path

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    go = Path(os.environ["GDBENCH_TEST_GO"])
    go.with_name(f"{go.name}.{context.seed}").write_text(str(os.getpid()))
    with context.resume.stop.heeded():
        while not go.exists() and context.resume.stop.error is None:
            time.sleep(0.1)
    if context.resume.stop.error is not None:
        raise context.resume.stop.error
    dim = generator.dim(context.space)
    rows = normal(context.stream("waits").at(), context.k, dim)
    return LinearDirections(rows / rows.norm(dim=1, keepdim=True), context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("waits", "waits until it is let go", discover)
'''
