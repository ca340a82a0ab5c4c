"""Write docs/findings.md and its pictures from the committed runs of scenes-quick: ``python docs/findings.py [POOL]``.

Every number and sentence below the introduction is computed here from records and boards; nothing is typed by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import spaces
from findings_checks import doublings, fairness, paper_rca, remeasured, said, saliency, settings, whitened
from findings_orders import everywhere, generators_agree, mean_ranks, once, overall, seeds_agree, tiers_agree
from findings_pictures import along_k, curves, enough, scatter, strips
from findings_runs import (
    RANDOM,
    SHOWN,
    SUPERVISED,
    Group,
    companion,
    correlation,
    counted,
    first_k,
    intervals,
    leaders,
    numbers,
    read,
)

from gdbench.boards.answer import answer, summary
from gdbench.boards.board import Entry, Leaderboard
from gdbench.boards.cells import SIGNS
from gdbench.boards.statistics import Interval, paired
from gdbench.files import write_text
from gdbench.record import RunRecord

DOCS = Path(__file__).parent
ROOT = DOCS.parent
PICTURES = DOCS / "pictures"
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- answer: written by docs/findings.py -->\n).*?(<!-- end of answer -->)", re.DOTALL)
PURPOSES = {
    "recall": "many known factors, each by one of 32 directions (recall)",
    "precision": "32 directions that each do one known thing (precision)",
    "F1": "both (F1)",
}


def purposes(groups: Sequence[Group]) -> str:
    """What to use for which purpose: who leads, with intervals, beside random and supervised directions."""
    lines = [f"| you want | {' | '.join(group.name for group in groups)} |", "| --- " * (len(groups) + 1) + "|"]
    for column, what in PURPOSES.items():
        lines.append(f"| {what} | {' | '.join(_led(group, column) for group in groups)} |")
    lines.append(f"| as few directions as there are factors (F1 of the first J) | {' | '.join(map(_few, groups))} |")
    return "\n".join(lines)


def _led(group: Group, column: str) -> str:
    """The leaders of a column as the board has them, and what random and supervised directions have."""
    named = [f"**{method}** {_entry(entry)}" for method, entry in _leading(group, column)]
    entries = {row.method: row.entry("recovery", column) for row in group.board.rows}
    others = [f"{method} {_entry(entries[method])}" for method in (RANDOM, SUPERVISED) if method in entries]
    return f"{', '.join(named) or 'nobody leads'}<br>({', '.join(others)})"


def _leading(group: Group, column: str) -> list[tuple[str, Entry]]:
    """The methods that the board ranks first in a column, the largest mean first."""
    entries = [(row.method, row.entry("recovery", column)) for row in group.board.rows if row.method in group.rivals]
    return sorted((pair for pair in entries if pair[1].rank == 1), key=lambda pair: -_mean(pair[1]))


def _mean(entry: Entry) -> float:
    return -1.0 if entry.mean is None else entry.mean


def _entry(entry: Entry) -> str:
    return "void" if entry.mean is None else said(Interval(entry.mean, entry.low, entry.high))


def _few(group: Group) -> str:
    """Who leads where only the first J directions count."""
    place = counted(group) - 1
    scores = {method: list(first_k(group, method)[:, place]) for method in (*group.rivals, RANDOM)}
    made = intervals(scores)
    least = next((shown.least for shown in group.board.columns if shown.name == ("recovery", "F1")), 0.0)
    first = leaders({method: scores[method] for method in group.rivals}, least)
    named = ", ".join(f"**{method}** {said(made[method])}" for method in first)
    return f"{named}<br>({RANDOM} {said(made[RANDOM])})"


def table(group: Group) -> str:
    """Every method with a number: means over seeds, best first; what it finds and how many can be told apart."""
    heads = ["method", "seeds", "recall", "precision", "F1", "purity", "found", "distinct", "alive", "images", "CPU s"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for method in group.methods:
        first = group.runs[method][0]
        k = "" if first.cell.k == 32 else f", K = {first.cell.k}"
        role = "" if first.role == "method" else f" ({first.role}{k})"
        cells = [f"{np.mean(group.column(method, name)):.3f}" for name in ("recall", "precision", "F1", "purity")]
        cells.append(f"{np.mean(group.column(method, 'found')):.1f}")
        for metric, column, digits in OTHERS:
            found = group.column(method, column, metric)
            cells.append(f"{np.mean(found):.{digits}f}" if found else "void")
        lines.append(f"| {method}{role} | {len(group.column(method, 'F1'))} | {' | '.join(cells)} |")
    return "\n".join(lines)


OTHERS = (
    ("distinct", "distinct", 1),
    ("calibration", "alive_share", 2),
    ("cost", "images", 0),
    ("cost", "cpu_seconds", 0),
)


def few_places(groups: Sequence[Group]) -> Iterator[str]:
    """Who leads where only J directions may be given, and how far the order at K = 32 agrees with that."""
    for group in groups:
        place = counted(group) - 1
        scores = {method: first_k(group, method) for method in group.methods if method in (*group.rivals, RANDOM)}
        if len(scores) > 4 and RANDOM in scores:
            made = intervals({method: list(each[:, place]) for method, each in scores.items()})
            few = sorted(group.rivals, key=lambda method: -made[method].mean)
            rho = correlation([made[m].mean for m in few], [scores[m][:, -1].mean() for m in few])
            best = ", ".join(f"{method} {said(made[method])}" for method in few[:3])
            yield (
                f"On {group.name} the first {place + 1} directions alone, as many as factors count, have F1 {best}; "
                f"random {said(made[RANDOM])}. The order at K = J and at K = 32: rank correlation {rho}."
            )


def anew(groups: Sequence[Group], runs: Sequence[RunRecord]) -> Iterator[str]:
    """What methods find that are asked for J directions from the start, beside their first J of 32."""
    for group in groups:
        place, here = counted(group) - 1, group.among(runs)
        told = []
        for method in group.rivals:
            fresh = numbers([run for run in here if run.cell.method == method], "recovery", "F1")
            if fresh:
                cut = first_k(group, method)[:, place]
                seeds = f"{len(fresh)} seed{'s' * (len(fresh) > 1)}"
                told.append((float(np.mean(fresh)), f"{method} {np.mean(fresh):.3f} ({seeds}; {cut.mean():.3f})"))
        if told:
            listed = ", ".join(text for _, text in sorted(told, reverse=True))
            first = f"the first {place + 1} of 32"
            yield f"Asked for {place + 1} directions from the start on {group.name} (in brackets: {first}): {listed}."


def reuse(groups: Sequence[Group], runs: Sequence[RunRecord]) -> Iterator[str]:
    """Whether serving five pairs from one base image costs voynov anything, at equal images."""
    for group in groups:
        here = group.among(runs)
        once = [run for run in here if run.cell.method_params.get("reuse") == 1]
        five = [run for run in here if run not in once]
        if len(once) > 1 and len(once) == len(five):
            told = []
            for column in ("precision", "F1"):
                apart = paired(*(numbers(each, "recovery", column) for each in (five, once)))
                assert apart is not None  # of two pairs or more
                told.append(f"{column} {apart.mean:+.3f} ({apart.low:+.3f} to {apart.high:+.3f})")
            yield (
                f"voynov on {group.name} that serves five pairs from each base image, against once as published, at "
                f"equal images and the same {len(once)} seeds: {', '.join(told)}."
            )


def elsewhere(groups: Sequence[Group], runs: Mapping[tuple[str, str], Sequence[RunRecord]]) -> Iterator[str]:
    """The spaces of stylegan2 beside one another, and the best of them beside the leader of the board in w."""
    made = intervals({key: numbers(own, "recovery", "F1") for key, own in runs.items()})
    method, space = max(made, key=lambda key: made[key].mean)
    yield f"Directions of stylegan2/scenes32 in w, of single layers (w+) and of style channels (s): {SPACES}"
    yield spaces.table(runs)
    for group in groups:
        if group.name == "stylegan2/scenes32" and (first := group.rivals[:1]):
            board = intervals({name: group.column(name, "F1") for name in group.methods})
            best = f"{first[0]}, {said(board[first[0]])}"
            yield f"The best here, {method} in {space}, has F1 {said(made[method, space])}; the best in w, {best}."


SPACES = "[what the spaces are](bring-your-own-gan.md#spaces-of-stylegan2-and-3-and-layers)."


def told_apart(groups: Sequence[Group]) -> Iterator[str]:
    """Whether learned directions are easier to tell apart than random ones at equal visible change."""
    for group in groups:
        scores = {m: found for m in group.methods if (found := group.column(m, "distinct", "distinct"))}
        if RANDOM in scores and group.rivals:
            made = intervals(scores, most=group.board.key.k)
            rivals = [method for method in group.rivals if method in made]
            below = [method for method in rivals if made[method].mean < made[RANDOM].mean]
            most = max(rivals, key=lambda method: made[method].mean)
            yield (
                f"On {group.name} a reader tells {said(made[RANDOM], 1)} of 32 random directions apart, and of the "
                f"methods' at most {said(made[most], 1)} ({most}); {len(below)} of {len(rivals)} methods give fewer "
                "distinct ones than random."
            )


def supervision(groups: Sequence[Group]) -> Iterator[str]:
    """How far labels go, beside the best without."""
    for group in groups:
        if group.column(SUPERVISED, "F1") and group.rivals:
            f1 = intervals({method: group.column(method, "F1") for method in group.methods})
            recall, precision = (np.mean(group.column(SUPERVISED, name)) for name in ("recall", "precision"))
            best = group.rivals[0]
            yield (
                f"On {group.name} one supervised direction for each factor has recall {recall:.2f} and precision "
                f"{precision:.2f}, F1 {said(f1[SUPERVISED])}; the best without labels is {best}, {said(f1[best])}, "
                f"random {said(f1[RANDOM])}."
            )


def limits(groups: Sequence[Group]) -> str:
    """What the page cannot say."""
    seeds = [len(group.column(method, "F1")) for group in groups for method in group.rivals]
    lines = [
        "The generators have 32 pixels and show scenes or digits with known factors; no natural image is ranked.",
        "Factors are those that the domain has names for: a direction that does something else counts as impure.",
        "At the headline change a pure edit of most factors does not exist: recoloured, resized or relit alone, a "
        "scene never changes so much ([the ceiling](../results/ceiling.md)). So recall cannot reach 1, not even with "
        "supervision, and favours what moves things.",
        "Oracles are public: a method could be trained against them. Of the methods here only references see one.",
        "sngan/scenes32 and its siblings with 32 and 64 dimensions lack one of four shapes, the plus.",
        f"{sum(n < 3 for n in seeds)} of {len(seeds)} pairs of generator and method have fewer than three seeds: "
        "shown, not ranked.",
        "Three of the generators are one architecture on one domain. No person was asked.",
    ]
    return "\n".join(["## How sure this is", "", *(f"- {line}" for line in lines)]) + "\n"


def front(groups: Sequence[Group]) -> Iterator[str]:
    """Two sentences for each shown board on README's first screen: who leads, beside random and supervision."""
    for group in groups:
        if not group.rivals or not group.column(RANDOM, "F1"):
            continue
        marks = [
            f"{word} {np.mean(group.column(method, 'F1')):.2f}"
            for method, word in ((RANDOM, "random ones"), (SUPERVISED, "learned from labels"))
            if group.column(method, "F1")
        ]
        f1 = max((_mean(entry) for _, entry in _leading(group, "F1")), default=0.0)
        yield f"- **{group.name}**: the best directions are those of {_names(group, 'F1')} (F1 {f1:.2f}; "
        yield f"{', '.join(marks)}). The largest part of the factors is recovered by {_names(group, 'recall')}; "
        place = counted(group) - 1
        first = {method: float(first_k(group, method)[:, place].mean()) for method in group.rivals}
        few = sorted(first, key=lambda method: -first[method])[:2]
        yield f"of the first {place + 1} directions alone those of {' and '.join(few)} are best.\n"


