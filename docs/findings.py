"""Write docs/findings.md and its pictures from the committed runs of scenes-quick: ``python docs/findings.py [POOL]``.

Every number and sentence below the introduction is computed here from records and boards; nothing is typed by hand.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import spearmanr

from gdbench.boards.answer import answer, summary
from gdbench.boards.board import Board, Leaderboard
from gdbench.boards.leaderboard import leaderboard_of
from gdbench.columns import columns_of
from gdbench.evaluation.pictures import strip
from gdbench.files import atomic_write, write_text
from gdbench.record import RunRecord
from gdbench.registry import load_registry
from gdbench.runs.pool import suite_runs
from gdbench.runs.suite import read_suite
from gdbench.runs.tables import read_tables

DOCS = Path(__file__).parent
ROOT = DOCS.parent
SUITE = ROOT / "benchmarks" / "scenes-quick.yaml"
PICTURES = DOCS / "pictures"
RANDOM, SUPERVISED = "random", "oracle-linear"
README = ROOT / "README.md"
BLOCK = re.compile(r"(<!-- answer: written by docs/findings.py -->\n).*?(<!-- end of answer -->)", re.DOTALL)
SHOWN = ("sngan/scenes32", "stylegan2/scenes32")
"""The boards of the picture in README, and of the strips."""
COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#b8860b", "#4aa3df", "#7b3fa0", "#8c564b", "#111111", "#5f8a00")
"""One a method, the same in every picture; told apart by colour-blind readers too, and every line bears its name."""
ORDERED = frozenset({"sefa", "ganspace", "jacobian", "hessian-penalty", "orojar", SUPERVISED})
"""Methods that give their strongest directions first; of the others the mean over random orders is taken."""
STRIPS = 4
"""Methods beside the supervised reference in the picture of strips: those of the largest F1."""


@dataclass(frozen=True)
class Group:
    """The runs of one board. name: GAN/CHECKPOINT; by method, in order of seed; pool: where their folders lie."""

    name: str
    board: Board
    runs: dict[str, list[RunRecord]]
    pool: Path

    def column(self, method: str, column: str) -> list[float]:
        """The numbers of ``recovery`` of a method, one for each seed that has one."""
        scores = (run.scores.get("recovery", {}).get(column) for run in self.runs.get(method, []))
        return [score.value for score in scores if score is not None and score.value is not None]

    @property
    def methods(self) -> list[str]:
        """Methods with a number, best F1 first; controls and references too."""
        found = {method: np.mean(self.column(method, "F1")) for method in self.runs if self.column(method, "F1")}
        return sorted(found, key=lambda method: -found[method])


def read(pool: Path) -> tuple[Leaderboard, list[Group]]:
    """The leaderboard of the suite and its runs by board; references, which have K = J, stand with K = 32."""
    registry, suite = load_registry(), read_suite(SUITE)
    found = suite_runs(suite, registry, pool)
    made = leaderboard_of(found.records, columns_of(registry), registry, suite)
    groups = []
    for board in made.boards:
        key = board.key
        if key.k != 32:
            continue
        runs: dict[str, list[RunRecord]] = {}
        for record in sorted(found.records, key=lambda record: record.cell.seed):
            cell = record.cell
            if (cell.generator, cell.checkpoint, cell.space) == (key.generator, key.checkpoint, key.space):
                runs.setdefault(cell.method, []).append(record)
        name = f"{key.generator}/{key.checkpoint}" + (
            " in z" if (key.generator, key.space) == ("stylegan2", "z") else ""
        )
        groups.append(Group(name, board, runs, pool))
    order = {name: place for place, name in enumerate(SHOWN)}
    return made, sorted(groups, key=lambda group: (order.get(group.name, len(order)), group.name))


def scatter(groups: Sequence[Group], path: Path) -> None:
    """Precision over recall: a method's seeds joined, random a grey cross, the supervised reference dotted lines."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colours = _colours(groups)
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.2 * len(groups), 4.4), dpi=110, layout="constrained")
    for axis, group in zip(np.atleast_1d(axes), groups, strict=True):
        for method in group.methods:
            recall, precision = (np.array(group.column(method, name)) for name in ("recall", "precision"))
            if method == RANDOM:
                axis.axvspan(recall.min(), recall.max(), color="0.9", zorder=0)
                axis.axhspan(precision.min(), precision.max(), color="0.9", zorder=0)
                axis.plot(recall.mean(), precision.mean(), "x", color="0.35", markersize=10, label="random")
            elif method == SUPERVISED:
                axis.axvline(recall.mean(), ls=":", color="k", lw=1)
                axis.axhline(precision.mean(), ls=":", color="k", lw=1, label="supervised (K = J)")
            elif group.runs[method][0].role != "method":
                continue
            else:
                colour = colours[method]
                axis.plot(recall, precision, "-o", color=colour, markersize=3.5, lw=0.8, alpha=0.75)
                axis.plot(recall.mean(), precision.mean(), "o", color=colour, markersize=8)
                axis.annotate(method, (recall.mean(), precision.mean()), (5, 4), textcoords="offset points", fontsize=8)
        axis.set(title=f"{group.name}, 10⁵ images, K = 32", xlabel="recall of known factors", ylabel="precision")
        axis.legend(fontsize=8, loc="upper left")
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def _colours(groups: Sequence[Group]) -> dict[str, str]:
    """A colour for each method that is no control or reference."""
    names = sorted({name for group in groups for name in group.methods if group.runs[name][0].role == "method"})
    return {name: COLOURS[place % len(COLOURS)] for place, name in enumerate(names)}


