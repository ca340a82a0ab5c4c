"""Three engines: `local` (this machine), `slurm` (a cluster's queue), `ray` (machines that share no disk)."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import EngineSpec, hookimpl
from gdbench_engines.params import LocalParams


@hookimpl
def gdbench_engines() -> Iterable[EngineSpec]:
    """Offer the engines."""
    yield EngineSpec(
        name="local",
        summary="processes of this machine, --jobs at a time, within its GPUs and, where stated, CPUs and memory",
        start="gdbench_engines.local:start",
        params=LocalParams,
    )
