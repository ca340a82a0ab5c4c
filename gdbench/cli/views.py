"""What the commands show: a run, what is installed; as tables for people or JSON for programs."""

from __future__ import annotations

import dataclasses
import glob
import json
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.columns import columns_of
from gdbench.console import console, plain, print_json, say, table, table_of
from gdbench.errors import UsageError, unknown
from gdbench.offers import BUILT_IN
from gdbench.params import describe
from gdbench.tiers import TIERS

if TYPE_CHECKING:
    from rich.table import Table

    from gdbench.record import RunRecord, Score
    from gdbench.registry import Offer, Registry
    from gdbench.specs import Column, ExtraFile, MethodSpec
    from gdbench.weights.checkpoints import Entry

_CODE = ("load", "recognise", "convert", "recipe", "discover", "measure", "compatible", "params", "start", "available")
"""Fields of specs that hold code or types: ``info`` shows what they lead to instead."""


BEST = 4
"""Directions that a run ends with, in words."""


def score_table(record: RunRecord, columns: Mapping[str, Sequence[Column]]) -> Table:
    """The scores of a run. ``columns``: metric name -> what it declares, for unit and direction of better."""
    known = {(metric, column.name): column for metric, declared in columns.items() for column in declared}
    rows = []
    for metric, scores in record.scores.items():
        for index, (name, score) in enumerate(scores.items()):
            column = known.get((metric, name))
            better = {"higher": "higher is better", "lower": "lower is better"}.get(column.better, "") if column else ""
            rows.append(("" if index else metric, name, _score(score), column.unit if column else "", better))
    cell = record.cell
    title = f"{cell.generator}/{cell.checkpoint} x {cell.method}, seed {cell.seed}, K {cell.k}, tier {cell.tier}"
    return table(title, ("metric", "column", "score", "unit", ""), rows)


def _score(score: Score) -> object:
    return score.value if score.value is not None else plain(f"void: {score.void}", "yellow")


def cost_table(record: RunRecord) -> Table:
    """What each stage of a run used."""
    rows = [
        (stage, cost.images, cost.backward, cost.cpu_seconds, cost.wall_seconds, cost.peak_memory / 2**20)
        for stage, cost in record.costs.items()
    ]
    return table("cost", ("stage", "images", "backward", "CPU s", "wall s", "peak MiB"), rows)


# A run


def show_run(record: RunRecord, folder: Path, registry: Registry, as_json: bool = False) -> None:
    """Show a run: scores, cost, pictures, and what to type next."""
    if as_json:
        return show_records([(record, folder)], single=True)
    from gdbench.boards.beside import beside

    screen, columns = console(), columns_of(registry)
    if record.scores:
        screen.print(score_table(record, columns))
        screen.print(cost_table(record))
    notes: list[tuple[str, object]] = [("status", f"{record.status} {record.reason}")]
    if best := _best_directions(folder):
        notes.append(("found", best))
    if record.scores and (numbers := beside(record, columns, _baselines(record, folder, registry))):
        notes.append(("scores", numbers))
    if record.checkpoint_status == "preview":
        notes.append(("note", f"checkpoint {record.cell.checkpoint} is a preview: it misses gates that its card names"))
    if record.checkpoint_lacks:
        notes.append(("note", f"checkpoint {record.cell.checkpoint} lacks {record.checkpoint_lacks}"))
    notes += [("traceback", path) for path in sorted(folder.glob("traceback*.txt")) if record.status == "failed"]
    drawn = [*folder.glob("strips.webp"), *sorted((folder / "pictures").glob("*.png"))]
    notes += [("run", folder), *(("picture", picture) for picture in drawn)]
    notes += [("next", command) for command in _next_commands(record, folder, registry)]
    for name, value in notes:
        screen.print(plain(f"{name}:") + " " * max(1, 9 - len(name)) + plain(value), soft_wrap=True)
    return None


