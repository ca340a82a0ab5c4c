"""Factors of real images: a classifier or regressor in an ONNX file, with a file of names, reads them for any domain.
So does CLIP by prompts (``prompts``).

Nobody knows the truth here, so what stands for it is agreement: of a second model, or of the same one on the image
shifted, softened and paled a little. Agreement shows that a reading is stable; it does not show that it is right. What
moves a reading and no person would see, both models of one kind may share.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import avg_pool2d, pad

from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.evaluation.perception import fitted
from gdbench.evaluation.prompts import FACTOR, Fetched, Prompts, prompts
from gdbench.files import sha256
from gdbench.offers import Offer
from gdbench.protocols import Domain, Factor, Oracle, hand_on
from gdbench.specs import DomainSpec, resolve
from gdbench.streams import Stream

if TYPE_CHECKING:
    import onnxruntime

INPUTS: Mapping[str, tuple[tuple[float, ...], tuple[float, ...]]] = {
    "-1 1": ((0.0,), (1.0,)),
    "0 1": ((-1.0,), (2.0,)),
    "0 255": ((-1.0,), (2 / 255,)),
    "imagenet": ((-0.03, -0.088, -0.188), (0.458, 0.448, 0.45)),
}
"""What a model takes: (mean, deviation) of images in [-1, 1]; the last are torchvision's .485, ... and .229, ..."""
BATCH = 64
SHIFT = 1 / 32  # of the image's sides: how far the second look is moved
PALED = 0.9  # its contrast
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
REAL = 256  # real images on which two models' units are compared
SIDE = 256  # pixels to which real images are brought


@dataclass(frozen=True)
class Attributes:
    """The files behind ``--attributes``: the model, the names of its outputs, a second model, real images.

    A model is an ONNX file, or a text file of prompts.
    """

    model: Path
    names: Path | None = None
    check: Path | None = None
    real: Path | None = None


@dataclass(frozen=True)
class Names:
    """The factors that outputs mean, in their order, and how images are to be given. width: outputs altogether."""

    factors: tuple[Factor, ...]
    input: str = "-1 1"

    @property
    def width(self) -> int:
        """Outputs that the names account for."""
        return sum(max(1, len(factor.classes)) for factor in self.factors)


def read_names(path: Path) -> Names:
    """The names in a text file: a line for each output, or ``name: class, class, ...`` for as many outputs.

    ``input: imagenet`` (or ``-1 1``, ``0 1``, ``0 255``) says which values the model takes; # begins a comment.
    Raises MissingFile or UsageError with the number of the line.
    """
    if not path.is_file():
        raise MissingFile(f"no file of names at {path}: a text file with the name of an output in each line")
    factors: dict[str, Factor] = {}
    given = "-1 1"
    for number, raw in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        name, colon, rest = (part.strip() for part in raw.partition("#")[0].partition(":"))
        if name == "input" and colon:
            given = " ".join(rest.split())
            if given not in INPUTS:
                raise UsageError(f"{path.name}:{number}: input {rest!r}: known: {', '.join(INPUTS)}")
        elif name:
            classes = tuple(part.strip() for part in rest.split(",")) if colon else ()
            if not FACTOR.fullmatch(name) or name in factors or (colon and len(classes) < 2):
                raise UsageError(
                    f"{path.name}:{number}: {raw.strip()[:60]!r}: a new name, or name: two classes or more"
                )
            factors[name] = Factor(name, "class" if classes else "linear", classes=classes)
    if not factors:
        raise UsageError(f"{path.name}: no names")
    return Names(tuple(factors.values()), given)


