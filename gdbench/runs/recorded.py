"""What is recorded already: whether a plan's run is there, by which versions, and which metrics it still lacks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from gdbench.errors import IntegrityError
from gdbench.params import as_plain
from gdbench.record import RunRecord
from gdbench.registry import Offer
from gdbench.runs.planning import Plan
from gdbench.runs.store import RunFolder
from gdbench.specs import MetricSpec


def is_complete(plan: Plan) -> bool:
    """Whether the plan's run is recorded with every metric it asks for, in the installed versions."""
    try:
        record = finished(RunFolder(plan.request.out / plan.id))
    except IntegrityError:
        return False
    if record is None or not is_evaluated(record, plan):
        return False
    return not missing_metrics(record, plan.metrics, plan.metric_params)


def is_evaluated(record: RunRecord, plan: Plan) -> bool:
    """Whether a record's calibration and edits are those of the installed versions."""
    return all(record.versions.get(kind) == plan.versions[kind] for kind in ("evaluation", "domain"))


def finished(folder: RunFolder) -> RunRecord | None:
    """The record of a run that ended with its scores, None for any other. Raises IntegrityError for a changed one."""
    if not folder.done:
        return None
    record = folder.read(verify=True)
    return record if record.status == "done" else None


def missing_metrics(
    record: RunRecord, metrics: Sequence[Offer[MetricSpec]], params: Mapping[str, Any]
) -> list[Offer[MetricSpec]]:
    """The metrics that ``record`` does not hold in this version and with these parameters."""
    return [
        offer
        for offer in metrics
        if record.versions.get(f"metric:{offer.spec.name}") != offer.spec.version
        or record.metric_params.get(offer.spec.name) != as_plain(params[offer.spec.name])
    ]
