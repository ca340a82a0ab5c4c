"""Every reader of strangers' bytes, on spoiled copies of good files: an answer or one line, in bounded time and memory.

The copies come from a fixed seed, so that every run tries the same ones. How many, and how long they took, is printed.
"""

from __future__ import annotations

import io
import json
import os
import pickle
import resource
import time
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdbench import GdbenchError, GeneratorSpec, IntegrityError, UsageError, save_weights
from gdbench.record import RunRecord
from gdbench.runs.store import RunFolder
from gdbench.tensors import has_facts
from gdbench.weights.cards import imported, read_card
from gdbench.weights.reading import load_weights
from gdbench.yamlfile import read_yaml

COPIES = 600
SEED = 17
SECONDS = 60.0  # of CPU for all copies of a kind
MEGABYTES = 700
LINE = 600
STATE = OrderedDict(a=torch.arange(24.0).reshape(4, 6), b=torch.ones(3, dtype=torch.float16), n=torch.tensor(3))
SUITE = """name: small
cells:
  - {gan: toy, method: random, k: 4, seed: [0, 1], params: {lr: 1e-3, "a b": [true, null]}}
  - gan: toy
    method: voynov
"""
ROOT = Path(__file__).parents[2]


@dataclass(frozen=True)
class Reader:
    """A good file, its name, what reads it, and what is put around a copy once it is spoiled."""

    name: str
    good: bytes
    read: Callable[[Path], Any]
    packed: Callable[[bytes], bytes] = bytes


def torch_file(legacy: bool) -> bytes:
    file = io.BytesIO()
    content = {"g_ema": STATE, "args": {"lr": 0.1, "best": np.float64(2)}, "mean": np.arange(3.0)}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def in_a_zip(pickled: bytes) -> bytes:
    """A torch file around a spoiled pickle: its checksums are right, so that the pickle is read."""
    good, file = zipfile.ZipFile(io.BytesIO(torch_file(legacy=False))), io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for entry in good.infolist():
            data = pickled if entry.filename.endswith("data.pkl") else good.read(entry)
            archive.writestr(entry.filename, data)
    return file.getvalue()


def pickle_of_a_zip() -> bytes:
    archive = zipfile.ZipFile(io.BytesIO(torch_file(legacy=False)))
    return archive.read(next(name for name in archive.namelist() if name.endswith("data.pkl")))


def safetensors_file(folder: Path) -> bytes:
    save_weights(folder / "w.safetensors", STATE, {"family": "toy", "domain": "toy", "up": [1, 2]})
    return (folder / "w.safetensors").read_bytes()


def a_record() -> bytes:
    records = sorted((ROOT / "results").rglob("record.json"))
    return min((path.read_bytes() for path in records), key=len)


def a_card() -> bytes:
    values = {"name": "w", "domain": "toy", "file": "w.safetensors", "sha256": "0" * 64, "size": 3, "url": None}
    more = {"licence": "MIT", "resolution": 8, "status": "ready", "shipped": False, "card": {"spaces": ["z"]}}
    return json.dumps(values | more, indent=1).encode()


def readers(folder: Path) -> list[Reader]:
    arrays = {"G_ema": {"w": np.arange(12.0).reshape(3, 4), "x": np.float32(1)}, "list": [1, "text", None, b"bytes"]}
    family = GeneratorSpec(name="family", summary="", load=lambda *_: None)

    def card(path: Path) -> Any:
        (folder / "family").mkdir(exist_ok=True)
        (folder / "family" / "w.json").write_bytes(path.read_bytes())
        return read_card(path), list(imported(family, folder))

    def record(path: Path) -> RunRecord:
        return RunFolder(path.parent).read()

    def own(path: Path) -> Any:
        return has_facts(path), load_weights(path)

    return [
        Reader("w.zip.pt", torch_file(legacy=False), load_weights),
        Reader("w.inner.pt", pickle_of_a_zip(), load_weights, in_a_zip),
        Reader("w.legacy.pt", torch_file(legacy=True), load_weights),
        Reader("w.pkl", pickle.dumps(arrays, 4), load_weights),
        Reader("w.old.pkl", pickle.dumps(arrays, 2), load_weights),
        Reader("w.safetensors", safetensors_file(folder), own),
        Reader("suite.yaml", SUITE.encode(), read_yaml),
        Reader("card.json", a_card(), card),
        Reader("record.json", a_record(), record),
    ]


