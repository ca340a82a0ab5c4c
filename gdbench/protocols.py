"""What stages ask of one another: small protocols instead of base classes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from pathlib import Path
from typing import Literal, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.programs import Program


class Generator(Protocol):
    """A pretrained GAN, loaded; parameters frozen, deterministic, differentiable in the latents."""

    @property
    def spaces(self) -> tuple[str, ...]:
        """Where codes can live, the default for discovery first."""
        ...

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """(channels, height, width)."""
        ...

    @property
    def domain(self) -> str:
        """What the images show."""
        ...

    @property
    def device(self) -> torch.device:
        """Where ``render`` computes."""
        ...

    def dim(self, space: str) -> int:
        """The dimension of a code in ``space``."""
        ...

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """``n`` codes from the prior of ``space``, on the generator's device; drawn on the CPU from ``rng``."""
        ...

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width), nominally in [-1, 1], never clamped."""
        ...


@runtime_checkable
class MapsToW(Protocol):
    """Capability ``"mapping"``: z -> w."""

    def map(self, codes: Codes) -> Codes:
        """Codes in w of codes in z; labels are kept, and ``origin`` tells z; so do codes that are sampled in w."""
        ...


@runtime_checkable
class Features(Protocol):
    """Capability ``"features"``: named intermediate layers."""

    @property
    def feature_layers(self) -> tuple[str, ...]:
        """The names of the layers, in order."""
        ...

    def features(self, codes: Codes, layer: str) -> Tensor:
        """The output of ``layer``: (n, ...)."""
        ...


@runtime_checkable
class ModulationWeights(Protocol):
    """Capability ``"modulation"``: the first affine weights that act on a space (arXiv 2007.06600)."""

    def modulation_weights(self, space: str) -> Mapping[str, Tensor]:
        """Layer name -> weights (outputs, dim): one row for each output that is linear in the code."""
        ...


@runtime_checkable
class Programmed(Protocol):
    """Capability ``"program"``: the generator as a list of operations, which pages draw without torch."""

    def program(self, space: str) -> Program | None:
        """How codes of ``space`` are drawn and rendered, in float32, with the parameters that the generator was loaded
        with; None where the weights need an operation that there is none for."""
        ...


class Directions(Protocol):
    """What a method found: ``len`` directions in ``space``, straight or curved."""

    @property
    def space(self) -> str:
        """Where the directions live."""
        ...

    def __len__(self) -> int: ...

    def displace(self, codes: Codes, index: Tensor, magnitude: Tensor) -> Codes:
        """Codes moved along direction ``index`` (n,) int64 by signed ``magnitude`` (n,) in units of latent length."""
        ...

    def save(self, folder: Path) -> None:
        """Write tensors (safetensors) and plain values (JSON) into ``folder``."""
        ...


@runtime_checkable
class Bindable(Protocol):
    """Directions that their generator computes: ``load`` reads them without it, and they displace once bound to it."""

    def bound(self, generator: Generator) -> Directions:
        """The same directions, of ``generator``: the one they were discovered in."""
        ...


@runtime_checkable
class CodeDependent(Protocol):
    """Directions of which the k-th of one code has no common meaning with the k-th of another."""

    @property
    def code_dependent(self) -> Literal[True]:
        """True; directions without the member have one meaning for all codes."""
        ...


@runtime_checkable
class StraightDirections(Protocol):
    """Directions that are vectors, the same for every code: metrics that need coordinates take no others."""

    @property
    def vectors(self) -> Tensor:
        """(k, dim), unit rows."""
        ...


@runtime_checkable
class StepLengths(Protocol):
    """Directions of a method that has a scale of its own: measures at a paper's own step use it."""

    @property
    def unit(self) -> Tensor | None:
        """(k,) latent length of one step of the method's own scale; None is 1."""
        ...


@dataclass(frozen=True)
class Factor:
    """A factor of variation that an oracle reads off an image.

    kind: ``"linear"`` (a number), ``"circular"`` (turns in [0, 1)), ``"class"`` (probabilities).
    visible_with: (factor, threshold): the factor can be read only where that one is above the threshold and can itself
    be read.
    moves: what a person sees when a linear factor falls and when it rises, as ``("moves left", "moves right")``.
    classes: names of the classes. Both may be empty.
    """

    name: str
    kind: Literal["linear", "circular", "class"] = "linear"
    visible_with: tuple[str, float] | None = None
    moves: tuple[str, str] | tuple[()] = ()
    classes: tuple[str, ...] = ()


