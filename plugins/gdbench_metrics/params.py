"""The parameters of the metrics, where declaring them costs no import of torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class ReconstructionParams:
    """steps, batch, rate: training of the reconstructor. reuse: how often a rendered pair is seen, augmented anew.

    test: pairs that score. leak_steps: training of the reconstructor that is asked to find a hidden pattern.
    resnet: train a ResNet-18 reconstructor too.
    """

    steps: int = 1500
    batch: int = 32
    rate: float = 1e-3
    reuse: int = 4
    test: int = 10_240
    leak_steps: int = 250
    resnet: bool = False


@dataclass(frozen=True)
class RecoveryParams:
    """samples: unedited images for variances, agreement and supervised directions, once per checkpoint."""

    samples: int = 3000


@dataclass(frozen=True)
class FactorsParams:
    """samples: unedited images for spreads, agreement and supervised directions, once per checkpoint."""

    samples: int = 3000


@dataclass(frozen=True)
class PathParams:
    """codes: paths that are walked along each direction."""

    codes: int = 16


@dataclass(frozen=True)
class RealismParams:
    """images: how many of each sample are compared."""

    images: int = 1000


@dataclass(frozen=True)
class RcaPaperParams:
    """steps, batch, rate: training of the reconstructor. test: pairs that score (the official code takes 3,200)."""

    steps: int = 500
    batch: int = 32
    rate: float = 1e-3
    test: int = 3200


@dataclass(frozen=True)
class ObservationalParams:
    """samples: unedited images."""

    samples: int = 2000


@dataclass(frozen=True)
class NaturalnessParams:
    """initialisations: pairs of classifiers for each direction. steps, batch, rate: training of each.

    codes: edited with both signs, half for training and half for the test. real: images that are labelled.
    """

    initialisations: int = 5
    steps: int = 50
    batch: int = 16
    rate: float = 1e-3
    codes: int = 96
    real: int = 512
