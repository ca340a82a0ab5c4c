"""Verifying: each changed byte and each lost file is named in one line, with what would be right."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from gdbench import UsageError
from gdbench.boards import exports
from gdbench.cli import build_app
from gdbench.cli.boards import read_leaderboard
from gdbench.record import DISCOVERY, EVALUATION, Cell, RunRecord, Score, digits
from gdbench.registry import load_registry
from gdbench.runs.store import RunFolder, open_run
from gdbench.runs.verifying import run_folders, verify

VERSIONS = {"discovery": DISCOVERY, "evaluation": EVALUATION, "generator": 1, "method": 1, "domain": 1, "metric:m": 1}
CONTENT = {"directions.json": "{}", "discovery.json": "{}", "tables.parquet": "x", "pictures/m-look.png": "y"}


def record_of(seed: int = 0, score: float = 0.5) -> RunRecord:
    """A record whose id is that of its cell."""
    cell = Cell("toy", "none", "random", seed=seed, k=4, space="z", tier="smoke")
    hashed = digits(cell, dict.fromkeys(("discovery", "generator", "method"), 1) | {"discovery": DISCOVERY}, "")
    made = RunRecord(f"toy-none-random-s{seed}-{hashed}", cell, "done", domain="toy", versions=VERSIONS)
    return replace(made, scores={"m": {"a": Score(score), "b": Score(None, "no factors")}}, metric_params={"m": {}})


def made(out: Path, record: RunRecord | None = None) -> RunFolder:
    record = record or record_of()
    with open_run(out, record.id) as folder:
        for name, text in CONTENT.items():
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_text(text)
        folder.write(record)
    return folder


def named(folder: RunFolder) -> list[str]:
    """The files that faults name, and no fault of more than one line."""
    faults = verify(folder).faults
    assert all("\n" not in str(fault) and len(str(fault)) < 900 and fault.right for fault in faults)
    return [str(fault.file.relative_to(folder.path.parent)) for fault in faults]


def test_a_run_as_it_was_recorded_has_no_fault(tmp_path: Path) -> None:
    folder = made(tmp_path)
    found = verify(folder)
    assert (found.files, found.absent, found.faults) == (2 + len(CONTENT), 0, ())


@pytest.mark.parametrize("name", [*CONTENT, "record.json", "done"])
def test_each_changed_byte_of_each_file_is_named(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    path = folder.path / name
    good = path.read_bytes()
    for at in range(len(good)):
        path.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        found = verify(folder).faults
        assert found, f"{name}, byte {at}"
        assert any(str(path) in str(fault) for fault in found), f"{name}, byte {at}: {found}"
    for other in (good + b"\n", good[:-1], b""):
        path.write_bytes(other)
        assert any(str(path) in str(fault) for fault in verify(folder).faults)
    path.write_bytes(good)
    assert named(folder) == []


@pytest.mark.parametrize("name", [*CONTENT, "record.json", "done"])
def test_each_lost_file_is_named(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / name).unlink()
    assert [one.path for one in run_folders(tmp_path)] == [folder.path]
    if name.startswith("pictures/"):  # it is drawn again, and large ones are not committed
        assert (verify(folder).absent, named(folder)) == (1, [])
    else:
        assert named(folder) == [f"{folder.path.name}/{name}"]
        assert "missing" in str(verify(folder).faults[0])


def test_files_that_nobody_recorded_and_renamed_folders_are_named(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / "tables").mkdir()
    (folder.path / "tables" / "m.parquet").write_text("z")
    assert named(folder) == [f"{folder.path.name}/tables/m.parquet"]
    (folder.path / "tables" / "m.parquet").unlink()
    folder.path.rename(tmp_path / "mine")
    assert named(RunFolder(tmp_path / "mine")) == ["mine"]


def test_an_invented_record_with_right_hashes_is_named(tmp_path: Path) -> None:
    """Another cell under the old name; that the hashes fit does not help."""
    record = record_of()
    folder = made(tmp_path, replace(record, cell=replace(record.cell, k=8)))
    assert "is not that of its cell, versions and weights" in str(verify(folder).faults[0])


@pytest.mark.parametrize("kind", ["pipe", "device", "folder", "loop"])
def test_what_is_no_file_is_named_and_not_waited_for(kind: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    path = folder.path / "tables.parquet"
    path.unlink()
    make = {
        "pipe": lambda: os.mkfifo(path),
        "device": lambda: path.symlink_to("/dev/zero"),
        "folder": path.mkdir,
        "loop": lambda: path.symlink_to(path),
    }
    make[kind]()
    assert named(folder) == [f"{folder.path.name}/tables.parquet"]
    if kind != "loop":
        with pytest.raises(Exception, match=r"tables\.parquet") as caught:
            folder.read(verify=True)
        assert type(caught.value).__name__ == "IntegrityError"


@pytest.mark.parametrize("name", ["/dev/zero", "../other", "a/../../b", "a\0b", ""])
def test_a_record_that_names_files_elsewhere_is_none(name: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    text = (folder.path / "record.json").read_text()
    escaped = name.replace("\0", "\\u0000")
    (folder.path / "record.json").write_text(text.replace('"tables.parquet"', f'"{escaped}"'))
    found = verify(folder).faults
    assert [fault.file.name for fault in found] == ["record.json"]
    with pytest.raises(Exception, match="does not lie in its folder"):
        folder.read()


@pytest.mark.parametrize(
    ("old", "new"), [('"seed": 0', '"seed": "0"'), ('"k": 4', '"k": null'), ('"z"', "3"), ('"done"', '"won"')]
)
def test_a_record_of_other_kinds_of_values_is_none(old: str, new: str, tmp_path: Path) -> None:
    folder = made(tmp_path)
    path = folder.path / "record.json"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(Exception, match="not a run record"):
        folder.read()


# The command


def gdbench(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(load_registry()), list(map(str, arguments)))


def test_the_command_says_what_it_looked_at_and_exits_with_5_for_a_fault(tmp_path: Path) -> None:
    pool, registry = tmp_path / "runs", load_registry()
    folders = [made(pool, record_of(seed, 0.5 + seed / 10)) for seed in range(3)]
    exports.write(read_leaderboard(pool, registry, None)[0], pool)
    good = gdbench("verify", tmp_path)
    assert (good.exit_code, good.stderr) == (0, "")
    assert good.stdout == "verified 3 runs, 18 files, 1 leaderboards, 0 weights: all as recorded\n"
    page = pool / "leaderboard.csv"
    page.write_text(page.read_text() + "toy,better\n")
    (folders[1].path / "tables.parquet").write_text("another")
    bad = gdbench("verify", tmp_path)
    assert bad.exit_code == 5
    assert "tables.parquet: sha256" in bad.stderr
    assert "leaderboard.csv: line " in bad.stderr
    assert "the record says" in bad.stderr
    assert "--write" in bad.stderr
    assert '"faults": [' in gdbench("verify", tmp_path, "--json").stdout


@pytest.mark.parametrize("name", exports.FILES)
def test_each_lost_file_of_a_leaderboard_is_named(name: str, tmp_path: Path) -> None:
    made(tmp_path)
    exports.write(read_leaderboard(tmp_path, load_registry(), None)[0], tmp_path)
    (tmp_path / name).unlink()
    done = gdbench("verify", tmp_path)
    assert (done.exit_code, done.stderr.count("\n")) == (5, 1)
    assert f"{tmp_path / name}: missing" in done.stderr


def test_a_place_without_runs_is_a_usage_error(tmp_path: Path) -> None:
    for place in (tmp_path, tmp_path / "nowhere"):
        assert isinstance(gdbench("verify", place).exception, UsageError)
