"""Imported directions: every layout against its own definition, files that are refused, and the way out and back."""

from __future__ import annotations

import json
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_imported.discover import discover, keep
from gdbench_imported.params import AXES, ImportedParams
from gdbench_imported.paths import STEP, WarpedPaths
from gdbench_imported.readers import Found, read, read_all
from safetensors.torch import save_file
from torch.nn import functional as F
from typer.testing import CliRunner

import gdbench
from gdbench import Codes, Context, GdbenchError, IntegrityError, LinearDirections, MissingFile, UsageError
from gdbench.cli import build_app
from gdbench.registry import load_registry

DIM, K = 6, 3
ROWS = np.random.default_rng(0).standard_normal((K, DIM)).astype(np.float32)


@pytest.fixture(autouse=True)
def own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))


def torch_file(content: object) -> Callable[[Path], None]:
    return lambda path: torch.save(content, path)


def text_file(text: str) -> Callable[[Path], None]:
    return lambda path: path.write_text(text) and None


LAYOUTS: dict[str, Callable[[Path], object]] = {
    "rows.npy": lambda path: np.save(path, ROWS),
    "ganspace.npz": lambda path: np.savez(path, lat_comp=ROWS[:, None, :], lat_stdev=np.ones(K)),
    "rows.csv": text_file("\n".join(",".join(map(repr, row)) for row in ROWS.tolist())),
    "rows.json": text_file(json.dumps(ROWS.tolist())),
    "starred.json": text_file(json.dumps({"vectors": ROWS.tolist(), "names": ["zoom", "", ""]})),
    "one.safetensors": lambda path: save_file({"w": torch.from_numpy(ROWS)}, path),
    "own.safetensors": lambda path: save_file({"vectors": torch.from_numpy(ROWS), "unit": torch.ones(K)}, path),
    "tensor.pt": torch_file(torch.from_numpy(ROWS)),
    "deformator.pt": torch_file({"linear.weight": torch.from_numpy(ROWS.T), "linear.bias": torch.zeros(DIM)}),
    "checkpoint.pt": torch_file({"deformator": {"linear.weight": torch.from_numpy(ROWS.T)}, "shift_predictor": {}}),
}


@pytest.mark.parametrize("name", LAYOUTS)
def test_a_layout_gives_its_rows(name: str, tmp_path: Path) -> None:
    LAYOUTS[name](tmp_path / name)
    found = read(tmp_path / name)
    assert torch.equal(found.tensors["vectors"], torch.from_numpy(ROWS))
    assert found.notes == ()


def test_a_boundary_of_one_row_and_several_files_are_put_together(tmp_path: Path) -> None:
    for k in range(K):
        np.save(tmp_path / f"{k}.npy", ROWS[k : k + 1])
    found = read_all([tmp_path / f"{k}.npy" for k in range(K)])
    assert torch.equal(found.tensors["vectors"], torch.from_numpy(ROWS))
    np.save(tmp_path / "other.npy", ROWS[:, :2])
    with pytest.raises(UsageError, match=r"other.npy: dimension 2, but 0.npy has 6"):
        read_all([tmp_path / "0.npy", tmp_path / "other.npy"])


def test_rows_of_a_linear_deformator_are_where_it_sends_unit_shifts(tmp_path: Path) -> None:
    layer = torch.nn.Linear(K, DIM)
    torch.save({f"linear.{name}": value for name, value in layer.state_dict().items()}, tmp_path / "deformator_0.pt")
    found = read(tmp_path / "deformator_0.pt")
    with torch.no_grad():
        moved = layer(torch.eye(K)) - layer(torch.zeros(1, K))
    torch.testing.assert_close(found.tensors["vectors"], moved)
    assert "bias" in found.notes[0]


