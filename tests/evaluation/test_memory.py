"""Rendering within a bound: halving where memory runs out changes nothing, and the bound is kept."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from gdbench import Codes, GeneratorSpec, Stream, UsageError, load_domain, load_generator
from gdbench.context import SILENT
from gdbench.evaluation.memory import BATCH, computed, fitting_batch, held_memory, in_batches, peak_bytes
from gdbench.record import RunRecord
from gdbench.registry import Offer, Registry, load_registry
from gdbench.runs.counting import Counted
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.specs import resolve

ERRORS: Sequence[Callable[[], Exception]] = (
    lambda: torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    lambda: RuntimeError(
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate memory: you tried to "
        "allocate 163840000 bytes. Error code 12 (Cannot allocate memory)"
    ),
    lambda: RuntimeError("std::bad_alloc"),
    MemoryError,
)


class Small:
    """A generator whose memory holds ``most`` images; everything else is the other generator's."""

    def __init__(self, generator: Any, most: int, error: Callable[[], Exception] = ERRORS[0]) -> None:
        self.generator, self.most, self.error = generator, most, error
        self.sizes: list[int] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def render(self, codes: Codes) -> Tensor:
        if len(codes) > self.most:
            raise self.error()
        self.sizes.append(len(codes))
        images: Tensor = self.generator.render(codes)
        return images


@pytest.mark.parametrize("error", ERRORS)
def test_a_slice_that_does_not_fit_is_done_in_halves_and_none_twice(error: Callable[[], Exception]) -> None:
    tried: list[slice] = []

    def work(part: slice) -> range:
        tried.append(part)
        if part.stop - part.start > 9:
            raise error()
        return range(part.start, part.stop)

    done = list(in_batches(work, 100, 64))
    assert [number for part in done for number in part] == list(range(100))
    assert [part.stop - part.start for part in tried][:4] == [64, 32, 16, 8]
    assert {len(part) for part in done} == {8, 4}


def test_one_item_that_does_not_fit_and_other_errors_are_raised() -> None:
    def work(part: slice) -> None:
        raise RuntimeError("can't allocate memory" if part.stop < 50 else "another fault")

    with pytest.raises(RuntimeError, match="can't allocate"):
        list(in_batches(work, 3, 3))
    with pytest.raises(RuntimeError, match="another"):
        list(in_batches(work, 50, 50))


@pytest.mark.parametrize("name", ["sngan", "stylegan2"])
def test_smaller_batches_give_the_same_images(name: str) -> None:
    """The same bits from 16 images at a time on; in smaller batches a CPU's matrix products sum in another order."""
    generator = load_generator(name)
    codes = generator.sample(70, generator.spaces[0], Stream(0, "test").at())
    with torch.no_grad():
        whole = generator.render(codes)
        assert torch.equal(Counted(Small(generator, 40)).render(codes), Counted(generator, 35).render(codes))
        for most in (1, 3, 40):
            halved = Counted(Small(generator, most)).render(codes)
            torch.testing.assert_close(halved, whole, atol=3e-5, rtol=0)
        thirty_two = Counted(Small(generator, 32)).render(codes[:64])
    assert torch.equal(thirty_two, whole[:64])


def test_where_a_gradient_flows_nothing_is_split() -> None:
    toy = load_generator("toy")
    codes = toy.sample(8, "z", Stream(0, "test").at())
    moved = codes.shifted(torch.zeros(8, 64, requires_grad=True))
    small = Small(toy, 8)
    assert Counted(small, batch=2).render(moved).requires_grad
    assert small.sizes == [8]
    with torch.no_grad():
        assert len(Counted(small, batch=3).render(moved)) == 8
    assert small.sizes == [8, 3, 3, 2]
    with pytest.raises(torch.OutOfMemoryError):
        Counted(Small(toy, 4)).render(moved)


def test_computed_of_nothing() -> None:
    assert computed(lambda codes: codes.latents, Codes(torch.zeros(0, 3), "z"), 4).shape == (0, 3)


def registry_of(most: int, kept: list[Small]) -> Registry:
    """The installed plugins, with a toy generator that cannot render more than ``most`` images at once."""
    registry = load_registry()
    offer = registry.generator("toy")

    def load(*arguments: Any) -> Small:
        kept.append(Small(resolve(offer.spec.load)(*arguments), most))
        return kept[-1]

    spec: GeneratorSpec = replace(offer.spec, load=load)
    return replace(registry, generators={**registry.generators, "toy": Offer(spec, offer.provider)})


