"""Files that claim what they do not hold: one line each, in bounded time and memory."""

from __future__ import annotations

import io
import os
import resource
import struct
import time
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from gdbench import IntegrityError, MissingFile, UsageError, load_weights


def saved(content: Any, legacy: bool = False) -> bytes:
    file = io.BytesIO()
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    return file.getvalue()


def strided(size: tuple[int, ...], stride: tuple[int, ...]) -> torch.Tensor:
    return torch.zeros(4).as_strided(size, stride)


def too_long() -> bytes:
    """A torch file whose tensor has ten times more numbers than its storage."""
    content, needle = saved({"w": torch.zeros(77)}), struct.pack("<BB", 0x4B, 77)  # BININT1 77
    at = content.rindex(needle)
    names = zipfile.ZipFile(io.BytesIO(content))
    entries = {entry.filename: names.read(entry) for entry in names.infolist()}
    pickle = next(name for name in entries if name.endswith("data.pkl"))
    assert at
    entries[pickle] = entries[pickle].replace(needle + b"\x85", b"\x8a\x05\x00\xe4\x0b\x54\x02\x85")  # 10^10
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    return file.getvalue()


def overlapping(entries: int, size: int) -> bytes:
    """A zip of ``entries`` names that all claim the same ``size`` bytes."""
    data = bytes(size)
    crc = zlib.crc32(data)
    local = struct.pack("<4s5H3I2H", b"PK\x03\x04", 20, 0, 0, 0, 0, crc, size, size, 10, 0) + b"w/data.pkl" + data
    central = b""
    for number in range(entries):
        name = b"w/data.pkl" if number == 0 else f"w/data/{number:07}".encode()
        fixed = struct.pack("<4s6H3I5H2I", b"PK\x01\x02", 20, 20, 0, 0, 0, 0, crc, size, size, len(name), *[0] * 5, 0)
        central += fixed + name
    end = struct.pack("<4s4H2IH", b"PK\x05\x06", 0, 0, entries, entries, len(central), len(local), 0)
    return local + central + end


CLAIMS: dict[str, tuple[Callable[[], bytes], str]] = {
    "40 GB of stride 0": (lambda: saved({"w": strided((10**5, 10**5), (0, 0))}), r"tensor w has shape \(100000"),
    "40 GB of stride 0, old container": (
        lambda: saved({"w": strided((10**10,), (0,))}, legacy=True),
        "claim more than",
    ),
    "40 GB in many small tensors": (lambda: saved([strided((10**6,), (0,)) for _ in range(10**4)]), "claim more than"),
    "windows of one storage": (lambda: saved({"w": torch.zeros(10**5).as_strided((49_000, 49_000), (1, 1))}), "claim"),
    "more than its storage": (too_long, "w.pt"),
    "sparse": (lambda: saved({"a": {"b": torch.eye(3).to_sparse()}}), "tensor a.b is sparse"),
    "sparse of 40 GB": (
        lambda: saved(torch.sparse_coo_tensor(torch.zeros(2, 1).long(), [1.0], (10**5, 10**5))),
        "spar",
    ),
    "sparse csr": (lambda: saved({"w": torch.eye(3).to_sparse_csr()}), "sparse"),
    "complex": (lambda: saved({"w": torch.zeros(3, dtype=torch.complex64)}), "tensor w is complex"),
    "on the meta device": (lambda: saved({"w": torch.zeros(10**10, device="meta")}), "without numbers"),
    "quantized": (lambda: saved({"w": torch.quantize_per_tensor(torch.zeros(3), 1.0, 0, torch.qint8)}), "quantized"),
    "entries that share bytes": (lambda: overlapping(2000, 10**6), "share bytes"),
}


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.parametrize("name", CLAIMS)
def test_claims_are_refused_in_bounded_time_and_memory(name: str, tmp_path: Path) -> None:
    make, reason = CLAIMS[name]
    (tmp_path / "w.pt").write_bytes(make())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(IntegrityError, match=reason) as caught:
        load_weights(tmp_path / "w.pt")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 500
    assert time.process_time() - start < 10
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 500_000  # kilobytes


def test_tensors_that_share_their_numbers_are_no_claim(tmp_path: Path) -> None:
    """Layers saved under two names, and batch norms whose one scale was expanded, are usual."""
    weight = torch.randn(100, 100, generator=torch.Generator().manual_seed(0))
    content = {"conv1": weight, "model.3": weight.view(-1), "scale": torch.ones(1).expand(512)}
    torch.save(content, tmp_path / "w.pt")
    assert load_weights(tmp_path / "w.pt")["scale"].shape == (512,)


def test_a_content_that_contains_itself_ends(tmp_path: Path) -> None:
    content: dict[str, Any] = {"w": torch.zeros(2)}
    content["self"] = [content, content]
    torch.save(content, tmp_path / "w.pt")
    assert load_weights(tmp_path / "w.pt")["w"].shape == (2,)


def test_pipes_and_long_paths_are_one_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "w.pt")
    with pytest.raises(UsageError, match="a pipe or a device"):
        load_weights(tmp_path / "w.pt")
    for path in (tmp_path / ("x" * 5000), tmp_path.joinpath(*["y" * 100] * 50)):
        with pytest.raises(MissingFile) as caught:
            load_weights(path)
        assert len(str(caught.value)) < 500
