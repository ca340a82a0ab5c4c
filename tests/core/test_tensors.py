"""What a run keeps of its tensors: large ones in half precision, everything else as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from gdbench import Stream, load_tensors, normal, save_tensors, save_weights

LARGE = normal(Stream(0, "test").at(), 400, 128)


@pytest.mark.parametrize(
    ("tensor", "kept"),
    [
        (LARGE, torch.float16),
        (LARGE[:390], torch.float32),  # 199,680 bytes
        (LARGE * 1e5, torch.float32),  # beyond the largest half
        (LARGE.double(), torch.float64),
        (torch.arange(60_000), torch.int64),
        (LARGE.half().repeat(2, 2), torch.float16),
    ],
)
def test_only_large_single_precision_is_halved_and_types_come_back(
    tmp_path: Path, tensor: torch.Tensor, kept: torch.dtype
) -> None:
    path = tmp_path / "kept.safetensors"
    save_tensors(path, {"a": tensor, "small": torch.ones(2)})
    assert load_file(path)["a"].dtype == kept
    found = load_tensors(path)
    assert found["a"].dtype == tensor.dtype
    assert torch.equal(found["small"], torch.ones(2))
    exact = kept == tensor.dtype
    torch.testing.assert_close(found["a"], tensor, rtol=0 if exact else 5e-4, atol=0 if exact else 3e-8)
    if not exact:
        assert path.stat().st_size <= 300_000


def test_what_was_read_is_saved_to_the_same_bytes(tmp_path: Path) -> None:
    for name, tensors in (("a", {"x": LARGE}), ("b", None)):
        save_tensors(tmp_path / name, tensors or load_tensors(tmp_path / "a"))
    assert (tmp_path / "a").read_bytes() == (tmp_path / "b").read_bytes()


def test_files_of_other_writers_are_read_as_they_are(tmp_path: Path) -> None:
    halves = {"a": LARGE.half()}
    save_file(halves, tmp_path / "plain")
    save_weights(tmp_path / "facts", halves, {"k": 1})
    for name in ("plain", "facts"):
        assert load_tensors(tmp_path / name)["a"].dtype == torch.float16
