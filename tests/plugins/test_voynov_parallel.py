"""voynov in two processes: the same directions as in one, one writer, and faults that end both."""

from __future__ import annotations

import multiprocessing
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from gdbench_voynov.curved import CurvedDirections
from gdbench_voynov.discover import discover
from gdbench_voynov.params import VoynovParams
from safetensors.torch import load_file
from torch import Tensor

import gdbench
from gdbench import Codes, LinearDirections, PluginError, UsageError
from gdbench.context import ResumePoint
from gdbench.runs.store import find_runs
from tests.plugins.methods_generators import Convnet, context
from tests.plugins.test_voynov import Killed, Killing

pytest.importorskip("lightning_fabric", reason="the extra `distributed` is not installed")
TWO = VoynovParams(steps=3, batch=8, devices=2)
ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _nothing_left(one_thread: None) -> Iterator[None]:
    environment = dict(os.environ)
    yield
    assert not multiprocessing.active_children()
    assert not torch.distributed.is_initialized()
    assert {name: os.environ.get(name) for name in ("RANK", "WORLD_SIZE")} == dict.fromkeys(("RANK", "WORLD_SIZE"))
    assert environment.keys() <= os.environ.keys()


def _vectors(params: VoynovParams, space: str = "z") -> Tensor:
    """Directions, or what curved ones do to a code at a shift of two units, either way."""
    found = discover(Convnet(), params, context(4, space))
    if isinstance(found, LinearDirections):
        return found.vectors
    assert isinstance(found, CurvedDirections)
    index = torch.arange(4).repeat(2)
    return found.delta(index, 2 * found.unit[index] * torch.tensor([1.0, -1.0]).repeat_interleave(4))


@pytest.mark.parametrize(
    ("params", "space"),
    [
        (TWO, "w"),
        (replace(TWO, form="unit", reconstructor="resnet18", resize=32, steps=1), "z"),
        (replace(TWO, form="linear", micro_batch=3), "z"),
        (replace(TWO, form="projective"), "w"),
        (replace(TWO, form="fc"), "z"),
    ],
)
def test_two_processes_find_what_one_finds(params: VoynovParams, space: str) -> None:
    one, two = _vectors(replace(params, devices=1), space), _vectors(params, space)
    torch.testing.assert_close(two, one, atol=2e-5 if params.form in {"ortho", "unit", "linear"} else 2e-4, rtol=0)
    assert (one - _vectors(replace(params, devices=1, steps=0), space)).abs().max() > 1e-3


def test_the_batch_norm_sees_the_whole_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without that, the directions would differ: the test above can fail."""
    params = replace(TWO, steps=20)
    monkeypatch.setattr("gdbench_voynov.discover.synced", lambda module, world: module)
    assert (_vectors(params) - _vectors(replace(params, devices=1))).abs().max() > 1e-3


def test_forked_processes_cost_the_images_of_one(tmp_path: Path) -> None:
    """The cap of a tier is one on images: several processes must not pass under it."""
    costs = []
    for devices, micro_batch in ((1, 0), (2, 0), (2, 3)):
        chosen = {"devices": devices, "micro_batch": micro_batch}
        run = gdbench.run(
            "toy", "voynov", k=4, tier="smoke", metrics=("cost",), method_params=chosen, out=tmp_path / str(chosen)
        )
        costs.append(run.record.costs["discover"])
    assert [(cost.images, cost.backward) for cost in costs] == [(288, 240)] * 3


def test_killed_processes_resume_bit_for_bit(tmp_path: Path) -> None:
    params, resume = replace(TWO, steps=60), ResumePoint(tmp_path / "resume.pt", every=0.0)
    whole = _vectors(params)
    with pytest.raises(Killed):
        discover(Convnet(), params, context(resume=resume, reporter=Killing(at=2)))
    assert set(os.listdir(tmp_path)) <= {"resume.pt", ".resume.pt.before"}
    watching = Killing(at=-1)
    resumed = discover(Convnet(), params, context(resume=resume, reporter=watching))
    assert watching.began == 50
    assert isinstance(resumed, LinearDirections)
    assert torch.equal(resumed.vectors, whole)


def test_a_loss_that_is_no_number_ends_both() -> None:
    class Failing(Convnet):
        def render(self, codes: Codes) -> Tensor:
            return super().render(codes) * torch.nan

    with pytest.raises(PluginError, match="loss was nan between steps 0 and 3"):
        discover(Failing(), TWO, context())


def test_a_process_that_dies_ends_the_other_with_a_reason() -> None:
    class Dying(Convnet):
        def render(self, codes: Codes) -> Tensor:
            if os.environ.get("RANK") == "1":
                os._exit(3)
            return super().render(codes)

    with pytest.raises(PluginError, match=r"processes 1 to 1 ended with \[3\]"):
        discover(Dying(), TWO, context())


def test_several_machines_need_a_launcher() -> None:
    with pytest.raises(UsageError, match="torchrun must start"):
        discover(Convnet(), replace(TWO, nodes=2), context())


SCRIPT = """
import sys, torch
from gdbench_voynov.discover import discover
from gdbench_voynov.params import VoynovParams
from tests.plugins.methods_generators import Convnet, context
found = discover(Convnet(), VoynovParams(steps=3, batch=8, devices=2), context())
torch.save(found.vectors, f"{sys.argv[1]}.{__import__('os').environ['RANK']}")
"""


def test_torchrun_may_start_the_processes(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    command += [str(tmp_path / "script.py"), str(tmp_path / "found")]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    zero, one = (torch.load(tmp_path / f"found.{rank}") for rank in (0, 1))
    torch.testing.assert_close(zero, _vectors(replace(TWO, devices=1)), atol=2e-5, rtol=0)
    torch.testing.assert_close(one, zero, atol=1e-6, rtol=0)


def test_another_number_of_processes_than_torchrun_started_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(UsageError, match="started 3 processes, but devices x nodes is 1"):
        discover(Convnet(), replace(TWO, devices=1), context())
    monkeypatch.undo()


def test_under_torchrun_one_process_writes_the_run_and_all_are_counted(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "gdbench"]
    command += ["run", "--gan", "toy", "--method", "voynov", "--k", "4", "--tier", "smoke", "--metrics", "cost"]
    command += ["-p", "devices=2", "--out", str(tmp_path / "two")]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=240)
    assert done.returncode == 0, done.stderr
    (folder,) = find_runs(tmp_path / "two")
    one = gdbench.run("toy", "voynov", k=4, tier="smoke", metrics=("cost",), out=tmp_path / "one")
    alone, both = one.record.costs["discover"], folder.read(verify=True).costs["discover"]
    assert (both.images, both.backward) == (alone.images, alone.backward) != (0, 0)
    vectors = [load_file(place / "directions.safetensors")["vectors"] for place in (one.folder, folder.path)]
    # sums over halves of a batch are rounded otherwise, and how much of that training keeps differs between processors
    torch.testing.assert_close(vectors[0], vectors[1], atol=1e-2, rtol=0)
