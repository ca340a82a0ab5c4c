"""Which direction whitens, and the masks it gives: closed forms, and the planted direction of the toy."""

from __future__ import annotations

import pytest
import torch
from gdbench_saliency.masks import NoMasks, generated, likely, shifted, synthesise
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.whitening import Choice, choose, whitening
from gdbench_toy.picture import NAMES, draw
from torch import Tensor

from gdbench import Codes, LinearDirections, Stream
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, TOY, random_directions

PRESENCE = NAMES.index("presence")
TOY_ORACLE = DOMAIN.oracle("a")
PARAMS = SaliencyParams(attempts=20)


def scenes(n: int = 4) -> tuple[Tensor, Tensor]:
    """Brightness (n, 32, 32) of squares on grounds of different greys, and the masks of the squares."""
    shades = torch.linspace(0.2, 0.6, n)[:, None, None].expand(n, 32, 32).clone()
    mask = torch.zeros(32, 32, dtype=torch.bool)
    mask[10:22, 10:22] = True
    shades[:, mask] = torch.linspace(0.7, 0.1, n)[:, None]
    return shades, mask


def test_no_change_scores_nothing() -> None:
    before, _ = scenes()
    assert float(whitening(before, before)) == pytest.approx(0, abs=1e-6)


def test_a_white_ring_around_an_untouched_centre_scores_one() -> None:
    before, _ = scenes()
    after = before.clone()
    after[:, :4], after[:, -4:], after[:, :, :4], after[:, :, -4:] = 1, 1, 1, 1
    assert float(whitening(before, after)) == pytest.approx(1, abs=1e-6)
    assert float(whitening(before, before + (after - before) / 2)) == pytest.approx(0.5, abs=1e-6)


def test_each_part_costs_its_share() -> None:
    before, mask = scenes()
    assert float(whitening(before, torch.zeros_like(before))) < -1  # darker border, other centre, no edges
    flat = before.clone()
    flat[:, mask] = (
        flat[:, :1, :1].expand(4, 12, 12).reshape(4, -1)
    )  # the object is gone: no edge is left in the centre
    assert float(whitening(before, flat)) < -1 + 1e-6


def test_images_with_a_white_border_say_nothing() -> None:
    before, mask = scenes()
    white = torch.where(mask, before, 1.0)
    assert float(whitening(white, torch.zeros_like(white))) == 0
    both, after = torch.cat([before, white]), torch.cat([before * 0.5 + 0.5, white * 0])
    alone = whitening(before, before * 0.5 + 0.5)
    assert float(whitening(both, after)) == pytest.approx(float(alone), abs=0.3)


def test_the_planted_background_direction_is_chosen() -> None:
    """Among random directions, wherever it stands and whichever way it points."""
    for place, sign in ((2, 1.0), (5, -1.0)):
        vectors = random_directions(8, seed=3)
        vectors[place] = PLANTED[PRESENCE]
        directions = LinearDirections(vectors, "z")
        codes = TOY.sample(48, "z", Stream(0, "test").at())
        choice = choose(TOY, directions, torch.tensor([1.0, 6.0]).expand(8, 2, 2), codes, batch=64)
        whiter = -1.0 if float(directions.vectors[place] @ PLANTED[PRESENCE]) > 0 else 1.0
        assert (choice.direction, choice.sign) == (place, whiter), sign
        assert choice.magnitude == 6
        assert choice.score == pytest.approx(float(choice.scores.max()))
        assert choice.scores.shape == (8, 2)


def test_intensity_and_difference_masks() -> None:
    images = torch.full((1, 3, 2, 2), -1.0)
    edited = torch.tensor([[[[0.91, 0.89], [1.0, -1.0]]]]).expand(1, 3, 2, 2)
    found = synthesise(images, edited, None, SaliencyParams(threshold=0.95))  # 0.91 is the brightness .955
    assert found.tolist() == [[[False, True], [False, True]]]
    opposite = torch.tensor([[[[0.91, -0.09], [0.0, -1.0]]]]).expand(1, 3, 2, 2)
    # halves of the differences: 0, .49, .5, 0; scaled to 0, .98, 1, 0
    found = synthesise(images, edited, opposite, SaliencyParams(mask="difference", difference=0.985))
    assert found.tolist() == [[[True, True], [False, True]]]


def test_both_ends_of_the_area_are_excluded() -> None:
    masks = torch.zeros(5, 400, dtype=torch.bool)
    for row, area in enumerate((20, 21, 199, 200, 0)):
        masks[row, :area] = True
    assert likely(masks.reshape(5, 20, 20)).tolist() == [False, True, True, False, False]


def test_masks_of_the_planted_direction_are_the_objects() -> None:
    directions = LinearDirections(PLANTED[PRESENCE][None], "z")
    whiter = -1.0 if float(directions.vectors[0] @ PLANTED[PRESENCE]) > 0 else 1.0
    magnitude = 12.0
    # the rim of a soft blob is not white; light stripes change as little as the blob
    for params, bar in ((PARAMS, 0.7), (SaliencyParams(mask="difference", difference=0.5), 0.4)):
        source = shifted(TOY, directions, Choice(0, whiter, magnitude, 0, torch.zeros(1, 2)), params, batch=64)
        pairs = source(100, Stream(0, "test"))
        assert len(pairs) == 100
        assert pairs.drawn >= 100
        from_images = TOY_ORACLE.mask(pairs.images) > 0.5
        iou = (from_images & pairs.masks).sum((1, 2)) / (from_images | pairs.masks).sum((1, 2))
        assert float(iou.median()) > bar, params.mask
        assert bool(likely(pairs.masks).all())


def test_it_draws_again_until_there_are_enough() -> None:
    def rarely(codes: Codes, images: Tensor) -> Tensor:
        masks = torch.zeros(len(codes), 32, 32, dtype=torch.bool)
        masks[0, :10] = True  # one of 128
        return masks

    sources = [generated(TOY, "z", rarely, SaliencyParams(attempts=10), batch) for batch in (128, 16)]
    pairs, bounded = (source(3, Stream(0, "test")) for source in sources)
    assert pairs.drawn == bounded.drawn == 384
    torch.testing.assert_close(pairs.images, bounded.images)  # rendering within less memory draws the same images
    first = TOY.render(TOY.sample(128, "z", Stream(0, "test").at(0)))[0]
    torch.testing.assert_close(pairs.images[0], first.clamp(-1, 1))
    with pytest.raises(NoMasks, match="10 of 1280"):
        sources[0](11, Stream(0, "test"))


def test_it_gives_up_early_without_any_mask() -> None:
    drawn = []

    def never(codes: Codes, images: Tensor) -> Tensor:
        drawn.append(len(codes))
        return torch.zeros(len(codes), 32, 32, dtype=torch.bool)

    with pytest.raises(NoMasks, match="0 of 256"):
        generated(TOY, "z", never, SaliencyParams(attempts=20), batch=16)(1, Stream(0, "test"))
    assert drawn == [128, 128]


def test_the_toy_draws_what_this_file_assumes() -> None:
    factors = TOY.factors(TOY.sample(64, "z", Stream(0, "test").at()))
    images, masks = draw(factors)
    assert float((TOY_ORACLE.mask(images) - masks).abs().max()) < 1e-3
