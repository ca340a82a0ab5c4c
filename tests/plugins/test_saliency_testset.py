"""Test sets: the layouts of ECSSD, DUTS and DUT-OMRON, files that cannot be used, and what is left out."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_saliency.layouts import find_pairs
from gdbench_saliency.testset import Files, Held, check_readable, left_out, predictions_at
from PIL import Image

from gdbench import MissingFile, Stream, UsageError
from tests.plugins.metrics_subjects import DOMAIN

LAYOUTS = {
    "ecssd": ("images", "ground_truth_mask"),
    "duts": ("DUTS-TE/DUTS-TE-Image", "DUTS-TE/DUTS-TE-Mask"),
    "omron": ("DUT-OMRON-image", "pixelwiseGT-new-PNG"),
    "together": (".", "."),
}


def write(folder: Path, images: str, masks: str, sizes: dict[str, tuple[int, int]], mode: str = "RGB") -> None:
    """A grey square on a coloured (or grey) ground, for each stem and its (height, width)."""
    for where in (images, masks):
        (folder / where).mkdir(parents=True, exist_ok=True)
    for stem, (height, width) in sizes.items():
        pixels = np.full((height, width, 3), (200, 120, 40), np.uint8)
        pixels[height // 4 : height // 2, width // 4 : width // 2] = 30
        Image.fromarray(pixels).convert(mode).save(folder / images / f"{stem}.jpg", quality=95)
        mask = np.zeros((height, width), np.uint8)
        mask[height // 4 : height // 2, width // 4 : width // 2] = 255
        Image.fromarray(mask).save(folder / masks / f"{stem}.png")


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_layouts_sizes_and_colours(layout: str, mode: str, tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS[layout], {"0001": (40, 60), "0002": (64, 64), "0003": (91, 50)}, mode)
    pairs = find_pairs(tmp_path)
    assert [(image.name, mask.name) for image, mask in pairs] == [(f"000{i}.jpg", f"000{i}.png") for i in (1, 2, 3)]
    groups = list(Files(pairs, channels=3, side=32))
    assert [group.truths.shape for group in groups] == [(1, 40, 60), (1, 64, 64), (1, 91, 50)]
    assert [tuple(group.images.shape) for group in groups] == [(1, 3, 32, 48), (1, 3, 32, 32), (1, 3, 58, 32)]
    for group in groups:
        assert group.tested.all()
        assert group.truths.mean() == pytest.approx(1 / 16, abs=0.01)
        inside = predictions_at((group.images.mean(1) < -0.5).float(), group.truths.shape[1:]) > 0.5
        assert (inside & group.truths).sum() / (inside | group.truths).sum() > 0.6  # image and mask lie on one another


def test_a_grey_segmenter_gets_grey_images(tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS["ecssd"], {"a": (32, 32)})
    assert next(iter(Files(find_pairs(tmp_path), channels=1, side=32))).images.shape == (1, 1, 32, 32)


def test_an_unreadable_file_is_named(tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS["ecssd"], {"a": (32, 32), "b": (32, 32)})
    broken = tmp_path / "images" / "b.jpg"
    broken.write_bytes(broken.read_bytes()[:300])
    with pytest.raises(UsageError, match=r"b\.jpg cannot be read"):
        list(Files(find_pairs(tmp_path), 3, 32))
    (tmp_path / "ground_truth_mask" / "a.png").write_bytes(b"<html>not found</html>")
    with pytest.raises(UsageError, match=r"a\.png cannot be read"):
        list(Files(find_pairs(tmp_path), 3, 32))


def test_all_unreadable_files_are_named_before_anything_is_trained(tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS["ecssd"], {"a": (32, 32), "b": (32, 32), "c": (32, 32)})
    check_readable(find_pairs(tmp_path))
    for name in ("images/b.jpg", "ground_truth_mask/c.png"):
        (tmp_path / name).write_bytes(b"<html>not found</html>")
    with pytest.raises(UsageError, match=r"2 files cannot be read.*b\.jpg.*c\.png"):
        check_readable(find_pairs(tmp_path))


def test_what_has_no_partner_is_named(tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS["ecssd"], {"a": (32, 32), "b": (32, 32)})
    (tmp_path / "ground_truth_mask" / "b.png").unlink()
    with pytest.raises(UsageError, match=r"1 files have no partner.*b\.jpg"):
        find_pairs(tmp_path)


def test_two_images_of_one_stem_are_refused(tmp_path: Path) -> None:
    write(tmp_path, *LAYOUTS["ecssd"], {"a": (32, 32)})
    (tmp_path / "images" / "a.png").write_bytes((tmp_path / "ground_truth_mask" / "a.png").read_bytes())
    with pytest.raises(UsageError, match="two files of the same stem"):
        find_pairs(tmp_path)


def test_no_folder_and_no_images_are_missing(tmp_path: Path) -> None:
    with pytest.raises(MissingFile, match="no such folder"):
        find_pairs(tmp_path / "nothing")
    with pytest.raises(MissingFile, match="holds no images"):
        find_pairs(tmp_path)


def test_white_backgrounds_and_empty_frames_are_left_out() -> None:
    truths = np.zeros((4, 4, 4), bool)
    truths[:3, 1:3, 1:3] = True  # the background has 12 pixels
    shades = np.zeros((4, 4, 4))
    shades[0, 0], shades[0, 3, :2] = 1, 1  # half of it white: stays
    shades[1, 0], shades[1, 3, :3] = 1, 0.95  # more than half
    shades[2, 1:3, 1:3] = 1  # a white object is no white background
    white, empty = left_out(shades, truths)
    assert white.tolist() == [False, True, False, False]
    assert empty.tolist() == [False, False, False, True]


def test_a_domain_gives_the_same_images_to_all() -> None:
    first, again = (list(Held(DOMAIN, 1100)) for _ in range(2))
    assert [len(group.truths) for group in first] == [1000, 100]
    assert torch.equal(first[1].images, again[1].images)
    shown = DOMAIN.pairs(1000, Stream(0, "saliency/test").at(0))[1] > 0.5
    assert (first[0].truths == shown.numpy()).all()


def test_predictions_are_resized_to_the_truth() -> None:
    ramp = torch.linspace(0, 1, 8).expand(1, 8, 8)
    large = predictions_at(ramp, (16, 24))
    assert large.shape == (1, 16, 24)
    # half-pixel centres, as every image library has them: column x of 24 lies at (x + .5) / 3 - .5 of 8
    at = np.clip((np.arange(24) + 0.5) / 3 - 0.5, 0, 7) / 7
    np.testing.assert_allclose(large[0, 3], at, atol=1e-6)
