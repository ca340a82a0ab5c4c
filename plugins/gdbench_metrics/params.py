"""The parameters of the metrics, where declaring them costs no import of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReconstructionParams:
    """steps, batch, rate: training of the reconstructor. reuse: how often a rendered pair is seen, augmented anew.

    test: pairs that score. leak_steps: training of the reconstructor that is asked to find a hidden pattern.
    """

    steps: int = 1500
    batch: int = 32
    rate: float = 1e-3
    reuse: int = 4
    test: int = 10_240
    leak_steps: int = 250


@dataclass(frozen=True)
class FactorsParams:
    """samples: unedited images for spreads, agreement and supervised directions, once per checkpoint."""

    samples: int = 3000
