"""A stranger's distribution, installed into a fresh environment and used through the command line; and one file."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import venv
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from gdbench_toy.generator import load as load_toy

import gdbench
from gdbench.registry import Offer, Provider, load_registry
from gdbench.testing import run_checks

HERE = Path(__file__).parent
ONE_FILE = HERE / "steepest.py"
PAGE = HERE.parents[1] / "docs" / "writing-plugins.md"
BORROW = "import site; site.addsitedir({folder!r})\n"


def call(python: str | Path, *arguments: str | Path, folder: Path) -> str:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "NO_COLOR": "1", "TERM": "dumb"}
    command = [str(python), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=folder, timeout=600)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The Python of a new environment in which only gdbench-lab is installed; everything else is borrowed."""
    folder = tmp_path_factory.mktemp("fresh")
    venv.create(folder / "env", with_pip=False, symlinks=True)
    python = folder / "env" / "bin" / "python"
    site = call(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", folder=folder).strip()
    (Path(site) / "borrowed.pth").write_text(BORROW.format(folder=sysconfig.get_path("purelib")))
    shutil.copytree(HERE / "gdbench-lab", folder / "gdbench-lab")
    offline = ("--no-deps", "--no-build-isolation", "--no-index", "--disable-pip-version-check")
    call(python, "-m", "pip", "install", "--quiet", *offline, "./gdbench-lab", folder=folder)
    return python


def test_its_offers_are_listed_with_their_origin(fresh: Path, tmp_path: Path) -> None:
    listed = call(fresh, "-m", "gdbench", "list", "--json", folder=tmp_path)
    for name in ("steepest", "disc", "symmetry", "discs"):
        assert name in listed
    assert "gdbench-lab" in listed


@pytest.mark.slow
def test_its_generator_method_and_metric_meet_in_a_run(fresh: Path, tmp_path: Path) -> None:
    flags = ("--tier", "smoke", "--k", "4", "--metrics", "symmetry", "--device", "cpu", "--json")
    call(fresh, "-m", "gdbench", "run", "--gan", "disc", "--method", "steepest", *flags, folder=tmp_path)
    (record,) = (read(path) for path in tmp_path.glob("runs/*/record.json"))
    assert record["status"] == "done", record["reason"]
    assert record["scores"]["symmetry"]["symmetry"]["value"] > 0


@pytest.mark.slow
def test_it_passes_its_own_contract_tests_under_pytest(fresh: Path, tmp_path: Path) -> None:
    tests = fresh.parents[2] / "gdbench-lab" / "tests"
    report = call(fresh, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", tests, folder=tmp_path)
    assert "passed" in report
    assert "failed" not in report


def test_the_one_file_method_is_short_and_keeps_the_contract() -> None:
    assert len(ONE_FILE.read_text().splitlines()) <= 25
    registry = load_registry([ONE_FILE])
    results = run_checks(registry.method("steepest"), registry)
    assert [result for result in results if result.status == "failed"] == []


def test_the_domain_keeps_the_contract(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(HERE / "gdbench-lab")
    from gdbench_lab import gdbench_domains

    (spec,) = gdbench_domains()
    registry, offer = load_registry(), Offer(spec, Provider("lab", "gdbench-lab", "1.0", "gdbench_lab"))
    registry = replace(registry, domains={**registry.domains, "discs": offer})
    results = {result.clause: result for result in run_checks(offer, registry)}
    assert [result for result in results.values() if result.status == "failed"] == []
    assert [results[f"D{number:02d}"].status for number in range(1, 15)] == ["passed"] * 14


@pytest.mark.slow
def test_the_commands_of_the_page_work(tmp_path: Path) -> None:
    shutil.copy(ONE_FILE, tmp_path)
    commands = re.findall(r"^\$ gdbench (.*--plugin.*)$", PAGE.read_text(), re.MULTILINE)
    assert len(commands) == 2
    for command in commands:
        call(sys.executable, "-m", "gdbench", *shlex.split(command), folder=tmp_path)


def test_the_one_file_method_finds_what_is_planted(tmp_path: Path) -> None:
    run = gdbench.run(
        "toy", "steepest", k=8, tier="smoke", metrics=("cost",), device="cpu", plugins=[ONE_FILE], out=tmp_path
    )
    assert run.record.status == "done", run.record.reason
    planted = load_toy(None, gdbench.NoParams(), torch.device("cpu")).planted
    saved = read_tensors(run.folder)
    cosines = torch.linalg.svdvals(saved.double() @ planted.T.double())
    assert float(cosines.min()) > 0.99  # the subspaces agree; a random one has cosines of about .35


def read(path: Path) -> Any:
    return json.loads(path.read_text())


def read_tensors(folder: Path) -> torch.Tensor:
    from safetensors.torch import load_file

    return load_file(folder / "directions.safetensors")["vectors"]


def test_the_fresh_environment_is_another_one(fresh: Path, tmp_path: Path) -> None:
    prefix = call(fresh, "-c", "import sys; print(sys.prefix)", folder=tmp_path).strip()
    assert Path(prefix) != Path(sys.prefix)
    where = call(fresh, "-c", "import gdbench_lab; print(gdbench_lab.__file__)", folder=tmp_path).strip()
    assert where.startswith(prefix)