class Oracle(Protocol):
    """A network that reads an image of its domain.

    What it may have beside: ``ChannelWeights``, ``OwnFeatures``.
    """

    @property
    def passed(self) -> Mapping[str, bool]:
        """For each factor, whether held-out renders were read well enough (R² or accuracy >= .95)."""
        ...

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """Factor name -> (n,) values, turns, or (n, classes) probabilities."""
        ...

    def embed(self, images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Feature maps [(n, c, h, w)] for the domain's distance, and pooled features (n, d)."""
        ...

    def mask(self, images: Tensor) -> Tensor:
        """Probability of the object at each pixel: (n, h, w) in [0, 1]."""
        ...


@runtime_checkable
class ChannelWeights(Protocol):
    """An oracle whose distance has learned weights, as LPIPS has."""

    @property
    def channel_weights(self) -> Sequence[Tensor] | None:
        """One (c,) >= 0 for each feature map that it embeds with; None weighs all alike."""
        ...


@runtime_checkable
class OwnFeatures(Protocol):
    """An oracle whose features, those that metrics compare sets of images by, come from a network of their own."""

    def features(self, images: Tensor) -> Tensor:
        """(n, d) of images (n, c, h, w) in [-1, 1]."""
        ...


class Domain(Protocol):
    """What images show, with its held-out images, masks, factors and oracles.

    What it may have beside: ``TrainingImages``, ``FiniteImages``, ``DataFolder``, ``Licensed``.
    """

    @property
    def name(self) -> str:
        """The name of its spec."""
        ...

    @property
    def distance(self) -> str:
        """The recorded name of the perceptual distance (oracle a of the domain, or ``lpips-alex``)."""
        ...

    @property
    def factors(self) -> tuple[Factor, ...]:
        """What the oracles read; empty where the domain has none."""
        ...

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """``n`` real images of the held-out set or renderer. Raises UsageError where the domain has none."""
        ...

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """``n`` real images with exact object masks (n, h, w). Raises UsageError where the domain has none."""
        ...

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """``n`` real images with true factors: linear values, turns, or int64 classes."""
        ...

    def oracle(self, which: Literal["a", "b"]) -> Oracle:
        """``a`` gives distance, features and labels for supervised methods; ``b`` scores."""
        ...


@runtime_checkable
class TrainingImages(Protocol):
    """A domain that keeps the images of ``Domain.images`` back for measuring and has others to train generators on."""

    def training_images(self, n: int, rng: np.random.Generator) -> Tensor:
        """``n`` images (n, c, h, w) in [-1, 1], none of them held out. Raises MissingFile where they are not here."""
        ...


@runtime_checkable
class FiniteImages(Protocol):
    """A domain whose images come from a set and not from a renderer: more than it has are repeats."""

    @property
    def real_images(self) -> int:
        """How many different images ``Domain.images`` can give."""
        ...


@runtime_checkable
class DataFolder(Protocol):
    """A domain whose training images lie in a folder that the user names."""

    def with_data(self, folder: Path) -> Domain:
        """The same domain, with its training images in ``folder``."""
        ...


@runtime_checkable
class Licensed(Protocol):
    """A domain whose images have a licence, which the cards of generators trained on them repeat."""

    @property
    def licence(self) -> str:
        """One line: of what, and which."""
        ...


def hand_on(wrapper: object, wrapped: object, names: Iterable[str]) -> None:
    """Give ``wrapper`` those members ``names`` that ``wrapped`` has, as its own.

    What hands everything on by ``__getattr__`` looks to ``isinstance`` as if it had nothing, from Python 3.12 on.
    """
    for name in names:
        if hasattr(wrapped, name):
            vars(wrapper)[name] = getattr(wrapped, name)


@dataclass(frozen=True)
class Void:
    """A score that could not be given, with the reason that the reader sees."""

    reason: str


@dataclass(frozen=True)
class Scores:
    """What a metric measured."""

    values: Mapping[str, float | Void]
    """Each declared column -> a finite number in the column's unit and range, or Void; NaN becomes void."""
    directions: Mapping[str, Sequence[float] | Sequence[str]] = field(default_factory=dict)
    """Column -> K numbers or texts, kept in the run's table. ``leading`` (position of a factor in the domain's list, -1
    for none) names rows of pictures; ``plus`` (text: what + does, "" for nothing) and ``share`` in [0, 1] name them
    better, and end what ``run`` prints.

    Reports and comparisons read columns on factors by their names: ``share:FACTOR``, what a direction does of a factor,
    0 to 1; ``best:FACTOR``, a number in the row of the factor's best direction alone and NaN elsewhere;
    ``void:FACTOR:GATE``, NaN, a factor that does not count and why."""
    pictures: Mapping[str, Tensor] = field(default_factory=dict)
    """Name -> images (rows, columns, c, h, w) in [-1, 1], kept as contact sheets with the run."""
    blocks: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Column -> what each block of the evaluation sample says of it, as ``block_values`` gives it, for intervals."""
    units: InitVar[Mapping[str, Sequence[float]] | None] = None
    """The former name of ``blocks``."""

    def __post_init__(self, units: Mapping[str, Sequence[float]] | None) -> None:
        if units:
            object.__setattr__(self, "blocks", {**self.blocks, **units})