def page(made: Leaderboard, groups: Sequence[Group], pool: Path) -> str:
    """The whole page."""
    shown = [group for group in groups if group.name in SHOWN]
    budgets, factors = companion("budget-curves", pool), companion("factors-quick", pool)
    other = spaces.read(pool)
    spared = list(reuse(shown, companion("voynov-reuse", pool)))
    tried, outside = companion("fair-settings", pool), list(paper_rca(companion("mnist-rca", pool)))
    masks = companion("saliency-quick", pool)
    again = companion("saliency-noise", pool.parent / "lenses", "saliency", "IoU")
    apart = [*whitened(masks, _least(shown, "saliency")), *remeasured(again)] if masks else []
    fair = list(fairness(tried, _least(shown)))
    longer = list(tiers_agree(shown, companion("scenes-standard", pool)))
    parts = [
        "# What gdbench found",
        "Written by `docs/findings.py` from the records in `results/runs`; do not edit. The question: of 32 directions "
        "found with 10⁵ rendered images, how many known factors are recovered (*recall*), how many of the directions "
        "do one known thing (*precision*), and what do both come to (*F1*)? [What the words mean](protocol.md).",
        "![Precision over recall of each method on sngan and stylegan2](pictures/answer.png)",
        "*A point per seed, joined; a large point is the mean. Grey: the range of random directions. Dotted: the "
        "supervised reference with one direction for each factor.*",
        "## What to use",
        purposes(shown),
        "*Mean over seeds ± half of the 95 % interval, of a variance between seeds that the methods of a board share. "
        "Methods in one cell cannot be told apart; a difference counts from "
        f"{_least(shown):.3f} on, which reseeded evaluations alone can make.*",
        _bullets(
            (
                *summary(made),
                *(f"{group.name}: {line}" for group in shown for line in answer(group.board).sentences[1:]),
            )
        ),
        "## On every generator",
        everywhere(groups, made),
        EVERYWHERE,
        _bullets((*mean_ranks(made), *once(groups, made))),
        "## Does the generator decide, or the seed?",
        _bullets((*generators_agree(groups), *seeds_agree(groups))),
        *(("## Do ten times the images change the order?", _bullets(longer)) if longer else ()),
        "## Does K decide?",
        _bullets((*few_places(groups), *anew(shown, factors))),
        "![F1 of the first k directions over k](pictures/along-k.png)",
        "*What a smaller K would say: F1 of the first k directions, mean over seeds; of methods without an order of "
        "their own the mean over random orders.*",
        *((*BUDGET, _bullets(doublings(shown, budgets))) if enough(budgets) else ()),
        *(("## Does it cost anything to render less?", _bullets(spared)) if spared else ()),
        *(("## Were the settings fair?", SETTINGS, _bullets(fair), settings(tried)) if fair else ()),
        *(("## Does the space decide?", *elsewhere(shown, other)) if other else ()),
        "## Are learned directions easier to tell apart than random ones?",
        _bullets((*told_apart(groups), *outside)),
        "What a reader can tell apart, the reward of many methods and a metric of many papers, need not be one known "
        "thing: compare with precision above.",
        *(("## Is a background direction found?", SALIENCY, saliency(masks), _bullets(apart)) if apart else ()),
        "## How far do labels go?",
        _bullets(supervision(groups)),
        "More: [the width of the latent](ablation.md), [saliency](saliency.md), "
        "[how much of this an exact edit could reach](../results/ceiling.md), "
        "[settings of the metric beside their alternatives](../results/sensitivity.md).",
    ]
    for group in groups:
        parts += [f"## {group.name}", table(group)]
        if group.name in SHOWN:
            name = group.name.replace("/", "-")
            parts += [
                f"![The best direction of each method for each factor on {group.name}](pictures/strips-{name}.png)",
                "*Each cell sweeps the direction with the largest share of a factor, seed 0, from −t to +t at equal "
                "visible change; the number is its share on codes that did not choose it. Pale: not found (up to .3).*",
            ]
    return "\n\n".join([*(part for part in parts if part), limits(groups)])


