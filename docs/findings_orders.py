"""The orders of methods that docs/findings.py tells: on every generator, and between generators, seeds and budgets."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence

import numpy as np
from findings_runs import RANDOM, SHOWN, SUPERVISED, Group, correlation, numbers
from scipy.stats import spearmanr

from gdbench.boards.across import ALIKE
from gdbench.boards.board import Across, Board, Critical, Entry, Leaderboard, MeanRank
from gdbench.boards.cells import SIGNS
from gdbench.boards.statistics import LEVEL, friedman
from gdbench.record import RunRecord

ENOUGH = 6
"""Methods on two boards below which nothing is said of their orders: four agree by chance once in 24."""


def generators_agree(groups: Sequence[Group]) -> Iterator[str]:
    """Whether the order of methods by F1 is the same from one generator to another, of one architecture or of two."""
    kin, strangers = {}, {}
    for one, other in itertools.combinations(groups, 2):
        both = [method for method in one.rivals if method in other.rivals]
        if len(both) < ENOUGH:
            continue
        f1 = [[float(np.mean(group.column(method, "F1"))) for method in both] for group in (one, other)]
        if (one.name, other.name) == SHOWN:
            names = f"{len(both)} methods by F1 on {one.name} and {other.name}"
            yield f"The order of {names}: rank correlation {correlation(*f1)}."
        alike = _architecture(one) == _architecture(other)
        (kin if alike else strangers)[f"{one.name} and {other.name}"] = float(spearmanr(*f1).statistic)
    for kind, found in (("share architecture, space and domain", kin), ("differ in at least one of these", strangers)):
        if found:
            low, high = min(found, key=found.__getitem__), max(found, key=found.__getitem__)
            yield (
                f"Rank correlations of the {len(found)} pair{'s' * (len(found) > 1)} of boards that {kind}: median "
                f"{np.median(list(found.values())):.2f}, {found[low]:.2f} ({low}) to {found[high]:.2f} ({high})."
            )


def _architecture(group: Group) -> tuple[str, str, str]:
    key = group.board.key
    return key.generator, key.space, key.domain


def seeds_agree(groups: Sequence[Group]) -> Iterator[str]:
    """How much the order of methods by F1 changes from one discovery seed to the next."""
    for group in groups:
        rows = np.array([f1[:3] for method in group.rivals if len(f1 := group.column(method, "F1")) >= 3])
        if len(rows) >= ENOUGH:
            pairs = [spearmanr(rows[:, a], rows[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
            yield (
                f"On {group.name} the order of {len(rows)} methods by F1 under two discovery seeds: rank correlation "
                f"{min(pairs):.2f} to {max(pairs):.2f}."
            )


def tiers_agree(groups: Sequence[Group], runs: Sequence[RunRecord]) -> Iterator[str]:
    """Whether ten times the images change the order of methods: standard beside quick, at the same seeds."""
    for group in groups:
        quick, long = {}, {}
        for method in group.rivals:
            own = {run.cell.seed: run for run in group.runs[method]}
            more = [run for run in group.among(runs, method) if run.cell.seed in own]
            twins = [numbers([own[run.cell.seed], run], "recovery", "F1") for run in more]
            pairs = [pair for pair in twins if len(pair) == 2]
            if pairs:
                quick[method], long[method] = np.mean(pairs, axis=0)
        if len(long) >= ENOUGH:
            order = sorted(long, key=lambda method: -long[method])
            told = ", ".join(f"{method} {long[method]:.3f} ({quick[method]:.3f})" for method in order)
            rho = correlation([quick[method] for method in order], [long[method] for method in order])
            yield f"On {group.name} F1 at standard (at quick): {told}. The two orders: rank correlation {rho}."


def everywhere(groups: Sequence[Group], made: Leaderboard) -> str:
    """F1 of each method less that of random on each board, and its mean rank; the smallest mean rank first."""
    tables = [table for table in made.across if (table.metric, table.column) == ("recovery", "F1")]
    rows = {row.method: row for table in tables for row in table.rows}
    named = dict.fromkeys(method for group in groups for method in group.rivals)
    order = [*(method for method in rows if method in named), *(method for method in named if method not in rows)]
    heads = ["method", *(group.name for group in groups), "mean rank"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    random = [_f1(group.board, RANDOM) for group in groups]
    lines.append(f"| *{RANDOM}* | {' | '.join(f'*{_number(entry)}*' for entry in random)} |  |")
    for method in order:
        cells = [_over(_f1(group.board, method), base) for group, base in zip(groups, random, strict=True)]
        lines.append(f"| {method} | {' | '.join(cells)} | {_rank(rows.get(method))} |")
    labels = [_apart(group.column(SUPERVISED, "F1"), base) for group, base in zip(groups, random, strict=True)]
    lines.append(f"| *{SUPERVISED} (K = J)* | {' | '.join(f'*{cell}*' for cell in labels)} |  |")
    return "\n".join(lines)


def mean_ranks(made: Leaderboard) -> Iterator[str]:
    """Who has the smallest mean rank over generators in each column of recovery, and which differences are found."""
    for table, critical in _tables(made):
        first = ", ".join(f"{row.method} {_rank(row)}" for row in table.rows[:3])
        what = f"{table.column}: mean rank of {len(table.rows)} methods on {len(table.generators)} generators {first}"
        p = f"p = {critical.p:.2g} in Friedman's test"
        if critical.p >= 1 - LEVEL:
            yield f"{what}. No difference between them is found over generators ({p})."
        else:
            yield f"{what}. They differ ({p}); Nemenyi's tells apart {_told(critical) or 'no two of them'}."


def once(groups: Sequence[Group], made: Leaderboard) -> Iterator[str]:
    """What is left of these tests where checkpoints of one architecture on one domain count once, whichever it is."""
    told, alike, kinds = [], "", {}
    for table, _ in _tables(made):
        alike, kinds = _alike(table), dict[tuple[str, str], list[list[float]]]()
        for group in (group for group in groups if group.name in table.generators):
            scores = [float(np.mean(group.column(row.method, table.column))) for row in table.rows]
            kinds.setdefault((group.board.key.generator, group.board.key.domain), []).append(scores)
        p = [friedman(choice) for choice in itertools.product(*kinds.values())]
        told.append(f"{table.column} {min(p):.2g} to {max(p):.2g}")
    if alike:
        yield (
            f"These tests take generators for independent, but {alike}. With one of them at a time, {len(kinds)} "
            f"generators in all, p is, whichever it is: {', '.join(told)}."
        )


def _tables(made: Leaderboard) -> Iterator[tuple[Across, Critical]]:
    """The tables of recovery that are tested."""
    for table in made.across:
        if table.metric == "recovery" and table.critical is not None:
            yield table, table.critical


def _alike(table: Across) -> str:
    return "; ".join(note for note in table.notes if note.endswith(ALIKE))


def _told(critical: Critical) -> str:
    """``a from c and d; b from d``: each method with those behind it that share no set with it."""
    names = [name for name, _ in critical.ranks]
    behind = {
        one: [
            other for other in names[place + 1 :] if not any({one, other} <= set(group) for group in critical.together)
        ]
        for place, one in enumerate(names)
    }
    return "; ".join(f"{one} from {' and '.join(others)}" for one, others in behind.items() if others)


def overall(made: Leaderboard) -> Iterator[str]:
    """One sentence on F1 over all generators: the smallest mean rank, and whether that is a difference."""
    for table, critical in _tables(made):
        if table.column == "F1":
            best, sure = table.rows[0], critical.p < 1 - LEVEL
            alike = f" ({note})" if (note := _alike(table)) else ""
            yield (
                f"Over {len(table.generators)} generators{alike} {best.method} has the smallest mean rank of "
                f"{len(table.rows)} methods in F1, {_rank(best)}; a difference between methods over all of them is "
                f"{'' if sure else 'not '}established (Friedman's test, p = {critical.p:.2g})."
            )


def _f1(board: Board, method: str) -> Entry | None:
    return next((row.entry("recovery", "F1") for row in board.rows if row.method == method), None)


def _number(entry: Entry | None) -> str:
    return SIGNS.none if entry is None or entry.mean is None else f"{entry.mean:.3f}"


def _over(entry: Entry | None, random: Entry | None) -> str:
    """``**+0.048** ▲``: the difference to random, bold where it is first on its board."""
    if entry is None or entry.mean is None:
        return SIGNS.none
    apart = _apart([entry.mean], random)
    return f"{f'**{apart}**' if entry.rank == 1 else apart} {SIGNS.mark(entry)}".rstrip()


def _apart(values: Sequence[float], random: Entry | None) -> str:
    if not values or random is None or random.mean is None:
        return SIGNS.none
    return f"{np.mean(values) - random.mean:+.3f}"


def _rank(row: MeanRank | None) -> str:
    """``1.71 (1.00 to 2.74)``; below six generators without interval."""
    if row is None:
        return SIGNS.none
    mean, low, high = row.mean
    return f"{mean:.2f}" + ("" if low is None or high is None else f" ({low:.2f} to {high:.2f})")
