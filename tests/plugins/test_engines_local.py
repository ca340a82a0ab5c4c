"""The engine of this machine: slots for cells, CPUs, GPUs and memory, and limits that end what exceeds them."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from gdbench_engines.local import Local

from gdbench import Job, JobState, Resources, UsageError

SAYS = "import os, time; print(os.environ.get('CUDA_VISIBLE_DEVICES'), flush=True); time.sleep({})"


@pytest.fixture
def engines(tmp_path: Path) -> Iterator[Engines]:
    made = Engines(tmp_path)
    yield made
    for engine in made.started:
        engine.close()


class Engines:
    def __init__(self, folder: Path) -> None:
        self.folder, self.started = folder, list[Local]()

    def local(self, at_once: int = 9, gpus: tuple[str, ...] = (), cpus: int | None = None, **more: int) -> Local:
        self.started.append(Local(at_once, gpus, cpus, more.get("memory"), more.get("grace", 5)))
        return self.started[-1]

    def job(self, name: str, code: str = SAYS.format(60), **needs: object) -> Job:
        made = Resources(**needs)  # type: ignore[arg-type]
        command = (sys.executable, "-c", code)
        return Job(name, command, json.dumps({"out": "x"}), self.folder / f"{name}.log", self.folder, resources=made)


def phases(engine: Local) -> dict[str, str]:
    return {name: state.phase for name, state in engine.states().items()}


def ended(engine: Local, name: str) -> JobState:
    while (state := engine.states()[name]).phase != "ended":
        time.sleep(0.05)
    return state


@pytest.mark.parametrize(
    ("limits", "needs"),
    [
        ({"at_once": 2}, {}),
        ({"gpus": ("3", "5")}, {"gpus": 1}),
        ({"cpus": 4}, {"cpus": 2}),
        ({"memory": 4_000_000_000}, {"memory": "2GB"}),
    ],
)
def test_what_does_not_fit_waits_and_nothing_overtakes_it(
    engines: Engines, limits: Mapping[str, object], needs: Mapping[str, object]
) -> None:
    engine = engines.local(**limits)  # type: ignore[arg-type]
    engine.submit([engines.job(name, **needs) for name in "abc"])
    assert phases(engine) == {"a": "running", "b": "running", "c": "waiting"}
    assert engine.room() == 0
    engine.cancel(["a"])
    assert ended(engine, "a").status == "interrupted"
    assert phases(engine) == {"a": "ended", "b": "running", "c": "running"}


def test_each_cell_sees_gpus_of_its_own(engines: Engines) -> None:
    engine = engines.local(gpus=("3", "5", "GPU-x"))
    engine.submit([engines.job("one", SAYS.format(0), gpus=1), engines.job("two", SAYS.format(0), gpus=2)])
    engine.submit([engines.job("none", SAYS.format(0))])
    for name in ("one", "two", "none"):
        assert ended(engine, name).code == 0
    said = [(engines.folder / f"{name}.log").read_text().strip() for name in ("one", "two", "none")]
    assert said == ["3", "5,GPU-x", str(os.environ.get("CUDA_VISIBLE_DEVICES"))]


SEES = """import json, os, pathlib, time
from gdbench import MethodSpec, LinearDirections, hookimpl, normal

def discover(generator, params, context):
    seen = pathlib.Path(os.environ['GDBENCH_TEST_SEEN'])
    began = time.time()
    time.sleep(1)
    told = {'gpus': os.environ.get('CUDA_VISIBLE_DEVICES'), 'from': began, 'to': time.time()}
    (seen / str(context.seed)).write_text(json.dumps(told))
    return LinearDirections(normal(context.stream('x').at(), context.k, 64), context.space)

@hookimpl
def gdbench_methods():
    yield MethodSpec('sees', 'says which GPUs it sees', discover)
"""


def test_cells_of_a_bench_never_share_a_gpu(tmp_path: Path) -> None:
    """No GPU is needed: two are pretended by the variable that names them, and cells say what they see."""
    (tmp_path / "sees.py").write_text(SEES)
    (tmp_path / "s.yaml").write_text(
        "name: s\ntier: smoke\nk: 4\nseeds: [0, 1, 2, 3]\nmetrics: [cost]\ngenerators: [toy]\n"
        "resources: {gpus: 1}\nmethods: [sees]\n"
    )
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "4,GPU-7", "GDBENCH_TEST_SEEN": str(tmp_path)}
    command = [sys.executable, "-m", "gdbench", "bench", "s.yaml", "--plugin", "sees.py", "--jobs", "3", "--out", "o"]
    command += ["--device", "cpu", "--threads", "1", "--changed"]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    seen = [json.loads((tmp_path / str(seed)).read_text()) for seed in range(4)]
    assert {one["gpus"] for one in seen} == {"4", "GPU-7"}
    for gpu in ("4", "GPU-7"):
        times = sorted((one["from"], one["to"]) for one in seen if one["gpus"] == gpu)
        assert all(before[1] <= after[0] for before, after in itertools.pairwise(times))
    none = subprocess.run([*command, "-p", "gpus=0"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert none.returncode == 0  # all is done: no cell needs one
    (tmp_path / "s.yaml").write_text((tmp_path / "s.yaml").read_text().replace("[0, 1, 2, 3]", "[4]"))
    none = subprocess.run([*command, "-p", "gpus=0"], cwd=tmp_path, env=environment, capture_output=True, check=False)
    assert none.returncode == 2
    assert b"a cell needs 1 GPUs, the engine local has 0: change its resources" in none.stderr


def test_what_this_machine_never_has_is_said_at_once(engines: Engines) -> None:
    with pytest.raises(UsageError, match="needs 2 GPUs, the engine local has 1"):
        engines.local(gpus=("0",)).submit([engines.job("a", gpus=2)])


def test_memory_beyond_the_bound_is_an_error_of_the_cell_itself(engines: Engines) -> None:
    engine = engines.local()
    code = "import time; time.sleep(.5)\ntry: bytearray(3 * 10**9)\nexcept MemoryError: print('refused')"
    engine.submit([engines.job("a", code, memory="1GB")])
    assert ended(engine, "a").code == 0
    assert (engines.folder / "a.log").read_text() == "refused\n"


def test_a_cell_that_will_not_end_is_made_to_with_all_it_started(engines: Engines) -> None:
    code = "import os, signal, time; signal.signal(15, signal.SIG_IGN); os.fork(); print(os.getpid(), flush=True)"
    engine = engines.local(grace=1)
    engine.submit([engines.job("a", f"{code}; time.sleep(600)", time=2)])
    state = ended(engine, "a")
    assert (state.status, state.code) == ("timeout", -9)
    time.sleep(0.5)
    pids = (engines.folder / "a.log").read_text().split()
    alive = [pid for pid in pids if Path(f"/proc/{pid}/stat").exists()]
    assert [pid for pid in alive if Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z"] == []
    assert len(pids) == 2