def first_k(group: Group, method: str) -> np.ndarray:
    """Mean over seeds of F1 of the first k directions, for k = 1..K (K,)."""
    ending = "at" if method in ORDERED else "any"
    found = []
    for run in group.runs[method]:
        table = read_tables(group.pool / run.id)["recovery"]
        recall, precision = (table[f"{name}_{ending}"].to_numpy(dtype=float) for name in ("recall", "precision"))
        whole = recall + precision
        found.append(np.divide(2 * recall * precision, whole, out=np.zeros_like(whole), where=whole > 0))
    return np.asarray(np.mean(found, 0))


def along_k(groups: Sequence[Group], path: Path) -> None:
    """F1 of the first k directions over k: what the place K = J says beside K = 32, without new runs."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    colours = _colours(groups)
    figure, axes = pyplot.subplots(1, len(groups), figsize=(5.9 * len(groups), 3.9), dpi=110, layout="constrained")
    for axis, group in zip(np.atleast_1d(axes), groups, strict=True):
        for method in group.methods:
            if group.runs[method][0].role != "method" and method not in (RANDOM, SUPERVISED):
                continue
            values, style = first_k(group, method), {SUPERVISED: ":", RANDOM: "--"}.get(method, "-")
            axis.plot(
                np.arange(1, len(values) + 1), values, style, color=colours.get(method, "0.4"), label=method, lw=1.4
            )
        axis.axvline(counted(group), color="0.8", lw=0.8, zorder=0)
        axis.set(title=group.name, xlabel="first k directions (line: k = J)", ylabel="F1")
        axis.legend(fontsize=7, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def counted(group: Group) -> int:
    """J, the number of known factors that count on this generator."""
    return round(next(value for method in group.methods for value in group.column(method, "counted")))


def best_rows(folder: Path) -> dict[str, tuple[int, float]]:
    """Factor -> its best direction and the share that it has on codes which did not choose it."""
    table = read_tables(folder)["recovery"]
    found = {}
    for name in (column for column in table if str(column).startswith("best:")):
        row = int(np.nanargmax(table[name].to_numpy()))
        found[str(name).removeprefix("best:")] = (row, float(table[name][row]))
    return found


def strips(group: Group, path: Path) -> None:
    """Rows: known factors; columns: methods; each cell the strip of the method's best direction with its share."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    ranked = [method for method in group.methods if group.runs[method][0].role == "method"][:STRIPS]
    methods = [method for method in (SUPERVISED, *ranked, RANDOM) if method in group.runs]
    tables = {method: best_rows(group.pool / group.runs[method][0].id) for method in methods}
    factors = list(next(iter(tables.values())))
    figure, axes = pyplot.subplots(
        len(factors), len(methods), figsize=(2.1 * len(methods), 0.62 * len(factors) + 0.4), dpi=130
    )
    for i, factor in enumerate(factors):
        for j, method in enumerate(methods):
            axis = axes[i, j]
            axis.set_axis_off()
            row, share = tables[method][factor]
            tiles = strip(group.pool / group.runs[method][0].id / "strips.webp", row).tiles
            axis.imshow(np.concatenate(list(tiles[0]), 1), alpha=1.0 if share > 0.3 else 0.45)
            axis.set_title(f"{factor} {share:.2f}" if j == 0 else f"{share:.2f}", fontsize=6, pad=1.5)
            if i == 0:
                axis.text(0.5, 1.75, method, transform=axis.transAxes, ha="center", fontsize=8)
    figure.subplots_adjust(left=0.01, right=0.99, top=0.93, bottom=0.01, hspace=0.45, wspace=0.04)
    with atomic_write(path) as file:
        figure.savefig(file, format="png")
    pyplot.close(figure)