def _baselines(record: RunRecord, folder: Path, registry: Registry) -> list[RunRecord]:
    """The runs of the baseline on the generator of a run, in the folder where its own lies."""
    from gdbench.runs.store import RunFolder, read_records

    names = sorted(method for method, offer in registry.methods.items() if offer.spec.baseline)[:1]
    starts = [glob.escape(f"{record.cell.generator}-{record.cell.checkpoint}-{one}-s") for one in names]
    found = [RunFolder(path) for start in starts for path in sorted(folder.parent.glob(f"{start}*")) if path.is_dir()]
    return read_records(found)[0]


def _best_directions(folder: Path) -> str:
    """ "8 turns object_hue by +40° (.71), 2 moves right (.68), ...": the purest directions of a run, in words."""
    from gdbench.runs.tables import findings

    return ", ".join(f"{one.direction} {one.what} ({one.share:.2f})" for one in findings(folder)[:BEST])


def show_records(runs: Sequence[tuple[RunRecord, Path]], single: bool) -> None:
    """Print runs as one JSON document: a list, or the only one that was asked for; nothing where that one failed."""
    documents = [{**json.loads(record.to_json()), "folder": str(folder)} for record, folder in runs]
    if documents or not single:
        print_json(documents[0] if single else documents)


def _next_commands(record: RunRecord, folder: Path, registry: Registry) -> list[str]:
    """What can be typed as it stands: each command keeps budget, weights, space, parameters and plugin files."""
    from gdbench.runs.planning import request_of

    here, out = shlex.quote(str(folder)), shlex.quote(str(folder.parent))
    files = [plugin.provider.file for plugin in registry.plugins if plugin.provider.file]
    plugins = "".join(f" --plugin {shlex.quote(file)}" for file in files)
    try:
        asked = request_of(record, folder.parent, ())
    except UsageError:  # names in a stranger's record that nobody can type
        return []
    method = record.cell.method
    if record.status != "done":
        offer = registry.methods.get(method)
        mine = [f"gdbench check-plugin {method}{plugins}"] if offer and offer.provider.distribution != BUILT_IN else []
        return [*mine, f"gdbench info {method}{plugins}", asked.command(folder.parent, files)]
    others = [name for name, offer in registry.methods.items() if name != method and offer.spec.role == record.role]
    compared = [dataclasses.replace(asked, method=other, method_params={}) for other in others[:1]]
    compare = [request.command(folder.parent, files) for request in compared]
    more = [f"gdbench measure {here} --metric all{plugins}", f"gdbench leaderboard {out}{plugins}"]
    return [*compare, *more, f"gdbench show {here}{plugins}"]


# What is installed


def show_list(noun: str, registry: Registry, folder: Path, as_json: bool = False) -> None:
    """Show what there is of ``noun``: a kind of offer, ``plugins``, ``runs`` (in ``folder``), or ``all`` but runs."""
    lists = {"runs": _runs(folder)} if noun == "runs" else _offered(registry)
    chosen = lists if noun in ("all", "runs") else {noun: lists[noun], "broken": lists["broken"]}
    if as_json:
        return print_json(chosen)
    screen = console()
    for name, rows in chosen.items():
        if noun == "all" and name == "checkpoints":  # those that are here stand beside their generators
            screen.print(plain(f" {len(rows)} checkpoints and files are known: gdbench list checkpoints"))
        elif rows or name not in ("broken", "problems"):
            screen.print(table_of(name, rows))
    return None


Rows = list[dict[str, Any]]


