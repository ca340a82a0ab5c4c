"""Run folders: nothing is believed that was half written or changed, and every failing write leaves the old state."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from gdbench import files
from gdbench.errors import Busy, GdbenchError, IntegrityError
from gdbench.files import atomic_write, sha256, write_text
from gdbench.record import Cell, Cost, RunRecord, Score
from gdbench.runs import store
from gdbench.runs.store import RunFolder, find_runs, open_run, read_records

CELL = Cell("toy", "none", "random", seed=0, k=4, space="z", tier="smoke")
RECORD = RunRecord(
    id="toy-none-random-s0-12345678",
    cell=CELL,
    status="done",
    scores={"m": {"a": Score(0.5), "b": Score(None, "no factors")}},
    costs={"discover": Cost(images=3)},
)


def made(out: Path, **content: str) -> RunFolder:
    with open_run(out, RECORD.id) as folder:
        for name, text in content.items():
            (folder.path / name).write_text(text)
        folder.write(RECORD)
    return RunFolder(folder.path)


def test_a_record_survives_the_disk(tmp_path: Path) -> None:
    folder = made(tmp_path, extra="x")
    read = folder.read(verify=True)
    assert folder.done
    assert replace(read, files={}) == RECORD
    assert read.files == {"extra": sha256(folder.path / "extra")}


def test_a_changed_file_is_named(tmp_path: Path) -> None:
    folder = made(tmp_path, extra="x")
    (folder.path / "extra").write_text("y")
    with pytest.raises(IntegrityError, match=r"extra: sha256 .* the record says"):
        folder.read(verify=True)


def test_a_committed_record_may_lack_its_large_files(tmp_path: Path) -> None:
    folder = made(tmp_path, extra="x")
    (folder.path / "extra").unlink()
    assert folder.read(verify=True).status == "done"


@pytest.mark.parametrize("text", ["", "{", "[]", '{"schema": 1}', '{"schema": 99}', RECORD.to_json()[:-40], "null"])
def test_what_is_no_record_is_an_integrity_error_in_one_line(tmp_path: Path, text: str) -> None:
    folder = made(tmp_path)
    (folder.path / store.RECORD).write_text(text)
    with pytest.raises(IntegrityError) as caught:
        folder.read()
    assert "record.json" in str(caught.value)
    assert "\n" not in str(caught.value)


def changed(**changes: Any) -> dict[str, Any]:
    return {**json.loads(RECORD.to_json()), **changes}


CELL_JSON = json.loads(RECORD.to_json())["cell"]


@pytest.mark.parametrize(
    ("record", "line"),
    [
        (changed(schema=2, later=1), "r.json: schema 2, this gdbench reads 1"),
        (changed(later=1), "r.json: not a run record (later: there is no such field)"),
        (changed(cell={**CELL_JSON, "k": "4"}), "r.json: not a run record (cell.k: got '4', expected a valid integer)"),
        (changed(cell={**CELL_JSON, "on\nto": 1}), "r.json: not a run record (cell.'on\\nto': there is no such field)"),
        (changed(status="fine"), "r.json: not a run record (status: got 'fine', expected 'done', 'incompatible', "),
        (
            changed(role="hero"),
            "r.json: not a run record (role: got 'hero', expected 'method', 'control' or 'reference'",
        ),
        (changed(files={"a": 1}), "r.json: not a run record (files.a: got 1, expected a valid string)"),
        (changed(costs={"discover": {"images": 1.5}}), "r.json: not a run record (costs.discover.images: got 1.5, "),
        (
            changed(scores={"m": {"a": {"value": 1.0, "void": "why"}}}),
            "r.json: not a run record (scores.m.a: a score is a number, or void with a reason)",
        ),
        ({"schema": 1}, "r.json: not a run record (id: a value is required)"),
    ],
)
def test_a_record_with_a_fault_is_refused_in_one_line_that_says_where(record: dict[str, Any], line: str) -> None:
    with pytest.raises(IntegrityError) as caught:
        RunRecord.from_json(json.dumps(record), "r.json")
    assert str(caught.value).startswith(line)
    assert "\n" not in str(caught.value)


def test_half_a_character_in_a_message_of_strangers_leaves_a_record_that_can_be_read() -> None:
    text = replace(RECORD, status="failed", reason="no file w\udcff.pt").to_json()
    assert RunRecord.from_json(text).reason == "no file w?.pt"


def test_an_unfinished_run_is_listed_and_not_believed(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / store.DONE).unlink()
    records, problems = read_records(find_runs(tmp_path))
    assert records == []
    assert "not finished" in problems[0]


def test_one_bad_folder_hides_no_other(tmp_path: Path) -> None:
    made(tmp_path / "good")
    bad = made(tmp_path / "bad")
    (bad.path / store.RECORD).write_text("{")
    records, problems = read_records(find_runs(tmp_path))
    assert len(records) == 1
    assert len(problems) == 1


def test_a_second_process_learns_who_holds_the_folder(tmp_path: Path) -> None:
    code = (
        "import sys, pathlib; from gdbench.runs.store import *\nopen_run(pathlib.Path(sys.argv[1]), 'run').__enter__()"
    )
    with open_run(tmp_path, "run"):
        child = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    assert child.returncode == 1
    assert f"Busy: {tmp_path / 'run'}: held by process {os.getpid()} on" in child.stderr
    assert Busy.exit_code == 4


def test_an_unwritable_folder_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GdbenchError, match=r"cannot write here .*--out"), open_run(tmp_path / "file", "run"):
        pass


def test_an_interrupted_write_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_text(path, "old")

    def interrupted() -> None:
        with atomic_write(path) as file:
            file.write(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_whichever_write_fails_the_run_is_either_old_or_new(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the n-th replacement fail for n = 1, 2, ... until a write passes; after each, what is there is whole."""
    folder = made(tmp_path, extra="x")
    changed = replace(RECORD, reason="again")
    real = Path.replace
    for fail_at in range(1, 10):
        count = 0

        def sometimes(self: Path, target: Path) -> Path:
            nonlocal count
            count += 1
            if count == fail_at:  # noqa: B023
                raise OSError(28, "No space left on device")
            return real(self, target)

        monkeypatch.setattr(Path, "replace", sometimes)
        try:
            folder.write(changed)
        except GdbenchError as error:
            said = str(error)
            records, problems = read_records(find_runs(tmp_path))
            assert (len(records), len(problems)) == (0, 1)  # never believed, never lost
            assert folder.read().status == "done"
            assert not list(folder.path.glob("*.part"))
            continue
        break
    assert fail_at == 3  # record.json and done
    assert "No space left on device" in said
    assert "MB are free" in said
    assert folder.read(verify=True).reason == "again"


