"""Tables that a metric keeps once for each generator: in memory, in the cache folder, or shipped with the weights."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gdbench import DiagonalMoments, Subject

FINGERPRINT = "ab" * 32
NAME = f"{FINGERPRINT[:16]}-gates-1"
ONES = torch.ones(2, dtype=torch.float64)


class Asked:
    """Builds another table each time, so that one tells whether it was built anew."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self) -> dict[str, float]:
        self.times += 1
        return {"x": float(self.times)}


@pytest.fixture
def build() -> Asked:
    return Asked()


@pytest.fixture
def subject(tmp_path: Path) -> Callable[..., Subject]:
    """A subject as a process of its own makes it: nothing in memory, and the cache of ``tmp_path``."""

    def made(**changed: Any) -> Subject:
        nothing: Any = None
        settings = {"cache": tmp_path / "cache", "fingerprint": FINGERPRINT, **changed}
        return Subject(nothing, nothing, nothing, None, DiagonalMoments(ONES, ONES), 0, **settings)

    return made


def test_a_table_is_built_once_for_all_processes(subject: Callable[..., Subject], build: Asked, tmp_path: Path) -> None:
    one = subject()
    assert [one.cached("gates-1", build), one.cached("gates-1", build)] == [{"x": 1.0}] * 2
    assert subject().cached("gates-1", build) == {"x": 1.0}
    assert json.loads((tmp_path / "cache" / f"{NAME}.json").read_text()) == {"x": 1.0}
    assert subject().cached("gates-2", build) == {"x": 2.0}
    assert subject(fingerprint="cd" * 32).cached("gates-1", build) == {"x": 3.0}


@pytest.mark.parametrize("spoiled", [b"", b'{"x": 7', b"[1, 2]", b'"text"', b"\xff\xfe"])
def test_a_table_that_cannot_be_read_is_built_again(
    spoiled: bytes, subject: Callable[..., Subject], build: Asked, tmp_path: Path
) -> None:
    file = tmp_path / "cache" / f"{NAME}.json"
    file.parent.mkdir()
    file.write_bytes(spoiled)
    assert subject().cached("gates-1", build) == {"x": 1.0}
    assert json.loads(file.read_text()) == {"x": 1.0}
    assert subject(cache=None, shipped=file.parent / "gone.json").cached("gates-1", build) == {"x": 2.0}


def test_a_shipped_table_comes_first_and_a_spoiled_one_is_as_none(
    subject: Callable[..., Subject], build: Asked, tmp_path: Path
) -> None:
    shipped = tmp_path / "numbers.json"
    shipped.write_text(json.dumps({NAME: {"x": 0.5}}))
    assert subject(shipped=shipped).cached("gates-1", build) == {"x": 0.5}
    assert subject(shipped=shipped).cached("gates-2", build) == {"x": 1.0}
    shipped.write_text("[]")
    assert subject(shipped=shipped).cached("gates-1", build) == {"x": 2.0}


def test_what_nothing_tells_apart_is_kept_in_no_folder(
    subject: Callable[..., Subject], build: Asked, tmp_path: Path
) -> None:
    assert subject(fingerprint="").cached("gates-1", build) == {"x": 1.0}
    assert subject(fingerprint="").cached("gates-1", build) == {"x": 2.0}
    assert not (tmp_path / "cache").exists()
