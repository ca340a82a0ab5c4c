"""The pages of a report: a pure function of leaderboard, records and stored strips, one text for each file."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from itertools import accumulate
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gdbench.boards.acceptance import Tests
from gdbench.boards.answer import answer, summary
from gdbench.boards.board import Across, Board, Leaderboard
from gdbench.boards.cells import name, short
from gdbench.boards.joined import joined
from gdbench.console import clean
from gdbench.evaluation.pictures import Atlas
from gdbench.report import gallery, images
from gdbench.report.charts import Picture, of_ranks
from gdbench.report.evidence import Evidence
from gdbench.report.images import Verbatim
from gdbench.report.places import INDEX, chart_name, generator_page, run_page, score_place, slug
from gdbench.report.views import BoardView, Known, board_view, links, picture_of
from gdbench.runs.inverted import Kept

TEMPLATES = Path(__file__).with_name("templates")
STRIP, STRIPS_OF_INDEX, STRIPS_OF_GENERATOR = 6_000, 700_000, 1_800_000
"""Bytes of one strip at most, and of all strips of a page."""


def pages(
    leaderboard: Leaderboard,
    runs: Sequence[Evidence],
    problems: Sequence[str],
    papers: Mapping[str, str],
    missing: Sequence[str] = (),
    tests: Tests | None = None,
    factors: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[tuple[str, str]]:
    """File and text, one after another: the index, a page for each generator, a page for each run.

    problems: a line for each run that is not believed. papers: method -> where it was published. missing: the runs that
    a suite asks for and that are not there. tests: what was found of the columns that rank. factors: domain -> what
    each of its factors is, in words.
    """
    known = {one.record.id: one for one in sorted(runs, key=lambda one: one.record.id)}
    boards = joined(leaderboard.boards)
    rows = sum(len(board.rows) for board in boards)
    most = min(STRIP, STRIPS_OF_INDEX // max(rows, 1))
    views = [board_view(board, known, papers, most) for board in boards]
    yield INDEX, _index(leaderboard, views, known, _coverage(known, problems, missing), tests)
    for page, own in _by_generator(views).items():
        yield page, _generator(own, known, factors or {})
    boards_of = {run: view for view in views for row in view.board.rows for run in row.runs}
    for run, one in known.items():
        yield run_page(run), run_text(one, boards_of.get(run))


def charts_of(leaderboard: Leaderboard, runs: Sequence[Evidence]) -> dict[str, Picture]:
    """Name -> picture: every chart of the pages, for files of their own."""
    known = {one.record.id: one for one in runs}
    boards = joined(leaderboard.boards)
    found: dict[str, Picture] = {}
    for board in boards:
        made = {
            "quality": picture_of(board, answer(board), known),
            "cost": gallery.cost_picture(board, known),
            "budget": gallery.budget_picture(board, boards),
        }
        found |= {chart_name(board.key, kind): picture for kind, picture in made.items() if picture is not None}
    for table in leaderboard.across:
        if (picture := _ranks(table)) is not None:
            found[slug(f"ranks-{table.metric}-{table.column}-{table.tier}-k{table.k}")] = picture
    return found


def _ranks(table: Across) -> Picture | None:
    title = f"{name(table.column)}: mean ranks over {len(table.generators)} generators"
    return of_ranks(title, table.critical) if table.critical else None


def _by_generator(views: Sequence[BoardView]) -> dict[str, list[BoardView]]:
    found: dict[str, list[BoardView]] = {}
    for view in views:
        found.setdefault(generator_page(view.board.key), []).append(view)
    return found


def _index(
    leaderboard: Leaderboard, views: Sequence[BoardView], known: Known, bar: Sequence[Part], tests: Tests | None
) -> str:
    together = summary(leaderboard)
    return _render(
        "index.html",
        title="gdbench report",
        sentences=together or (views[0].said.sentences if views else ()),
        told=not together,
        notes=leaderboard.notes,
        parts_of_bar=bar,
        total=sum(part.count for part in bar),
        lists=_lists(leaderboard, known),
        views=views,
        filters=_filters(views, [head.metric for view in views for head in view.heads]),
        across=[(table, _ranks(table)) for table in leaderboard.across],
        tests=tests,
    )


@dataclass(frozen=True)
class Part:
    """A part of the coverage bar. lines: id of a run, its page or "", and why. start: the count of all before it."""

    name: str
    style: str
    count: int
    lines: tuple[tuple[str, str, str], ...]
    start: int = 0


def _coverage(known: Known, problems: Sequence[str], missing: Sequence[str]) -> list[Part]:
    kinds = {"done": ("done",), "failed": ("failed", "timeout", "interrupted"), "incompatible": ("incompatible",)}
    parts = []
    for kind, statuses in kinds.items():
        lines = links(known, lambda one, statuses=statuses: one.record.status in statuses)  # type: ignore[misc]
        parts.append(Part(kind, kind, len(lines), tuple(lines)))
    doubted = tuple(("", "", line) for line in problems)
    parts.append(Part("not believed", "doubted", len(doubted), doubted))
    parts.append(Part("not run yet", "missing", len(missing), tuple(("", "", line) for line in missing)))
    starts = accumulate((part.count for part in parts), initial=0)
    return [replace(part, start=start) for part, start in zip(parts, starts, strict=False)]


def _lists(leaderboard: Leaderboard, known: Known) -> list[Part]:
    """Numbers that are void, and columns that must not rank, with their reasons."""
    voids = tuple(_voids(known))
    refused = {
        f"{shown.metric}.{shown.column.name}": shown.refused
        for board in leaderboard.boards
        for shown in board.columns
        if shown.refused and shown.column.ranked
    }
    columns = tuple((column, "", why) for column, why in refused.items())
    return [
        Part("runs with void numbers", "void", len({run for run, _, _ in voids}), voids),
        Part("refused columns", "refused", len(columns), columns),
    ]


def _voids(known: Known) -> Iterator[tuple[str, str, str]]:
    """For each run and reason one line that names the columns."""
    for run, one in known.items():
        reasons: dict[str, list[str]] = {}
        for metric, own in one.record.scores.items():
            for column, score in own.items():
                if score.value is None:
                    reasons.setdefault(str(score.void), []).append(f"{metric}.{column}")
        for why, columns in reasons.items():
            named = ", ".join(columns[:4]) + (f" and {len(columns) - 4} more" if len(columns) > 4 else "")
            yield run, run_page(run), f"{named}: {why}"


def _filters(views: Sequence[BoardView], metrics: Sequence[str]) -> list[tuple[str, list[str]]]:
    """Name and values of the filters between which there is a choice."""
    keys = [view.board.key for view in views]
    values = {
        "generator": [f"{key.generator}/{key.checkpoint}" for key in keys],
        "space": [key.space for key in keys],
        "tier": [key.tier for key in keys],
        "K": [str(key.k) for key in keys],
        "role": [row.role for view in views for row in view.rows],
        "metric": list(metrics),
    }
    distinct = {name: list(dict.fromkeys(clean(one) for one in found)) for name, found in values.items()}
    return [(name, found) for name, found in distinct.items() if len(found) > 1]


def _generator(views: Sequence[BoardView], known: Known, factors: Mapping[str, Mapping[str, str]]) -> str:
    most = STRIPS_OF_GENERATOR // len(views)
    key = views[0].board.key
    boards = [view.board for view in views]
    parts = [(view, _beyond(view.board, boards, known, most)) for view in views]
    metrics = [metric.name for _, more in parts for metric in more["metrics"]]
    title = f"{key.generator}/{key.checkpoint}"
    words = factors.get(key.domain, {})
    return _render("generator.html", title=title, parts_of_page=parts, filters=_filters(views, metrics), factors=words)


def _beyond(board: Board, boards: Sequence[Board], known: Known, most: int) -> dict[str, Any]:
    return {
        "gallery": gallery.gallery(board, known, most),
        "matrices": gallery.matrices(board, known),
        "cost": gallery.cost_picture(board, known),
        "budgets": gallery.budget_picture(board, boards),
        "metrics": gallery.all_metrics(board, known),
    }


def run_text(one: Evidence, view: BoardView | None = None, inverted: Kept | None = None) -> str:
    """The page of one run. view: the board that it stands on, if any. inverted: pictures that it edited, if any."""
    cell = one.record.cell
    living = [direction for direction in one.sorted if not direction.dead]
    factors = list(dict.fromkeys(factor for direction in one.directions for factor in direction.shares))
    return _render(
        "run.html",
        title=f"{cell.generator}/{cell.checkpoint} × {cell.method}, seed {cell.seed}",
        one=one,
        record=one.record,
        view=view,
        atlas=images.atlas(one.strips[0]) if one.strips else "",
        geometry=one.strips[1] if one.strips else None,
        living=living,
        dead=[direction.index for direction in one.directions if direction.dead],
        factors=factors,
        explore=f"gdbench explore {shlex.quote(one.record.id)}" if one.directions else "",
        mine=inverted and _mine(inverted),
        bars=sorted(one.best, key=lambda factor: (-one.best[factor][1], factor)),
    )


@dataclass(frozen=True)
class Mine:
    """Pictures of one's own: what is known of them, and their inversions and edits as atlases with their geometry."""

    kept: Kept
    pairs: str
    pair: Atlas
    edits: str
    edit: Atlas


