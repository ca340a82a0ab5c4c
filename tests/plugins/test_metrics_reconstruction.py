"""Reconstruction: the augmentation against Pillow and scipy, the scores against closed forms, the metric on the toy."""

from __future__ import annotations

import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from gdbench_metrics.augment import Strengths, augment, blur, crop
from gdbench_metrics.jpeg import jpeg, quantisation
from gdbench_metrics.leak import leak
from gdbench_metrics.pairs import RANGE, SHARED, capacity, draw
from gdbench_metrics.params import ReconstructionParams
from gdbench_metrics.reconstruction import GUESS, Outcome, measure, mutual_information, scores
from gdbench_metrics.reconstructor import LeNet, ResNet
from PIL import Image
from scipy.ndimage import gaussian_filter
from sklearn.metrics import mutual_info_score
from torch import Tensor

from gdbench import Void, distance, embed, initialised
from tests.plugins.metrics_subjects import DOMAIN, PLANTED, context, paths, random_directions, subject

QUICK = ReconstructionParams(steps=150, rate=4e-3, test=512, leak_steps=2)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def picture(height: int, width: int, channels: int, rng: np.random.Generator) -> np.ndarray:
    """Waves, noise and an edge: uint8 (height, width, channels)."""
    y, x = np.mgrid[:height, :width]
    waves = [127 + 90 * np.sin(x / 5 + i) * np.cos(y / (7 + i)) for i in range(channels)]
    image = np.stack(waves, -1) + 20 * rng.standard_normal((height, width, channels))
    image[5:20, 8:19] = 30
    return image.clip(0, 255).round().astype(np.uint8)


def as_images(picture: np.ndarray) -> Tensor:
    return torch.from_numpy(picture.astype(np.float32)).permute(2, 0, 1)[None] / 127.5 - 1


@pytest.mark.parametrize("quality", [30, 50, 63, 75])
@pytest.mark.parametrize(("height", "width", "channels"), [(32, 32, 3), (29, 43, 3), (32, 32, 1)])
def test_jpeg_is_pillows(height: int, width: int, channels: int, quality: int, rng: np.random.Generator) -> None:
    original = picture(height, width, channels, rng)
    file = io.BytesIO()
    Image.fromarray(original.squeeze()).save(file, "JPEG", quality=quality, subsampling=0)
    saved = Image.open(file)
    expected = np.asarray(saved).reshape(original.shape).astype(float)
    ours = ((jpeg(as_images(original), torch.tensor([float(quality)]))[0] + 1) * 127.5).permute(1, 2, 0).numpy()
    lost = np.abs(expected - original).mean()
    apart = np.abs(ours - expected)
    # libjpeg's integer transform lets a coefficient on the edge of two steps fall to the other side, in few blocks
    assert apart.mean() < 0.1 * lost
    assert np.median(apart) < 0.5
    steps = quantisation(torch.tensor([float(quality)]), channels)[0]
    for i, table in saved.quantization.items():
        assert steps[i].tolist() == list(table)


def test_jpeg_has_a_quality_for_each_image(rng: np.random.Generator) -> None:
    images = as_images(picture(32, 32, 3, rng)).repeat(3, 1, 1, 1)
    quality = torch.tensor([20.0, 60.0, 95.0])
    together = jpeg(images, quality)
    alone = torch.cat([jpeg(images[i : i + 1], quality[i : i + 1]) for i in range(3)])
    torch.testing.assert_close(together, alone)
    lost = (together - images).square().mean((1, 2, 3))
    assert lost[0] > lost[1] > lost[2]


def test_crop_moves_by_the_offset_and_mirrors_the_border(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.random((3, 2, 9, 7), dtype=np.float32))
    down, right = torch.tensor([0, 2, -1]), torch.tensor([0, -2, 1])
    padded = np.pad(images.numpy(), ((0, 0), (0, 0), (2, 2), (2, 2)), mode="reflect")
    for i, cropped in enumerate(crop(images, down, right)):
        top, left = 2 + int(down[i]), 2 + int(right[i])
        assert np.array_equal(cropped.numpy(), padded[i, :, top : top + 9, left : left + 7])