def test_rows_of_an_orthogonal_deformator_are_where_it_sends_unit_shifts(tmp_path: Path) -> None:
    half = torch.from_numpy(np.random.default_rng(1).standard_normal((DIM, DIM)))
    torch.save({"log_mat_half": half.float()}, tmp_path / "deformator_0.pt")
    skew = half.float().double() - half.float().double().T
    series, term = torch.eye(DIM, dtype=torch.float64), torch.eye(DIM, dtype=torch.float64)
    for power in range(1, 80):
        term = term @ skew / power
        series = series + term
    expected = F.linear(torch.eye(DIM, dtype=torch.float64), series)
    torch.testing.assert_close(
        read(tmp_path / "deformator_0.pt").tensors["vectors"], expected.float(), atol=1e-5, rtol=0
    )


def support_sets(gamma: float = 0.3) -> dict[str, torch.Tensor]:
    rng = np.random.default_rng(2)
    sets, alphas = rng.standard_normal((K, 4 * DIM)), rng.standard_normal((K, 4))
    content = {"SUPPORT_SETS": sets, "ALPHAS": alphas, "LOGGAMMA": np.full((K, 1), np.log(gamma))}
    return {name: torch.from_numpy(value).float() for name, value in content.items()}


def test_support_sets_are_paths_along_their_gradient(tmp_path: Path) -> None:
    """The gradient by differentiating the sum of radial functions in float64."""
    content = support_sets()
    torch.save({"iter": 3, "support_sets": content}, tmp_path / "support_sets.pt")
    found = read(tmp_path / "support_sets.pt")
    paths = WarpedPaths(*(found.tensors[name] for name in ("supports", "alphas", "gamma")), "z")
    points = torch.from_numpy(np.random.default_rng(3).standard_normal((5, DIM))).float()
    for k in range(K):
        z = points.double().requires_grad_()
        sets = content["SUPPORT_SETS"][k].double().reshape(4, DIM)
        f = (content["ALPHAS"][k].double() * torch.exp(-0.3 * torch.cdist(z, sets).square())).sum()
        (gradient,) = torch.autograd.grad(f, z)
        torch.testing.assert_close(paths.slope(k, points), F.normalize(gradient, dim=1).float(), atol=1e-4, rtol=0)
    index, length = torch.tensor([0, 1, 2, 1, 0]), torch.tensor([STEP, -STEP, 0.0, 0.05, -0.1])
    moved = paths.displace(Codes(points, "z"), index, length).latents - points
    expected = torch.stack([length[n] * paths.slope(int(index[n]), points[n : n + 1])[0] for n in range(5)])
    torch.testing.assert_close(moved, expected, atol=1e-5, rtol=0)
    paths.save(tmp_path)
    again = WarpedPaths.load(tmp_path)
    assert torch.equal(again.supports, paths.supports)
    assert (len(again), again.space) == (K, "z")


class Opens:
    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, ("ran", "w")


