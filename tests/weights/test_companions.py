"""What people save beside weights in torch files is read where it is numbers, and passed over where it is not."""

from __future__ import annotations

import datetime
import io
import pathlib
import sys
import types
import uuid
from collections import OrderedDict, defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdbench import IntegrityError, load_weights

STATE = {"a": torch.arange(12.0).reshape(3, 4)}


def written(path: Path, content: Any, legacy: bool = False) -> Path:
    torch.save(content, path, _use_new_zipfile_serialization=not legacy)
    return path


@pytest.mark.parametrize("legacy", [False, True])
def test_numbers_of_numpy_beside_weights_are_read(legacy: bool, tmp_path: Path) -> None:
    numbers = {"loss": np.float64(0.5), "half": np.float16(0.25), "step": np.int64(7), "big": np.uint8(200)}
    content = {"g": STATE, **numbers, "best": np.bool_(True), "mean": np.arange(3.0), "fortran": np.ones((2, 3)).T}
    found = load_weights(written(tmp_path / "w.pt", content, legacy))
    assert torch.equal(found["g"]["a"], STATE["a"])
    assert {name: found[name] for name in numbers} == {"loss": 0.5, "half": 0.25, "step": 7, "big": 200}
    assert found["best"] is True
    assert torch.equal(found["mean"], torch.arange(3.0, dtype=torch.float64))
    assert torch.equal(found["fortran"], torch.ones(3, 2, dtype=torch.float64))


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "u1", "i2", "i4", "i8", "?", ">f4", ">i8"])
def test_weights_that_are_arrays_of_numpy_become_tensors(kind: str, tmp_path: Path) -> None:
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(kind)
    found = load_weights(written(tmp_path / "w.pt", {"state": [{"a": array}]}))
    assert torch.equal(found["state"][0]["a"], torch.from_numpy(array.astype(array.dtype.newbyteorder("="))))


ASIDE = {
    "path": pathlib.PurePosixPath("some/where"),
    "own path": pathlib.Path("some/where"),
    "windows path": pathlib.PureWindowsPath("c:/x"),
    "datetime": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC),
    "date": datetime.date(2024, 1, 2),
    "timedelta": datetime.timedelta(3),
    "uuid": uuid.UUID(int=5),
    "decimal": Decimal("1.5"),
    "texts": np.array(["a", "b"]),
    "dates": np.array(["2024-01-02"], "datetime64[D]"),
    "one date": np.datetime64("2024-01-02"),
    "namespace": types.SimpleNamespace(a=1),
    "dtype": np.dtype("f4"),
    "types": [int, float, dict],
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ASIDE)
def test_what_no_network_needs_is_passed_over(name: str, legacy: bool, tmp_path: Path) -> None:
    found = load_weights(written(tmp_path / "w.pt", {"about": ASIDE[name], "g": STATE}, legacy))
    assert torch.equal(found["g"]["a"], STATE["a"])


def test_dicts_with_behaviour_become_plain_ones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = "lightning_fabric.utilities.data"
    module = types.ModuleType(name)
    settings_type = type("AttributeDict", (dict,), {"__module__": name})
    module.AttributeDict = settings_type  # type: ignore[attr-defined]
    for part in ("lightning_fabric", "lightning_fabric.utilities"):
        monkeypatch.setitem(sys.modules, part, types.ModuleType(part))
    monkeypatch.setitem(sys.modules, name, module)
    counts = defaultdict(int, seen=3)
    found = load_weights(written(tmp_path / "w.pt", {"counts": counts, "hyper": settings_type(lr=0.1), "g": STATE}))
    assert (found["counts"], found["hyper"]) == ({"seen": 3}, {"lr": 0.1})
    assert type(found["hyper"]) is OrderedDict


class Stranger:
    """A class of nobody's."""


def test_a_refusal_says_how_to_save_again(tmp_path: Path) -> None:
    with pytest.raises(IntegrityError, match=r"asks for .*Stranger.*torch\.save\(model\.state_dict\(\), FILE\)"):
        load_weights(written(tmp_path / "w.pt", {"g": STATE, "model": Stranger()}))


def test_an_array_whose_bytes_are_forged_is_refused(tmp_path: Path) -> None:
    file = io.BytesIO()
    torch.save({"a": np.arange(4, dtype="<i4")}, file)
    forged = file.getvalue().replace(b"i4", b"i8")  # the dtype, in the pickle: checksums are of what is there
    assert forged != file.getvalue()
    (tmp_path / "w.pt").write_bytes(forged)
    with pytest.raises(IntegrityError):
        load_weights(tmp_path / "w.pt")
