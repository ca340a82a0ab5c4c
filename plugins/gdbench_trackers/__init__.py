"""Thin observers for trackers; each sleeps until its variable is set, and none can break a run.

- ``GDBENCH_TENSORBOARD=FOLDER``: event files (needs ``tensorboard``).
- ``GDBENCH_MLFLOW=URI``: runs of the experiment ``gdbench`` (needs ``mlflow``).
- ``GDBENCH_WANDB=PROJECT``: runs of that project (needs ``wandb``).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from gdbench import hookimpl

if TYPE_CHECKING:
    from gdbench import RunRecord

VARIABLES = ("GDBENCH_TENSORBOARD", "GDBENCH_MLFLOW", "GDBENCH_WANDB")


@hookimpl
def gdbench_run_progressed(run: str, task: str, done: int, total: int, numbers: Mapping[str, float]) -> None:
    """Log the numbers of a running task."""
    if any(map(os.environ.get, VARIABLES)):
        from gdbench_trackers.trackers import progressed

        progressed(run, {f"{task}/{name}": float(value) for name, value in numbers.items()}, done)


@hookimpl
def gdbench_run_finished(record: RunRecord, folder: Path) -> None:
    """Log the scores of a run, and close what was opened for it."""
    if any(map(os.environ.get, VARIABLES)):
        from gdbench_trackers.trackers import finished

        finished(record)
