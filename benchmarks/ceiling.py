"""What a perfect method could reach: exact edits of one factor of rendered scenes.

    python benchmarks/ceiling.py        # writes results/ceiling.md

Share: that of the edited factor, read by oracle B, where each end of an edit is half a standard deviation of the
renderer's latent away (an eighth of a turn of a hue); 1 is a perfect edit, read perfectly. Change: the visible change
of the same edits, and the largest of any edit of this factor alone, as shares of the median distance of two independent
images. Where the largest is below .30, the headline, a direction of this factor alone would count as dead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from gdbench_metrics import factor_gates
from gdbench_metrics.shares import changes, contrasts
from gdbench_scenes.exact import Exact
from torch import Tensor

import gdbench
from gdbench import Codes, Edits, Oracle, Readings, Stream
from gdbench.evaluation.perception import distance, embed

CODES, SAMPLES = 128, 3000
STEP, FARTHEST = 0.5, (0.5, 1.0, 1.5, 2.0, 3.0)
OUT = Path(__file__).parents[1] / "results" / "ceiling.md"


def read(generator: Exact, codes: Codes, oracle: Oracle) -> Mapping[str, Tensor]:
    """What an oracle reads off the images of codes."""
    parts = [oracle.read(generator.render(chunk)) for chunk in codes.chunks(128)]
    return {name: torch.cat([part[name] for part in parts]).double() for name in parts[0]}


def exact_edits(generator: Exact, domain: gdbench.Domain) -> tuple[Edits, dict[str, float]]:
    """Edits of each factor by STEP, both ways, as oracle B reads them, and the variances of the factors."""
    oracle, k = domain.oracle("b"), len(domain.factors)
    sample = read(generator, generator.sample(SAMPLES, "z", Stream(0, "ceiling/sample").at()), oracle)
    seen = partial(gdbench.visible, readings=sample, factors=domain.factors)
    variances = {f.name: factor_gates.variance(f, sample[f.name], seen(f)) for f in domain.factors}
    codes = generator.sample(CODES, "z", Stream(0, "ceiling/edits").at())
    ends = [[read(generator, moved(codes, generator, j, sign), oracle) for sign in (1, -1)] for j in range(k)]
    edited = {f.name: torch.stack([torch.stack([end[f.name] for end in row]) for row in ends]) for f in domain.factors}
    nothing, alive = torch.zeros(0), torch.ones(k, 2, dtype=torch.bool)
    before = Readings(read(generator, codes, oracle), nothing)
    return Edits(0.3, codes, STEP * torch.ones(k, 2), alive, before, Readings(edited, nothing)), variances


def own_shares(generator: Exact, domain: gdbench.Domain) -> list[float]:
    """The share that an exact edit of each factor has on that factor."""
    edits, variances = exact_edits(generator, domain)
    parts = contrasts(edits, domain.factors, domain.factors, variances)
    return changes(parts, edits.alive, torch.ones(CODES, dtype=torch.bool)).shares.diagonal().tolist()


def moved(codes: Codes, generator: Exact, factor: int, sign: float, step: float = STEP) -> Codes:
    """Codes after an exact edit of one factor."""
    return codes.shifted(sign * step * generator.planted[factor].expand(len(codes), -1))


def visible_changes(generator: Exact, domain: gdbench.Domain) -> list[Sequence[float]]:
    """For each factor the visible change of its edit by STEP, and the largest of all; of the weaker sign."""
    oracle = domain.oracle("a")
    codes, others = (generator.sample(CODES, "z", Stream(seed, "ceiling/pairs").at()) for seed in (0, 1))
    before = embed(oracle, generator.render(codes))
    typical = float(distance(before, embed(oracle, generator.render(others))).median())

    def change(factor: int, sign: float, step: float) -> float:
        after = generator.render(moved(codes, generator, factor, sign, step))
        return float(distance(before, embed(oracle, after)).median()) / typical

    found = []
    for j in range(len(domain.factors)):
        table = {(sign, step): change(j, sign, step) for sign in (1, -1) for step in FARTHEST}
        weaker = max(min(table[1, step], table[-1, step]) for step in FARTHEST)  # both ends of a direction must live
        found.append((min(table[1, STEP], table[-1, STEP]), weaker))
    return found


def main() -> None:
    """Measure, and write the page."""
    torch.set_num_threads(1)
    domain, generator = gdbench.load_domain("scenes"), Exact(torch.device("cpu"))
    with torch.no_grad():
        shares, seen = own_shares(generator, domain), visible_changes(generator, domain)
    lines = ["| factor | share | change | largest change | reaches .30 |", "| --- | --- | --- | --- | --- |"]
    for factor, share, (change, largest) in zip(domain.factors, shares, seen, strict=True):
        cells = [f"{share:.2f}{' (below .8)' if share < 0.8 else ''}", f"{change:.2f}", f"{largest:.2f}"]
        lines.append(f"| {factor.name} | {' | '.join(cells)} | {'yes' if largest >= 0.3 else 'no'} |")
    title, _, about = (__doc__ or "").partition("\n\n")
    gdbench.write_text(OUT, "\n\n".join([f"# {title.rstrip('.')}", about.strip(), "\n".join(lines)]) + "\n")


if __name__ == "__main__":
    main()