def _offered(registry: Registry) -> dict[str, Rows]:
    generators, methods = registry.generators.values(), registry.methods.values()
    metrics, domains = registry.metrics.values(), registry.domains.values()
    weights = checkpoint_rows(registry)
    return {
        "generators": [
            _row(
                offer,
                spaces=offer.spec.spaces,
                provides=offer.spec.provides,
                checkpoints=_here(weights, offer.spec.name),
                official=sum(not card.shipped for card in offer.spec.checkpoints),
            )
            for offer in generators
        ],
        "checkpoints": weights,
        "methods": [
            _row(offer, role=offer.spec.role, **_traits(offer.spec), needs=offer.spec.needs) for offer in methods
        ],
        "metrics": [_row(offer, columns=_names(offer.spec.columns), default=offer.spec.default) for offer in metrics],
        "domains": [_row(offer, offers=offer.spec.offers) for offer in domains],
        "engines": [_row(offer, detached=offer.spec.detached) for offer in registry.engines.values()],
        "plugins": [
            {**_plain(plugin.provider, ("package",)), "hooks": list(plugin.hooks)} for plugin in registry.plugins
        ],
        "broken": [_plain(fault) for fault in registry.broken],
    }


def _traits(spec: MethodSpec) -> dict[str, str]:
    """What decides whether two methods can be compared, in words: space, shape, supervision, tiers."""
    curved = ", ".join(value for values in spec.curved_with.values() for value in values)
    return {
        "space": ", ".join(spec.spaces) or "any",
        "shape": f"{spec.shape} ({curved}: curved)" if curved else spec.shape,
        "supervision": {"none": "none", "self": "edits of images", "labels": "labels of an oracle"}[spec.supervision],
        "tiers": _tiers(spec),
    }


def _tiers(spec: MethodSpec) -> str:
    """The tiers, those of the same settings joined."""

    alike: dict[str, list[str]] = {}
    for tier in TIERS:
        alike.setdefault(repr(dict(spec.tiers.get(tier, {}))), []).append(tier)
    return ", ".join(" = ".join(group) for group in alike.values())


def checkpoint_rows(registry: Registry) -> Rows:
    """A row for each checkpoint that a family offers or the user imported: domain, gates, and whether it is here.

    Last the files that domains need, or can use.
    """
    from gdbench.weights import checkpoints, extra_files

    specs = [offer.spec for offer in registry.generators.values()]
    rows = [_checkpoint(entry) for entry in checkpoints.entries(specs, checkpoints.default_folder())]
    domains = [offer.spec for offer in registry.domains.values()]
    extras = [(extra, spec.name) for spec in domains for extra in (*spec.files, *spec.extras)]
    return rows + [_extra(extra, domain, extra_files.place(extra)) for extra, domain in extras]


def _extra(extra: ExtraFile, domain: str, path: Path) -> dict[str, Any]:
    known = {"generator": "", "checkpoint": extra.name, "domain": domain, "licence": extra.licence}
    blank = {"resolution": None, "status": "", "gates": "", "lacks": ""}
    return {**known, **blank, "where": "here" if path.is_file() else "to fetch"}


def _checkpoint(entry: Entry) -> dict[str, Any]:
    """Gates are measured, and a status given, where a checkpoint was trained and shipped by a plugin."""
    card = entry.checkpoint
    missed = card.card.get("missed", ())
    gates = [f"{name} {value}{' (missed)' * (name in missed)}" for name, value in card.card.get("gates", {}).items()]
    return {
        "generator": entry.family,
        "checkpoint": card.name,
        "domain": card.domain,
        "resolution": card.resolution,
        "status": card.status if card.shipped else "",
        "gates": ", ".join(gates),
        "lacks": card.lacks,
        "where": "here" if entry.present else "to fetch" if card.url else "see its card",
        "licence": card.licence,
    }


def _here(rows: Rows, generator: str) -> list[str]:
    """The checkpoints of a generator whose files are here: ``name (domain, status)``."""
    mine = [row for row in rows if row["generator"] == generator and row["where"] == "here"]
    return [f"{row['checkpoint']} ({', '.join(filter(None, (row['domain'], row['status'])))})" for row in mine]


def _row(offer: Offer[Any], **more: Any) -> dict[str, Any]:
    source = f"{offer.provider.distribution} {offer.provider.version}".rstrip()
    return {"name": offer.spec.name, "summary": offer.spec.summary, **_plain(more), "from": source}


def _names(things: Iterable[Any]) -> list[str]:
    return [thing.name for thing in things]