def _mine(kept: Kept) -> Mine:
    (pairs, pair), (edits, edit) = kept.pairs, kept.edits
    return Mine(kept, images.atlas(pairs), pair, images.atlas(edits), edit)


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


@cache
def _environment() -> Environment:
    """Templates in which all text is cleaned and escaped, and nothing is undefined without a word."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        finalize=_finalized,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    style, script = ((TEMPLATES / name).read_text(encoding="utf-8") for name in ("style.css", "script.js"))
    made.globals |= {"style": Markup(style), "script": Markup(script), "csp": _policy(style, script)}
    made.globals |= {"score_place": score_place}
    made.filters |= {"px": _pixels, "short": short}
    return made


def _finalized(value: object) -> object:
    """Text as one line without control characters; what is markup, or clean in several lines, as it is."""
    return clean(value) if isinstance(value, str) and not isinstance(value, Markup | Verbatim) else value


def _pixels(value: float) -> str:
    return f"{value:.1f}"


def _policy(style: str, script: str) -> str:
    """The content security policy: nothing is fetched, and no style or script but ours is obeyed."""

    def digest(text: str) -> str:
        return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"

    return (
        f"default-src 'none'; img-src data:; style-src {digest(style)}; script-src {digest(script)}; "
        "base-uri 'none'; form-action 'none'"
    )
