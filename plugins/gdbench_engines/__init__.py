"""Three engines: `local` (this machine), `slurm` (a cluster's queue), `ray` (machines that share no disk)."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import EngineSpec, hookimpl
from gdbench_engines.params import LocalParams, RayParams, SlurmParams


@hookimpl
def gdbench_engines() -> Iterable[EngineSpec]:
    """Offer the engines."""
    yield EngineSpec(
        name="local",
        summary="processes of this machine, --jobs at a time, within its GPUs and, where stated, CPUs and memory",
        start="gdbench_engines.local:start",
        params=LocalParams,
    )
    yield EngineSpec(
        name="slurm",
        summary="arrays of a SLURM queue; the same command collects what is done and submits the rest",
        start="gdbench_engines.slurm:start",
        params=SlurmParams,
        smoke={"poll": 1.0, "lag": 2.0},
        available="gdbench_engines.slurm:lacking",
        detached=True,
    )
    yield EngineSpec(
        name="ray",
        summary="tasks of Ray on machines that need not share a disk; run again elsewhere when a machine dies",
        start="gdbench_engines.ray_engine:start",
        params=RayParams,
        available="gdbench_engines.ray_engine:lacking",
        citation="Moritz et al., Ray: a distributed framework for emerging AI applications, OSDI 2018",
    )
