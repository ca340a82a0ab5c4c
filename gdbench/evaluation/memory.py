"""Rendering within a bound on memory: how many images fit at once, and halving where memory runs out all the same.

Batches of 16 and more give the same bits on a CPU; smaller ones may differ by 1e-5, for matrix products of a few rows
sum in another order. The bound does not cover training steps, which keep their own batch, nor libraries loaded later.
"""

from __future__ import annotations

import resource
import sys
import weakref
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from gdbench.codes import Codes
from gdbench.errors import UsageError
from gdbench.evaluation.perception import embed
from gdbench.protocols import Domain, Generator
from gdbench.streams import Stream

T = TypeVar("T")

BATCH = 128
SCRATCH = 1.5
"""What kernels take beside the tensors that torch sees: measured 1.0 at 256 px, up to 1.5 at 32 px."""
SIGNS_OF_EXHAUSTION = ("can't allocate memory", "out of memory", "bad_alloc", "ALLOC_FAILED")


def in_batches(work: Callable[[slice], T], n: int, batch: int) -> Iterator[T]:
    """What ``work`` makes of consecutive slices of ``range(n)``, each ``batch`` long at most.

    Where memory runs out in a slice, it is done again in halves, and no later slice is longer; what was done stays.
    Raises what ``work`` raised where a single item does not fit.
    """
    start = 0
    while start < n:
        size = min(batch, n - start)
        done = _attempt(work, slice(start, start + size))
        if done is None:  # out here the failed attempt's tensors are free again
            batch = (size + 1) // 2
            continue
        yield done[0]
        start += size


def _attempt(work: Callable[[slice], T], part: slice) -> tuple[T] | None:
    try:
        return (work(part),)
    except (RuntimeError, MemoryError) as error:
        if part.stop - part.start == 1 or not is_exhaustion(error):
            raise
    return None


def is_exhaustion(error: BaseException) -> bool:
    """Whether an error says that memory ran out: torch's on a GPU, the allocator's RuntimeError on a CPU, Python's."""
    known = isinstance(error, torch.OutOfMemoryError | MemoryError)
    return known or any(sign in str(error) for sign in SIGNS_OF_EXHAUSTION)


def computed(function: Callable[[Codes], Tensor], codes: Codes, batch: int | None = None) -> Tensor:
    """``function(codes)`` (n, ...), in batches where ``batch`` says so, smaller ones where memory runs out.

    Where a gradient flows to the codes it is one call: only its caller knows what else the graph holds.
    """
    if len(codes) == 0 or (torch.is_grad_enabled() and _differentiable(codes)):
        return function(codes)
    parts = list(in_batches(lambda part: function(codes[part]), len(codes), batch or len(codes)))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def _differentiable(codes: Codes) -> bool:
    return codes.latents.requires_grad or (codes.labels is not None and codes.labels.requires_grad)


def fitting_batch(generator: Generator, space: str, domain: Domain, limit: int) -> int:
    """The largest batch, a power of two up to ``BATCH``, that is rendered and read by oracles within ``limit`` bytes.

    The bound is on all that the process holds (on a GPU: that is allocated there). Trial batches of 1, 2, 4, ... are
    rendered as long as twice the tensors of the last fit, so that the trial keeps the bound too.
    Raises UsageError, with what would do, where one image does not fit.
    """
    codes = generator.sample(BATCH, space, Stream(0, "memory").at())

    def needed(n: int) -> int:
        return round(SCRATCH * peak_bytes(lambda: _looked_at(generator, domain, codes[:n])))

    size, need = 1, needed(1)
    held = held_memory(generator.device)  # after a first image: torch sets much up by then
    if held + need > limit:
        least = (held + need) / 1e9
        raise UsageError(f"max_memory: got {limit / 1e9:.2f} GB, but a run that renders one image holds {least:.2f} GB")
    while size < BATCH and held + 2 * need <= limit:
        grown = _attempt(lambda part: needed(part.stop), slice(0, 2 * size))
        if grown is None:
            break
        size, need = 2 * size, grown[0]
    return size


def held_memory(device: torch.device) -> int:
    """Bytes that are held now: allocated on a CUDA device, else resident in this process (its peak if not on Linux)."""
    if device.type == "cuda":
        return torch.cuda.memory_allocated(device)
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        return int(statistics.read_text().split()[1]) * resource.getpagesize()
    return peak_memory(device)


def peak_memory(device: torch.device) -> int:
    """Peak memory in bytes: allocated on a CUDA device since ``reset_peak``, else of this process since it began."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak(device: torch.device) -> None:
    """Let the peak of a CUDA device begin at what is allocated now; that of a process cannot be taken back."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)


@torch.no_grad()
def _looked_at(generator: Generator, domain: Domain, codes: Codes) -> None:
    """Render and read as metrics do."""
    images = generator.render(codes).clamp(-1, 1)
    embed(domain.oracle("a"), images)
    if domain.factors:
        domain.oracle("b").read(images)


def peak_bytes(work: Callable[[], Any]) -> int:
    """Bytes of all tensors that were alive at once among those made while ``work`` ran. The same on every run.

    (The peak of the process itself only grows, and depends on what ran before.)
    """
    with _Ledger() as ledger:
        work()
    peak: int = ledger.peak
    return peak


class _Ledger(TorchDispatchMode):
    """Adds every storage that an operation makes, and subtracts it when it goes."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self._known: weakref.WeakSet[torch.UntypedStorage] = weakref.WeakSet()

    def __torch_dispatch__(self, call: Any, types: Any, args: Any = (), kwargs: Mapping[str, Any] | None = None) -> Any:
        output = call(*args, **(kwargs or {}))
        for tensor in output if isinstance(output, tuple | list) else (output,):
            if isinstance(tensor, Tensor):
                self._add(tensor.untyped_storage())
        return output

    def _add(self, storage: torch.UntypedStorage) -> None:
        if storage in self._known:
            return
        self._known.add(storage)
        self.now += storage.nbytes()
        self.peak = max(self.peak, self.now)
        weakref.finalize(storage, self._subtract, storage.nbytes())

    def _subtract(self, size: int) -> None:
        self.now -= size
