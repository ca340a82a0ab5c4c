"""Generators from Python: weights by name and by path, official files as they are, and where families live."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

import gdbench
from gdbench.runs.request import RunRequest
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
    reference = layout.write(tmp_path / "tiles", sizes)
    z = Dice(1)(3, sizes.z_dim)
    expected = reference.render(z)
    generator = gdbench.load_generator("stylegan2", checkpoint=tmp_path / "tiles", device="cpu", psi=1.0)
    images = generator.render(gdbench.Codes(z, "z"))
    assert float((images - expected).abs().max()) < 1e-4 * float(expected.max() - expected.min())
    before = files(kept)
    assert set(before) == {"stylegan2/tiles.safetensors", "stylegan2/tiles.json"}
    paths = tmp_path / "tiles", kept / "stylegan2" / "tiles.safetensors", "tiles"
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
    assert {"biggan", "progan", "sngan", "stylegan2", "stylegan3", "toy"} <= set(specs)
    for name, spec in specs.items():
        assert spec.name == name
        shipped = [card for card in spec.checkpoints if card.shipped]
        assert bool(shipped) == (name != "toy")
        assert all((gdbench.plugin_folder(spec) / card.file).is_file() for card in shipped)


def test_a_run_without_scores_has_an_empty_table(tmp_path: Path) -> None:
    """The method needs what the generator lacks."""
    run = gdbench.run("toy", "local-basis", k=2, tier="smoke", out=tmp_path)
    assert run.record.status == "incompatible"
    assert list(run.scores.columns) == ["metric", "column", "value", "void"]
    assert (len(run.scores), run.scores["value"].dtype) == (0, "float64")
    assert run.per_direction.empty
    with pytest.raises(gdbench.MissingFile, match=r"no directions .*; the run is incompatible local-basis"):
        _ = run.directions


FILE = """
from gdbench import MethodSpec, hookimpl
from gdbench.directions import LinearDirections

class Own(LinearDirections):
    generator = None

    def save(self, folder):
        super().save(folder)
        facts = folder / "directions.json"
        facts.write_text(facts.read_text().replace("gdbench.directions:LinearDirections", "gdbench_file_mine:Own"))

    def bound(self, generator):
        object.__setattr__(self, "generator", generator)
        return self

def discover(generator, params, context):
    import torch
    return Own(torch.eye(64)[: context.k], context.space)

@hookimpl
def gdbench_methods():
    yield MethodSpec("own", "its own class of directions, computed by its generator", discover)
"""


def test_directions_of_a_plugin_file_are_read_and_bound_to_their_generator(tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(FILE)
    run = gdbench.run("toy", "own", k=2, tier="smoke", metrics="cost", out=tmp_path, plugins=tmp_path / "mine.py")
    assert run.record.status == "done"
    again = gdbench.read_run(run.folder, plugins=str(tmp_path / "mine.py"))
    for directions in (run.directions, again.directions):
        assert type(directions).__name__ == "Own"
        assert directions.generator is not None  # type: ignore[attr-defined]


def test_values_of_numpy_and_a_single_name_are_taken(tmp_path: Path) -> None:
    def request(**fields: object) -> RunRequest:
        return RunRequest("toy", "random", **fields)  # type: ignore[arg-type]

    made = request(
        seed=np.int64(3),
        k=np.uint8(4),
        threads=np.int32(1),
        metrics="cost, diversity",
        checkpoint=tmp_path,
        device=torch.device("cuda", 1),
        method_params={"steps": np.int64(5), "lr": np.float32(0.5), "layers": np.arange(2), "flag": np.bool_(True)},
    )
    plain = {"steps": 5, "lr": 0.5, "layers": [0, 1], "flag": True}
    assert made == request(
        seed=3,
        k=4,
        threads=1,
        metrics=("cost", "diversity"),
        checkpoint=str(tmp_path),
        device="cuda:1",
        method_params=plain,
    )
    assert [type(value) for value in (made.seed, made.k)] == [int, int]
    assert request(metrics=np.array(["cost"])).metrics == ("cost",)
    assert RunRequest.from_json(made.to_json()) == made


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"seed": 10**26}, f"seed: got {10**26}, expected less than or equal to {2**63 - 1}"),
        ({"seed": np.int64(-1)}, "seed: got -1, expected greater than or equal to 0"),
        ({"seed": np.float64(3)}, "seed: got 3.0, expected a valid integer"),
        ({"k": np.bool_(True)}, "k: got True, expected a valid integer"),
        ({"metrics": 3}, "metrics: got 3, expected a list"),
        ({"metrics": ["cost", ""]}, "metrics[1]: got '', expected at least 1 character"),
        ({"method_params": {"lr": np.nan}}, "method_params: got {'lr': nan}, expected finite numbers"),
        ({"method_params": "lr=1"}, "method_params: got 'lr=1', expected a mapping"),
        ({"device": "gpu"}, "device: got 'gpu', expected auto, cpu, cuda or cuda:N"),
        ({"checkpoint": "a\nb"}, "checkpoint: got 'a\\nb', expected text without control characters"),
    ],
)
def test_a_wrong_argument_is_one_line_that_names_the_bound(fields: dict[str, object], message: str) -> None:
    with pytest.raises(gdbench.UsageError) as caught:
        RunRequest("toy", "random", **fields)  # type: ignore[arg-type]
    assert str(caught.value) == message


def test_runs_are_read_and_compared_by_public_names(tmp_path: Path) -> None:
    for seed in (0, 1):
        for method in ("random", "coordinate"):
            options = {"k": 4, "seed": seed, "tier": "smoke", "metrics": ("diversity",), "device": "cpu"}
            gdbench.run("toy", method, out=tmp_path, **options)
    damaged = sorted(tmp_path.glob("toy-none-coordinate-s1-*/record.json"))[0]
    damaged.write_text(damaged.read_text().replace('"done"', '"failed"', 1))
    found = gdbench.read_runs(tmp_path)
    assert [run.record.cell.method for run in found.runs] == ["coordinate", "random", "random"]
    (problem,) = found.problems
    assert str(damaged.parent) in problem
    board = gdbench.leaderboard(found.runs, changed=True)  # the tree may be changed while it is tested
    assert board == gdbench.leaderboard(reversed([run.record for run in found.runs]), changed=True)
    frame = board.to_frame()
    assert set(frame["method"]) == {"random", "coordinate"}
    assert frame.loc[frame["column"] == "rank_latent", "mean"].tolist() == pytest.approx([4, 4])


def test_a_folder_without_runs_has_none(tmp_path: Path) -> None:
    assert gdbench.read_runs(tmp_path) == ((), ())
    assert gdbench.leaderboard([]).to_rows() == []