KINDS = ("w.zip.pt", "w.inner.pt", "w.legacy.pt", "w.pkl", "w.old.pkl", "w.safetensors", "suite.yaml", "card.json",
         "record.json")  # fmt: skip


EXTREMES = (b"[" * 3000, b'{"a":' * 2000, b"9" * 5000, bytes(9), b"- " * 500, b"(" * 900, b"." * 40)


def spoiled(good: bytes, rng: np.random.Generator) -> bytes:
    """A copy with one to four faults: bits turned, bytes set, parts cut out, repeated, or replaced by extremes."""
    data = bytearray(good)
    for _ in range(int(rng.integers(1, 5))):
        at = int(rng.integers(0, max(len(data), 1)))
        end = at + int(rng.integers(1, 40))
        match int(rng.integers(0, 7)):
            case 0:
                data[at : at + 1] = bytes([int(rng.integers(0, 256))])
            case 1:
                data[at : at + 1] = bytes([(data[at] if at < len(data) else 0) ^ (1 << int(rng.integers(0, 8)))])
            case 2:
                del data[at:end]
            case 3:
                data[at:at] = data[at:end] * int(rng.integers(1, 60))
            case 4:
                data[at : at + 8] = b"\xff\xff\xff\xff\xff\xff\xff\x7f"[: len(data) - at]
            case 5:
                data[at:at] = EXTREMES[int(rng.integers(0, len(EXTREMES)))]
            case _:
                del data[at:]
    return bytes(data)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", KINDS)
def test_spoiled_files_give_an_answer_or_one_line(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (reader,) = [reader for reader in readers(tmp_path) if reader.name == kind]
    rng = np.random.Generator(np.random.Philox(key=SEED + KINDS.index(kind)))
    path = tmp_path / "here" / reader.name
    path.parent.mkdir()
    path.write_bytes(reader.packed(reader.good))
    reader.read(path)
    lines: list[str] = []
    start, before = time.process_time(), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _ in range(COPIES):
        path.write_bytes(reader.packed(spoiled(reader.good, rng)))
        try:
            reader.read(path)
        except GdbenchError as error:
            lines.append(str(error))
    seconds = time.process_time() - start
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    with capsys.disabled():
        print(f"\nfuzz {kind}: {COPIES} copies, seed {SEED}: {len(lines)} refused, others read; {seconds:.1f} CPU s")
    assert [line for line in lines if "\n" in line or len(line) > LINE] == []
    assert [file.name for file in path.parent.iterdir()] == [reader.name]
    assert seconds < SECONDS
    assert grown < MEGABYTES


@pytest.mark.parametrize(
    "change", [{"status": "grand"}, {"size": "3"}, {"shipped": 1}, {"card": ["z"]}, {"url": 7}, {"name": None}], ids=str
)
def test_a_card_with_a_value_of_another_type_is_no_card(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "w.json"
    path.write_bytes(a_card())
    assert read_card(path) is not None
    path.write_text(json.dumps(json.loads(a_card()) | change))
    assert read_card(path) is None


@pytest.mark.parametrize("kind", ["suite.yaml", "card.json", "record.json"])
def test_pipes_are_refused_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / kind)
    if kind == "card.json":
        assert read_card(tmp_path / kind) is None
    elif kind == "record.json":
        with pytest.raises(IntegrityError, match="a pipe or a device"):
            RunFolder(tmp_path).read()
    else:
        with pytest.raises(UsageError, match="a pipe or a device"):
            read_yaml(tmp_path / kind)


def test_a_path_of_5000_characters_is_one_line() -> None:
    with pytest.raises(UsageError) as caught:
        read_yaml(Path("x" * 5000))
    assert len(str(caught.value)) < LINE
