"""Parameters of the directions that metrics are tried on."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

STEPS = 4
"""A ladder has so many steps below its top."""


@dataclass(frozen=True)
class ReplayParams:
    """source: the folder of a finished run, whose directions are taken."""

    source: str = field(default="", metadata={"help": "folder of the run whose directions are measured again"})


@dataclass(frozen=True)
class LadderParams:
    """source: as above. kind: what spoils the directions. step: 0 (not at all) to STEPS."""

    source: str = field(default="", metadata={"help": "folder of the run whose directions are spoiled"})
    kind: Literal["mixed", "dead", "copies", "random", "turned"] = field(
        default="mixed", metadata={"help": "what spoils them"}
    )
    step: int = field(default=0, metadata={"help": "how far: 0 is not at all, 4 wholly"})

    def __post_init__(self) -> None:
        if not 0 <= self.step <= STEPS:
            raise ValueError(f"step must be 0 to {STEPS}")
