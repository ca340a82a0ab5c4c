"""Run folders as bytes, and jobs that run in a folder of their own on a machine that does not see the sender's disk."""

from __future__ import annotations

import io
import json
import stat
import tarfile
from pathlib import Path

import pytest

from gdbench import Job, Resources, carried, packed
from gdbench.runs.carry import unpack

WORKS = """
import json, os, pathlib, sys, time
out = pathlib.Path(json.loads(sys.stdin.read())['out'])
folder = out / 'run'
seen = sorted(path.name for path in folder.rglob('*')) if folder.exists() else None
print('saw', seen, os.environ.get('GIVEN'), pathlib.Path(sys.argv[1]).read_text())
folder.mkdir(exist_ok=True)
(folder / 'made').write_text('x')
time.sleep(float(sys.argv[2]))
sys.exit(3)
"""


def job(tmp_path: Path, sleep: float = 0.0, time: float | None = None) -> Job:
    plugin = tmp_path / "plugin.py"
    plugin.write_text("# mine")
    command = ("no-such-python", "-c", WORKS, str(plugin), str(sleep))
    given = json.dumps({"out": str(tmp_path / "out")})
    folder, log = tmp_path / "out" / "run", tmp_path / "log"
    return Job("run", command, given, log, folder, (plugin,), Resources(time=time))


def test_a_folder_is_the_same_at_the_other_end_with_what_it_had_before_gone(tmp_path: Path) -> None:
    source, target = tmp_path / "a", tmp_path / "b"
    (source / "pictures").mkdir(parents=True)
    (source / "pictures" / "p").write_bytes(b"\0\1")
    (source / ".resume.part").write_text("half")
    target.mkdir()
    (target / "old").touch()
    unpack(packed(source), target)
    assert sorted(path.relative_to(target).as_posix() for path in target.rglob("*")) == ["pictures", "pictures/p"]
    assert (target / "pictures" / "p").read_bytes() == b"\0\1"
    assert stat.S_IMODE(target.stat().st_mode) == stat.S_IMODE(source.stat().st_mode)
    assert packed(tmp_path / "none") == b""


@pytest.mark.parametrize(("name", "link"), [("../out", ""), ("out", "/etc"), ("out", "../..")])
def test_names_that_lead_elsewhere_are_refused_and_leave_nothing(tmp_path: Path, name: str, link: str) -> None:
    data, entry = io.BytesIO(), tarfile.TarInfo(name)
    if link:
        entry.type, entry.linkname = tarfile.SYMTYPE, link
    with tarfile.open(fileobj=data, mode="w") as tar:
        tar.addfile(entry)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "kept").touch()
    with pytest.raises(tarfile.TarError):
        unpack(data.getvalue(), tmp_path / "b")
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["b", "b/kept"]


def test_a_job_sees_its_folder_and_files_and_gives_the_folder_back(tmp_path: Path) -> None:
    one = job(tmp_path)
    files = {str(path): path.read_bytes() for path in one.files}
    found = carried(one, files, b"", {"GIVEN": "yes"})
    assert (found.code, found.log.decode(), found.late) == (3, "saw None yes # mine\n", False)
    assert not one.folder.exists()  # it ran in another place
    again = carried(one, files, found.folder, {})
    assert again.log.decode().startswith("saw ['made']")


def test_the_end_of_a_long_output_comes_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbench.runs.logs.LARGEST", 1_000)
    one = job(tmp_path)
    (tmp_path / "plugin.py").write_text("y" * 50_000)
    log = carried(one, {str(path): path.read_bytes() for path in one.files}, b"", {}).log
    assert len(log) <= 1_000
    assert log.endswith(b"yyy\n")


def test_a_job_whose_time_is_over_gives_back_what_it_has(tmp_path: Path) -> None:
    one = job(tmp_path, sleep=600, time=3)
    found = carried(one, {str(path): path.read_bytes() for path in one.files}, b"", {})
    assert found.late
    assert found.code != 0
    unpack(found.folder, tmp_path / "b")
    assert (tmp_path / "b" / "made").exists()
