"""The metric on the toy: a planted background direction against random ones, floors, ceilings, voids, a folder."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_saliency import COLUMNS, measures, references, saliency
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.saliency import MEASURES, measure, panels
from gdbench_saliency.segment import Fitted, fit
from gdbench_toy.picture import NAMES
from PIL import Image

from gdbench import LinearDirections, MissingFile, Scores, Stream, UsageError, Void
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, context, random_directions, subject

PRESENCE = NAMES.index("presence")
PARAMS = SaliencyParams(widths=(6, 12, 12), steps=40, batch=16, pool=128, codes=16, test=80, decay=30, threshold=0.85)
PLACE = 2


def planted() -> torch.Tensor:
    vectors = random_directions(4, seed=2)
    vectors[PLACE] = PLANTED[PRESENCE]
    return vectors


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def good(cache: Path) -> Scores:
    """The planted direction among random ones; leaves the floors and ceilings in the cache."""
    return measure(replace(subject(planted()), cache=cache, fingerprint="toy"), PARAMS, context(4))


def numbers(scores: Scores) -> dict[str, float]:
    return {name: value for name, value in scores.values.items() if not isinstance(value, Void)}


def test_every_declared_column_is_there(good: Scores) -> None:
    assert set(good.values) == {column.name for column in COLUMNS}
    assert {*MEASURES, "ceiling_supervised", "ceiling_exact", "tested"} <= set(numbers(good))
    assert "paper_shift" in good.values["IoU_paper"].reason  # not asked for


def test_the_planted_direction_teaches_and_floors_do_not(good: Scores) -> None:
    values = numbers(good)
    assert values["IoU"] > 0.5
    assert values["IoU"] > values["floor_random"] + 0.1
    assert "no masks of a likely area" in good.values["floor_none"].reason
    assert values["ceiling_exact"] > values["IoU"] - 0.05
    assert values["ceiling_supervised"] == pytest.approx(values["IoU"], abs=0.2)
    assert values["tested"] + values["left_white"] + values["left_empty"] == PARAMS.test


def test_the_table_has_scores_of_all_and_measures_of_the_chosen(good: Scores) -> None:
    table = good.directions
    best = max(table["score_plus"] + table["score_minus"])
    assert best == pytest.approx(numbers(good)["score"])
    assert best == max(table["score_plus"][PLACE], table["score_minus"][PLACE])
    for name in MEASURES:
        assert table[name][PLACE] == numbers(good)[name]
        assert table[f"{name}_low"][PLACE] <= table[name][PLACE] <= table[f"{name}_high"][PLACE]
        assert np.isnan(np.delete(table[name], PLACE)).all()


def test_random_directions_stay_below_with_the_same_floors(good: Scores, cache: Path) -> None:
    """A second method of the generator reads floors and ceilings from the cache, and scores its own directions."""
    (file,) = cache.glob("*.json")
    held = json.loads(file.read_text())
    held["random:IoU"] = 0.123  # so that a value made anew would be seen
    file.write_text(json.dumps(held))
    scores = measure(replace(subject(random_directions(4, seed=5)), cache=cache, fingerprint="toy"), PARAMS, context(4))
    assert scores.values["floor_random"] == 0.123
    assert scores.values["ceiling_exact"] == good.values["ceiling_exact"]
    reached = scores.values["IoU"]
    assert reached < numbers(good)["IoU"] - 0.1


def test_shuffled_truth_scores_less() -> None:
    """The acceptance test of PROTOCOL, "Which columns may rank": maps of one image against the mask of another."""
    truths = (DOMAIN.pairs(200, np.random.default_rng(0))[1] > 0.5).numpy()
    right = measures.summary(measures.measure(truths.astype(float), truths))
    wrong = measures.summary(measures.measure(truths.astype(float), np.roll(truths, 1, 0)))
    assert right["IoU"] == pytest.approx(1)
    assert wrong["IoU"] < 0.7  # the toy's objects all lie near the middle
    assert wrong["S"] < right["S"] - 0.1


def test_void_where_even_labels_do_not_find_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_made", lambda *_: {"supervised:IoU": 0.31, "exact:IoU": 0.9})
    scores = measure(subject(planted()), PARAMS, context(4))
    for name in MEASURES:
        value = scores.values[name]
        assert isinstance(value, Void)
        assert "IoU 0.31" in value.reason
    assert scores.values["ceiling_exact"] == 0.9
    assert scores.values["ceiling_supervised"] == 0.31
    assert isinstance(scores.values["floor_none"], Void)


def test_dead_directions_are_void_with_the_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(references, "_made", lambda *_: {"supervised:IoU": 0.9})
    params = replace(PARAMS, threshold=0.01, attempts=10)  # nothing of the toy is so dark
    value = measure(subject(torch.zeros(4, 64)), params, context(4)).values["IoU"]
    assert isinstance(value, Void)
    assert "0 of 128 shifted images" in value.reason


def test_void_without_masks_and_without_a_folder() -> None:
    blind = replace(subject(planted()), domain=replace(DOMAIN, factors=()))
    value = measure(blind, PARAMS, context(4)).values["IoU"]
    assert isinstance(value, Void)
    assert "saliency.data" in value.reason


def test_void_where_there_are_labels_and_no_masks(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(*_: object) -> None:
        raise UsageError("this domain has no masks")

    monkeypatch.setattr(type(DOMAIN), "pairs", none)
    monkeypatch.setattr(references, "_made", lambda *_: pytest.fail("floors are made for nothing"))
    value = measure(subject(planted()), PARAMS, context(4)).values["IoU"]
    assert value == Void("this domain has no masks: give a folder of images and masks as saliency.data")


def test_a_folder_takes_the_place_of_the_held_out_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The toy's own pictures, enlarged, in a folder; of a domain that has no labels."""
    monkeypatch.setattr(references, "_made", lambda *_: {})
    images, masks = DOMAIN.pairs(12, np.random.default_rng(3))
    for i in range(12):
        pixels = ((images[i].permute(1, 2, 0).numpy() + 1) * 127.5).round().astype(np.uint8)
        for folder, picture in (("images", pixels), ("masks", (masks[i].numpy() > 0.5).astype(np.uint8) * 255)):
            (tmp_path / folder).mkdir(exist_ok=True)
            Image.fromarray(picture).resize((48, 48)).save(tmp_path / folder / f"{i}.png")
    blind = replace(subject(planted()), domain=replace(DOMAIN, factors=()))
    values = numbers(measure(blind, replace(PARAMS, data=str(tmp_path)), context(4)))
    assert values["tested"] + values["left_white"] + values["left_empty"] == 12
    assert values["IoU"] > 0.4
    with pytest.raises(MissingFile):
        measure(blind, replace(PARAMS, data=str(tmp_path / "none")), context(4))
    (tmp_path / "masks" / "7.png").write_bytes(b"not an image")
    monkeypatch.setattr(references, "rows", lambda *_: pytest.fail("trained before the files were looked at"))
    with pytest.raises(UsageError, match=r"7\.png cannot be read"):
        measure(blind, replace(PARAMS, data=str(tmp_path)), context(4))


