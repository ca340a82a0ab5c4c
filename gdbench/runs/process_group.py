"""The processes that torchrun started for one run: the first claims, writes and measures, the others share discovery.

They talk through torchrun's own key-value store, so that torch.distributed's own group stays the method's.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from gdbench.errors import UsageError
from gdbench.record import Cost

if TYPE_CHECKING:
    from torch.distributed.distributed_c10d import Store

PATIENCE = timedelta(minutes=30)
"""How long the others wait for the first to load its weights and claim the folder."""
CALL = "gdbench/discover"


@dataclass(frozen=True)
class ProcessGroup:
    """This process, of number ``rank``, among the ``size`` processes of a run; alone by default."""

    rank: int = 0
    size: int = 1
    store: Store | None = None

    def call(self) -> None:
        """Rank 0: discovery begins; the others may take part."""
        if self.store is not None:
            self.store.set(CALL, "yes")

    @contextmanager
    def released(self) -> Iterator[None]:
        """Rank 0: whatever happens inside, nobody waits for a call that did not come."""
        try:
            yield
        finally:
            if self.store is not None and not self.store.check([CALL]):
                self.store.set(CALL, "no")

    def called(self) -> bool:
        """The others: whether there is something to discover; waits until rank 0 says so."""
        return self.store is not None and bool(self.store.get(CALL) == b"yes")

    def report(self, cost: Cost) -> None:
        """The others: what they spent."""
        if self.store is not None:
            self.store.set(f"gdbench/cost/{self.rank}", json.dumps(asdict(cost)))

    def total(self, own: Cost) -> Cost:
        """Rank 0: the sum of what all spent; of wall-clock seconds the longest."""
        costs = [own]
        if self.store is not None:
            costs += [Cost(**json.loads(self.store.get(f"gdbench/cost/{rank}"))) for rank in range(1, self.size)]
        return Cost(
            images=sum(cost.images for cost in costs),
            backward=sum(cost.backward for cost in costs),
            cpu_seconds=round(sum(cost.cpu_seconds for cost in costs), 3),
            wall_seconds=max(cost.wall_seconds for cost in costs),
            peak_memory=sum(cost.peak_memory for cost in costs),
        )


ALONE = ProcessGroup()


def joined(method: str, shareable: bool) -> ProcessGroup:
    """The group of this process: alone, but under torchrun. Raises UsageError where ``method`` cannot be shared."""
    world = _world()
    if world == 1:
        return ALONE
    if not shareable:
        raise UsageError(f"torchrun started {world} processes, but {method} discovers in one: run it without torchrun")
    from torch.distributed.rendezvous import rendezvous

    store, rank, _ = next(rendezvous("env://", int(os.environ["RANK"]), world, timeout=PATIENCE))
    return ProcessGroup(rank, world, store)


def refuse(command: str) -> None:
    """Raise UsageError under torchrun: ``command`` is no work for several processes."""
    if _world() > 1:
        raise UsageError(f"torchrun can share `gdbench run` only: run `gdbench {command}` without it")


def _world() -> int:
    """How many processes torchrun started, 1 without it."""
    return int(os.environ["WORLD_SIZE"]) if "TORCHELASTIC_RUN_ID" in os.environ else 1
