"""Packing and unpacking: what went in comes out, and a tar that is not as it says leaves nothing behind."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import resource
import tarfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner, Result

from gdbench import GdbenchError, IntegrityError, MissingFile, UsageError
from gdbench.cli import build_app
from gdbench.files import sha256
from gdbench.record import Score
from gdbench.registry import Registry, load_registry
from gdbench.runs.merging import merge
from gdbench.runs.packing import contents, files_of, opened, pack
from gdbench.runs.store import RunFolder, find_runs
from gdbench.runs.verifying import verify
from tests.runs.test_verifying import CONTENT, made, record_of

COPIES, SEED = 400, 23


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


def packed(tmp_path: Path, n: int = 2) -> Path:
    files: dict[str, Path | bytes] = {"more/note.txt": b"hello"}
    for seed in range(n):
        files |= files_of(made(tmp_path / "from", record_of(seed)))
    pack(files, tmp_path / "runs.tar")
    return tmp_path / "runs.tar"


def test_what_went_in_comes_out(tmp_path: Path) -> None:
    archive = packed(tmp_path)
    with opened(archive, tmp_path / "out") as place:
        assert {name: path.read_bytes() for name, path in contents(place).items() if name != "more/note.txt"} == {
            f"runs/{name}": path.read_bytes() for name, path in contents(tmp_path / "from").items()
        }
        assert find_runs(tmp_path / "out") == []  # what is on trial is nobody's run
    assert not (tmp_path / "out").exists()


def test_equal_files_make_an_equal_tar_that_any_tar_reads(tmp_path: Path) -> None:
    first = sha256(packed(tmp_path))
    os.utime(tmp_path / "from" / record_of().id / "record.json", (1, 1))
    assert sha256(packed(tmp_path)) == first
    with tarfile.open(tmp_path / "runs.tar") as tar:
        names = tar.getnames()
        manifest = json.load(tar.extractfile("manifest.json"))  # type: ignore[arg-type]
        kept = {name: tar.extractfile(name).read() for name in names[1:]}  # type: ignore[union-attr]
    assert names == ["manifest.json", *sorted(manifest["files"])]
    assert {name: hashlib.sha256(data).hexdigest() for name, data in kept.items()} == {
        name: entry["sha256"] for name, entry in manifest["files"].items()
    }


def test_a_run_with_a_fault_is_not_packed(tmp_path: Path) -> None:
    folder = made(tmp_path)
    (folder.path / "tables.parquet").write_text("changed")
    with pytest.raises(IntegrityError, match=r"tables\.parquet: sha256"):
        files_of(folder)


# Hostile tars


def tar_of(*entries: tuple[tarfile.TarInfo, bytes], manifest: dict[str, object] | None = None) -> bytes:
    """A tar with a manifest that names what it holds, whatever that is."""
    files = {info.name: {"size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for info, data in entries}
    first = json.dumps(manifest or {"format": 1, "files": files}).encode()
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
        for info, data in ((tarfile.TarInfo("manifest.json"), first), *entries):
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return stream.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, target: str = "") -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    info.type, info.linkname = kind, target
    return info, b"x" if kind == tarfile.REGTYPE else b""


def claiming(size: int) -> bytes:
    """A tar whose last entry claims ``size`` bytes and has none."""
    data = tar_of(entry("more/a"), manifest={"format": 1, "files": {"more/a": {"size": size, "sha256": "0"}}})
    info = tarfile.TarInfo("more/a")
    info.size = size
    at = data.index(b"more/a\0")
    return data[:at] + info.tobuf(tarfile.GNU_FORMAT) + data[at + 512 :]


def nested(depth: int) -> bytes:
    text = b'{"format": 1, "files": ' + b"[" * depth
    info = tarfile.TarInfo("manifest.json")
    info.size = len(text)
    return info.tobuf(tarfile.USTAR_FORMAT) + text + bytes(-len(text) % 512)


KINDS = [
    ("symbolic link", tarfile.SYMTYPE, "a symbolic link"),
    ("hard link", tarfile.LNKTYPE, "a hard link"),
    ("device", tarfile.CHRTYPE, "a device"),
    ("block device", tarfile.BLKTYPE, "a device"),
    ("pipe", tarfile.FIFOTYPE, "a pipe"),
]
HOSTILE: dict[str, tuple[Callable[[], bytes], str]] = {
    "parent": (lambda: tar_of(entry("../evil")), "refused the name"),
    "parent within": (lambda: tar_of(entry("runs/a/../../../evil")), "refused the name"),
    "absolute": (lambda: tar_of(entry("/tmp/evil")), "refused the name"),
    "backslash": (lambda: tar_of(entry("more\\..\\evil")), "refused the name"),
    "drive": (lambda: tar_of(entry("more/C:evil")), "refused the name"),
    "hidden": (lambda: tar_of(entry("runs/a/.lock")), "refused the name"),
    "escape codes": (lambda: tar_of(entry("more/\x1b[2Jx")), "refused the name|extension"),
    "no folder": (lambda: tar_of(entry("evil")), "refused the name"),
    "5,000 characters": (lambda: tar_of(entry("more/" + "x" * 5000)), "extension"),
    **{name: (lambda kind=kind: tar_of(entry("more/a", kind, "/etc/passwd")), words) for name, kind, words in KINDS},
    "folder": (lambda: tar_of(entry("more/a", tarfile.DIRTYPE)), "a folder"),
    "sparse": (lambda: tar_of(entry("more/a", tarfile.GNUTYPE_SPARSE)), "an extension"),
    "twice": (lambda: tar_of(entry("more/a"), entry("more/a")), "there twice"),
    "not named": (lambda: tar_of(entry("more/a"), manifest={"format": 1, "files": {}}), "not named"),
    "missing": (lambda: tar_of(manifest={"format": 1, "files": {"more/a": {"size": 1, "sha256": "0"}}}), "is missing"),
    "another hash": (
        lambda: tar_of(entry("more/a"), manifest={"format": 1, "files": {"more/a": {"size": 1, "sha256": "0"}}}),
        "sha256",
    ),
    "8 EB": (lambda: claiming(2**63 - 1), "claims"),
    "one byte more": (lambda: claiming(10**6), "claims"),
    "negative": (lambda: claiming(-1), "damaged|claims"),
    "no manifest": (lambda: tar_of(entry("more/a"))[1024:], "manifest"),
    "a deep manifest": (lambda: nested(100_000), "cannot be read"),
    "another format": (lambda: tar_of(manifest={"format": 2, "files": {}}), "format 2"),
    "compressed": (lambda: gzip.compress(tar_of(entry("more/a"))), "gdbench pack"),
    "no tar": (lambda: b"<html>" * 1000, "not an uncompressed tar"),
    "empty": (lambda: b"", "manifest"),
    "a run that is none": (lambda: tar_of(entry("runs/a/record.json")), "record.json|done"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_tars_are_one_line_and_leave_nothing(name: str, tmp_path: Path) -> None:
    make, reason = HOSTILE[name]
    archive = tmp_path / "a.tar"
    archive.write_bytes(make())
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    with pytest.raises(IntegrityError, match=reason) as caught, opened(archive, tmp_path / "out"):
        pass
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 600
    assert str(caught.value).isprintable()
    assert [path.name for path in tmp_path.iterdir()] == ["a.tar"]
    assert time.process_time() - start < 5
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # kilobytes


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for place, kind in (("pipe", UsageError), (".", UsageError), ("nowhere", MissingFile), ("x" * 300, GdbenchError)):
        with pytest.raises((kind, OSError)), opened(tmp_path / place, tmp_path / "out"):
            pass
    assert not (tmp_path / "out").exists()


def test_spoiled_tars_give_the_runs_or_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Copies with one to four faults, from a fixed seed."""
    from tests.weights.test_fuzz import spoiled

    good = packed(tmp_path, 1).read_bytes()
    path, rng = tmp_path / "spoiled.tar", np.random.Generator(np.random.Philox(key=SEED))
    there, lines, start = sorted(tmp_path.iterdir()), list[str](), time.process_time()
    for _ in range(COPIES):
        path.write_bytes(spoiled(good, rng))
        try:
            with opened(path, tmp_path / "out") as place:
                assert [verify(RunFolder(run)).faults for run in (place / "runs").iterdir()] == [()]
        except GdbenchError as error:
            lines.append(str(error))
    seconds = time.process_time() - start
    with capsys.disabled():
        print(f"\nfuzz tar: {COPIES} copies, seed {SEED}: {len(lines)} refused, others whole; {seconds:.1f} CPU s")
    assert [line for line in lines if "\n" in line or len(line) > 600] == []
    assert sorted(tmp_path.iterdir()) == sorted({*there, path})
    assert seconds < 30


