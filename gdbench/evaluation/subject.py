"""The subject of a measurement: a generator with directions and their calibration. Edited images are rendered once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.context import SILENT, Reporter
from gdbench.evaluation.calibration import HEADLINE, SIGNS, Calibration
from gdbench.evaluation.memory import BATCH, in_batches
from gdbench.evaluation.perception import image_features
from gdbench.evaluation.prior import Moments
from gdbench.files import write_text
from gdbench.protocols import Directions, Domain, Generator
from gdbench.record import Cost
from gdbench.streams import Stream

T = TypeVar("T")


@dataclass(frozen=True)
class Readings:
    """What the oracles read off images. Below, ``...`` is (n,) for originals, and (k, 2, n) for edits, + sign first."""

    factors: Mapping[str, Tensor]
    """Name of each factor -> what oracle B reads: (...) numbers in the domain's units for a linear factor, turns in
    [0, 1) for a circular one; (..., classes) probabilities that sum to 1 for a class."""
    pooled: Tensor
    """(..., d): a feature vector of each image, those of ``image_features``."""


@dataclass(frozen=True)
class Edits:
    """``n`` codes, their originals and their edits along every direction and sign at one visible change."""

    tau: float
    """The visible change, as a share of the median distance of two independent images: .15, .30 or .45."""
    codes: Codes
    """The n codes, the same for all methods of a generator at one seed."""
    magnitude: Tensor
    """(k, 2) >= 0, latent length: how far each direction went, + sign first."""
    alive: Tensor
    """(k, 2) bool: False where the direction does not reach the headline change; those are edited at the limit."""
    base: Readings
    """Of the originals: leading shape (n,)."""
    edited: Readings
    """Of the edits: leading shape (k, 2, n)."""


def _table(path: Path) -> dict[str, Any]:
    """The table in a file. Raises OSError or ValueError where there is none."""
    found = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(found, dict):
        raise ValueError(f"{path}: no table")
    return found


@dataclass(eq=False)
class Subject:
    """What a metric sees: a generator with directions, their calibration, and images of edits."""

    generator: Generator
    """It counts what it renders."""
    directions: Directions
    """What the method found: k of them."""
    calibration: Calibration
    """The magnitudes (k, 2) that give equal visible change."""
    domain: Domain | None
    """What the images show; a metric that uses it names what in its ``needs``."""
    moments: Moments
    """Of the space of the directions."""
    seed: int
    """Of the evaluation: all methods of a generator see the same codes for the same seed."""
    n: int = 128
    """Codes per direction and sign in ``edits``."""
    batch: int = BATCH
    """The most images to render at a time."""
    cost: Cost = field(default_factory=Cost)
    """Of the discovery: images, images differentiated, seconds, bytes."""
    cache: Path | None = None
    """Folder for what is computed once per generator; None keeps it in memory alone."""
    shipped: Path | None = None
    """A file of such tables that came with the distribution, which nobody has to compute again."""
    fingerprint: str = ""
    """Of weights, parameters, versions and domain: the key of the cache. Empty where nothing tells them apart."""
    reporter: Reporter = SILENT
    """Where progress goes."""
    _kept: dict[object, object] = field(default_factory=dict, repr=False)

    @property
    def space(self) -> str:
        """Where the directions live."""
        return self.directions.space

    @property
    def k(self) -> int:
        """How many directions there are."""
        return len(self.directions)

    def codes(self, n: int, purpose: str = "metric") -> Codes:
        """The first ``n`` evaluation codes of a purpose: a name of the metric's own, whose codes no other purpose
        has."""
        return self.generator.sample(n, self.space, Stream(self.seed, purpose).at())

    def edits(self, tau: float = HEADLINE) -> Edits:
        """The edits at a visible change of ``tau``; they are rendered once, and kept for all metrics of a run."""
        return self._in_memory(("edits", tau), lambda: self._edit(tau))

    def prior(self, n: int = 2_000) -> Readings:
        """What oracles read off ``n`` unedited images, whose codes are independent of those of ``edits``."""
        return self._in_memory(("prior", n), lambda: self._read_all(self.codes(n, "metric/prior"), None, None))

    def cached(self, key: str, build: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        """A table that depends on generator and domain alone: built once, kept in memory and in the cache folder.

        ``key`` names it with its version and parameters. A table that ships beside the weights is taken from there; a
        cached one that cannot be read is built again.
        """
        return self._in_memory(("cached", key), lambda: self._cached_on_disk(key, build))

    once = cached
    """The former name of ``cached``."""

    def _in_memory(self, key: object, build: Callable[[], T]) -> T:
        if key not in self._kept:
            self._kept[key] = build()
        return self._kept[key]  # type: ignore[return-value]

    def _cached_on_disk(self, key: str, build: Callable[[], Mapping[str, float]]) -> Mapping[str, float]:
        if not self.fingerprint:
            return build()
        name = f"{self.fingerprint[:16]}-{key}"
        if (shipped := self._shipped().get(name)) is not None:
            return shipped
        if self.cache is None:
            return build()
        path = self.cache / f"{name}.json"
        try:
            kept: dict[str, float] = _table(path)
        except (OSError, ValueError):
            kept = dict(build())
            self.cache.mkdir(parents=True, exist_ok=True)
            write_text(path, json.dumps(kept))
        return kept

    def _shipped(self) -> Mapping[str, Mapping[str, float]]:
        try:
            tables: Mapping[str, Mapping[str, float]] = _table(self.shipped) if self.shipped else {}
        except (OSError, ValueError):
            return {}
        return tables

    def _edit(self, tau: float) -> Edits:
        codes = self.codes(self.n)
        magnitude = self.calibration.usable(tau)
        k, n = self.k, self.n
        index = torch.arange(k).repeat_interleave(2 * n)
        signed = (magnitude * torch.tensor(SIGNS)).reshape(-1).repeat_interleave(n)
        everywhere = codes[torch.arange(n).repeat(2 * k)]
        flat = self._read_all(everywhere, index, signed)

        def shaped(value: Tensor) -> Tensor:
            return value.reshape(k, 2, n, *value.shape[1:])

        edited = Readings({name: shaped(value) for name, value in flat.factors.items()}, shaped(flat.pooled))
        return Edits(tau, codes, magnitude, ~self.calibration.dead, self._read_all(codes, None, None), edited)

    @torch.no_grad()
    def _read_all(self, codes: Codes, index: Tensor | None, signed: Tensor | None) -> Readings:
        """Render ``codes`` (n) in batches, and let both oracles read the images.

        index, signed: where given, each code is first displaced along direction ``index`` (n,) by the magnitude
        ``signed`` (n,), which is negative against the direction. Raises ValueError for a domain without oracles.
        """
        if self.domain is None:
            raise ValueError("this generator's domain has no oracles")
        a, b = self.domain.oracle("a"), self.domain.oracle("b")

        def read(here: slice) -> tuple[Mapping[str, Tensor], Tensor]:
            chunk = codes[here]
            if index is not None and signed is not None:
                chunk = self.directions.displace(chunk, index[here], signed[here])
            images = self.generator.render(chunk).clamp(-1, 1)
            return b.read(images), image_features(a, images)

        parts = []
        with self.reporter.task("render and read", len(codes)) as task:
            for part in in_batches(read, len(codes), self.batch):
                parts.append(part)
                task.advance(len(part[1]))
        factors = {name: torch.cat([part[0][name] for part in parts]).cpu() for name in parts[0][0]}
        return Readings(factors, torch.cat([part[1] for part in parts]).cpu())
