"""Weights files are told apart by content, damage is named in one line, and hostile ones do nothing."""

from __future__ import annotations

import argparse
import io
import json
import os
import pickle
import struct
import sys
import types
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from gdbench import GdbenchError, IntegrityError, MissingFile, UsageError, load_weights, read_facts, save_weights
from gdbench.tensors import has_facts

STATE = {"a": torch.arange(12.0).reshape(3, 4), "n": torch.tensor(3)}


class Hostile:
    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, ("touch canary",)


def saved(content: Any, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def zipped(entries: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", how) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def flipped(data: bytes, needle: bytes) -> bytes:
    """One bit of the first `needle` turned over."""
    at = data.index(needle)
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


def header_only(length: int) -> bytes:
    return struct.pack("<Q", length) + b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}'


def equal(found: dict[str, Tensor]) -> bool:
    return found.keys() == STATE.keys() and all(torch.equal(found[name], STATE[name]) for name in STATE)


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", ["w.pt", "w.pkl", "w.safetensors", "w.html", "w"])
def test_torch_files_by_content_under_any_name(name: str, legacy: bool, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(saved(STATE, legacy))
    assert equal(load_weights(tmp_path / name))


def test_known_companions_of_state_dicts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType("models.utils.config")
    config_type = type("BaseConfig", (), {"__module__": module.__name__})
    for name in ("models", "models.utils"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    monkeypatch.setitem(sys.modules, module.__name__, module)
    module.BaseConfig = config_type  # type: ignore[attr-defined]
    config = config_type()
    config.depth = 3
    for legacy in (False, True):
        torch.save(
            {"avgG": STATE, "config": config, "args": argparse.Namespace(lr=0.1)},
            tmp_path / "w.pt",
            _use_new_zipfile_serialization=not legacy,
        )
        found = load_weights(tmp_path / "w.pt")
        assert equal(found["avgG"])
        assert found["config"].depth == 3
        assert type(found["config"]) is not config_type
        assert found["args"].lr == 0.1


HOSTILE = {
    "zip": saved({"g_ema": Hostile()}),
    "legacy": saved({"g_ema": Hostile()}, legacy=True),
    "pickle": pickle.dumps({"G_ema": Hostile()}),
    "pickle beside tensors in a zip": zipped({"w/data.pkl": pickle.dumps(Hostile(), 2), "w/version": b"3\n"}),
    "pickle nested in a torch file": saved({"blob": [STATE, Hostile()]}),
    "bad checksum": flipped(saved({"g_ema": Hostile()}), b"touch canary"),
    "zip in a zip": zipped({"w.pt": saved(Hostile())}),
    "torch and protocol 4": pickle.dumps(Hostile(), 4),
    "behind the legacy magic": pickle.dumps(0x1950A86A20F9469CFC6C, 2) + pickle.dumps(Hostile(), 2) * 4,
}


@pytest.mark.parametrize("name", ["w.pt", "w.pkl", "w.safetensors"])
@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_files_do_nothing(data: bytes, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")  # torch's own switch must not switch ours
    Path(name).write_bytes(data)
    with pytest.raises(IntegrityError) as caught:
        load_weights(Path(name))
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_the_refused_name_is_given(kind: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(HOSTILE[kind])
    with pytest.raises(IntegrityError, match=r"(posix|nt)\.system"):
        load_weights(tmp_path / "w.pt")


DAMAGED = {
    "empty": (b"", "empty"),
    "html": (b"\xef\xbb\xbf \n<!DOCTYPE html><html>quota exceeded</html>", "HTML page"),
    "lower-case html": (b"<html>", "HTML page"),
    "html with a comment first": (b"<!-- saved from url -->\n<body>quota</body>", "HTML page"),
    "json": (b'{"error": {"code": 403}}', "JSON text"),
    "git lfs": (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "Git LFS"),
    "gzip": (b"\x1f\x8b\x08" + bytes(20), "archive"),
    "tar": (bytes(257) + b"ustar" + bytes(250), "archive"),
    "zip of something else": (zipped({"readme.txt": b"hello"}), "zip archive"),
    "compressed zip": (zipped({"w/data.pkl": bytes(1000)}, zipfile.ZIP_DEFLATED), "compressed"),
    "text": (b"hello, this is no checkpoint", "no readable weights"),
    "zeros": (bytes(4096), "no readable weights"),
    "truncated zip": (saved(STATE)[:-40], "truncated"),
    "truncated legacy": (saved(STATE, legacy=True)[:-10], "w.pt"),
    "truncated pickle": (pickle.dumps({"a": "b" * 1000})[:-30], "truncated"),
    "flipped bit in a zip": (flipped(saved(STATE), struct.pack("<f", 7.0)), "checksum"),
    "huge safetensors header": (header_only(2**62), "header"),
    "header beyond the end": (header_only(1000), "header"),
    "header that is no JSON": (struct.pack("<Q", 10) + b"{aaaaaaaaa", "header"),
    "endless bytes": (b"\x80\x04\x8e" + struct.pack("<Q", 2**50), "w.pt"),
    "endless bytearray": (b"\x80\x05\x96" + struct.pack("<Q", 2**36) + b".", "truncated"),
    "memo larger than the machine": (b"\x80\x02}r" + struct.pack("<I", 2**31 - 1) + b".", "memo"),
}


@pytest.mark.parametrize(("data", "reason"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damage_is_named_in_one_line(data: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "w.pt").write_bytes(data)
    with pytest.raises(IntegrityError, match=reason) as caught:
        load_weights(tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500


def test_every_cut_of_a_file_is_an_error(tmp_path: Path) -> None:
    for data in (saved(STATE), saved(STATE, legacy=True), pickle.dumps(STATE)):
        for length in range(0, len(data) - 1, max(1, len(data) // 23)):
            (tmp_path / "w").write_bytes(data[:length])
            with pytest.raises(IntegrityError):
                load_weights(tmp_path / "w")


def test_no_file_and_a_folder(tmp_path: Path) -> None:
    with pytest.raises(MissingFile):
        load_weights(tmp_path / "w.pt")
    with pytest.raises(UsageError, match="folder"):
        load_weights(tmp_path)


def test_our_own_files_round_trip(tmp_path: Path) -> None:
    shared = torch.zeros(6)
    tensors = {**STATE, "half": STATE["a"].half(), "strided": STATE["a"].T, "one": shared[:3], "two": shared[:4]}
    facts = {"clamp": None, "up": [True, False], "eps": 1e-4, "domain": "scenes"}
    path = tmp_path / "w.safetensors"
    save_weights(path, tensors, facts)
    assert read_facts(path) == facts
    assert has_facts(path)
    found = load_weights(path)
    assert all(torch.equal(found[name], tensors[name]) for name in tensors)
    assert found["half"].dtype == torch.float16


def test_the_same_weights_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a", "b"):
        save_weights(tmp_path / name, STATE, {"x": 1, "y": 2})
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_a_failed_save_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "w.safetensors"
    save_weights(path, STATE, {})
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError("no space left")))
    with pytest.raises(OSError, match="no space"):
        save_weights(path, {"a": torch.ones(2)}, {})
    monkeypatch.undo()
    assert equal(load_weights(path))
    assert [file.name for file in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize(
    "data",
    [b"", b"short", saved(STATE), header_only(2**62), struct.pack("<Q", 2) + b"{}", struct.pack("<Q", 4) + b"null"],
)
def test_files_without_facts(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(data)
    assert not has_facts(tmp_path / "w")
    with pytest.raises(IntegrityError, match="facts"):
        read_facts(tmp_path / "w")


def test_strange_headers_are_no_facts(tmp_path: Path) -> None:
    for metadata in ({"facts": "[1"}, {"facts": "3"}, [], "text"):
        text = json.dumps({"__metadata__": metadata}).encode()
        (tmp_path / "w").write_bytes(struct.pack("<Q", len(text)) + text + b"    ")
        with pytest.raises(GdbenchError):
            read_facts(tmp_path / "w")
