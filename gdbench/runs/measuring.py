"""Measuring: each metric in a guard of its own; what it returns becomes scores and a table."""

from __future__ import annotations

import math
import traceback
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.context import Stopped
from gdbench.errors import PluginError
from gdbench.evaluation import pictures
from gdbench.evaluation.blocks import BLOCKS
from gdbench.expected import wrong_scores
from gdbench.files import write_text
from gdbench.params import as_plain
from gdbench.record import RunRecord, Score
from gdbench.registry import Offer
from gdbench.runs.blame import refused, told
from gdbench.runs.counting import Meter
from gdbench.runs.planning import Plan, lacking
from gdbench.runs.recorded import missing_metrics
from gdbench.runs.stages import Execution
from gdbench.runs.store import RunFolder
from gdbench.runs.tables import as_table, read_tables, write_tables
from gdbench.specs import MetricSpec, resolve

if TYPE_CHECKING:
    import pandas as pd
    from torch import Tensor

    from gdbench.context import Context
    from gdbench.evaluation.subject import Subject


def measure(run: Execution, record: RunRecord, subject: Subject) -> tuple[RunRecord, dict[str, str]]:
    """Measure what the record lacks: the record with it, and metric -> why it failed, of those that did."""
    plan, folder = run.plan, run.folder
    context = replace(run.context, domain=subject.domain)
    failed: dict[str, str] = {}
    tables = read_tables(folder.path) if record.metric_params else {}
    tables = {metric: table for metric, table in tables.items() if metric in record.metric_params}
    for offer in missing_metrics(record, plan.metrics, plan.metric_params):
        spec = offer.spec
        meter = Meter(run.generator)
        params = plan.metric_params[spec.name]
        missing = lacking(spec.needs, plan.generator.spec, plan.domain.spec)
        try:
            if missing:
                columns = {column.name: Score(None, missing) for column in spec.columns}
                tables.pop(spec.name, None)
            else:
                columns, tables[spec.name] = _one_metric(offer, subject, params, context, folder)
        except Stopped:
            raise
        except (Exception, SystemExit) as error:
            write_text(folder.path / f"traceback-{spec.name}.txt", traceback.format_exc())
            failed[spec.name] = f"metric {spec.name} failed: {told(error, plan, offer)}"
            continue
        record = replace(
            record,
            scores={**record.scores, spec.name: columns},
            versions={**record.versions, f"metric:{spec.name}": spec.version},
            metric_params={**record.metric_params, spec.name: as_plain(params)},
            costs={**record.costs, f"measure:{spec.name}": meter.cost()},
        )
    write_tables(folder.path, tables)
    return record, failed


def voided(record: RunRecord, plan: Plan, failed: Mapping[str, str]) -> RunRecord:
    """The record of a run that failed because metrics did: their columns are void."""
    columns = {
        offer.spec.name: {column.name: Score(None, failed[offer.spec.name]) for column in offer.spec.columns}
        for offer in plan.metrics
        if offer.spec.name in failed
    }
    reason = next(iter(failed.values()))
    return replace(record, status="failed", reason=reason, scores={**record.scores, **columns})


def _one_metric(
    offer: Offer[MetricSpec], subject: Subject, params: Any, context: Context, folder: RunFolder
) -> tuple[dict[str, Score], pd.DataFrame]:
    """The scores, and the table of one row for each direction."""
    spec = offer.spec
    scores = resolve(spec.measure)(subject, params, context)
    if complaint := wrong_scores(scores, [column.name for column in spec.columns], subject.k):
        raise refused(offer, complaint, spec.measure)
    table = as_table(scores.directions, subject.k)
    for name, images in scores.pictures.items():
        _save_picture(folder.path / "pictures" / f"{spec.name}-{name}.png", images, f"{spec.name}: {name}")
    return as_scores(scores.values, scores.blocks), table


def as_scores(values: Mapping[str, Any], blocks: Mapping[str, Sequence[float]] | None = None) -> dict[str, Score]:
    """Raises PluginError for blocks of no column, or of another number than ``BLOCKS``."""
    given = blocks or {}
    if strange := sorted(given.keys() - values.keys()):
        raise PluginError(f"returned blocks of {strange[0]}, which is no column")
    return {name: _score(value, given.get(name, ())) for name, value in values.items()}


def _score(value: Any, blocks: Sequence[float]) -> Score:
    if hasattr(value, "reason"):
        return Score(None, value.reason)
    number = float(value)
    if not math.isfinite(number):
        return Score(None, f"the metric returned {number}")
    if len(blocks) not in (0, BLOCKS):
        raise PluginError(f"returned {len(blocks)} blocks, expected {BLOCKS}")
    return Score(number, blocks=tuple(float(f"{block:.6g}") for block in blocks))


def _save_picture(path: Path, images: Tensor, title: str) -> None:
    path.parent.mkdir(exist_ok=True)
    pictures.save(pictures.sheet(images.flatten(0, 1), columns=images.shape[1], title=title), path)