EVERYWHERE = (
    "*F1 less that of random directions on the same board, whose own F1 stands in the first row. "
    f"{SIGNS.above} above random, {SIGNS.same} not separable from it, {SIGNS.below} below it, {SIGNS.none} no run. "
    "Bold: first on its board, ties included. Generators differ in what can be found, so these numbers do not add up "
    "along a row. The mean rank counts each checkpoint once, in its first space.*"
)


BUDGET = (
    "## Does budget decide?",
    "![F1 over the number of rendered images](pictures/budget.png)",
    "*Each point is a run of its own at that budget, seed 0, with its own fall of the learning rate; the last is the "
    "run of the board. Grey: the range of random directions, which cost nothing. Below: the slope of F1 over the "
    "logarithm of the images, with its 95 % interval.*",
)


SETTINGS = (
    "Each learned method with its defaults and with others, on a generator that is on another board (sngan with 64 "
    "dimensions) and at seeds that are on none, at equal images. What gained about as much as counts at seed 100 was "
    "tried again, with its default, at two more; what gains more over all three becomes the default."
)


SALIENCY = (
    "One of the directions is chosen automatically as the one that whitens the background, a segmenter learns from its "
    "masks, and is tested on rendered scenes ([every convention](saliency.md)). IoU is shown and ranks nobody: its "
    "tests with known answers were not run."
)


