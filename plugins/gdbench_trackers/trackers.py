"""What each tracker is told. A tracker is opened at the first number of a run, and closed when the run is finished."""

from __future__ import annotations

import importlib
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from gdbench import RunRecord, UsageError

EXPERIMENT = "gdbench"


class Tracker(Protocol):
    """A run in a tracker."""

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at a step."""
        ...

    def close(self, record: RunRecord, scores: Mapping[str, float]) -> None:
        """Log what the run is and found, and end it."""
        ...


class TensorBoard:
    """Event files in a folder of the run's name."""

    def __init__(self, folder: str, run: str) -> None:
        _needed("tensorboard")
        from torch.utils.tensorboard import SummaryWriter

        self._writer: Any = SummaryWriter(str(Path(folder) / run))

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Scalars."""
        for name, value in values.items():
            self._writer.add_scalar(name, value, step)

    def close(self, record: RunRecord, scores: Mapping[str, float]) -> None:
        """Scores as scalars at step 0; status and command as text."""
        self.numbers(scores, 0)
        self._writer.add_text("run", _plain(f"{record.status} {record.reason}: {record.command}"))
        self._writer.close()


class MLflow:
    """A run of the experiment ``gdbench``."""

    def __init__(self, uri: str, run: str) -> None:
        mlflow = _needed("mlflow")
        self._client: Any = mlflow.MlflowClient(tracking_uri=uri)
        found = self._client.get_experiment_by_name(EXPERIMENT)
        experiment = found.experiment_id if found else self._client.create_experiment(EXPERIMENT)
        self._run: str = self._client.create_run(experiment, run_name=run).info.run_id

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Metrics; names may hold letters, digits and ``_-. /`` there."""
        for name, value in values.items():
            self._client.log_metric(self._run, re.sub(r"[^A-Za-z0-9_. /-]", "_", name)[:200], value, step=step)

    def close(self, record: RunRecord, scores: Mapping[str, float]) -> None:
        """Scores, what the run is as parameters, and its status."""
        self.numbers(scores, 0)
        for name, value in _facts(record).items():
            self._client.log_param(self._run, name, value[:500])
        self._client.set_terminated(self._run, "FINISHED" if record.status == "done" else "FAILED")


class WandB:
    """A run of a project."""

    def __init__(self, project: str, run: str) -> None:
        self._run: Any = _needed("wandb").init(project=project, name=run, reinit="create_new")

    def numbers(self, values: Mapping[str, float], step: int) -> None:
        """Numbers with the step beside them: the stages of a run count from 0 each."""
        self._run.log({**values, **{f"{name.partition('/')[0]}/step": step for name in values}})

    def close(self, record: RunRecord, scores: Mapping[str, float]) -> None:
        """Scores as the summary, and what the run is as its configuration."""
        self._run.config.update(_facts(record))
        self._run.summary.update(dict(scores))
        self._run.finish(exit_code=0 if record.status == "done" else 1)


KINDS: Mapping[str, Callable[[str, str], Tracker]] = {
    "GDBENCH_TENSORBOARD": TensorBoard,
    "GDBENCH_MLFLOW": MLflow,
    "GDBENCH_WANDB": WandB,
}
_OPEN: dict[tuple[str, str], Tracker] = {}


def progressed(run: str, values: Mapping[str, float], step: int) -> None:
    """Tell every tracker that is asked for of numbers at a step."""
    _each(run, lambda tracker: tracker.numbers(values, step))


def finished(record: RunRecord) -> None:
    """Tell every tracker that is asked for of a finished run, and close it there."""
    scores = {
        f"score/{metric}.{column}": score.value
        for metric, own in record.scores.items()
        for column, score in own.items()
        if score.value is not None
    }
    try:
        _each(record.id, lambda tracker: tracker.close(record, scores))
    finally:
        for key in [key for key in _OPEN if key[1] == record.id]:
            del _OPEN[key]


def _each(run: str, tell: Callable[[Tracker], None]) -> None:
    """Call with each tracker; all are tried before the first failure is raised."""
    failures = []
    for variable, kind in KINDS.items():
        if not (target := os.environ.get(variable)):
            continue
        try:
            if (variable, run) not in _OPEN:
                _OPEN[variable, run] = kind(target, run)
            tell(_OPEN[variable, run])
        except Exception as error:
            failures.append(error)
    if failures:
        raise failures[0]


def _facts(record: RunRecord) -> dict[str, str]:
    """What a run is, as short texts without control characters."""
    cell = record.cell
    facts = {"generator": cell.generator, "checkpoint": cell.checkpoint, "method": cell.method, "space": cell.space}
    facts |= {"seed": str(cell.seed), "k": str(cell.k), "tier": cell.tier, "command": record.command}
    facts |= {"status": record.status, "reason": record.reason}
    return {name: _plain(value) for name, value in facts.items()}


def _plain(text: str) -> str:
    return "".join(character for character in str(text) if character.isprintable())


def _needed(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ImportError:
        raise UsageError(f"{module} is not installed: pip install {module}") from None