def table(group: Group) -> str:
    """Every method with a number: means over seeds, best first; what it finds and how many can be told apart."""
    heads = ["method", "seeds", "recall", "precision", "F1", "purity", "found", "distinct", "alive", "images", "CPU s"]
    lines = [f"| {' | '.join(heads)} |", f"|{' --- |' * len(heads)}"]
    for method in group.methods:
        runs = group.runs[method]
        k = "" if runs[0].cell.k == 32 else f", K = {runs[0].cell.k}"
        role = "" if runs[0].role == "method" else f" ({runs[0].role}{k})"
        cells = [f"{np.mean(group.column(method, name)):.3f}" for name in ("recall", "precision", "F1", "purity")]
        cells.append(f"{np.mean(group.column(method, 'found')):.1f}")
        cells += [f"{np.mean(_scores(runs, metric, column)):.{digits}f}" for metric, column, digits in OTHERS]
        lines.append(f"| {method}{role} | {len(group.column(method, 'F1'))} | {' | '.join(cells)} |")
    return "\n".join(lines)


OTHERS = (
    ("distinct", "distinct", 1),
    ("calibration", "alive_share", 2),
    ("cost", "images", 0),
    ("cost", "cpu_seconds", 0),
)


def _scores(runs: Sequence[RunRecord], metric: str, column: str) -> list[float]:
    scores = (run.scores.get(metric, {}).get(column) for run in runs)
    return [score.value for score in scores if score is not None and score.value is not None] or [float("nan")]


def statements(groups: Sequence[Group]) -> Iterator[str]:
    """What the records say beyond the boards' own sentences; each a number that anyone can compute again."""
    f1 = pd.DataFrame({g.name: {m: np.mean(g.column(m, "F1")) for m in g.methods} for g in groups})
    methods = [m for m in f1.index if any(g.runs.get(m) and g.runs[m][0].role == "method" for g in groups)]
    for one, other in ((a, b) for i, a in enumerate(groups) for b in groups[i + 1 :]):
        both = f1.loc[methods, [one.name, other.name]].dropna()
        if len(both) > 3:
            rho = spearmanr(both[one.name], both[other.name]).statistic
            yield f"The order of {len(both)} methods by F1 on {one.name} and {other.name}: rank correlation {rho:.2f}."
    for group in groups:
        distinct = {m: float(np.mean(_scores(group.runs[m], "distinct", "distinct"))) for m in group.methods}
        ranked = [m for m in group.methods if group.runs[m][0].role == "method"]
        if RANDOM in distinct and ranked:
            below = [m for m in ranked if distinct[m] < distinct[RANDOM]]
            yield (
                f"On {group.name} a reader tells {distinct[RANDOM]:.1f} of 32 random directions apart; "
                f"{len(below)} of {len(ranked)} methods give fewer distinct ones. To be easy to tell apart is no merit "
                "of its own."
            )
        if group.column(SUPERVISED, "F1") and ranked:
            best = ranked[0]
            values = group.column(best, "F1")
            yield (
                f"On {group.name} the supervised reference, one direction for each factor, has recall "
                f"{np.mean(group.column(SUPERVISED, 'recall')):.2f} and precision "
                f"{np.mean(group.column(SUPERVISED, 'precision')):.2f}; the best F1 without labels is {best}'s, "
                f"{np.mean(values):.3f} ({len(values)} seeds), random's {np.mean(group.column(RANDOM, 'F1')):.3f}."
            )


def seeds_agree(groups: Sequence[Group]) -> Iterator[str]:
    """How much the order of methods by F1 changes from one discovery seed to the next."""
    for group in groups:
        found = {method: group.column(method, "F1") for method in group.methods if method != SUPERVISED}
        rows = np.array(
            [f1[:3] for method, f1 in found.items() if len(f1) >= 3 and group.runs[method][0].role == "method"]
        )
        if len(rows) > 3:
            pairs = [spearmanr(rows[:, a], rows[:, b]).statistic for a, b in ((0, 1), (0, 2), (1, 2))]
            yield (
                f"On {group.name} the order of {len(rows)} methods by F1 under two discovery seeds: rank correlation "
                f"{min(pairs):.2f} to {max(pairs):.2f}."
            )


def few_places(groups: Sequence[Group]) -> Iterator[str]:
    """Who leads where only J directions may be given, and how far the order at K = 32 agrees with that."""
    for group in groups:
        methods = [method for method in group.methods if group.runs[method][0].role == "method"]
        place = counted(group) - 1
        curves = {method: first_k(group, method) for method in methods}
        if len(methods) > 3:
            few = sorted(methods, key=lambda method: -curves[method][place])
            rho = spearmanr([curves[m][place] for m in methods], [curves[m][-1] for m in methods]).statistic
            best = ", ".join(f"{method} {curves[method][place]:.3f}" for method in few[:3])
            yield (
                f"On {group.name} the first {place + 1} directions alone, as many as factors count, have F1 {best}; "
                f"random {first_k(group, RANDOM)[place]:.3f}. The order at K = J and at K = 32: rank correlation "
                f"{rho:.2f}."
            )


