"""What the commands show: a run, a list, one plugin, check results, the machine, a leaderboard; as tables or JSON."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench import console
from gdbench.errors import UsageError, unknown
from gdbench.params import describe
from gdbench.record import RunRecord
from gdbench.registry import Offer, Registry
from gdbench.specs import GeneratorSpec, MetricSpec

if TYPE_CHECKING:
    from gdbench.checkpoints import Entry, Verdict
    from gdbench.suite import Suite
    from gdbench.testing import CheckResult


def show_run(record: RunRecord, folder: Path, registry: Registry, as_json: bool) -> None:
    """The scores and costs of a run, its folder and picture, and the next commands to type."""
    if as_json:
        console.print_json(json.loads(record.to_json()))
        return
    from gdbench.calibration import COLUMNS

    columns = {name: offer.spec.columns for name, offer in registry.metrics.items()}
    console.show(console.score_table(record, {"calibration": COLUMNS, **columns}), console.cost_table(record))
    if record.status != "done":
        console.say(f"{record.status}: {record.reason}", style="red")
    if record.checkpoint_status == "preview":
        console.say(f"{record.cell.checkpoint} is a preview: it missed some of its gates; see its card", style="yellow")
    if record.cell.tier == "quick":
        console.say("tier quick is a demonstration: learned methods are not converged, and rows are not ranked")
    console.say(f"run folder: {folder}")
    for picture in sorted((folder / "pictures").glob("*.png")):
        console.say(f"picture:    {picture}")
    console.say("next:")
    for line in _next_commands(record, folder, registry):
        console.say(f"  {line}")


def _next_commands(record: RunRecord, folder: Path, registry: Registry) -> list[str]:
    others = [
        name for name, offer in registry.methods.items() if offer.spec.role == "control" and name != record.cell.method
    ]
    lines = [f"gdbench show {folder}", f"gdbench measure {folder} --metric all"]
    if others:
        lines.insert(
            0, f"gdbench run --gan {record.cell.generator} --method {others[-1]}   # something to compare with"
        )
    return [*lines, f"gdbench leaderboard {folder.parent}"]


def show_list(noun: str, registry: Registry, folder: Path, as_json: bool) -> None:
    """What is installed, or the runs in ``folder``."""
    if noun == "runs":
        _show_runs(folder, as_json)
        return
    from gdbench import checkpoints

    kinds: dict[str, Mapping[str, Offer[Any]]] = {
        "generators": registry.generators,
        "methods": registry.methods,
        "metrics": registry.metrics,
        "domains": registry.domains,
    }
    wanted = kinds if noun == "all" else {name: offers for name, offers in kinds.items() if name == noun}
    rows = {kind: [_offer_row(kind, offer) for offer in offers.values()] for kind, offers in wanted.items()}
    if noun in ("all", "checkpoints"):
        specs = [offer.spec for offer in registry.generators.values()]
        rows["checkpoints"] = _checkpoint_rows(checkpoints.entries(specs, checkpoints.default_folder()))
    if noun in ("all", "plugins"):
        rows["plugins"] = [_plugin_row(plugin) for plugin in registry.plugins]
        rows["broken"] = [_broken_row(fault) for fault in registry.broken]
    if as_json:
        console.print_json(rows)
        return
    console.show(*(_table(kind, found) for kind, found in rows.items() if found or kind != "broken"))


def _table(title: str, rows: Sequence[Mapping[str, Any]]) -> Any:
    headers = list(rows[0]) if rows else ["name"]
    return console.table(title, headers, [[_cell(row[header]) for header in headers] for row in rows])


def _cell(value: Any) -> Any:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else value


def _offer_row(kind: str, offer: Offer[Any]) -> dict[str, Any]:
    spec = offer.spec
    row = {"name": spec.name, "version": spec.version}
    if kind == "generators":
        row |= {"spaces": list(spec.spaces), "provides": list(spec.provides), "checkpoints": len(spec.checkpoints)}
    if kind == "methods":
        row |= {"role": spec.role, "shape": spec.shape, "supervision": spec.supervision, "needs": list(spec.needs)}
        row |= {"tiers": list(spec.tiers)}
    if kind == "metrics":
        row |= {"default": "yes" if spec.default else "", "columns": [column.name for column in spec.columns]}
    if kind == "domains":
        row |= {"offers": list(spec.offers)}
    return row | {"summary": spec.summary, "from": offer.origin.distribution}


def _checkpoint_rows(entries: Sequence[Entry]) -> list[dict[str, Any]]:
    return [
        {
            "generator": entry.family,
            "checkpoint": entry.checkpoint.name,
            "domain": entry.checkpoint.domain,
            "resolution": entry.checkpoint.resolution,
            "status": entry.checkpoint.status,
            "gates": _gates(entry.checkpoint.card.get("gates", {})),
            "where": "here" if entry.present else "to fetch" if entry.checkpoint.url else "see its card",
            "licence": entry.checkpoint.licence,
        }
        for entry in entries
    ]


def _gates(gates: Mapping[str, Any]) -> str:
    passed = sum(bool(gate.get("passed")) for gate in gates.values())
    return f"{passed} of {len(gates)}" if gates else ""


def show_checkpoints(entries: Sequence[Entry], as_json: bool) -> None:
    """The checkpoints that families offer or the user imported."""
    rows = _checkpoint_rows(entries)
    if as_json:
        console.print_json(rows)
    else:
        console.show(_table("checkpoints", rows))


def show_verdicts(verdicts: Sequence[Verdict], as_json: bool) -> None:
    """What verification found."""
    rows = [dataclasses.asdict(verdict) for verdict in verdicts]
    if as_json:
        console.print_json(rows)
    else:
        console.show(_table("checkpoints", rows))


def _plugin_row(plugin: Any) -> dict[str, Any]:
    origin = plugin.origin
    return {
        "name": origin.plugin,
        "distribution": origin.distribution,
        "version": origin.version,
        "hooks": plugin.hooks,
    }


def _broken_row(fault: Any) -> dict[str, Any]:
    return {"name": fault.offer or fault.name, "distribution": fault.distribution, "reason": fault.reason}


def _show_runs(folder: Path, as_json: bool) -> None:
    from gdbench.store import find_runs, read_records

    records, problems = read_records(find_runs(folder))
    if as_json:
        console.print_json([json.loads(record.to_json()) for record in records])
    else:
        console.show(console.runs_table(records))
    for problem in problems:
        console.say(f"ignored: {problem}", stderr=True)


def show_info(name: str, registry: Registry, as_json: bool) -> None:
    """Everything about whatever is called ``name``. Raises UsageError with the nearest name."""
    everything: list[tuple[str, Offer[Any]]] = [
        (kind, offers[name])
        for kind, offers in (
            ("generator", registry.generators),
            ("method", registry.methods),
            ("metric", registry.metrics),
            ("domain", registry.domains),
        )
        if name in offers
    ]
    if not everything:
        known = {*registry.generators, *registry.methods, *registry.metrics, *registry.domains}
        raise unknown("name", name, known)
    facts = [_facts(kind, offer) for kind, offer in everything]
    if as_json:
        console.print_json(facts)
        return
    for (kind, offer), fact in zip(everything, facts, strict=True):
        console.say(f"{kind} {offer.spec.name}, version {offer.spec.version} ({offer.origin})", style="bold")
        for key, value in fact.items():
            if value and not isinstance(value, list | dict):
                console.say(f"{key}: {value}")
        console.show(*_info_tables(offer, fact))


def _info_tables(offer: Offer[Any], fact: Mapping[str, Any]) -> list[Any]:
    tables = []
    if fact.get("parameters"):
        tables.append(console.parameters_table("parameters", describe(offer.spec.params)))
    if fact.get("tiers"):
        rows = [
            {"tier": tier, "sets": _cell([f"{k}={v}" for k, v in values.items()])}
            for tier, values in fact["tiers"].items()
        ]
        tables.append(_table("tiers", rows))
    if isinstance(offer.spec, MetricSpec):
        tables.append(_table("columns", fact["columns"]))
    if isinstance(offer.spec, GeneratorSpec) and offer.spec.checkpoints:
        tables.append(_table("checkpoints", [_card_row(card) for card in fact["checkpoints"]]))
    return tables


def _card_row(card: Mapping[str, Any]) -> dict[str, Any]:
    return {key: card[key] for key in ("name", "domain", "resolution", "status", "licence", "sha256", "url")}


def _facts(kind: str, offer: Offer[Any]) -> dict[str, Any]:
    spec = offer.spec
    facts: dict[str, Any] = {"kind": kind, "name": spec.name, "version": spec.version, "summary": spec.summary}
    for field in ("citation", "role", "shape", "supervision", "learned", "deterministic", "default"):
        facts[field] = getattr(spec, field, None)
    facts["needs"], facts["provides"] = _cell(getattr(spec, "needs", ())), _cell(getattr(spec, "provides", ()))
    if hasattr(spec, "params"):
        facts["parameters"] = [parameter._asdict() for parameter in describe(spec.params)]
    facts["tiers"] = {tier: dict(values) for tier, values in getattr(spec, "tiers", {}).items()}
    for field in ("columns", "checkpoints"):
        facts[field] = [_plain(value) for value in getattr(spec, field, ())]
    return facts


def _plain(value: Any) -> dict[str, Any]:
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(value), default=str))
    return plain


def show_checks(name: str, results: Sequence[CheckResult], as_json: bool) -> None:
    """The results of contract checks, the failed ones last."""
    rows = [dataclasses.asdict(result) for result in sorted(results, key=lambda result: result.status == "failed")]
    if as_json:
        console.print_json(rows)
        return
    console.show(_table(f"contract of {name}", rows))


def show_doctor(facts: Mapping[str, object], problems: Sequence[str], as_json: bool) -> None:
    """The facts of this machine and what is wrong with the installation."""
    if as_json:
        console.print_json({"facts": facts, "problems": list(problems)})
        return
    console.show(console.table("this machine", ("what", "is"), [(key, str(value)) for key, value in facts.items()]))
    for problem in problems:
        console.say(f"problem: {problem}", style="red")
    if not problems:
        console.say("no problem found", style="green")


def show_leaderboard(folder: Path, registry: Registry, suite: Suite | None, as_json: bool, write: bool) -> None:
    """The leaderboard of the records in ``folder``; with ``write`` also as Markdown, CSV and JSON there."""
    from gdbench.files import write_text
    from gdbench.leaderboard import leaderboard
    from gdbench.store import find_runs, read_records

    folders = find_runs(folder)
    if not folders:
        raise UsageError(f"{folder}: holds no run; make one with: gdbench run --out {folder} ...")
    records, problems = read_records(folders)
    board = leaderboard(records, registry, suite)
    if write:
        for suffix, text in (("md", board.to_markdown()), ("csv", board.to_csv()), ("json", board.to_json())):
            write_text(folder / f"leaderboard.{suffix}", text)
    if as_json:
        console.print_json(json.loads(board.to_json()))
    else:
        console.show(*board.tables())
    for problem in problems:
        console.say(f"ignored: {problem}", stderr=True)