def _least(groups: Sequence[Group], metric: str = "recovery") -> float:
    """The least difference that counts on these boards: the largest of the columns of a metric."""
    found = [shown.least for group in groups for shown in group.board.columns if shown.metric == metric]
    return max(found, default=0.0)


def _bullets(lines: Iterable[str]) -> str:
    return "\n".join(f"- {line}" for line in lines)


def _names(group: Group, column: str) -> str:
    """The leaders of a column: ``a``, ``a and b``, ``a, b and c``."""
    *others, last = [method for method, _ in _leading(group, column)] or ["nobody"]
    return f"{', '.join(others)} and {last}" if others else last


def main(pool: Path) -> None:
    """Write the page and its pictures."""
    made, groups = read(pool)
    shown = [group for group in groups if group.name in SHOWN and group.methods]
    scatter(shown, PICTURES / "answer.png")
    along_k(shown, PICTURES / "along-k.png")
    if enough(budgets := companion("budget-curves", pool)):
        curves(shown, budgets, PICTURES / "budget.png")
    for group in shown:
        strips(group, PICTURES / f"strips-{group.name.replace('/', '-')}.png")
    measured = [group for group in groups if group.methods]
    write_text(DOCS / "findings.md", page(made, measured, pool))
    text = README.read_text(encoding="utf-8")
    if BLOCK.search(text):
        write_text(README, BLOCK.sub(lambda found: f"{found[1]}{readme(made, measured)}\n{found[2]}", text))


def readme(made: Leaderboard, groups: Sequence[Group]) -> str:
    """The answer on README's first screen."""
    first = [{method for method, _ in leading} for group in groups if (leading := _leading(group, "F1"))]
    always = sorted(set.intersection(*first)) if first else []
    opening = f"{' and '.join(always)} lead on every generator" if always else "No method leads on every generator"
    over = "".join(f" {line}" for line in overall(made))
    shown = [group for group in groups if group.name in SHOWN]
    return f"{opening}.{over} Of 32 directions found without labels:\n\n{''.join(front(shown)).rstrip()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results" / "runs")