REFUSED: dict[str, tuple[Callable[[Path], object], str]] = {
    "code.pt": (torch_file({"vectors": Opens()}), "open"),
    "code.npy": (lambda path: np.save(path, np.array([Opens()], dtype=object), allow_pickle=True), "pickle"),
    "code.npz": (lambda path: np.savez(path, lat_comp=np.array([Opens()], dtype=object)), "pickle"),
    "code.pkl": (lambda path: path.write_bytes(pickle.dumps(Opens())), "open|pickle"),
    "nan.npy": (lambda path: np.save(path, np.full((2, 3), np.nan)), "NaN"),
    "cube.npy": (lambda path: np.save(path, np.ones((2, 3, 4))), r"\(2, 3, 4\)"),
    "none.npy": (lambda path: np.save(path, np.ones((0, 4))), r"\(0, 4\)"),
    "words.npy": (lambda path: np.save(path, np.array(["a"])), "not numbers"),
    "words.csv": (text_file("a,b\n"), "no directions"),
    "words.json": (text_file('{"a": 1}'), "no layout"),
    "deep.pt": (torch_file({"fc1.weight": torch.ones(2, 2), "fc4.weight": torch.ones(2, 2)}), "curved"),
    "many.pt": (torch_file({"a": torch.ones(2, 2), "b": torch.ones(2, 2)}), "keys a, b"),
    "square.pt": (torch_file({"log_mat_half": torch.ones(2, 3)}), "not square"),
    "sets.pt": (torch_file({**support_sets(), "ALPHAS": torch.ones(K, 5)}), "support sets"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_directions_is_refused_in_one_line_and_not_run(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, why = REFUSED[name]
    write(tmp_path / name)
    monkeypatch.chdir(tmp_path)
    with pytest.raises((UsageError, IntegrityError), match=why) as caught:
        read(tmp_path / name)
    assert "\n" not in str(caught.value)
    assert name in str(caught.value)
    assert not (tmp_path / "ran").exists()


def test_what_is_kept_is_found_by_its_digits_and_must_fit() -> None:
    generator = gdbench.load_generator("toy")
    dim = generator.dim("z")
    rows = torch.from_numpy(np.random.default_rng(4).standard_normal((K, dim))).float()
    digits = keep(Found("rows", {"vectors": rows}))
    assert digits == keep(Found("rows", {"vectors": rows.clone()}))
    context = Context(0, torch.device("cpu"), K, "z", "smoke", None)
    found = discover(generator, ImportedParams(digits, "mine"), context)
    assert isinstance(found, LinearDirections)
    assert torch.equal(found.vectors, LinearDirections(rows, "z").vectors)
    axes = discover(generator, ImportedParams(AXES), context)
    assert isinstance(axes, LinearDirections)
    assert torch.equal(axes.vectors, torch.eye(dim)[:K])
    with pytest.raises(UsageError, match="give --k 3"):
        discover(generator, ImportedParams(digits), Context(0, torch.device("cpu"), 4, "z", "smoke", None))
    with pytest.raises(MissingFile, match="import-directions"):
        discover(generator, ImportedParams("0" * 16), context)
    with pytest.raises(UsageError, match=f"dimension {DIM}, but space z of this generator has {dim}"):
        discover(generator, ImportedParams(keep(Found("rows", {"vectors": torch.from_numpy(ROWS)}))), context)


def command(*arguments: str | Path) -> str:
    """What the command line says; it must succeed."""
    result = CliRunner().invoke(build_app(load_registry()), [*map(str, arguments)])
    if isinstance(result.exception, GdbenchError):
        raise result.exception
    assert result.exit_code == 0, result.output
    return result.output


@pytest.mark.parametrize("kind", ["safetensors", "npy", "csv"])
def test_exported_and_imported_directions_and_their_scores_are_the_same(kind: str, tmp_path: Path) -> None:
    first = gdbench.run("toy", "random", k=4, tier="smoke", out=tmp_path / "runs")
    command("export", first.folder, "--out", tmp_path / "export")
    said = command(
        "import-directions", tmp_path / "export" / f"directions.{kind}", "--gan", "toy", "--tier", "smoke",
        "--out", tmp_path / "again", "--label", "mine",
    )  # fmt: skip
    (folder,) = [path.parent for path in (tmp_path / "again").glob("*/record.json")]
    assert str(folder) in said
    second = gdbench.read_run(folder)
    a, b = first.directions, second.directions
    assert isinstance(a, LinearDirections)
    assert isinstance(b, LinearDirections)
    torch.testing.assert_close(a.vectors, b.vectors, atol=1e-7, rtol=0)
    left, right = (one.record.scores for one in (first, second))
    compared = 0
    for metric in set(left) - {"cost"}:
        for column, score in left[metric].items():
            compared += score.value is not None
            assert right[metric][column].value == pytest.approx(score.value, abs=1e-5), f"{metric}.{column}"
    assert compared > 3
    assert second.record.cell.method_params["label"] == "mine"
    assert str(tmp_path) not in second.record.to_json()
