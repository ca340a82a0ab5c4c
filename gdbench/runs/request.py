"""What a user asks for, as one frozen value: checked when it is made, and able to travel to a child process as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from pydantic import AfterValidator, Field

from gdbench.engines import size
from gdbench.errors import UsageError, unknown
from gdbench.params import build, validated
from gdbench.tiers import TIERS, Tier

MAX_K = 10_000
FILES = ("attributes", "attribute_names", "attribute_check", "real_images")


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("text without control characters")
    return text


def _device(text: str) -> str:
    if not re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", text):
        raise ValueError("auto, cpu, cuda or cuda:N")
    return text


Name = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_printable)]


@dataclass(frozen=True)
class RunRequest:
    """One run: generator x method x seed, with everything that changes its numbers.

    checkpoint: a name or a path; None is the generator's first. space: None is the generator's default. domain: what
    its images are taken to show; None is what the card of the weights says.
    attributes: an ONNX model that reads factors, with a text file of attribute_names, or a text file of prompts for
    CLIP; perhaps a second model as attribute_check, and a folder of real_images; see
    ``gdbench.evaluation.attributes``.
    metrics: names, or ``("all",)``, or one text as on the command line; empty means those that every run measures.
    device: ``auto``, ``cpu``, ``cuda`` or ``cuda:N``. max_memory: bound on what the run holds while it renders, in
    bytes or as "2GB"; kept as bytes. out: the folder in which run folders are made. fresh: compute again what is there.
    Raises UsageError, one line, for whatever is out of range.
    """

    gan: Name
    method: Name
    checkpoint: Name | None = None
    space: Name | None = None
    k: Annotated[int, Field(ge=1, le=MAX_K)] = 32
    seed: Annotated[int, Field(ge=0, le=2**63 - 1)] = 0
    tier: Tier = "quick"
    metrics: tuple[Name, ...] = ()
    device: Annotated[str, AfterValidator(_device)] = "auto"
    threads: Annotated[int, Field(ge=1, le=1024)] | None = None
    max_memory: int | str | None = None
    offline: bool = False
    method_params: Mapping[str, Any] = field(default_factory=dict)
    generator_params: Mapping[str, Any] = field(default_factory=dict)
    metric_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    out: Path = Path("runs")
    suite: Name | None = None
    fresh: bool = False
    domain: Name | None = None
    attributes: Name | None = None
    attribute_names: Name | None = None
    attribute_check: Name | None = None
    real_images: Name | None = None

    def __post_init__(self) -> None:
        if isinstance(self.metrics, str):
            object.__setattr__(self, "metrics", [name.strip() for name in self.metrics.split(",") if name.strip()])
        object.__setattr__(self, "max_memory", size(self.max_memory, "max_memory"))
        if self.tier not in (*TIERS, "smoke"):
            raise unknown("tier", str(self.tier), TIERS)
        if "torch" in type(self.device).__module__:
            object.__setattr__(self, "device", str(self.device))
        for name, value in validated(self).items():
            object.__setattr__(self, name, value)

    def to_json(self) -> str:
        """JSON from which ``from_json`` makes an equal request."""
        try:
            return json.dumps({**dataclasses.asdict(self), "out": str(self.out)}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"parameters must be plain finite values: {error}") from None

    def command(self, out: Path | None = None, plugins: Iterable[str] = ()) -> str:
        """The command line that asks for the same run, whoever asked for this one.

        Without ``out`` and ``plugins`` it names no folder of this machine, as records must not.
        """
        gan = self.gan if out is not None else Path(self.gan).name
        words = ["gdbench", "run", "--gan", gan, "--method", self.method]
        for name in ("checkpoint", "space", "domain"):
            value = getattr(self, name)
            words += [f"--{name}", Path(value).name] if value is not None else []
        for name in FILES:
            value = getattr(self, name)
            shown = value if out is not None or value is None else Path(value).name
            words += [f"--{name.replace('_', '-')}", shown] if shown is not None else []
        words += ["--k", str(self.k), "--seed", str(self.seed), "--tier", self.tier]
        words += ["--metrics", ",".join(self.metrics)] if self.metrics else []
        given = {"": self.method_params, "gan.": self.generator_params}
        given |= {f"{metric}.": params for metric, params in self.metric_params.items()}
        words += [
            word
            for prefix, params in given.items()
            for name, value in params.items()
            for word in ("-p", f"{prefix}{name}={json.dumps(value)}")
        ]
        words += ["--out", str(out)] if out is not None else []
        words += [word for plugin in plugins for word in ("--plugin", plugin)]
        return shlex.join(words)

    @classmethod
    def from_json(cls, text: str) -> RunRequest:
        """The request in ``text``. Raises UsageError where it is none."""
        try:
            data = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise UsageError(f"request: not JSON of a request ({error})") from None
        return build(cls, data, where="request")
