"""What a suite may say of each engine."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class LocalParams:
    """Of the engine `local`."""

    cpus: int | None = field(
        default=None, metadata={"help": "CPUs that cells may use together; not counted, if not given"}
    )
    gpus: int | None = field(
        default=None,
        metadata={"help": "GPUs that cells may use, the first of those that torch sees; all, if not given"},
    )
    memory: int | str | None = field(
        default=None, metadata={"help": "memory that cells may use together, as 16GB; not counted, if not given"}
    )
    grace: float = field(default=10.0, metadata={"help": "seconds that a cell has to save when it is ended"})


@dataclass(frozen=True)
class SlurmParams:
    """Of the engine `slurm`. Account and partition are the cluster's own defaults unless they are said."""

    partition: str | None = field(default=None, metadata={"help": "--partition of sbatch; never guessed"})
    account: str | None = field(default=None, metadata={"help": "--account of sbatch; never guessed"})
    qos: str | None = field(default=None, metadata={"help": "--qos of sbatch"})
    options: Mapping[str, str | int | bool] = field(
        default_factory=dict, metadata={"help": "any options of sbatch, without dashes: {constraint: a100}"}
    )
    before: tuple[str, ...] = field(
        default=(), metadata={"help": "lines to run first in every job: [module load python]"}
    )
    bundle: int = field(default=1, metadata={"help": "short cells that one job runs after another"})
    poll: float = field(default=10.0, metadata={"help": "seconds between two looks at the queue"})
    lag: float = field(default=15.0, metadata={"help": "seconds until what a job wrote last is seen here"})

    def __post_init__(self) -> None:
        if self.bundle < 1 or self.poll <= 0:
            raise ValueError("bundle and poll must be positive")


@dataclass(frozen=True)
class RayParams:
    """Of the engine `ray`."""

    address: str | None = field(
        default=None, metadata={"help": "of the cluster, or auto; RAY_ADDRESS, else this machine alone, if not given"}
    )
    retries: int = field(default=3, metadata={"help": "how often a cell is run again whose machine died"})
    options: Mapping[str, Any] = field(
        default_factory=dict, metadata={"help": "any options of ray.remote: {resources: {big: 1}}"}
    )
    environment: Mapping[str, str] = field(
        default_factory=dict, metadata={"help": "variables that every cell is given"}
    )
    patience: int = field(default=150, metadata={"help": "seconds in which Ray's own processes must start"})
