"""Generators from Python: weights by name and by path, official files as they are, and where families live."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import gdbench
from tests.plugins.writers_stylegan2 import LAYOUTS, Dice, Layout, Sizes

NVIDIA = LAYOUTS[2]


@pytest.fixture
def kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The user's checkpoint folder of this test."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    return tmp_path / "data" / "gdbench" / "checkpoints"


def files(folder: Path) -> dict[str, int]:
    return {str(path.relative_to(folder)): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("layout", LAYOUTS, ids=range(len(LAYOUTS)))
def test_an_official_file_is_loaded_by_its_path_and_converted_once(layout: Layout, tmp_path: Path, kept: Path) -> None:
    sizes = Sizes()
    reference = layout.write(tmp_path / "weights", sizes)
    z = Dice(1)(3, sizes.z_dim)
    expected = reference.render(z)
    generator = gdbench.load_generator("stylegan2", checkpoint=tmp_path / "weights", device="cpu", psi=1.0)
    images = generator.render(gdbench.Codes(z, "z"))
    assert float((images - expected).abs().max()) < 1e-4 * float(expected.max() - expected.min())
    before = files(kept)
    assert set(before) == {"stylegan2/weights.safetensors", "stylegan2/weights.json"}
    paths = tmp_path / "weights", kept / "stylegan2" / "weights.safetensors", "weights"
    for again in paths:
        same = gdbench.load_generator("stylegan2", checkpoint=again).render(gdbench.Codes(z, "z"))
        assert torch.equal(same, images)
    assert files(kept) == before


def test_parameters_reach_a_generator_that_is_loaded_by_path(tmp_path: Path, kept: Path) -> None:
    NVIDIA.write(tmp_path / "weights", Sizes())
    half = gdbench.load_generator("stylegan2", checkpoint=str(tmp_path / "weights"), psi=0.5)
    whole = gdbench.load_generator("stylegan2", checkpoint=str(tmp_path / "weights"))
    z = gdbench.Codes(Dice(1)(3, 8), "z")
    mean = half.network.mapping.w_avg  # type: ignore[attr-defined]
    moved, straight = (generator.map(z).latents - mean for generator in (half, whole))  # type: ignore[attr-defined]
    torch.testing.assert_close(moved, straight / 2)
    with pytest.raises(gdbench.UsageError, match="psy"):
        gdbench.load_generator("stylegan2", checkpoint=tmp_path / "weights", psy=1)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda _: b"<!DOCTYPE html><html>Too many users have viewed this file</html>", "HTML page"),
        (lambda data: data[: len(data) // 2], "weights.*(truncated|damaged|no readable)"),
        (lambda _: b"", "empty"),
    ],
)
def test_pages_and_parts_of_files_are_named_and_leave_nothing(
    spoil: object, message: str, tmp_path: Path, kept: Path
) -> None:
    NVIDIA.write(tmp_path / "weights", Sizes())
    data = (tmp_path / "weights").read_bytes()
    (tmp_path / "weights").write_bytes(spoil(data))  # type: ignore[operator]
    with pytest.raises(gdbench.IntegrityError, match=message) as caught:
        gdbench.load_generator("stylegan2", checkpoint=tmp_path / "weights")
    assert "\n" not in str(caught.value)
    assert files(kept) == {}


def test_every_family_and_where_it_lives() -> None:
    specs = gdbench.generator_specs()
    assert {"biggan", "progan", "sngan", "stylegan2", "toy"} <= set(specs)
    for name, spec in specs.items():
        assert spec.name == name
        shipped = [card for card in spec.checkpoints if card.shipped]
        assert bool(shipped) == (name != "toy")
        assert all((gdbench.plugin_folder(spec) / card.file).is_file() for card in shipped)
