"""Parameters of imported directions."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

AXES = "axes"
DIGITS = 16
"""Digits of the SHA-256 by which imported directions are named."""


@dataclass(frozen=True)
class ImportedParams:
    """file: the first digits of the SHA-256 of imported directions. label: what they are called on leaderboards."""

    file: str = field(
        default=AXES, metadata={"help": "what import-directions prints; axes: the first axes of the space, to try it"}
    )
    label: str = field(default="", metadata={"help": "what the directions are called where several are compared"})

    def __post_init__(self) -> None:
        if self.file != AXES and not re.fullmatch(f"[0-9a-f]{{{DIGITS}}}", self.file):
            raise ValueError(f"file must be the {DIGITS} digits that import-directions prints")
        if not re.fullmatch(r"[A-Za-z0-9._-]{0,64}", self.label):
            raise ValueError("label must be letters, digits, '.', '_' and '-', 64 at most")
