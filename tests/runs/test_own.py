"""Runs of networks of one's own: scores as the family's, planted truth is found, and records name no folder."""

from __future__ import annotations

import copy
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gdbench
from gdbench import Codes, MissingFile, UsageError, load_generator, wrap
from gdbench.registry import load_registry
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest

TEN_LINES = """
import torch
from torch import nn

torch.manual_seed(0)
net = nn.Sequential(nn.Linear(8, 48), nn.Tanh(), nn.Unflatten(1, (3, 4, 4)))
net.dim = 8

def half(z):
    return net(z) / 2

def made():
    import gdbench
    return gdbench.wrap(net, dim=8)
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "mine.py").write_text(TEN_LINES)
    return tmp_path / "mine.py"


def scores(run: gdbench.runs.api.Run) -> dict[tuple[str, str], float | None]:
    found = run.record.scores.items()
    return {(m, c): s.value for m, columns in found if m != "cost" for c, s in columns.items()}


def test_a_wrapped_copy_of_a_family_has_its_scores(tmp_path: Path) -> None:
    family = load_generator("sngan")
    network = copy.deepcopy(family.network)  # type: ignore[attr-defined]
    dim = family.dim("z")
    copied = wrap(network, dim, name="copy", domain="scenes")
    how = {"k": 3, "tier": "smoke", "out": tmp_path, "metrics": ("recovery", "diversity")}
    runs = [gdbench.run(gan, "random", **how) for gan in ("sngan", copied)]  # type: ignore[arg-type]
    assert [run.record.status for run in runs] == ["done", "done"]
    assert runs[1].record.cell.generator == "copy"
    assert len(runs[1].record.checkpoint_sha256) == 64
    expected, found = map(scores, runs)
    assert len([value for value in expected.values() if value is not None]) > 8
    assert found == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert torch.equal(runs[0].directions.vectors, runs[1].directions.vectors)  # type: ignore[attr-defined]


def test_planted_directions_of_a_wrapped_generator_are_found(tmp_path: Path) -> None:
    toy = load_generator("toy")

    def pictures(z: Tensor) -> Tensor:
        return toy.render(Codes(z, "z"))

    mine = wrap(pictures, 64, name="wrapped-toy", domain="toy")
    run = gdbench.run(mine, "oracle-linear", k=8, tier="smoke", out=tmp_path, metrics=("recovery",))
    assert run.record.status == "done"
    vectors, planted = run.directions.vectors, toy.planted  # type: ignore[attr-defined]
    assert float((vectors @ planted.T).abs().max(1).values.min()) > 0.9
    assert run.record.scores["recovery"]["recall"].value == pytest.approx(1, abs=0.15)


def test_a_file_is_run_with_its_name_and_hash_and_no_folder(file: Path, tmp_path: Path) -> None:
    run = gdbench.run(f"{file}:net", "random", k=2, tier="smoke", out=tmp_path / "runs", metrics=("diversity",))
    record = run.record
    assert (record.status, record.cell.generator, record.domain) == ("done", "mine.py:net", "plain")
    assert len(record.checkpoint_sha256) == 64
    assert str(tmp_path) not in record.to_json()
    assert "--gan mine.py:net" in record.command
    assert run.folder.name.startswith("mine.py-net-none-random-s0-")


def planned(gan: str, **how: object) -> str:
    return plan(RunRequest(gan, "random", **how), load_registry()).checkpoint.sha256  # type: ignore[arg-type]


def test_another_file_is_another_run(file: Path) -> None:
    before = planned(f"{file}:net")
    assert planned(f"{file}:net") == before
    assert planned(f"{file}:made") != ""
    file.write_text(TEN_LINES.replace("seed(0)", "seed(1)"))
    assert planned(f"{file}:net") != before


def test_what_a_file_does_not_say_is_a_parameter(file: Path, tmp_path: Path) -> None:
    how = {"k": 2, "tier": "smoke", "out": tmp_path / "runs", "metrics": ("cost",)}
    with pytest.raises(UsageError, match=r"mine.py:half does not say the dimension of its latents: -p gan.dim=N"):
        gdbench.run(f"{file}:half", "random", **how)  # type: ignore[arg-type]
    params = {"dim": 8, "low": -0.5, "high": 0.5}
    run = gdbench.run(f"{file}:half", "random", generator_params=params, **how)  # type: ignore[arg-type]
    assert run.record.status == "done"


@pytest.mark.parametrize(
    ("text", "name", "message"),
    [
        (None, "net", "no such file"),
        (TEN_LINES, "nett", "unknown name in mine.py 'nett': did you mean 'net'"),
        ("import torch\n1 / 0\n", "net", r"mine.py: ZeroDivisionError: .*mine.py:2"),
        ("def net(:\n", "net", "SyntaxError"),
        ("def net():\n    raise ValueError('no weights here')\n", "net", "mine.py:net: ValueError: no weights here"),
        ("net = 3\n", "net", "mine.py:net is int, expected a module, a function or a wrapped generator"),
    ],
)
def test_faults_of_a_file_are_one_line(text: str | None, name: str, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mine.py"
    if text is not None:
        path.write_text(text)
    with pytest.raises((UsageError, MissingFile), match=message) as caught:
        planned(f"{path}:{name}")
    assert "\n" not in str(caught.value)


def test_a_name_that_is_installed_is_refused() -> None:
    mine = wrap(lambda z: load_generator("toy").render(Codes(z, "z")), 64, name="toy")
    with pytest.raises(UsageError, match="a generator 'toy' is installed"):
        gdbench.run(mine, "random")
