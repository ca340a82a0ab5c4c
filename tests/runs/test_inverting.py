"""Inversion: codes that made an image are found again, edits of them do as of samples, an interruption resumes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

import gdbench
from gdbench import Context, IntegrityError, MissingFile, Stream, UsageError, load_domain, load_generator, moments
from gdbench.boards.cells import short
from gdbench.context import SILENT, ResumePoint, StopRequest
from gdbench.evaluation.inversion import invert
from gdbench.evaluation.pictures import strip
from gdbench.registry import load_registry
from gdbench.report.making import page_of_run
from gdbench.runs.inverted import codes_of, fitting, read_kept
from gdbench.runs.inverting import Inversion, InvertRequest, picture, run_inversion

CPU = torch.device("cpu")


def context(resume: ResumePoint | None = None) -> Context:
    return Context(0, CPU, 1, "z", resume=resume or ResumePoint())


def inverted(steps: int, resume: ResumePoint | None = None) -> torch.Tensor:
    toy, oracle = load_generator("toy"), load_domain("toy").oracle("a")
    targets = toy.render(toy.sample(3, "z", Stream(5, "targets").at()))
    return invert(toy, oracle, targets, "z", moments(toy, "z", 2_000), steps, context(resume)).codes.latents


def test_images_of_the_generator_are_found_again() -> None:
    toy, oracle = load_generator("toy"), load_domain("toy").oracle("a")
    codes = toy.sample(3, "z", Stream(5, "targets").at())
    found = invert(toy, oracle, toy.render(codes), "z", moments(toy, "z", 2_000), 200, context())
    assert float(found.distance.max()) < 0.05
    assert float(found.psnr.min()) > 25
    planted = toy.planted  # type: ignore[attr-defined]
    torch.testing.assert_close(found.codes.latents @ planted.T, codes.latents @ planted.T, rtol=0, atol=0.7)


def test_what_was_interrupted_ends_as_if_it_was_not(tmp_path: Path) -> None:
    stop = StopRequest()
    stop.error = KeyboardInterrupt()
    with pytest.raises(KeyboardInterrupt):
        inverted(30, ResumePoint(tmp_path / "resume.pt", stop=stop))
    assert (tmp_path / "resume.pt").exists()
    assert torch.equal(inverted(30, ResumePoint(tmp_path / "resume.pt")), inverted(30))


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    toy = load_generator("toy")
    images = toy.render(toy.sample(2, "z", Stream(5, "targets").at()))
    paths = []
    for number, image in enumerate(images):
        pixels = ((image.permute(1, 2, 0).clamp(-1, 1) + 1) * 127.5).round().byte().numpy()
        paths.append(tmp_path / f"{number}.png")
        Image.fromarray(pixels).save(paths[-1])
    return paths


def test_pictures_are_inverted_and_edited_by_a_run(files: list[Path], tmp_path: Path) -> None:
    run = gdbench.run("toy", "sefa", k=8, tier="smoke", metrics=("cost",), out=tmp_path / "runs")
    request = InvertRequest(tuple(files), "toy", run=run.folder, steps=150, out=tmp_path / "out")
    made: Inversion = run_inversion(request, load_registry(), SILENT)
    facts = json.loads((tmp_path / "out" / "inversion.json").read_text())
    assert [image["file"] for image in facts["images"]] == ["0.png", "1.png"]
    assert max(image["distance"] for image in facts["images"]) < 0.1
    assert made.strips is not None
    assert made.strips.exists()
    assert not (tmp_path / "out" / "resume.pt").exists()
    assert made.transfer is not None
    assert made.transfer.correlation > 0.8  # planted directions move the same factor of every image
    assert made.transfer.size == pytest.approx(1, abs=0.35)
    kept = fitting(read_kept(tmp_path / "out"), run.record)
    assert [one.file for one in kept.pictures] == ["0.png", "1.png"]
    assert kept.transfer == pytest.approx((made.transfer.correlation, made.transfer.size))
    assert torch.equal(codes_of(kept).latents, made.result.codes.latents)
    assert (kept.pairs[1].rows, kept.pairs[1].steps) == (2, 2)
    assert (kept.edits[1].rows, kept.edits[1].codes) == (8, 2)
    first = torch.from_numpy(strip(kept.pairs[0], 0).tiles[0].astype(np.float32)) / 127.5 - 1  # (2, h, w, 3)
    there = torch.from_numpy(np.asarray(Image.open(files[0]), np.float32)) / 127.5 - 1
    assert float((first[0] - there).abs().mean()) < 0.05  # WebP loses a little
    assert float((first[1] - made.result.images[0].permute(1, 2, 0)).abs().mean()) < 0.05
    text = next(page_of_run(run.folder, tmp_path / "out").pages)[1]
    for words in ("0.png", "picture, inversion", "on 2 pictures", f"correlation {short(kept.transfer[0])}"):
        assert words in text
    other = gdbench.run("toy", "random", k=8, tier="smoke", metrics=("cost",), out=tmp_path / "runs")
    with pytest.raises(UsageError, match="were edited by toy-none-sefa"):
        page_of_run(other.folder, tmp_path / "out")
    with pytest.raises(UsageError, match="are in z, not in w"):
        run_inversion(InvertRequest(tuple(files), "toy", run=run.folder, space="w"), load_registry(), SILENT)
    with pytest.raises(UsageError, match="not of these weights"):
        run_inversion(InvertRequest(tuple(files), "sngan", run=run.folder), load_registry(), SILENT)


def test_pictures_come_in_the_generators_shape(tmp_path: Path) -> None:
    wide = np.zeros((20, 60, 3), np.uint8)
    wide[:, 16:44] = 255
    Image.fromarray(wide).save(tmp_path / "wide.png")
    assert torch.equal(picture(tmp_path / "wide.png", (3, 8, 8)), torch.ones(3, 8, 8))
    assert picture(tmp_path / "wide.png", (1, 8, 8)).shape == (1, 8, 8)
    with pytest.raises(MissingFile, match="no such picture"):
        picture(tmp_path / "none.png", (3, 8, 8))
    (tmp_path / "text.png").write_text("no picture")
    with pytest.raises(IntegrityError, match="no readable picture"):
        picture(tmp_path / "text.png", (3, 8, 8))


@pytest.mark.parametrize(
    "text", ["", "[]", "{}", '{"images": [{}]}', '{"images": [], "weights": ""}', "[" * 100_000], ids=range(6)
)
def test_a_folder_that_holds_something_else_is_named_in_one_line(text: str, tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match=r"no inversion\.json is there"):
        read_kept(tmp_path)
    (tmp_path / "inversion.json").write_text(text)
    with pytest.raises(IntegrityError) as caught:
        read_kept(tmp_path)
    assert "\n" not in str(caught.value)


def test_numbers_and_codes_that_cannot_be_are_refused(tmp_path: Path) -> None:
    told = {"weights": "", "space": "z", "run": "", "transfer": None}
    images = [{"file": "a.png", "distance": 0.1, "psnr": float("nan")}]
    (tmp_path / "inversion.json").write_text(json.dumps({**told, "images": images}))
    with pytest.raises(IntegrityError, match="must be numbers"):
        read_kept(tmp_path)
    images[0]["psnr"] = 30.0
    (tmp_path / "inversion.json").write_text(json.dumps({**told, "images": images}))
    with pytest.raises(MissingFile, match=r"no codes\.safetensors"):
        codes_of(read_kept(tmp_path))
    save_file({"latents": torch.zeros(3, 4)}, tmp_path / "codes.safetensors")
    with pytest.raises(IntegrityError, match="not the codes of the 1 pictures"):
        codes_of(read_kept(tmp_path))