def test_a_whole_run_is_the_same_run_where_little_memory_is(tmp_path: Path) -> None:
    records: list[RunRecord] = []
    for most, limit in ((10**6, None), (7, "64GB")):
        kept: list[Small] = []
        registry = registry_of(most, kept)
        request = RunRequest("toy", "random", k=4, tier="smoke", metrics=("diversity",))
        made = plan(replace(request, out=tmp_path / str(len(records)), max_memory=limit), registry)
        record, _ = execute(made, registry, SILENT)
        assert record.status == "done", record.reason
        assert max(kept[0].sizes) <= min(most, BATCH)
        records.append(record)
    assert len({record.id for record in records}) == 1
    assert records[0].scores == records[1].scores
    assert records[0].costs["calibrate"].images == records[1].costs["calibrate"].images


def test_a_bound_that_cannot_be_kept_is_one_line(tmp_path: Path) -> None:
    registry = load_registry()
    request = RunRequest("toy", "random", k=4, tier="smoke", out=tmp_path, max_memory="20MB")
    with pytest.raises(UsageError, match=r"max_memory: got 0\.02 GB, but a run that renders one image holds "):
        execute(plan(request, registry), registry, SILENT)


def test_peak_bytes_counts_what_is_alive_at_once() -> None:
    def work() -> None:
        kept = torch.zeros(1000)
        for _ in range(5):
            kept = kept + 1  # the old and the new one: two at once
        kept.view(10, 100).t()

    assert peak_bytes(work) == 2 * 4000


def test_the_batch_grows_with_the_bound_and_its_tensors_keep_it() -> None:
    class Wide:
        """Images of 768 KiB, of which two are alive at once while rendered."""

        device, spaces = torch.device("cpu"), ("z",)

        def sample(self, n: int, space: str, rng: object) -> Codes:
            return Codes(torch.zeros(n, 4), space)

        def render(self, codes: Codes) -> Tensor:
            return torch.zeros(len(codes), 3, 256, 256) + 1

    eye = SimpleNamespace(embed=lambda images: ([images[:, :, :1, :1]], images[:, :, 0, 0]))
    domain: Any = SimpleNamespace(factors=(), oracle=lambda which: eye)
    generator: Any = Wide()
    sizes = []
    for megabytes in (12, 50, 100, 10_000):
        limit = held_memory(generator.device) + megabytes * 2**20
        size = fitting_batch(generator, "z", domain, limit)
        assert size * 2 * 0.75 <= megabytes
        sizes.append(size)
    assert sizes == sorted(sizes)
    assert sizes[0] >= 2
    assert sizes[-1] == BATCH
    with pytest.raises(UsageError, match=r"max_memory: got .* GB, but a run that renders one image holds .* GB"):
        fitting_batch(generator, "z", domain, 2**20)


def test_the_bound_of_a_shipped_generator_is_found() -> None:
    generator, domain = load_generator("sngan"), load_domain("scenes")
    assert fitting_batch(generator, "z", domain, held_memory(generator.device) + 2**34) == BATCH
    assert fitting_batch(generator, "z", domain, held_memory(generator.device) + 30 * 2**20) < BATCH


REAL = """
import resource, torch, gdbench
from gdbench.evaluation.memory import held_memory, in_batches
torch.set_num_threads(1)
generator = gdbench.load_generator("sngan")
codes = generator.sample(4096, "z", gdbench.Stream(0, "test").at())
sizes = []
def work(part):
    images = generator.render(codes[part])
    sizes.append(len(images))
    return images[:, 0, 0, 0].clone()
with torch.no_grad():
    work(slice(0, 64))
    sizes.clear()
    used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + 2**29, used + 2**29))
    halved = torch.cat(list(in_batches(work, 4096, 4096)))
    assert max(sizes) < 4096, sizes
    assert torch.equal(halved, torch.cat([work(slice(s, s + 64)) for s in range(0, 4096, 64)]))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs a bound on the address space")
def test_a_process_that_really_runs_out_of_memory_finishes() -> None:
    call = [sys.executable, "-c", REAL]
    done = subprocess.run(call, capture_output=True, text=True, timeout=500, check=False)
    assert done.returncode == 0, done.stderr