@dataclass(frozen=True, eq=False)
class Model:
    """An ONNX network from images to one number for each output; nothing in its file is run but its operations."""

    path: Path
    names: Names

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Those of the names."""
        return self.names.factors

    @cached_property
    def _session(self) -> onnxruntime.InferenceSession:
        try:
            import onnxruntime
        except ImportError:
            raise MissingFile("--attributes needs onnxruntime: pip install 'gdbench[onnx]'") from None
        if not self.path.is_file():
            raise MissingFile(f"--attributes {self.path}: no such file")
        options = onnxruntime.SessionOptions()
        options.log_severity_level = 4
        options.intra_op_num_threads = options.inter_op_num_threads = 1  # the same sums on every machine
        try:
            return onnxruntime.InferenceSession(str(self.path), options, providers=["CPUExecutionProvider"])
        except Exception as error:
            reason = " ".join(str(error).split())[:200]
            raise IntegrityError(f"{self.path.name}: no readable ONNX model ({reason})") from None

    @cached_property
    def _shape(self) -> tuple[int, tuple[int, int, int] | None]:
        """The most images that it takes at once, and the (channels, height, width) that it wants; None where any."""
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4:
            found = ", ".join(f"{one.name} {one.shape}" for one in inputs)
            raise UsageError(f"{self.path.name}: takes {found}; expected one input of images (n, channels, h, w)")
        n, channels, height, width = (size if isinstance(size, int) else 0 for size in inputs[0].shape)
        wanted = (channels or 3, height, width) if height and width else None
        return n or BATCH, wanted

    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Factor name -> (n,) values or (n, classes) probabilities of images (n, c, h, w) in [-1, 1]."""
        most, wanted = self._shape
        mean, deviation = (torch.tensor(values)[:, None, None] for values in INPUTS[self.names.input])
        given = images.detach().float().cpu()
        given = fitted(given, wanted or (3, *given.shape[2:]))
        given = ((given - mean) / deviation).contiguous()
        parts = [self._outputs(part.numpy(), most) for part in torch.split(given, most)]
        outputs = torch.cat(parts)
        if not bool(torch.isfinite(outputs).all()):
            raise IntegrityError(f"{self.path.name}: its outputs are not finite (NaN or infinite)")
        return {name: values.to(images.device) for name, values in self._named(outputs).items()}

    def _outputs(self, images: Any, most: int) -> Tensor:
        n = len(images)
        fixed = isinstance(self._session.get_inputs()[0].shape[0], int)
        if fixed and n < most:  # a model of a fixed batch
            images = np.concatenate([images, np.repeat(images[-1:], most - n, 0)])
        found = self._session.run(None, {self._session.get_inputs()[0].name: images})
        rows = torch.cat([torch.from_numpy(np.asarray(one)).float().reshape(len(images), -1) for one in found], 1)[:n]
        if rows.shape[1] != self.names.width:
            raise UsageError(
                f"{self.path.name}: gives {rows.shape[1]} numbers for an image, the names account for "
                f"{self.names.width}"
            )
        return rows

    def _named(self, outputs: Tensor) -> dict[str, Tensor]:
        read, place = {}, 0
        for factor in self.names.factors:
            width = max(1, len(factor.classes))
            values = outputs[:, place : place + width]
            read[factor.name] = _probabilities(values) if factor.classes else values[:, 0]
            place += width
        return read


def _probabilities(values: Tensor) -> Tensor:
    """Rows that sum to 1: as they are where they do, else the softmax."""
    already = bool((values >= 0).all()) and bool(((values.sum(1) - 1).abs() < 1e-3).all())
    return values if already else values.softmax(1)


def second_look(images: Tensor) -> Tensor:
    """Images (n, c, h, w) moved by 1/32 of their sides, softened and paled: what a person reads off them stays."""
    height, width = images.shape[2:]
    down, right = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    moved = pad(images, (right, 0, down, 0), mode="replicate")[:, :, :height, :width]
    soft = avg_pool2d(pad(moved, (1, 1, 1, 1), mode="replicate"), 3, 1)
    return PALED * (moved + soft) / 2