def test_blur_is_scipys(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.random((2, 3, 12, 12), dtype=np.float32))
    deviation = torch.tensor([0.4, 1.0])
    blurred = blur(images, deviation, radius=4).numpy()
    for i, sigma in enumerate(deviation.tolist()):
        expected = gaussian_filter(images[i].numpy(), (0, sigma, sigma), mode="mirror", radius=4)
        np.testing.assert_allclose(blurred[i], expected, atol=1e-5)


def test_the_crop_is_the_same_for_both_images_of_a_pair(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.random((16, 3, 32, 32), dtype=np.float32))
    nothing_else = Strengths(blur=0.0, noise=0.0, quality=(100, 100))
    first, second = augment(images, images, rng, nothing_else).chunk(2, 1)
    torch.testing.assert_close(first, second)
    assert (first - images).abs().flatten(1).mean(1).gt(0.05).sum() > 8  # most crops moved


def test_augmented_images_are_files(rng: np.random.Generator) -> None:
    images = torch.from_numpy(rng.uniform(-1, 1, (4, 1, 32, 32)).astype(np.float32))
    levels = (augment(images, images, rng) + 1) * 127.5
    torch.testing.assert_close(levels, levels.round(), atol=1e-3, rtol=0)


def test_information_of_a_table(rng: np.random.Generator) -> None:
    table = torch.tensor([[40.0, 10.0, 0.0], [5.0, 30.0, 15.0], [1.0, 2.0, 97.0]])
    rows, columns = np.repeat([0, 0, 0, 1, 1, 1, 2, 2, 2], 1), np.tile([0, 1, 2], 3)
    counts = table.flatten().int().tolist()
    plug_in = mutual_info_score(np.repeat(rows, counts), np.repeat(columns, counts)) / math.log(2)
    assert mutual_information(table) == pytest.approx(plug_in - (8 - 3 - 3 + 1) / (2 * 200 * math.log(2)))
    assert mutual_information(torch.eye(8) * 100) == pytest.approx(3, abs=1e-2)
    independent = torch.from_numpy(np.bincount(rng.integers(0, 64, 4000), minlength=64).reshape(8, 8))
    assert mutual_information(independent) < 0.003  # the plug-in estimate is near 49 / (2 * 4000 * ln 2) = .009
    assert mutual_information(torch.zeros(4, 4)) == 0


def test_what_is_dead_is_a_failure() -> None:
    confusion = torch.diag(torch.tensor([100.0, 100.0, 0.0, 100.0]))
    found = scores(Outcome(confusion, 0.05), torch.tensor([1.0, 1.0, 0.0, 0.5]), None, 0.5)
    share = 2.5 / 4
    assert found.values["accuracy"] == pytest.approx(share)
    assert found.values["kappa"] == pytest.approx((share - 0.25) / 0.75)
    assert found.values["bits"] == pytest.approx(share * math.log2(3), abs=0.02)
    assert found.values["magnitude_error"] == pytest.approx(share * 0.05 + (1 - share) * GUESS)
    assert found.directions["recall"] == [1, 1, 0, 0.5]


def test_all_dead_is_zero_and_never_void() -> None:
    values = measure(subject(torch.zeros(4, 64)), QUICK, context(4)).values
    assert values["accuracy"] == 0
    assert values["kappa"] == pytest.approx(-1 / 3)
    assert values["bits"] == 0
    assert values["magnitude_error"] == GUESS
    assert isinstance(values["leak"], Void)


def test_one_direction_has_no_kappa() -> None:
    assert isinstance(scores(Outcome(torch.ones(1, 1), 0.1), torch.ones(1), None, 0.5).values["kappa"], Void)


def test_pairs_change_as_much_as_they_say(rng: np.random.Generator) -> None:
    planted = subject(PLANTED[[2, 5]])
    pairs = draw(planted, torch.arange(2), 512, rng)
    before, after = (embed(DOMAIN.oracle("a"), images) for images in pairs.images(torch.arange(512)))
    ratio = distance(before, after) / planted.calibration.dbar / pairs.change.abs()
    assert 0.8 < float(ratio.median()) < 1.25
    assert pairs.change.abs().min() >= RANGE[0]
    assert pairs.change.abs().max() < RANGE[1]
    assert 0.3 < float((pairs.change > 0).double().mean()) < 0.7
    assert len(pairs.before) == 512 // SHARED


