"""What a user asks for, as one frozen value: checked when it is made, and able to travel to a child process as JSON."""

from __future__ import annotations

import dataclasses
import json
import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gdbench.errors import UsageError, unknown
from gdbench.tiers import TIERS, Tier

MAX_K = 10_000
LEAST_MEMORY = 1_000_000


@dataclass(frozen=True)
class RunRequest:
    """One run: generator x method x seed, with everything that changes its numbers.

    checkpoint: a name or a path; None is the generator's first. space: None is the generator's default.
    metrics: names, or ``("all",)``; empty means those that every run measures. device: ``auto``, ``cpu``, ``cuda`` or
    ``cuda:N``. max_memory: bound on what the run holds while it renders, in bytes or as "2GB"; kept as bytes. out: the
    folder in which run folders are made. fresh: compute again what is there already.
    Raises UsageError, one line, for whatever is out of range.
    """

    gan: str
    method: str
    checkpoint: str | None = None
    space: str | None = None
    k: int = 32
    seed: int = 0
    tier: Tier = "quick"
    metrics: tuple[str, ...] = ()
    device: str = "auto"
    threads: int | None = None
    max_memory: int | str | None = None
    offline: bool = False
    method_params: Mapping[str, Any] = field(default_factory=dict)
    generator_params: Mapping[str, Any] = field(default_factory=dict)
    metric_params: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    out: Path = Path("runs")
    suite: str | None = None
    fresh: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "metrics", tuple(self.metrics))
        object.__setattr__(self, "out", Path(self.out))
        for name in ("gan", "method"):
            _require(_is_text(getattr(self, name)), name, getattr(self, name), "a name")
        for name in ("checkpoint", "space", "suite"):
            value = getattr(self, name)
            _require(value is None or _is_text(value), name, value, "text")
        _require(_is_int(self.k, 1, MAX_K), "k", self.k, f"a whole number from 1 to {MAX_K}")
        _require(_is_int(self.seed, 0, 2**63 - 1), "seed", self.seed, "a whole number, 0 or more")
        _require(self.threads is None or _is_int(self.threads, 1, 1024), "threads", self.threads, "1 or more")
        object.__setattr__(self, "max_memory", _bytes(self.max_memory))
        if self.tier not in (*TIERS, "smoke"):
            raise unknown("tier", str(self.tier), TIERS)
        _require(all(map(_is_text, self.metrics)), "metrics", self.metrics, "names")
        device = isinstance(self.device, str) and re.fullmatch(r"auto|cpu|cuda(:\d{1,3})?", self.device)
        _require(bool(device), "device", self.device, "auto, cpu, cuda or cuda:N")

    def to_json(self) -> str:
        """JSON from which ``from_json`` makes an equal request."""
        try:
            return json.dumps({**dataclasses.asdict(self), "out": str(self.out)}, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise UsageError(f"parameters must be plain finite values: {error}") from None

    def command(self) -> str:
        """The command line that asks for the same run, whoever asked for this one; without folders of this machine."""
        words = ["gdbench", "run", "--gan", self.gan, "--method", self.method]
        for name in ("checkpoint", "space"):
            value = getattr(self, name)
            words += [f"--{name}", Path(value).name] if value is not None else []
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
        return shlex.join(words)

    @classmethod
    def from_json(cls, text: str) -> RunRequest:
        """The request in ``text``. Raises UsageError where it is none."""
        from gdbench.params import build

        try:
            data = dict(json.loads(text))
        except (TypeError, ValueError) as error:
            raise UsageError(f"request: not JSON of a request ({error})") from None
        return build(cls, data, where="request")


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and 0 < len(value) <= 4096 and value.isprintable()


def _is_int(value: Any, low: int, high: int) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high


def _bytes(value: int | str | None) -> int | None:
    """A size in bytes: a whole number, or text with a unit (KB, MB, GB of 1000; KiB, MiB, GiB of 1024)."""
    if value is None:
        return None
    from pydantic import ByteSize, TypeAdapter, ValidationError

    try:
        size = int(TypeAdapter(ByteSize).validate_python(value))
    except ValidationError:
        size = 0
    _require(size >= LEAST_MEMORY and not isinstance(value, bool), "max_memory", value, "a size from 1MB, as 2GB")
    return size


def _require(ok: bool, name: str, value: Any, expected: str) -> None:
    if not ok:
        raise UsageError(f"{name}: got {repr(value)[:60]}, expected {expected}")
