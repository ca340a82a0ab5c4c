"""docs/reliability.md: every fault has a row, every row a test that exists; and the tests that had no other place."""

from __future__ import annotations

import ast
import os
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from gdbench.registry import Offer, load_registry
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.runs.store import find_runs
from gdbench.runs.verifying import verify

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| F(\d+) \| .+ \| .+ \|$", PAGE, re.MULTILINE)
TESTS = re.findall(r"^- F(\d+): (.+)$", PAGE, re.MULTILINE)
TEST = re.compile(r"`(tests/[\w/]+\.py)::(test_\w+)`")


def test_every_fault_has_a_row() -> None:
    assert list(map(int, ROWS)) == list(range(1, 43))
    assert [number for number, _ in TESTS] == ROWS


@pytest.mark.parametrize(("fault", "said"), TESTS, ids=[f"F{number}" for number, _ in TESTS])
def test_every_fault_names_tests_that_exist(fault: str, said: str) -> None:
    named = TEST.findall(said)
    assert named, f"F{fault} has no test"
    assert TEST.sub("", said).strip(" ,") == "", f"F{fault}: something is no test id"
    for file, test in named:
        tree = ast.parse((ROOT / file).read_text())
        assert test in {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}, f"{file}::{test}"


FULL = """
import os, sys
from pathlib import Path
import torch
from gdbench.context import ResumePoint
from gdbench.files import write_text
from gdbench.tensors import save_weights
here = Path(sys.argv[1])
small, large = torch.zeros(1000), torch.zeros(2_000_000)
saves = {
    "resume.pt": lambda tensor: ResumePoint(here / "resume.pt").save({"w": tensor}),
    "w.safetensors": lambda tensor: save_weights(here / "w.safetensors", {"w": tensor}, {}),
    "record.json": lambda tensor: write_text(here / "record.json", "x" * tensor.numel() * 4),
}
for name, save in saves.items():
    save(small)
    before = (here / name).read_bytes()
    try:
        save(large)
    except (OSError, RuntimeError) as error:
        assert (here / name).read_bytes() == before, name
        assert sorted(path.name for path in here.iterdir()) == [name], list(here.iterdir())
        print(name, type(error).__name__)
    else:
        raise SystemExit(f"{name}: the disk is not full")
    (here / name).unlink()
"""


def test_a_full_disk_leaves_the_old_file(tmp_path: Path) -> None:
    """A file system of 3 MB, with ``$TMPDIR`` on another one that would have room."""
    mount = 'mount -t tmpfs -o size=3m tmpfs "$1" && exec "$2" -c "$3" "$1"'
    tried = ["unshare", "-m", "sh", "-c", 'mount -t tmpfs -o size=3m tmpfs "$1"', "sh", str(tmp_path)]
    if shutil.which("unshare") is None or subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a file system of its own")
    command = ["unshare", "-m", "sh", "-c", mount, "sh", str(tmp_path), sys.executable, FULL]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in done.stdout.splitlines()] == ["resume.pt", "w.safetensors", "record.json"]


def test_a_run_in_an_odd_environment_is_whole(tmp_path: Path) -> None:
    """No HOME, the plainest locale, a strict umask, a ``$TMPDIR`` that is not there, and a path of many letters."""
    out = tmp_path / "ein Ordner, наш 走 'x'"
    gone = {"HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME", "LANG"}
    environment = {name: value for name, value in os.environ.items() if name not in gone}
    environment |= {"LC_ALL": "C", "TMPDIR": str(tmp_path / "nowhere"), "OMP_NUM_THREADS": "1"}
    words = "run --gan toy --method random --k 4 --tier smoke --metrics cost --threads 1 --out"
    command = ["sh", "-c", 'umask 077; exec "$@"', "sh", sys.executable, "-m", "gdbench", *words.split(), str(out)]
    done = subprocess.run(command, capture_output=True, env=environment, cwd=tmp_path, check=False, timeout=300)
    assert done.returncode == 0, done.stderr.decode(errors="replace")
    (folder,) = find_runs(out)
    assert verify(folder).faults == ()
    assert folder.read(verify=True).status == "done"


def test_another_version_never_resumes_what_an_earlier_one_left(tmp_path: Path) -> None:
    registry = load_registry()
    asked = RunRequest("toy", "random", k=4, tier="smoke", metrics=("cost",), out=tmp_path)
    ids = {plan(asked, registry).id}
    for kind, name in (("methods", "random"), ("generators", "toy")):
        offers = getattr(registry, kind)
        newer = Offer(replace(offers[name].spec, version=99), offers[name].provider)
        ids.add(plan(asked, replace(registry, **{kind: {**offers, name: newer}})).id)
    assert len(ids) == 3
