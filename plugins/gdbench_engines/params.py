"""What a suite may say of each engine."""

from __future__ import annotations

from dataclasses import dataclass, field


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
