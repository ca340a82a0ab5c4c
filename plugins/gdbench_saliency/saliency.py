"""Saliency (PROTOCOL, `saliency`): do the masks that a whitened background gives teach a segmenter?"""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor

from gdbench import Context, Scores, StepLengths, Stream, Subject, UsageError, Void, sha256
from gdbench_saliency import measures, references
from gdbench_saliency.layouts import find_pairs
from gdbench_saliency.masks import NoMasks, synthesise
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.segment import Fitted, Result, fit, tested
from gdbench_saliency.testset import Files, Held, TestSet, check_readable
from gdbench_saliency.unet import predict
from gdbench_saliency.whitening import Choice, render

MEASURES = ("F_half", "max_F", "weighted_F", "IoU", "accuracy", "MAE", "S", "E")
ROWS = {
    "floor_none": "none",
    "floor_random": "random",
    "floor_coordinate": "coordinate",
    "ceiling_supervised": "supervised",
    "ceiling_exact": "exact",
}
OWN = (*MEASURES, "IoU_paper", "score", "tested", "left_white", "left_empty")
PICTURES = 6  # rows of image, whitened image, mask and prediction that are kept with the run
PAPER_SHIFT = 26.0  # in steps of the method's own length: 4.3 times the range that the paper trained on


def measure(subject: Subject, params: SaliencyParams, context: Context) -> Scores:
    """Choose a direction, make masks, train, test. Raises MissingFile or UsageError for a folder that is no test set.

    Void where no folder is named and the domain has no masks.
    """
    labelled = bool(subject.domain and subject.domain.factors)
    if not params.data and (none := _without_masks(subject)):
        return _void(none, {})
    tests, fingerprint = _test_set(subject, params)
    rows = references.rows(subject, tests, params, context, fingerprint)
    columns = {column: _row(rows, row) for column, row in ROWS.items()}
    if not references.good_enough(rows, labelled):
        reached = rows.get("supervised:IoU")
        what = "gives no masks" if reached is None else f"reaches IoU {reached:.2f} only"
        return _void(f"with this generator even the supervised direction {what}", columns)
    try:
        fitted = _fitted(subject, params, context)
    except NoMasks as reason:
        return _void(str(reason), columns)
    found = tested(fitted.network, tests, params)
    columns |= measures.summary(found.images)
    columns |= {"tested": float(len(found.images)), "left_white": float(found.white), "left_empty": float(found.empty)}
    columns |= {"score": fitted.choice.score, "IoU_paper": _at_paper_shift(subject, params, context, tests)}
    pictures = {"masks": drawn(subject, fitted, params, PICTURES)}
    return Scores(columns, _table(found, fitted.choice, context), pictures, measures.blocks(found.images))


def panels(subject: Subject, params: SaliencyParams, context: Context, n: int = 8) -> Tensor:
    """Pictures (n, 4, c, h, w) in [-1, 1]: generated image, whitened image, mask, prediction. Raises NoMasks."""
    return drawn(subject, _fitted(subject, params, context), params, n)


@torch.no_grad()
def drawn(subject: Subject, fitted: Fitted, params: SaliencyParams, n: int) -> Tensor:
    """The pictures (n, 4, c, h, w) of a segmenter that is trained."""
    codes, choice = subject.codes(n, "pictures"), fitted.choice
    images = render(subject.generator, codes, subject.batch)
    index, length = torch.full((n,), choice.direction), torch.full((n,), choice.sign * choice.magnitude)
    edited, opposite = (
        render(subject.generator, subject.directions.displace(codes, index, sign * length), subject.batch)
        for sign in (1.0, -1.0)
    )
    grey = synthesise(images, edited, opposite, params).to(images), predict(fitted.network, images, params.temperature)
    return torch.stack([images, edited, *((2 * part[:, None] - 1).expand_as(images) for part in grey)], 1).cpu()


def _fitted(subject: Subject, params: SaliencyParams, context: Context) -> Fitted:
    magnitudes = torch.stack([subject.calibration.usable(tau) for tau in params.taus], -1)
    return fit(subject, subject.directions, magnitudes, params, context.stream("saliency-train"), context)


def _at_paper_shift(subject: Subject, params: SaliencyParams, context: Context, tests: TestSet) -> float | Void:
    """IoU where the direction is chosen and the masks are made at 26 of the method's own steps."""
    if not params.paper_shift:
        return Void("measured with saliency.paper_shift=true, which tiers above quick set")
    unit = subject.directions.unit if isinstance(subject.directions, StepLengths) else None
    steps = torch.ones(subject.k) if unit is None else unit
    magnitudes = PAPER_SHIFT * steps[:, None, None].expand(-1, 2, 1)
    stream = context.stream("saliency-train").of("paper")
    try:
        fitted = fit(subject, subject.directions, magnitudes, params, stream, context, "saliency, the paper's shift")
    except NoMasks as reason:
        return Void(str(reason))
    return measures.summary(tested(fitted.network, tests, params).images)["IoU"]


def _test_set(subject: Subject, params: SaliencyParams) -> tuple[TestSet, str]:
    """The test set and what tells it from another one: the content of its files, in their order."""
    if not params.data:
        assert subject.domain is not None
        return Held(subject.domain, params.test), subject.domain.name
    pairs = find_pairs(Path(params.data).expanduser())
    check_readable(pairs)
    channels, *sides = subject.generator.image_shape
    listing = "\n".join(sha256(path) for pair in pairs for path in pair)
    tests = Files(pairs, channels, min(sides))
    if not any(group.tested.any() for group in tests):
        why = "each has a white background or no object"
        raise UsageError(f"saliency data: none of the {len(pairs)} images in {params.data} can be tested: {why}")
    return tests, hashlib.sha256(listing.encode()).hexdigest()


def _without_masks(subject: Subject) -> str:
    """Why the domain cannot test saliency; empty where it can."""
    ask = "give a folder of images and masks as saliency.data"
    if subject.domain is None or not subject.domain.factors:
        return f"this domain has no held-out masks: {ask}"
    try:
        subject.domain.pairs(1, Stream(0, "saliency/test").at())
    except UsageError as none:
        return f"{none}: {ask}"
    return ""


def _table(found: Result, choice: Choice, context: Context) -> dict[str, list[float]]:
    """Automatic score of each direction and sign; measures and intervals in the row of the chosen direction."""
    k = len(choice.scores)
    table = {"score_plus": choice.scores[:, 0].tolist(), "score_minus": choice.scores[:, 1].tolist()}
    table["magnitude"] = _at(choice, k, choice.sign * choice.magnitude)
    values = measures.summary(found.images)
    intervals = measures.intervals(found.images, context.stream("metric").of("saliency/bootstrap").at())
    for name in MEASURES:
        low, high = intervals[name]
        table |= {name: _at(choice, k, values[name]), f"{name}_low": _at(choice, k, low)}
        table[f"{name}_high"] = _at(choice, k, high)
    return table


def _at(choice: Choice, k: int, value: float) -> list[float]:
    return [value if direction == choice.direction else float("nan") for direction in range(k)]


def _row(rows: dict[str, float], row: str) -> float | Void:
    return rows.get(f"{row}:IoU", Void("not made: no masks of a likely area, no labels, or no use for this generator"))


def _void(reason: str, columns: dict[str, float | Void]) -> Scores:
    rows = columns or dict.fromkeys(ROWS, Void(reason))
    return Scores({**rows, **dict.fromkeys(OWN, Void(reason))})
