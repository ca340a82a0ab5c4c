"""What the page is told: codes by number, frames, tensors without loss; what cannot be shown is said in one line."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load as load_tensors_of
from typer.testing import CliRunner

import gdbench
from gdbench.cli import build_app
from gdbench.errors import MissingFile, UsageError
from gdbench.explorer import contents as module
from gdbench.explorer.contents import contents
from gdbench.explorer.frames import TAUS, frames_of
from gdbench.explorer.latents import code_of, draw
from gdbench.explorer.making import explorer_of
from gdbench.explorer.subject import subject_of
from gdbench.registry import Registry, load_registry
from tests.explorer.made import K, planted, write_inverted, write_run


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def test_numbers_of_a_latent_are_normal_and_those_of_neighbours_independent() -> None:
    rows = np.array([draw(number, 129).normals for number in range(400)])
    assert abs(rows.mean()) < 0.02
    assert abs(rows.std() - 1) < 0.02
    assert abs(float((rows**4).mean()) - 3) < 0.1
    assert abs(np.corrcoef(rows[:-1].ravel(), rows[1:].ravel())[0, 1]) < 0.02
    uniforms = np.array([draw(number, 3).uniform for number in range(2000)])
    assert abs(uniforms.mean() - 0.5) < 0.03
    assert uniforms.min() >= 0
    assert uniforms.max() < 1
    assert draw(7, 4).normals == draw(7, 4).normals != draw(8, 4).normals


def test_a_latent_in_w_is_the_mapping_of_the_same_latent_in_z() -> None:
    generator = gdbench.load_generator("stylegan2")
    z = code_of(generator, generator.program("z"), "z", 5)
    w = code_of(generator, generator.program("w"), "w", 5)
    assert torch.equal(generator.map(z).latents, w.latents)
    assert w.origin is not None


def test_a_class_may_be_chosen() -> None:
    generator = gdbench.load_generator("biggan")
    program = generator.program("z")
    assert code_of(generator, program, "z", 5, 2).labels.tolist() == [2]
    drawn = {int(code_of(generator, program, "z", number).labels) for number in range(40)}
    assert drawn == set(range(program.classes))
    assert code_of(generator, replace(program, label=1), "z", 5).labels.tolist() == [1]


def test_a_page_carries_the_program_and_the_vectors(tmp_path: Path, registry: Registry) -> None:
    directions = planted(128, "z")
    subject = subject_of([write_run(tmp_path / "a", directions)], registry)
    told = contents(subject, {}, 4)
    run = told["runs"][0]
    vectors = np.frombuffer(base64.b64decode(run["vectors"]), np.float32).reshape(K, 128)
    assert np.array_equal(vectors, directions.vectors.numpy())
    tensors = load_tensors_of(base64.b64decode(told["generator"]["tensors"]))
    exact = subject.programs["z"].tensors
    assert sum(one.numel() for one in tensors.values()) == sum(one.numel() for one in exact.values())
    assert {one.dtype for one in tensors.values()} == {torch.float16}  # as the checkpoint is kept: nothing is lost
    assert run["frames"] is None
    assert run["directions"][1]["curves"][1] == [[0.0, 0.5, 1.0, 2.0], [0.0, 0.0625, 0.25, 1.0]]


def test_programs_of_two_spaces_share_their_tensors(tmp_path: Path, registry: Registry) -> None:
    folders = [
        write_run(tmp_path / space, planted(128, space), "stylegan2", method=f"in-{space}") for space in ("w", "z")
    ]
    both = contents(subject_of(folders, registry), {}, 4)["generator"]
    one = contents(subject_of(folders[:1], registry), {}, 4)["generator"]
    assert set(both["programs"]) == {"w", "z"}
    assert len(both["tensors"]) < 1.01 * len(one["tensors"])


def test_weights_that_are_not_halves_are_rounded_where_images_stay(tmp_path: Path, registry: Registry) -> None:
    subject = subject_of([write_run(tmp_path / "a", planted(128, "z"))], registry)
    program = subject.programs["z"]
    scaled = {name: tensor * (1 + 1e-5) for name, tensor in program.tensors.items()}
    near = module._compact(subject, "z", replace(program, tensors=scaled))
    assert {tensor.dtype for tensor in near.tensors.values()} == {torch.float16}
    name = program.render[0].tensors["weight"]
    huge = scaled | {name: program.tensors[name] * 1.0001 + 1e5}  # beyond the largest half
    kept = module._compact(subject, "z", replace(program, tensors=huge))
    assert kept.tensors[name].dtype == torch.float32


def test_frames_are_what_the_generator_renders(tmp_path: Path, registry: Registry) -> None:
    from PIL import Image

    folder = write_run(tmp_path / "a", planted(64, "z"), "toy", "none")
    subject = subject_of([folder], registry)
    run = subject.runs[0]
    assert subject.programs == {}
    made = frames_of(subject, run, 2, 1_000_000)
    assert (made.width, made.height, len(made.images)) == (32, 32, 2)

    data = base64.b64decode(made.images[1].partition(",")[2])
    sheet = np.asarray(Image.open(io.BytesIO(data)).convert("RGB")).astype(float)
    assert sheet.shape == (K * 32, len(TAUS) * 32, 3)
    code = code_of(subject.generator, None, "z", 1)
    moved = code.shifted(-(0.45**0.5) * 4 / 2 * run.vectors[2])  # t(tau) of the - side: half of 4 sqrt(tau)
    wanted = (subject.generator.render(moved)[0].clamp(-1, 1).permute(1, 2, 0).numpy() + 1) * 127.5
    assert np.abs(sheet[2 * 32 : 3 * 32, 32:64] - wanted).mean() < 8  # webp loses some


def test_frames_shrink_until_they_fit_and_say_where_they_cannot(tmp_path: Path, registry: Registry) -> None:
    subject = subject_of([write_run(tmp_path / "a", planted(64, "z"), "toy", "none")], registry)
    large = frames_of(subject, subject.runs[0], 2, 1_000_000)
    size = sum(map(len, large.images))
    small = frames_of(subject, subject.runs[0], 2, size // 3)
    assert sum(map(len, small.images)) <= size // 3
    with pytest.raises(UsageError, match=r"frames of 5 directions and 2 latents do not fit .* --serve"):
        frames_of(subject, subject.runs[0], 2, 100)


def test_a_generator_too_large_for_a_page_is_shown_in_frames(
    tmp_path: Path, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LARGEST_PROGRAM", 1000)
    subject = subject_of([write_run(tmp_path / "a", planted(80, "z"), "biggan")], registry)
    told = contents(subject, {}, 2)
    assert told["generator"] | {"name": ""} == {
        "name": "", "shape": [3, 32, 32], "classes": 0, "programs": {}, "tensors": "", "pictures": []
    }  # fmt: skip
    assert len(told["runs"][0]["frames"]["images"]) == 2
    assert "too large" in told["runs"][0]["why"]


def test_other_peoples_files_are_not_written_over(tmp_path: Path, registry: Registry) -> None:
    folder = write_run(tmp_path / "a", planted(64, "z"), "toy", "none")
    app, out = build_app(registry), tmp_path / "thesis.html"
    out.write_text("<p>mine")
    with pytest.raises(UsageError, match=r"thesis\.html: there already, and no explorer's page; choose another --out"):
        CliRunner().invoke(app, ["explore", str(folder), "--out", str(out)], catch_exceptions=False)
    assert out.read_text() == "<p>mine"
    for _ in range(2):  # its own it writes again
        done = CliRunner().invoke(app, ["explore", str(folder), "--out", str(tmp_path / "own.html")])
        assert done.exit_code == 0


def test_a_blind_page_names_no_method(tmp_path: Path, registry: Registry) -> None:
    folders = [
        write_run(tmp_path / name, planted(128, "z", seed), method=name) for seed, name in enumerate(("alpha", "beta"))
    ]
    made = explorer_of(folders, registry, blind=True)
    assert "alpha" not in made.text.replace("alphabet", "")
    assert "beta" not in made.text
    assert sorted(run for _, run in made.names) == ["sngan-alpha-s3", "sngan-beta-s3"]
    assert [letter for letter, _ in made.names] == ["Method A", "Method B"]


def test_the_same_runs_give_the_same_bytes(tmp_path: Path, registry: Registry) -> None:
    folders = [write_run(tmp_path / "a", planted(128, "z"))]
    assert explorer_of(folders, registry).text == explorer_of(folders, registry).text


def test_what_cannot_be_explored_is_said_in_one_line(tmp_path: Path, registry: Registry) -> None:
    folder = write_run(tmp_path / "a", planted(128, "z"))
    other = write_run(tmp_path / "b", planted(64, "z"), "toy", "none")
    with pytest.raises(UsageError, match=r"a run on toy/none, the first is on sngan/scenes32; side by side"):
        subject_of([folder, other], registry)
    for file in folder.glob("calibration.*"):
        file.unlink()
    with pytest.raises(UsageError, match=r"not calibrated, .* gdbench measure"):
        subject_of([folder], registry)
    for file in folder.glob("directions.*"):
        file.unlink()
    with pytest.raises(MissingFile, match=r"no directions are there; the run is done"):
        subject_of([folder], registry)


def test_the_command_writes_the_page_and_prints_what_letters_stand_for(tmp_path: Path, registry: Registry) -> None:
    folder = write_run(tmp_path / "a", planted(128, "z"))
    out = tmp_path / "page.html"
    done = CliRunner().invoke(build_app(registry), ["explore", str(folder), "--out", str(out), "--blind"])
    assert done.exit_code == 0, done.output
    assert done.output.startswith("Method A: sngan-alpha-s3\n")
    assert out.stat().st_size < 8_000_000
    data = out.read_text().partition('id="data">')[2].partition("</script>")[0]
    assert json.loads(data)["runs"][0]["name"] == "Method A"


def test_pictures_of_ones_own_are_told_and_framed_before_random_latents(tmp_path: Path, registry: Registry) -> None:
    """Frames of three pictures, though two latents were asked for; codes of other weights and spaces are refused."""
    runs = [write_run(tmp_path / "a", planted(64, "z"), "toy", "none")]
    codes = gdbench.load_generator("toy").sample(3, "z", gdbench.Stream(7, "mine").at())
    mine = write_inverted(tmp_path / "mine", codes, weights="")
    subject = subject_of(runs, registry, mine)
    told = contents(subject, {}, 2)
    assert [one["name"] for one in told["generator"]["pictures"]] == ["mine 0.png", "mine 1.png", "mine 2.png"]
    assert len(told["runs"][0]["frames"]["images"]) == 3
    assert torch.equal(subject.code("z", 1).latents, codes.latents[1:2])
    assert torch.equal(subject.code("z", 3).latents, code_of(subject.generator, None, "z", 3).latents)
    with pytest.raises(UsageError, match="of other weights"):
        subject_of(runs, registry, write_inverted(tmp_path / "other", codes, weights="abc"))
    with pytest.raises(UsageError, match="its codes are in w, the directions of"):
        subject_of(runs, registry, write_inverted(tmp_path / "w", replace(codes, space="w"), weights=""))