def limits(groups: Sequence[Group]) -> str:
    """What the page cannot say."""
    runs = [(group, method) for group in groups for method in group.methods]
    methods = [(group, method) for group, method in runs if group.runs[method][0].role == "method"]
    few = sum(len(group.column(method, "F1")) < 3 for group, method in methods)
    lines = [
        "The generators have 32 pixels and show scenes or digits with known factors; no natural image is ranked.",
        "Factors are those that the domain has names for: a direction that does something else counts as impure.",
        "At the headline change a pure edit of most factors does not exist: recoloured, resized or relit alone, a "
        "scene never changes so much ([the ceiling](../results/ceiling.md)). So recall cannot reach 1, not even with "
        "supervision, and favours what moves things.",
        "Oracles are public: a method could be trained against them. Of the methods here only references see one.",
        "sngan/scenes32 and its siblings with 32 and 64 dimensions lack one of four shapes, the plus.",
        f"{few} of {len(methods)} pairs of generator and method have fewer than three seeds: shown, not ranked.",
        "Three of the generators are one architecture on one domain. No person was asked.",
    ]
    return "\n".join(["## How sure this is", "", *(f"- {line}" for line in lines)]) + "\n"


def front(groups: Sequence[Group]) -> Iterator[str]:
    """The sentences of README's first screen, for each shown board: who leads, beside random and supervision."""
    for group in groups:
        ranked = [method for method in group.methods if group.runs[method][0].role == "method"]
        if not ranked or not group.column(RANDOM, "F1"):
            continue
        said = answer(group.board)
        yield " ".join(said.sentences).replace(said.place, f"**{group.name}**")
        marks = [f"random {np.mean(group.column(RANDOM, 'F1')):.2f}"]
        if group.column(SUPERVISED, "F1"):
            marks.append(f"supervised {np.mean(group.column(SUPERVISED, 'F1')):.2f}")
        first = {method: first_k(group, method)[counted(group) - 1] for method in ranked}
        few = sorted(ranked, key=lambda method: -first[method])
        means = {method: float(np.mean(group.column(method, "F1"))) for method in ranked}
        yield f"F1 of 32 directions: {_best(means, ranked)}; {', '.join(marks)}."
        yield f"Of the first {counted(group)} alone, as many as factors count: {_best(first, few)}."


def _best(values: Mapping[str, float], order: Sequence[str]) -> str:
    return ", ".join(f"{method} {values[method]:.2f}" for method in order[:3])


def page(made: Leaderboard, groups: Sequence[Group]) -> str:
    """The whole page."""
    parts = [
        "# What gdbench found",
        "Written by `docs/findings.py` from the records in `results/runs`; do not edit. The question: of 32 directions "
        "found with 10⁵ rendered images, how many known factors are recovered (recall), and how many of the directions "
        "do one known thing (precision)? [What the words mean](protocol.md).",
        "![Precision over recall of each method on sngan and stylegan2](pictures/answer.png)",
        "*A point per seed, joined; a large point is the mean. Grey: the range of random directions. Dotted: the "
        "supervised reference with one direction for each factor.*",
        "## In sentences",
        "\n".join(f"- {line}" for line in summary(made)),
    ]
    for group in groups:
        parts += ["\n".join(f"- {line}" for line in answer(group.board).sentences)]
    parts += ["\n".join(f"- {line}" for line in (*statements(groups), *seeds_agree(groups), *few_places(groups)))]
    parts += [
        "![F1 of the first k directions over k](pictures/along-k.png)",
        "*What a smaller K would say: F1 of the first k directions, mean over seeds; of methods without an order of "
        "their own the mean over random orders.*",
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


def main(pool: Path) -> None:
    """Write the page and its pictures."""
    made, groups = read(pool)
    shown = [group for group in groups if group.name in SHOWN and group.methods]
    scatter(shown, PICTURES / "answer.png")
    along_k(shown, PICTURES / "along-k.png")
    for group in shown:
        strips(group, PICTURES / f"strips-{group.name.replace('/', '-')}.png")
    write_text(DOCS / "findings.md", page(made, [group for group in groups if group.methods]))
    text = README.read_text(encoding="utf-8")
    if BLOCK.search(text):
        write_text(README, BLOCK.sub(lambda found: f"{found[1]}{' '.join(front(shown))}\n{found[2]}", text))


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "results" / "runs")