# Merging


def runs_in(pool: Path) -> dict[str, bytes]:
    return {folder.path.name: (folder.path / "record.json").read_bytes() for folder in find_runs(pool)}


def test_merging_loses_and_doubles_nothing(tmp_path: Path, registry: Registry) -> None:
    for seed in (0, 1):
        made(tmp_path / "a", record_of(seed))
    for seed in (1, 2):
        made(tmp_path / "b", record_of(seed))
    before = contents(tmp_path / "a")
    assert [one.what for one in merge([tmp_path / "a"], tmp_path / "b", registry)] == ["new", "same"]
    assert sorted(runs_in(tmp_path / "b")) == sorted(record_of(seed).id for seed in range(3))
    assert [verify(folder).faults for folder in find_runs(tmp_path / "b")] == [(), (), ()]
    assert contents(tmp_path / "a") == before
    assert [one.what for one in merge([tmp_path / "a"], tmp_path / "b", registry)] == ["same", "same"]


@pytest.mark.parametrize("worse", ["unfinished", "damaged", "failed", "old"])
@pytest.mark.parametrize("there", [True, False], ids=["there", "brought"])
def test_the_complete_and_current_one_stays(worse: str, there: bool, tmp_path: Path, registry: Registry) -> None:
    """Whichever side it is on; the other one is not lost, and it is said why."""
    good, bad = made(tmp_path / "good"), made(tmp_path / "bad")
    record = record_of()
    if worse == "unfinished":
        (bad.path / "done").unlink()
    elif worse == "damaged":
        (bad.path / "tables.parquet").write_text("changed")
    elif worse == "failed":
        RunFolder(bad.path).write(replace(record, status="failed", reason="it broke", scores={}))
    else:
        RunFolder(bad.path).write(replace(record, versions={**record.versions, "evaluation": 1}))
    best, lost = runs_in(tmp_path / "good"), contents(bad.path)
    source, target = (tmp_path / "bad", tmp_path / "good") if there else (tmp_path / "good", tmp_path / "bad")
    kept = {name: path.read_bytes() for name, path in lost.items()}
    (result,) = merge([source], target, registry)
    assert runs_in(target) == best
    assert verify(RunFolder(target / good.path.name)).faults == ()
    assert result.what == ("kept" if there else "replaced")
    assert result.why
    if not there:
        (tar,) = (target / "replaced").glob("*.tar")
        with tarfile.open(tar) as old:
            found = {name.split("/", 2)[2]: old.extractfile(name).read() for name in old.getnames()[1:]}  # type: ignore[union-attr]
        assert found == kept