def test_a_full_disk_is_an_error_and_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files.os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        write_text(tmp_path / "a", "x")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_score_is_finite_or_void(value: float) -> None:
    with pytest.raises(ValueError, match="finite"):
        Score(value)
    with pytest.raises(ValueError, match="void"):
        Score(None)


def test_an_edited_score_is_found_by_the_hash_in_done(tmp_path: Path) -> None:
    folder = made(tmp_path)
    path = folder.path / store.RECORD
    path.write_text(path.read_text().replace("0.5", "0.99"))
    with pytest.raises(IntegrityError, match=r"record\.json: sha256 .* done says"):
        folder.read(verify=True)
    records, problems = read_records(find_runs(tmp_path))
    assert records == []
    assert "record.json" in problems[0]


def test_hashes_of_files_that_are_not_here_outlive_another_write(tmp_path: Path) -> None:
    """A record is committed without its large files; recording it again must not forget what they were."""
    folder = made(tmp_path, large="x", small="y")
    before = folder.read()
    (folder.path / "large").unlink()
    after = folder.write(replace(before, reason="measured again"))
    assert after.files == before.files
    assert folder.read(verify=True) == after


def test_many_openers_at_once_meet_nothing_but_a_holder(tmp_path: Path) -> None:
    def opened(_: int) -> str:
        try:
            with open_run(tmp_path, "run", wait=30):
                return "held"
        except GdbenchError as error:
            return str(error)

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(opened, range(200))) == {"held"}


def test_permissions_follow_the_umask_which_no_thread_sees_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "umask", lambda _: pytest.fail("the umask of all threads was changed"))
    with open_run(tmp_path, RECORD.id) as folder:
        (folder.path / "private").touch(mode=0o600)
        (folder.path / "usual").touch()
        folder.write(RECORD)
    assert (folder.path / "private").stat().st_mode == (folder.path / "usual").stat().st_mode


def test_a_holder_is_seen_without_disturbing_it(tmp_path: Path) -> None:
    assert not RunFolder(tmp_path / "run").held
    with open_run(tmp_path, "run") as folder:
        assert RunFolder(folder.path).held
    assert not folder.held


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        ("tables/m.parquet", {"calibration", "n"}),
        ("pictures/m-look.png", {"calibration", "n"}),
        ("tables.parquet", {"calibration"}),
        ("strips.webp", {"calibration", "m", "n"}),
    ],
)
def test_a_finished_run_outlives_a_kill_in_its_measurement(tmp_path: Path, changed: str, kept: set[str]) -> None:
    """All metrics are kept but those whose tables or pictures were being replaced."""
    scores = {**RECORD.scores, "n": {"c": Score(1.0)}, "calibration": {"alive_share": Score(1.0)}}
    record = replace(
        RECORD, scores=scores, versions={"metric:m": 1, "metric:n": 1, "method": 1}, metric_params={"m": {}, "n": {}}
    )
    with open_run(tmp_path, record.id) as folder:
        for name in (changed, "directions.safetensors"):
            (folder.path / name).parent.mkdir(exist_ok=True)
            (folder.path / name).write_text("x")
        folder.write(record)
        folder.reopen()
        recovered = folder.recovered()
        assert recovered is not None
        assert recovered.scores == scores
        (folder.path / changed).write_text("y")
        recovered = folder.recovered()
        assert recovered is not None
        assert set(recovered.scores) == kept
        assert set(recovered.versions) == {f"metric:{name}" for name in kept - {"calibration"}} | {"method"}
        (folder.path / "directions.safetensors").write_text("y")
        assert folder.recovered() is None


@pytest.mark.parametrize("place", ["/proc/nowhere", "file/out"])
def test_a_place_that_cannot_be_written_is_one_line(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GdbenchError, match=r"cannot write here \(.+\); choose another folder with --out"):
        store.writable(tmp_path / place)
