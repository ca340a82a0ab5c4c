"""Write docs/findings.md and its pictures from the committed runs of scenes-quick: ``python docs/findings.py [POOL]``.

Every number and sentence below the introduction is computed here from records and boards; nothing is typed by hand.
"""

from __future__ import annotations

import itertools
import re
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import pandas as pd
import spaces
from findings_checks import doublings, fairness, paper_rca, remeasured, said, saliency, settings, whitened
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
from scipy.stats import spearmanr

from gdbench.boards.answer import answer, summary
from gdbench.boards.board import Entry, Leaderboard
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


ENOUGH = 6
"""Methods on two boards below which nothing is said of their orders: four agree by chance once in 24."""


def generators_agree(groups: Sequence[Group]) -> Iterator[str]:
    """Whether the order of methods by F1 is the same from one generator to another."""
    f1 = pd.DataFrame({g.name: {m: float(np.mean(g.column(m, "F1"))) for m in g.rivals} for g in groups})
    found = {}
    for one, other in itertools.combinations(f1, 2):
        both = f1[[one, other]].dropna()
        if len(both) < ENOUGH:
            continue
        if (one, other) == SHOWN:
            rho = correlation(both[one], both[other])
            yield f"The order of {len(both)} methods by F1 on {one} and {other}: rank correlation {rho}."
        else:
            found[one, other] = (spearmanr(both[one], both[other]).statistic, len(both))
    if found:
        low, high = min(found, key=lambda pair: found[pair][0]), max(found, key=lambda pair: found[pair][0])
        yield (
            f"Of {len(found)} other pairs of boards with {ENOUGH} methods or more it is {found[low][0]:.2f} "
            f"({' and '.join(low)}, {found[low][1]} methods) to {found[high][0]:.2f} "
            f"({' and '.join(high)}, {found[high][1]} methods)."
        )


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
        key = group.board.key
        here = [run for run in runs if (run.cell.generator, run.cell.checkpoint) == (key.generator, key.checkpoint)]
        quick, long = {}, {}
        for method in group.rivals:
            own = {run.cell.seed: run for run in group.runs[method]}
            more = [run for run in here if run.cell.method == method and run.cell.seed in own]
            twins = [numbers([own[run.cell.seed], run], "recovery", "F1") for run in more]
            pairs = [pair for pair in twins if len(pair) == 2]
            if pairs:
                quick[method], long[method] = np.mean(pairs, axis=0)
        if len(long) >= ENOUGH:
            order = sorted(long, key=lambda method: -long[method])
            told = ", ".join(f"{method} {long[method]:.3f} ({quick[method]:.3f})" for method in order)
            rho = correlation([quick[method] for method in order], [long[method] for method in order])
            yield f"On {group.name} F1 at standard (at quick): {told}. The two orders: rank correlation {rho}."


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
        place, key = counted(group) - 1, group.board.key
        here = [run for run in runs if (run.cell.generator, run.cell.checkpoint) == (key.generator, key.checkpoint)]
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
        key = group.board.key
        here = [run for run in runs if (run.cell.generator, run.cell.checkpoint) == (key.generator, key.checkpoint)]
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
    write_text(DOCS / "findings.md", page(made, [group for group in groups if group.methods], pool))
    text = README.read_text(encoding="utf-8")
    if BLOCK.search(text):
        write_text(README, BLOCK.sub(lambda found: f"{found[1]}{readme(shown)}\n{found[2]}", text))


def readme(shown: Sequence[Group]) -> str:
    """The answer on README's first screen."""
    first = [{method for method, _ in _leading(group, "F1")} for group in shown]
    both = sorted(set.intersection(*first)) if first else []
    opening = f"{' and '.join(both)} lead on every generator" if both else "No method leads on every generator"
    return f"{opening}. Of 32 directions found without labels:\n\n{''.join(front(shown)).rstrip()}"


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results" / "runs")