def _runs(folder: Path) -> Rows:
    from gdbench.runs.store import find_runs, read_records

    records, problems = read_records(find_runs(folder))
    rows: Rows = [
        {
            "run": record.id,
            "tier": record.cell.tier,
            "k": record.cell.k,
            "status": record.status,
            "reason": record.reason,
            "date": record.date,
        }
        for record in records
    ]
    return rows + [
        {"run": "", "tier": "", "k": "", "status": "broken", "reason": line, "date": ""} for line in problems
    ]


def _plain(value: Any, without: Sequence[str] = ()) -> Any:
    """Dataclasses and mappings as dicts, tuples as lists, other values as JSON has them, or as text."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        names = [field.name for field in dataclasses.fields(value) if field.name not in without]
        return {name: _plain(getattr(value, name)) for name in names}
    if isinstance(value, Mapping):
        return {str(name): _plain(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)


def show_info(name: str, registry: Registry, as_json: bool = False) -> None:
    """Show everything about the offers called ``name``. Raises UsageError where there is none."""

    kinds = registry.offers()
    found = {kind: offers[name] for kind, offers in kinds.items() if name in offers}
    if not found:
        raise unknown("name", name, {known for offers in kinds.values() for known in offers})
    facts = [_facts(kind, offer) for kind, offer in found.items()]
    if as_json:
        return print_json(facts)
    for one in facts:
        _show_facts(one)
    return None


def _facts(kind: str, offer: Offer[Any]) -> dict[str, Any]:
    parameters = describe(offer.spec.params) if hasattr(offer.spec, "params") else []
    described = [dict(parameter._asdict()) for parameter in parameters]
    own: dict[str, Any] = {}
    if kind == "method":
        own = {**_traits(offer.spec), "tiers": {tier: _plain(offer.spec.tiers.get(tier, {})) for tier in TIERS}}
    if kind == "domain":
        own = {"factors": [{"factor": name, "what it is": words} for name, words in offer.spec.factors.items()]}
    spec = _plain(offer.spec, (*_CODE, "spaces", "curved_with") if kind == "method" else _CODE)
    return {"kind": kind, **spec, **own, "parameters": described, "from": str(offer.provider)}


def _show_facts(facts: dict[str, Any]) -> None:
    """Simple values as one table, lists of mappings as a table each."""
    tables = {name: value for name, value in facts.items() if isinstance(value, list) and value and _is_table(value)}
    simple = {name: value for name, value in facts.items() if name not in tables and value not in ([], {}, "", None)}
    rows = [(name, json.dumps(value) if isinstance(value, dict) else plain(value)) for name, value in simple.items()]
    screen = console()
    screen.print(table(f"{facts['kind']} {facts['name']}", ("", ""), rows))
    for name, value in tables.items():
        screen.print(table_of(name, [_short_row(row) for row in value]))


def _is_table(value: list[Any]) -> bool:
    return all(isinstance(row, dict) for row in value)


def _short_row(row: dict[str, Any]) -> dict[str, Any]:
    return {name: json.dumps(value) if isinstance(value, dict) else value for name, value in row.items()}


def show_doctor(facts: Mapping[str, object], problems: Sequence[str], as_json: bool = False) -> None:
    """Show what this machine has, and what is wrong with the installation."""
    if as_json:
        return print_json({"facts": _plain(facts), "problems": list(problems)})
    console().print(table("this machine", ("", ""), [(name, plain(value)) for name, value in facts.items()]))
    say(*(f"problem: {problem}" for problem in problems) if problems else ["no problems found"])
    return None


def show_checks(name: str, results: Sequence[Any], verdict: str, as_json: bool = False) -> None:
    """Show the outcome of contract checks, one dataclass each with a ``status``, and at last the verdict."""
    rows = [_plain(result) for result in results]
    if as_json:
        return print_json({"name": name, "verdict": verdict, "checks": rows})
    console().print(table_of(f"contract of {name}", rows))
    say(verdict)
    return None
