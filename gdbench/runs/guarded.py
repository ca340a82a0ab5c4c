"""A domain whose answers are looked at as they are given, so that what is wrong with one is told where it arose.

Without this a mask of the wrong shape would fail far away, in a metric that is right, and the metric would be blamed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import numpy as np
from torch import Tensor

from gdbench.errors import PluginError
from gdbench.expected import wrong_embedding, wrong_masks, wrong_pictures, wrong_readings, wrong_rng
from gdbench.places import at, defined_at
from gdbench.protocols import Domain, Oracle, hand_on


class GuardedDomain:
    """A domain that raises PluginError where it is asked or answers otherwise than the contract says.

    Everything else is the domain's own. named: the domain, as errors name it.
    """

    def __init__(self, domain: Domain, named: str) -> None:
        self._domain, self._named = domain, named
        hand_on(self, domain, ("licence", "real_images", "training_images", "with_data"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._domain, _public(name))

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """The domain's own."""
        images: Tensor = self._drawn(self._domain.images, n, rng)
        self._expect(wrong_pictures(images, n), self._domain.images)
        return images

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The domain's own."""
        images, masks = self._two(self._domain.pairs, n, rng)
        self._expect(wrong_masks(masks, images), self._domain.pairs)
        return images, masks

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The domain's own."""
        images, truth = self._two(self._domain.truth, n, rng)
        self._expect(wrong_readings(truth, n), self._domain.truth)
        return images, truth

    def oracle(self, which: Literal["a", "b"]) -> Oracle:
        """The domain's own, guarded."""
        return GuardedOracle(self._domain.oracle(which), f"oracle {which} of {self._named}")

    def _two(self, draw: Callable[..., Any], n: int, rng: np.random.Generator) -> Any:
        drawn = self._drawn(draw, n, rng)
        two = isinstance(drawn, tuple | list) and len(drawn) == 2
        self._expect("" if two else f"must give two values, got {type(drawn).__name__}", draw)
        self._expect(wrong_pictures(drawn[0], n), draw)
        return drawn

    def _drawn(self, draw: Callable[..., Any], n: int, rng: np.random.Generator) -> Any:
        if complaint := wrong_rng(rng):
            raise PluginError(f"{draw.__name__}(n, rng): {complaint}")
        return draw(n, rng)

    def _expect(self, complaint: str, function: Callable[..., Any]) -> None:
        _expect(complaint, function, self._named)


class GuardedOracle:
    """An oracle whose answers are looked at; everything else is its own."""

    def __init__(self, oracle: Oracle, named: str) -> None:
        self._oracle, self._named = oracle, named
        hand_on(self, oracle, ("channel_weights", "features"))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._oracle, _public(name))

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """The oracle's own."""
        read = self._oracle.read(images)
        _expect(wrong_readings(read, len(images)), self._oracle.read, self._named)
        return read

    def embed(self, images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """The oracle's own."""
        embedded = self._oracle.embed(images)
        _expect(wrong_embedding(embedded, len(images)), self._oracle.embed, self._named)
        return embedded

    def mask(self, images: Tensor) -> Tensor:
        """The oracle's own."""
        masks = self._oracle.mask(images)
        _expect(wrong_masks(masks, images), self._oracle.mask, self._named)
        return masks


def _public(name: str) -> str:
    """``name``, unless it is a hook of copying or pickling, which ask before there is anything to hand on."""
    if name.startswith("_"):
        raise AttributeError(name)
    return name


def _expect(complaint: str, function: Callable[..., Any], named: str) -> None:
    if complaint:
        raise PluginError(at(f"{named}: {function.__name__}: {complaint}", defined_at(function)))
