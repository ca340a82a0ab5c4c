"""``gdbench export``: files that other programs read, films that move, and a line for what could not be written."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file

import gdbench
from gdbench import LinearDirections, UsageError
from gdbench.report import exporting
from gdbench.report.exporting import export

K = 4


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> gdbench.runs.api.Run:  # type: ignore[name-defined]
    return gdbench.run("toy", "random", k=K, tier="smoke", out=tmp_path_factory.mktemp("runs"))


@pytest.fixture(scope="module")
def folder(run, tmp_path_factory: pytest.TempPathFactory) -> Path:  # type: ignore[no-untyped-def]
    place: Path = tmp_path_factory.mktemp("export")
    made = export(run, place, [1], codes=2)
    assert {path.name for path in made.files} >= {"card.md", "strips.png", "direction-1.gif", "direction-1.png"}
    assert all(path.is_file() for path in made.files)
    return place


def test_numbers_are_the_same_in_every_format(run, folder: Path) -> None:  # type: ignore[no-untyped-def]
    vectors = run.directions.vectors
    assert torch.equal(load_file(folder / "directions.safetensors")["vectors"], vectors)
    assert torch.equal(torch.from_numpy(np.load(folder / "directions.npy", allow_pickle=False)), vectors)
    csv = np.loadtxt(folder / "directions.csv", delimiter=",", dtype=np.float32)
    assert torch.equal(torch.from_numpy(csv), vectors)


def test_the_card_says_where_the_directions_hold(run, folder: Path) -> None:  # type: ignore[no-untyped-def]
    text = (folder / "card.md").read_text()
    assert run.record.id.replace("_", r"\_") in text
    assert text.count("\n| ") == K + 2
    assert "nan" not in text.lower()


def test_a_film_goes_from_one_end_to_the_other_and_back(folder: Path) -> None:
    with Image.open(folder / "direction-1.gif") as film:
        assert film.n_frames == 2 * exporting.FRAMES - 2
        frames = []
        for index in range(film.n_frames):
            film.seek(index)
            frames.append(np.asarray(film.convert("RGB"), dtype=float))
    half = exporting.FRAMES - 1
    assert np.abs(frames[0] - frames[half]).mean() > 1  # the ends differ
    assert np.abs(frames[1] - frames[-1]).mean() < 8  # the way back shows what the way there showed


@pytest.mark.skipif(shutil.which("ffmpeg") is None, reason="no ffmpeg here: apt-get install ffmpeg")
def test_an_mp4_holds_as_many_frames(folder: Path) -> None:
    asked = ["ffprobe", "-v", "error", "-count_frames", "-show_entries", "stream=nb_read_frames,width,height"]
    told = subprocess.run(
        [*asked, "-of", "json", str(folder / "direction-1.mp4")], capture_output=True, check=True, timeout=60
    )
    (stream,) = json.loads(told.stdout)["streams"]
    assert int(stream["nb_read_frames"]) == 2 * exporting.FRAMES - 2
    assert stream["width"] % 2 == stream["height"] % 2 == 0


def test_what_cannot_be_written_is_said(run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(exporting, "ENCODER", "no-such-encoder")
    made = export(run, tmp_path, [0], codes=1)
    assert [line.split(":")[0] for line in made.lacking] == ["direction-0.mp4"]
    assert not (tmp_path / "direction-0.mp4").exists()
    with pytest.raises(UsageError, match="directions 0 to 3"):
        export(run, tmp_path, [K])


def test_curved_directions_are_copied_as_they_are(tmp_path: Path) -> None:
    run = gdbench.run("toy", "warpedganspace", k=2, tier="smoke", out=tmp_path / "runs")
    assert not isinstance(run.directions, LinearDirections)
    made = export(run, tmp_path / "export")
    assert {"directions.safetensors", "directions.json"} <= {path.name for path in made.files}
    assert any("curved" in line for line in made.lacking)


LAST = 'for last; do :; done; printf film > "$last"'
ENCODERS = {  # what an encoder does -> what is said, and whether there is a film
    "works": (f"{LAST}; cat > /dev/null", ""),
    "has no codec": (f"{LAST}; echo no such codec >&2; exit 1", "a.mp4: ffmpeg failed: no such codec"),
    "says nothing": ("exit 3", "a.mp4: ffmpeg failed: it gave no reason"),
    "hangs": ("exec sleep 600", "a.mp4: ffmpeg took more than 1 s"),
}


@pytest.mark.parametrize("does", ENCODERS)
def test_an_encoder_that_fails_is_told_in_a_line_and_leaves_nothing(
    does: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script, said = ENCODERS[does]
    encoder = tmp_path / "bin" / "ffmpeg"
    encoder.parent.mkdir()
    encoder.write_text(f"#!/bin/sh\n{script}\n")
    encoder.chmod(0o755)
    monkeypatch.setenv("PATH", f"{encoder.parent}{os.pathsep}{os.environ['PATH']}")
    if does == "hangs":
        monkeypatch.setattr(exporting, "SECONDS", 1)
    film = tmp_path / "a.mp4"
    made = exporting._write_film([np.zeros((4, 4, 3), np.uint8)] * 2, film)
    assert made == (([], said) if said else ([film], ""))
    assert sorted(path.name for path in tmp_path.iterdir()) == (["bin"] if said else ["a.mp4", "bin"])