def test_a_run_made_twice_stays_as_it_is_and_differing_scores_are_told(tmp_path: Path, registry: Registry) -> None:
    made(tmp_path / "a", replace(record_of(), date="2026-01-01"))
    made(tmp_path / "b")
    (same,) = merge([tmp_path / "a"], tmp_path / "b", registry)
    assert (same.what, same.attention) == ("kept", False)
    assert "made twice, with the same scores" in same.why
    made(tmp_path / "c", record_of(score=0.9))
    (other,) = merge([tmp_path / "c"], tmp_path / "b", registry)
    assert (other.what, other.attention) == ("kept", True)
    assert "m.a: recorded 0.5, here 0.9" in other.why


def test_more_metrics_win_and_others_are_told(tmp_path: Path, registry: Registry) -> None:
    version = registry.metric("cost").spec.version
    record = record_of()
    cost = {"cost": {"images": Score(0.0)}}
    more = replace(
        record,
        scores={**record.scores, **cost},
        metric_params={**record.metric_params, "cost": {}},
        versions={**record.versions, "metric:cost": version},
    )
    made(tmp_path / "a", more)
    made(tmp_path / "b")
    (result,) = merge([tmp_path / "a"], tmp_path / "b", registry)
    assert result.what == "replaced"


def test_a_run_that_is_being_made_is_left_alone(tmp_path: Path, registry: Registry) -> None:
    from gdbench.runs.store import open_run

    made(tmp_path / "a", replace(record_of(), date="2026-01-01"))
    folder = made(tmp_path / "b")
    (folder.path / "done").unlink()
    with open_run(tmp_path / "b", record_of().id):
        (result,) = merge([tmp_path / "a"], tmp_path / "b", registry)
    assert (result.what, result.attention) == ("left out", True)
    assert "held by" in result.why


# The commands


def gdbench(*arguments: object) -> Result:
    return CliRunner().invoke(build_app(load_registry()), list(map(str, arguments)))


def test_the_commands_carry_runs_from_pool_to_pool(tmp_path: Path) -> None:
    for seed in range(2):
        made(tmp_path / "a", record_of(seed))
    done = gdbench("pack", tmp_path / "a", "--to", tmp_path / "x.tar")
    assert done.stdout.startswith(f"packed 2 runs, {2 * (2 + len(CONTENT))} files")
    done = gdbench("unpack", tmp_path / "x.tar", "--out", tmp_path / "b")
    assert (done.exit_code, done.stdout) == (0, "2 new\n"), done.stderr
    assert runs_in(tmp_path / "a") == runs_in(tmp_path / "b")
    visible = [path.name for path in (tmp_path / "b").iterdir() if path.name != ".claims"]
    assert sorted(visible) == sorted(runs_in(tmp_path / "a"))
    assert gdbench("merge", tmp_path / "a", tmp_path / "b").stdout == "2 same\n"
    assert isinstance(gdbench("merge", tmp_path / "b").exception, UsageError)
    assert isinstance(gdbench("merge", tmp_path / "b", tmp_path / "b").exception, UsageError)