def test_a_dead_sign_is_never_drawn(rng: np.random.Generator) -> None:
    whole = subject(PLANTED[[2, 5]])
    change = whole.calibration.change.clone()
    change[1, 1] = 0
    half = replace(whole, calibration=replace(whole.calibration, change=change), _kept={})
    pairs = draw(half, torch.arange(2), 256, rng)
    assert (pairs.change[pairs.direction == 1] > 0).all()
    assert (pairs.change[pairs.direction == 0] < 0).any()


def test_memory_bounds_the_pairs_held_at_once() -> None:
    assert capacity((3, 32, 32), 32, 100_000) == 4096
    assert capacity((3, 32, 32), 32, 300) == 288
    assert capacity((3, 1024, 1024), 32, 100_000) == 32


def test_reconstructor_has_the_papers_size() -> None:
    network = LeNet(1, 64)
    assert [tuple(p.shape) for p in network.parameters() if p.dim() == 4] == [
        (6, 2, 5, 5),
        (16, 6, 5, 5),
        (120, 16, 5, 5),
    ]
    logits, shift = network.eval()(torch.zeros(2, 2, 32, 32))
    assert logits.shape == (2, 64)
    assert shift.shape == (2,)


def test_resnet_form_sees_both_images_and_has_two_heads() -> None:
    network = initialised(np.random.default_rng(0), lambda: ResNet(1, 5)).eval()
    logits, shift = network(torch.zeros(2, 2, 32, 32))
    assert logits.shape == (2, 5)
    assert shift.shape == (2,)
    assert 11e6 < sum(p.numel() for p in network.parameters()) < 11.3e6  # ResNet-18 without its classifier


def test_resnet_form_is_scored_where_it_is_asked_for() -> None:
    params = replace(QUICK, steps=2, batch=8, test=32, resnet=True)
    planted = subject(PLANTED[:3])
    assert isinstance(measure(planted, params, context(3)).values["kappa_resnet"], float)
    assert isinstance(measure(planted, replace(params, resnet=False), context(3)).values["kappa_resnet"], Void)


def test_planted_directions_are_named() -> None:
    values = measure(subject(PLANTED), QUICK, context(8)).values
    assert values["kappa"] > 0.9
    assert values["bits"] > 2.6
    assert values["magnitude_error"] < GUESS / 2


def test_duplicates_are_not() -> None:
    values = measure(subject(random_directions(1).repeat(8, 1)), replace(QUICK, steps=60), context(8)).values
    assert abs(values["kappa"]) < 0.08
    assert values["bits"] < 0.15


def test_order_sign_and_length_change_nothing_beyond_noise() -> None:
    vectors = random_directions(4, seed=3)
    order = torch.tensor([2, 0, 3, 1])
    other = (vectors * torch.tensor([-3.0, 0.2, 1.0, -1.0])[:, None])[order]
    one, two = (measure(subject(v), QUICK, context(4)) for v in (vectors, paths(other)))
    assert one.values["kappa"] == pytest.approx(two.values["kappa"], abs=0.08)
    for k, original in enumerate(order.tolist()):
        assert two.directions["recall"][k] == pytest.approx(one.directions["recall"][original], abs=0.2)


def test_the_same_seed_gives_the_same_numbers() -> None:
    short = replace(QUICK, steps=4, test=64)
    planted = subject(PLANTED[:3])
    assert measure(planted, short, context(3)) == measure(planted, short, context(3))
    assert measure(planted, short, context(3)) != measure(planted, short, context(3, seed=1))


def test_augmentation_hides_what_nobody_sees() -> None:
    planted = subject(PLANTED[:2])
    plain = leak(planted, 120, 32, context(2), lambda first, second, rng: torch.cat([first, second], 1))
    hidden = leak(planted, 120, 32, context(2))
    assert isinstance(plain, float)
    assert isinstance(hidden, float)
    assert plain > 0.9
    assert hidden < 0.6


def test_a_reader_of_invisible_patterns_scores_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gdbench_metrics.reconstruction.leak", lambda *_: 0.61)
    short = replace(QUICK, steps=2, test=64)
    values = measure(subject(PLANTED[:2]), short, context(2)).values
    assert values.pop("leak") == 0.61
    assert {str(value) for value in values.values()} == {str(values["kappa"])}
    assert "accuracy 0.61, above 0.6" in str(values["kappa"])
