"""Parameters of the controls."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class ControlParams:
    """How random directions are drawn."""

    whiten: bool = field(
        default=True, metadata={"help": "outside z: draw in prior standard deviations, map by S^(1/2), as voynov does"}
    )
