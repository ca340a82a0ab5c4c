"""Claims on runs between processes of one machine, of several (namespaces), and under clocks that differ."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from gdbench.errors import Busy
from gdbench.record import Cell, RunRecord
from gdbench.runs import claims
from gdbench.runs.claims import CLAIMS, HOLDER, Claim
from gdbench.runs.store import RunFolder, open_run

RECORD = RunRecord("run", Cell("toy", "none", "random", seed=0, k=4, space="z", tier="smoke"), status="done")
BEAT, STALE = 0.1, 1.0
HOLD = f"""
import os, pathlib, sys, time
from gdbench.runs import claims
claims.BEAT = {BEAT}
shift = float(sys.argv[2])
if shift:  # a machine whose clock is off, on a file system that believes it
    real = os.utime
    os.utime = lambda path: real(path, (time.time() + shift,) * 2)
claim = claims.Claim(pathlib.Path(sys.argv[1])).take()
with claim.beating():
    print(flush=True)
    time.sleep(600)
"""
ELSEWHERE = ("unshare", "--mount", "--net", "--pid", "--uts", "--fork", "--kill-child")
"""Another machine, as far as a process can see: its number, its network and its mounts are its own."""


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(claims, "BEAT", BEAT)
    monkeypatch.setattr(claims, "STALE", STALE)
    return tmp_path / "run"


@contextmanager
def holding(run: Path, shift: float = 0.0, prefix: Sequence[str] = ()) -> Iterator[subprocess.Popen[bytes]]:
    """A process that holds the run; it is killed at the end."""
    command = [*prefix, sys.executable, "-c", HOLD, str(run), str(shift)]
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert child.stdout is not None
    try:
        if not child.stdout.readline():
            pytest.skip(f"{' '.join(prefix)}: no namespaces here (root or user namespaces are needed)")
        yield child
    finally:
        kill(child)
        child.stdout.close()


def kill(child: subprocess.Popen[bytes]) -> None:
    child.kill()
    child.wait()


def seconds_until_taken(run: Path) -> float:
    start = time.monotonic()
    with open_run(run.parent, run.name, wait=30):
        return time.monotonic() - start


def test_a_claim_is_a_folder_beside_the_run_that_goes_with_its_holder(run: Path) -> None:
    with open_run(run.parent, run.name) as folder:
        (holder,) = (run.parent / CLAIMS).rglob(HOLDER)
        assert holder.parent == run.parent / CLAIMS / "run" / "1"
        assert f"process {os.getpid()} on" in str(Claim(run).holder())
        assert list(folder.path.iterdir()) == []
        with pytest.raises(Busy, match=f"held by process {os.getpid()} on"), open_run(run.parent, run.name):
            pass
    assert Claim(run).holder() is None
    assert list((run.parent / CLAIMS).iterdir()) == []


def test_a_holder_that_was_killed_here_is_followed_at_once(run: Path) -> None:
    with holding(run) as child:
        assert Claim(run).holder() is not None
        kill(child)
        assert seconds_until_taken(run) < STALE / 2


def test_a_number_that_another_process_has_now_is_no_sign_of_life(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(claims, "_started", lambda pid: "1")
        Claim(run).take()
    assert Claim(run).holder() is None


@pytest.mark.parametrize("shift", [0.0, -3600.0, 3600.0])
def test_a_holder_on_another_machine_is_followed_when_it_ceases_to_beat(run: Path, shift: float) -> None:
    """Whether its clock is right or an hour off: the claim lasts while it lives, and STALE seconds after."""
    with holding(run, shift, ELSEWHERE) as child:
        for _ in range(round(2 * STALE / 0.1)):
            assert Claim(run).holder() is not None
            time.sleep(0.1)
        kill(child)
        assert STALE / 2 < seconds_until_taken(run) < 10 * STALE


def test_two_machines_see_one_another(run: Path) -> None:
    """Each has a process of the same number, 1; the second learns that the first holds the run."""
    take = HOLD.replace("time.sleep(600)", "raise SystemExit")
    with holding(run, prefix=ELSEWHERE):
        command = [*ELSEWHERE, sys.executable, "-c", take, str(run), "0"]
        second = subprocess.run(command, capture_output=True, text=True, check=False)
    assert "Busy: process 1 on" in second.stderr


def test_of_many_takers_of_a_dead_claim_one_wins(run: Path) -> None:
    with holding(run) as child:
        kill(child)
    for _ in range(6):
        together = threading.Barrier(8)

        def taken(_: int) -> Claim | None:
            together.wait()  # noqa: B023
            try:
                return Claim(run).take()
            except Busy:
                return None

        with ThreadPoolExecutor(8) as pool:
            won = [claim for claim in pool.map(taken, range(8)) if claim is not None]
        assert len(won) == 1
        assert not won[0].lost()
        won[0].release()
        with holding(run) as child:
            kill(child)


def test_who_sleeps_while_it_takes_over_disturbs_no_later_claim(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The dead claim is taken, given back and made anew by others while one taker stands before its mkdir."""
    with holding(run) as child:
        kill(child)
    real, later = Path.mkdir, []

    def slow(self: Path, *arguments: object, **options: object) -> None:
        if self.name == "2" and not later:
            monkeypatch.setattr(Path, "mkdir", real)
            Claim(run).take().release()
            later.append(Claim(run).take())
        real(self, *arguments, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(Path, "mkdir", slow)
    with pytest.raises(Busy):
        Claim(run).take()
    assert not later[0].lost()
    assert [path.name for path in (run.parent / CLAIMS / "run").iterdir()] == ["1"]


def test_a_process_that_died_before_it_gave_its_name_is_followed_too(run: Path) -> None:
    (run.parent / CLAIMS / "run" / "1").mkdir(parents=True)
    assert str(Claim(run).holder()) == "process 0 on this or another machine"
    assert STALE / 2 < seconds_until_taken(run) < 10 * STALE


def test_a_holder_that_was_taken_for_dead_notices_and_records_nothing(run: Path) -> None:
    """Stopped for longer than STALE on another machine: what its follower recorded stands, byte for byte."""
    record = f"""
from dataclasses import replace
from gdbench.record import RunRecord
from gdbench.runs.store import open_run
claims.STALE = {STALE}
with open_run(pathlib.Path(sys.argv[1]).parent, 'run') as folder:
    print(flush=True)
    sys.stdin.readline()
    folder.write(replace(RunRecord.from_json(sys.argv[3]), reason='late'))
"""
    code = HOLD.partition("claim =")[0] + record
    command = [*ELSEWHERE, sys.executable, "-c", code, str(run), "0", RECORD.to_json()]
    child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert child.stdout is not None
    if not child.stdout.readline():
        pytest.skip("no namespaces here (root or user namespaces are needed)")
    (worker,) = Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split()
    os.kill(int(worker), signal.SIGSTOP)
    with open_run(run.parent, run.name, wait=30) as folder:
        folder.write(RECORD)
        before = (run / "record.json").read_bytes(), (run / "done").stat()
        os.kill(int(worker), signal.SIGCONT)
        _, said = child.communicate(b"\n", 60)
    assert f"taken over by process {os.getpid()}" in said.decode()
    assert before == ((run / "record.json").read_bytes(), (run / "done").stat())
    assert RunFolder(run).read(verify=True).reason == ""


def test_what_claims_leave_is_never_part_of_a_run(run: Path) -> None:
    with open_run(run.parent, run.name) as folder:
        folder.write(RECORD)
        folder.clear()
        assert list(run.iterdir()) == []
        assert not folder.claim.lost()  # type: ignore[union-attr]
    shutil.rmtree(run.parent / CLAIMS)
    assert Claim(run).holder() is None