@dataclass(frozen=True, eq=False)
class AttributedOracle:
    """An oracle of a domain that reads the attributes; everything else is the domain's own.

    units: factor -> the slope and offset that bring its readings into other units.
    """

    base: Oracle
    model: Model | Prompts
    look: Literal["once", "again"] = "once"
    units: Mapping[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        hand_on(self, self.base, ("channel_weights", "features"))

    @property
    def passed(self) -> Mapping[str, bool]:
        """All: nobody knows a truth to hold against them, so agreement has to do."""
        return {factor.name: True for factor in self.model.factors}

    def read(self, images: Tensor) -> Mapping[str, Tensor]:
        """Factor name -> readings."""
        read = self.model.read(second_look(images) if self.look == "again" else images)
        return read | {name: slope * read[name] + offset for name, (slope, offset) in self.units.items()}

    def embed(self, images: Tensor) -> tuple[Sequence[Tensor], Tensor]:
        """Those of the domain."""
        return self.base.embed(images)

    def mask(self, images: Tensor) -> Tensor:
        """Those of the domain."""
        return self.base.mask(images)


class AttributedDomain:
    """A domain whose factors are attributes; its distance, features and masks stay. Oracle B reads with the model.

    Oracle A, which gives labels, reads with the second model, or with the first on a second look at the image.
    """

    def __init__(
        self, base: Domain, name: str, model: Model | Prompts, check: Model | Prompts | None, real: Path | None
    ) -> None:
        self.base, self.name, self.model, self.check, self.real = base, name, model, check, real
        self.distance, self.factors = base.distance, model.factors
        hand_on(self, base, ("licence",))

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        """``n`` of the user's real images, or the domain's own. Raises UsageError where there are none."""
        if self.real is not None:
            return _pictures(self.real, n, rng)
        try:
            return self.base.images(n, rng)
        except UsageError as error:
            raise UsageError(f"{error}; --real-images FOLDER gives some") from None

    def pairs(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Tensor]:
        """The domain's own."""
        return self.base.pairs(n, rng)

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Raises UsageError: nobody knows the attributes of real images."""
        raise UsageError("nobody knows the true attributes of images; --real-images FOLDER gives some to read")

    def oracle(self, which: Literal["a", "b"]) -> AttributedOracle:
        """``a`` labels, ``b`` scores."""
        if which == "b":
            return AttributedOracle(self.base.oracle("b"), self.model)
        if self.check is None:
            return AttributedOracle(self.base.oracle("a"), self.model, "again")
        return AttributedOracle(self.base.oracle("a"), self.check, units=self._units)

    @cached_property
    def _units(self) -> dict[str, tuple[float, float]]:
        """Linear factor -> the line from the second model's readings of real images to the first's.

        Only readings by prompts need one: how far two sentences are apart depends on their words.
        """
        linear = [factor.name for factor in self.factors if factor.kind == "linear"]
        if not isinstance(self.model, Prompts) and not isinstance(self.check, Prompts):
            return {}
        assert self.check is not None
        images = self.images(REAL, Stream(0, "attributes/units").at())
        first, second = self.model.read(images), self.check.read(images)
        return {name: _line(second[name].double(), first[name].double()) for name in linear}


def _line(x: Tensor, y: Tensor) -> tuple[float, float]:
    """Slope and offset of the rising line of least squares of y (n,) on x (n,); slope 0 where none rises."""
    varied = float((x - x.mean()).square().sum())
    slope = max(0.0, float(((x - x.mean()) * (y - y.mean())).sum()) / varied) if varied > 0 else 0.0
    return slope, float(y.mean()) - slope * float(x.mean())


def _pictures(folder: Path, n: int, rng: np.random.Generator) -> Tensor:
    """``n`` pictures of a folder, drawn with repeats, their middle squares at ``SIDE`` px: (n, 3, SIDE, SIDE)."""
    from PIL import Image, ImageOps

    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in PICTURES) if folder.is_dir() else []
    if not paths:
        raise MissingFile(f"--real-images {folder}: no folder with pictures ({', '.join(PICTURES)})")
    chosen = [paths[index] for index in rng.integers(len(paths), size=n)]
    made: dict[Path, Tensor] = {}
    for path in dict.fromkeys(chosen):
        with Image.open(path) as picture:
            square = ImageOps.fit(picture.convert("RGB"), (SIDE, SIDE))
        made[path] = torch.from_numpy(np.asarray(square).copy()).permute(2, 0, 1).float() / 127.5 - 1
    return torch.stack([made[path] for path in chosen])


def attributed(domain: Offer[DomainSpec], given: Attributes, fetched: Fetched = lambda name: None) -> Offer[DomainSpec]:
    """The domain with the factors that a model reads; its name tells the models and what their outputs mean, by the
    first digits of their hashes. fetched: gives files that ``gdbench checkpoint fetch`` gets.

    Raises UsageError, MissingFile or IntegrityError about the files.
    """
    paths = [path for path in (given.model, given.check) if path is not None]
    texts = [_text_of(path, given) for path in paths]
    models = [_model(path, text, fetched) for path, text in zip(paths, texts, strict=True)]
    if len({tuple((one.name, len(one.classes)) for one in model.factors) for model in models}) > 1:
        raise UsageError(f"{paths[1].name} reads other factors than {paths[0].name}")
    for model in models:
        model.read(torch.zeros(2, 3, 64, 64))
    said = hashlib.sha256("".join(sha256(text) for text in texts).encode()).hexdigest()
    digest = "-".join(part[:8] for part in (*(sha256(model.path) for model in models), said))
    stem = re.sub(r"[^a-z0-9]+", "-", given.model.stem.lower()).strip("-")[:20]
    name = f"{domain.spec.name[:14]}-{stem}-{digest}"[:64]

    def load(device: torch.device) -> AttributedDomain:
        base: Domain = resolve(domain.spec.load)(device)
        return AttributedDomain(base, name, models[0], models[1] if len(models) > 1 else None, given.real)

    offers = tuple(dict.fromkeys((*domain.spec.offers, "factors", *(["images"] if given.real else []))))
    summary = f"{domain.spec.name} with the attributes that {given.model.name} reads"
    return replace(domain, spec=replace(domain.spec, name=name, summary=summary, load=load, offers=offers))


def _text_of(path: Path, given: Attributes) -> Path:
    """The file that says what a model's outputs mean: prompts do so themselves."""
    if path.suffix == ".onnx":
        own = given.names if given.model.suffix == ".onnx" else None
        return own or (given.model if given.model.suffix == ".onnx" else path).with_suffix(".txt")
    if path == given.model and given.names is not None:
        raise UsageError(f"--attribute-names belongs to an ONNX model; {path.name} names its factors itself")
    return path


def _model(path: Path, text: Path, fetched: Fetched) -> Model | Prompts:
    return Model(path, read_names(text)) if path.suffix == ".onnx" else prompts(path, fetched)