def test_a_folder_of_which_all_is_left_out_is_refused_before_training(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(references, "rows", lambda *_: pytest.fail("trained for nothing"))
    white, empty = np.full((40, 40), 255, np.uint8), np.zeros((40, 40), np.uint8)
    masked = empty.copy()
    masked[10:30, 10:30] = 255
    for stem, image, mask in (("white", white, masked), ("nothing", empty, empty)):
        Image.fromarray(image).save(tmp_path / f"{stem}.jpg")
        Image.fromarray(mask).save(tmp_path / f"{stem}.png")
    with pytest.raises(UsageError, match=r"none of the 2 images in .* can be tested"):
        measure(subject(planted()), replace(PARAMS, data=str(tmp_path)), context(4))


@pytest.mark.parametrize(("step", "teaches"), [(0.3, True), (0.01, False)])
def test_the_papers_shift_is_26_of_the_methods_own_steps(
    step: float, teaches: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """7.8 prior deviations of presence whiten the toy's background, .26 do not."""
    chosen = []

    def watched(*arguments: Any) -> Fitted:
        chosen.append(fit(*arguments))
        return chosen[-1]

    monkeypatch.setattr(references, "_made", lambda *_: {"supervised:IoU": 0.9})
    monkeypatch.setattr(saliency, "fit", watched)
    steps = torch.full((4,), 0.01)
    steps[PLACE] = step
    found = subject(LinearDirections(planted(), "z", steps))
    value = measure(found, replace(PARAMS, paper_shift=True), context(4)).values["IoU_paper"]
    if teaches:
        assert (chosen[1].choice.direction, chosen[1].choice.magnitude) == (PLACE, pytest.approx(26 * step))
        assert isinstance(value, float)
        assert value > 0.7
    else:
        assert isinstance(value, Void)
        assert "shifted images" in value.reason


def test_panels_show_image_whitened_mask_and_prediction() -> None:
    made = panels(subject(planted()), replace(PARAMS, steps=10), context(4), n=3)
    assert made.shape == (3, 4, 3, 32, 32)
    assert bool((made.abs() <= 1).all())
    original = subject(planted()).generator.render(subject(planted()).codes(3, "pictures"))
    torch.testing.assert_close(made[:, 0], original.clamp(-1, 1))
    assert set(made[:, 2].unique().tolist()) <= {-1.0, 1.0}
    assert float(made[:, 1].mean()) > float(made[:, 0].mean())  # whiter


def test_the_supervised_direction_is_the_planted_one() -> None:
    vector = references.background(subject(planted()), Stream(0, "test"))
    cosine = torch.nn.functional.normalize(vector, dim=0) @ PLANTED.T
    # brightness behind the blob is made of presence and level alone
    assert float(cosine.square()[[PRESENCE, NAMES.index("level")]].sum()) > 0.85
    assert float(cosine[PRESENCE]) < -0.5
