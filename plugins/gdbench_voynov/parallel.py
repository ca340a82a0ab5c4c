"""Data parallelism: processes that share each batch, joined by Lightning Fabric (extra ``distributed``).

Every process draws the whole batch from the same counter-based streams and takes its share, so a run does not depend,
rounding apart, on how many there are. Fabric joins the processes and averages gradients; batch norm takes the
statistics of the whole batch.
"""

from __future__ import annotations

import logging
import math
import multiprocessing
import os
import signal
import socket
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from gdbench import Context, Directions, GdbenchError, PluginError, UsageError
from gdbench_voynov.params import VoynovParams

if TYPE_CHECKING:
    from lightning_fabric import Fabric

PATIENCE = timedelta(minutes=5)
"""How long a process waits for the others: one that died closes its connection and is noticed at once."""


@dataclass(frozen=True)
class Ranks:
    """This process among the ``world`` that share the batch; alone by default.

    reports: whether the others report their own costs, as torchrun's do; forked ones cannot.
    """

    rank: int = 0
    world: int = 1
    fabric: Fabric | None = None
    reports: bool = True

    def share(self, n: int) -> slice:
        """Which of ``n`` rows are this process's."""
        return slice(self.rank * n // self.world, (self.rank + 1) * n // self.world)

    def unreported(self, n: int) -> int:
        """How many of ``n`` rows are computed in processes whose costs nobody reports but rank 0."""
        own = self.share(n)
        return 0 if self.reports or self.rank else n - (own.stop - own.start)

    def whole(self, part: Tensor) -> Tensor:
        """The rows of all processes in order: (n / world, ...) -> (n, ...); without gradient."""
        if self.fabric is None:
            return part
        parts = [torch.empty_like(part, memory_format=torch.contiguous_format) for _ in range(self.world)]
        torch.distributed.all_gather(parts, part.contiguous())  # Fabric's own goes through a deprecated function
        return torch.cat(parts)

    def mean(self, numbers: Tensor) -> Tensor:
        """The mean over the processes; without gradient."""
        if self.fabric is None:
            return numbers
        averaged = self.fabric.all_reduce(numbers, reduce_op="mean")
        assert isinstance(averaged, Tensor)
        return averaged

    def joined(self, module: nn.Module) -> nn.Module:
        """The module as it must be called, so that gradients are averaged."""
        return module if self.fabric is None else self.fabric.setup_module(module, move_to_device=False)


ALONE = Ranks()
Work = Callable[[Context, Ranks], Directions]


def ranks_wanted(params: VoynovParams) -> int:
    """``devices`` x ``nodes``. Raises UsageError where torchrun started another number of processes."""
    wanted, started = params.devices * params.nodes, int(os.environ.get("WORLD_SIZE", 1))
    if torch.distributed.is_torchelastic_launched() and wanted != started:
        raise UsageError(f"torchrun started {started} processes, but devices x nodes is {wanted}: set -p devices=N")
    return wanted


def shared(work: Work, params: VoynovParams, context: Context) -> Directions:
    """Call ``work`` in ``params.devices`` x ``params.nodes`` processes, and return what it returns in this one.

    Under torchrun they are there already; else this process, which stays rank 0, forks the others, on the CPU. Only
    rank 0 reports and keeps the resume point. Raises UsageError where they cannot be started, PluginError where one
    died.
    """
    try:
        import lightning_fabric  # noqa: F401
    except ImportError:
        raise UsageError("devices and nodes need Lightning Fabric: pip install 'gdbench[distributed]'") from None
    if torch.distributed.is_torchelastic_launched():
        return _ranked(work, params, context, reports=True)
    if context.device.type != "cpu" or params.nodes > 1 or sys.platform == "win32":
        raise UsageError("several GPUs or machines: torchrun must start one process for each")
    with _forked(work, params, context):
        return _ranked(work, params, context, reports=False)


def _ranked(work: Work, params: VoynovParams, context: Context, reports: bool) -> Directions:
    """Join the process group that the environment describes, and work as its member."""
    from lightning_fabric import Fabric
    from lightning_fabric.strategies.ddp import DDPStrategy

    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    strategy = DDPStrategy(timeout=PATIENCE)
    fabric = Fabric(accelerator=context.device.type, devices=params.devices, num_nodes=params.nodes, strategy=strategy)
    fabric.launch()
    try:
        ranks = Ranks(fabric.global_rank, fabric.world_size, fabric, reports)
        return work(context if ranks.rank == 0 else _quiet(context), ranks)
    finally:
        torch.distributed.destroy_process_group()


def _quiet(context: Context) -> Context:
    """A context that shows nothing, and that resumes but saves nothing."""
    resume = replace(context.resume, every=math.inf)
    return Context(context.seed, context.device, context.k, context.space, context.tier, context.domain, resume=resume)


@contextmanager
def _forked(work: Work, params: VoynovParams, context: Context) -> Iterator[None]:
    """The other processes, ended with this context; forked, so that a generator of any kind comes along."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    places = [_place(rank, params.devices, port) for rank in range(params.devices)]
    fork = multiprocessing.get_context("fork")
    others = [fork.Process(target=_help, args=(work, params, context, place), daemon=True) for place in places[1:]]
    for process in others:
        process.start()
    try:
        with _environment(places[0]):
            yield
        for process in others:
            process.join(PATIENCE.total_seconds())
    except RuntimeError as error:
        others[0].join(1)  # the connection closes a moment before the process has ended
        codes = [process.exitcode for process in others]
        if not any(codes):
            raise
        raise PluginError(f"processes 1 to {len(others)} ended with {codes}; their errors stand above") from error
    finally:
        for process in others:
            process.terminate()
            process.join()


def _help(work: Work, params: VoynovParams, context: Context, place: Mapping[str, str]) -> None:
    """What a forked process does."""
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches rank 0 too, which ends this process
    torch.set_num_threads(1)  # torch's pool of threads does not survive a fork
    os.environ.update(place)
    with suppress(GdbenchError):  # rank 0 raises the same
        _ranked(work, params, context, reports=False)


def _place(rank: int, world: int, port: int) -> dict[str, str]:
    """The environment by which torchrun tells a process its place."""
    return {
        "RANK": str(rank),
        "LOCAL_RANK": str(rank),
        "GROUP_RANK": "0",
        "WORLD_SIZE": str(world),
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "TORCHELASTIC_RUN_ID": "gdbench",
    }


@contextmanager
def _environment(place: Mapping[str, str]) -> Iterator[None]:
    before = dict(os.environ)
    os.environ.update(place)
    try:
        yield
    finally:
        for name in place.keys() - before.keys():
            del os.environ[name]
        os.environ.update(before)


class _Mean(torch.autograd.Function):
    """The mean over the processes, whose gradient is the mean of theirs."""

    @staticmethod
    def forward(ctx: Any, numbers: Tensor, world: int) -> Tensor:
        ctx.world = world
        total = numbers.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(total)
        return total / world

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        return _Mean.forward(ctx, gradients[0], ctx.world), None


class SyncedNorm(nn.Module):
    """A batch norm that takes the statistics of all processes; ``nn.SyncBatchNorm`` does so on GPUs only.

    Its running statistics stand still: the reconstructor is never used outside training.
    """

    def __init__(self, norm: nn.BatchNorm1d | nn.BatchNorm2d, world: int) -> None:
        super().__init__()
        self.norm, self._world = norm, world

    def forward(self, x: Tensor) -> Tensor:
        axes = [0, *range(2, x.dim())]
        wide = x.float()
        mean = self._mean(wide.mean(axes, keepdim=True))
        centred = wide - mean
        variance = self._mean(centred.square().mean(axes, keepdim=True))
        scale, bias = (part.view(mean.shape) for part in (self.norm.weight, self.norm.bias))
        return (centred * (variance + self.norm.eps).rsqrt() * scale + bias).to(x.dtype)

    def _mean(self, numbers: Tensor) -> Tensor:
        mean: Tensor = _Mean.apply(numbers, self._world)
        return mean


def synced(module: nn.Module, world: int) -> nn.Module:
    """The module, its batch norms replaced in place by ``SyncedNorm``."""
    for name, child in module.named_children():
        if isinstance(child, nn.BatchNorm1d | nn.BatchNorm2d):
            setattr(module, name, SyncedNorm(child, world))
        else:
            synced(child, world)
    return module
