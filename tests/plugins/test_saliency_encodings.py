"""Images and masks in every encoding and every folder that people bring: read as what they show, or refused by name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from gdbench_saliency.layouts import find_pairs
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.pixels import read_image, read_mask
from gdbench_saliency.saliency import _test_set
from gdbench_saliency.testset import Files, check_readable
from numpy.typing import NDArray
from PIL import Image

from gdbench import UsageError

SIZE = (40, 60)  # height, width
TRUTH = np.zeros(SIZE, bool)
TRUTH[5:20, 10:30] = True  # neither in the middle nor symmetric: every turn shows
PHOTO = np.full((*SIZE, 3), (40, 90, 160), np.uint8)
PHOTO[TRUTH] = (220, 60, 30)
TURNS: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {  # how a camera stores an upright picture
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: a.swapaxes(0, 1)[::-1],
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: a.swapaxes(0, 1)[:, ::-1],
}


def save_turned(path: Path, pixels: NDArray[np.uint8], orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(TURNS[orientation](pixels))).save(path, exif=exif, quality=95)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif"])
@pytest.mark.parametrize("orientation", TURNS)
def test_photographs_are_turned_as_their_tag_says(orientation: int, suffix: str, tmp_path: Path) -> None:
    save_turned(tmp_path / f"a{suffix}", PHOTO, orientation)
    pixels = read_image(tmp_path / f"a{suffix}", "RGB")
    assert pixels.shape == PHOTO.shape
    assert np.corrcoef(pixels[..., 0].ravel(), TRUTH.ravel())[0, 1] > 0.95
    assert np.corrcoef(read_image(tmp_path / f"a{suffix}", "L")[..., 0].ravel(), TRUTH.ravel())[0, 1] > 0.9


@pytest.mark.parametrize("orientation", TURNS)
def test_masks_are_turned_too(orientation: int, tmp_path: Path) -> None:
    save_turned(tmp_path / "a.png", TRUTH.astype(np.uint8) * 255, orientation)
    assert np.array_equal(read_mask(tmp_path / "a.png"), TRUTH)


def test_a_mask_of_another_shape_is_refused(tmp_path: Path) -> None:
    Image.fromarray(PHOTO).save(tmp_path / "a.jpg")
    Image.fromarray(TRUTH.T.copy()).save(tmp_path / "a.png")
    with pytest.raises(
        UsageError, match=r"a\.jpg and its mask have the sizes 60 x 40 and 40 x 60: one of them is turned"
    ):
        check_readable(find_pairs(tmp_path))


def levels(ground: float, thing: float, kind: str) -> Image.Image:
    return Image.fromarray(np.where(TRUTH, thing, ground).astype(kind))


def with_alpha(mode: str, colours: NDArray[np.uint8], alpha: NDArray[np.uint8]) -> Image.Image:
    return Image.fromarray(np.dstack([colours, alpha]), mode)


def palette(numbers: NDArray[np.uint8], colours: dict[int, tuple[int, int, int]]) -> Image.Image:
    image = Image.fromarray(numbers, "P")
    table = [0] * 768
    for number, colour in colours.items():
        table[3 * number : 3 * number + 3] = colour
    image.putpalette(table)
    return image


ON, OFF = np.full(SIZE, 255, np.uint8), np.zeros(SIZE, np.uint8)
GREY = np.where(TRUTH, ON, OFF)
WHITE3, BLACK3 = np.dstack([ON] * 3), np.dstack([OFF] * 3)
VOC = {0: (0, 0, 0), 1: (128, 0, 0), 15: (192, 128, 128)}
RED = np.where(TRUTH[..., None], (180, 0, 0), 0).astype(np.uint8)
MASKS: dict[str, Callable[[], Image.Image]] = {
    "grey": lambda: Image.fromarray(GREY),
    "one bit": lambda: Image.fromarray(TRUTH),
    "0 and 1": lambda: levels(0, 1, "uint8"),
    "0 and 128": lambda: levels(0, 128, "uint8"),
    "soft edges": lambda: Image.fromarray(np.where(TRUTH, 250, np.where(np.roll(TRUTH, 1, 0), 90, 3)).astype(np.uint8)),
    "16 bit": lambda: levels(0, 65535, "uint16"),
    "16 bit, dark ground": lambda: levels(2000, 65535, "uint16"),
    "16 bit, grey ground": lambda: levels(9000, 40000, "uint16"),
    "16 bit of 8": lambda: levels(0, 255, "uint16"),
    "16 bit of 1": lambda: levels(0, 1, "uint16"),
    "class numbers": lambda: Image.fromarray(np.where(TRUTH, np.arange(60) % 3 + 1, 0).astype(np.uint8)),
    "RGB grey": lambda: Image.fromarray(np.dstack([GREY] * 3)),
    "RGB colour on black": lambda: Image.fromarray(RED),
    "alpha on white": lambda: with_alpha("RGBA", WHITE3, GREY),
    "alpha on black": lambda: with_alpha("RGBA", BLACK3, GREY),
    "alpha of a cut-out": lambda: with_alpha("RGBA", PHOTO, GREY),
    "alpha and the same colours": lambda: with_alpha("RGBA", np.dstack([GREY] * 3), GREY),
    "opaque alpha": lambda: with_alpha("RGBA", np.dstack([GREY] * 3), ON),
    "LA, alpha": lambda: with_alpha("LA", ON, GREY),
    "LA, opaque": lambda: with_alpha("LA", GREY, ON),
    "palette of VOC": lambda: palette(np.where(TRUTH, np.where(np.arange(60) < 20, 1, 15), 0).astype(np.uint8), VOC),
    "palette, one class": lambda: palette(np.where(TRUTH, 1, 0).astype(np.uint8), VOC),
    "palette of greys": lambda: palette(np.where(TRUTH, 7, 3).astype(np.uint8), {7: (255, 255, 255)}),
    "palette, ground is 3": lambda: palette(np.where(TRUTH, 0, 3).astype(np.uint8), {0: (250, 250, 250)}),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("suffix", [".png", ".tif"])
@pytest.mark.parametrize("name", MASKS)
def test_masks_of_every_encoding_are_read_rightly(name: str, suffix: str, tmp_path: Path) -> None:
    image = MASKS[name]()
    image.save(tmp_path / f"a{suffix}")
    assert np.array_equal(read_mask(tmp_path / f"a{suffix}"), TRUTH)


def test_a_palette_with_a_transparent_colour(tmp_path: Path) -> None:
    palette(np.where(TRUTH, 1, 0).astype(np.uint8), {0: (9, 9, 9), 1: (9, 9, 9)}).save(
        tmp_path / "a.png", transparency=0
    )
    assert np.array_equal(read_mask(tmp_path / "a.png"), TRUTH)


SHADES = np.arange(SIZE[1]).astype(np.uint8)[None].repeat(SIZE[0], 0)
UNCERTAIN: dict[str, tuple[Callable[[], Image.Image], str]] = {
    "transparent": (lambda: with_alpha("RGBA", WHITE3, OFF), "transparent everywhere"),
    "alpha against colours": (
        lambda: with_alpha("RGBA", np.dstack([np.roll(GREY, 5, 1)] * 3), np.maximum(GREY, np.roll(GREY, 7, 0))),
        "alpha channel and its colours",
    ),
    "a photograph": (
        lambda: Image.fromarray(np.random.default_rng(0).integers(0, 255, (*SIZE, 3)).astype(np.uint8)),
        "colours: save it as grey",
    ),
    "colours without black": (
        lambda: Image.fromarray(np.where(TRUTH[..., None], (200, 0, 0), (0, 0, 200)).astype(np.uint8)),
        "no black ground",
    ),
    "dim": (lambda: Image.fromarray(SHADES), "brightest value is 59 of 255"),
    "dim, 16 bit": (lambda: Image.fromarray(SHADES.astype(np.uint16) * 300), "brightest value is 17700 of 65535"),
    "classes and an edge of 255": (
        lambda: Image.fromarray(np.where(TRUTH, 15, np.where(np.roll(TRUTH, 1, 0), 255, 0)).astype(np.uint8)),
        "numbers of classes, or shades",
    ),
}


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@pytest.mark.parametrize("name", UNCERTAIN)
def test_what_is_uncertain_is_refused_with_the_reason(name: str, tmp_path: Path) -> None:
    make, reason = UNCERTAIN[name]
    make().save(tmp_path / "a.png")
    with pytest.raises(UsageError, match=rf"the mask .*a\.png cannot be read for certain: .*{reason}"):
        read_mask(tmp_path / "a.png")


def test_inverted_masks_are_refused_as_a_set(tmp_path: Path) -> None:
    for name in "abc":
        Image.fromarray(PHOTO).save(tmp_path / f"{name}.jpg")
        Image.fromarray(~TRUTH).save(tmp_path / f"{name}.png")
    with pytest.raises(UsageError, match=r"the masks look inverted \(a\.png, \.\.\.\): the object must be white"):
        check_readable(find_pairs(tmp_path))
    for name in "ab":
        Image.fromarray(TRUTH).save(tmp_path / f"{name}.png")
    check_readable(find_pairs(tmp_path))


@pytest.mark.parametrize("kind", ["uint16", "int32", "float32"])
def test_images_of_more_than_eight_bits_keep_their_shades(kind: str, tmp_path: Path) -> None:
    shades = np.linspace(0, 1, SIZE[1])[None].repeat(SIZE[0], 0)
    Image.fromarray((shades * (1 if kind == "float32" else 65535)).astype(kind)).save(tmp_path / "a.tif")
    for mode, channels in (("L", 1), ("RGB", 3)):
        pixels = read_image(tmp_path / "a.tif", mode)
        assert pixels.shape == (*SIZE, channels)
        assert abs(pixels[..., 0] / 255 - shades).max() < 0.005


def put(folder: Path, *names: str, mask: bool = False) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(TRUTH if mask else PHOTO).save(folder / name)


LAYOUTS: dict[str, tuple[list[str], list[str]]] = {
    "splits": (
        ["images/train/a.jpg", "images/val/a.jpg", "images/val/b.jpg"],
        ["masks/train/a.png", "masks/val/a.png", "masks/val/b.png"],
    ),
    "splits outside": (["train/images/a.jpg", "val/images/a.jpg"], ["train/masks/a.png", "val/masks/a.png"]),
    "a name with gt in it": (["washington/a.jpg", "washington/b.jpg"], ["masks/a.png", "masks/b.png"]),
    "a name with mask in it": (["damask/a.png", "damask/b.png"], ["gt/a.png", "gt/b.png"]),
    "labels": (["images/a.jpg", "images/b.jpg"], ["labels/a.png", "labels/b.png"]),
    "VOC": (["JPEGImages/a.jpg", "JPEGImages/b.jpg"], ["SegmentationClass/a.png", "SegmentationClass/b.png"]),
    "GroundTruth": (["Imgs/a.jpg", "Imgs/b.jpg"], ["GroundTruth/a.png", "GroundTruth/b.png"]),
    "no split of masks": (["images/train/a.jpg", "images/val/b.jpg"], ["masks/a.png", "masks/b.png"]),
    "endings": (["a.jpg", "b.png"], ["a_mask.png", "b-gt.png"]),
    "endings in a folder": (["images/a.jpg", "images/b.jpg"], ["masks/a_segmentation.png", "masks/b_segmentation.png"]),
    "capitals": (["IMAGES/a.JPG", "IMAGES/b.JPG"], ["MASKS/a.PNG", "MASKS/b.PNG"]),
    "webp": (["images/a.webp", "images/b.webp"], ["masks/a.webp", "masks/b.webp"]),
    "no name for images": (["a.jpg", "b.jpg"], ["masks/a.png", "masks/b.png"]),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_folders_as_people_prepare_them(layout: str, tmp_path: Path) -> None:
    images, masks = LAYOUTS[layout]
    put(tmp_path, *images)
    put(tmp_path, *masks, mask=True)
    found = [(str(i.relative_to(tmp_path)), str(m.relative_to(tmp_path))) for i, m in find_pairs(tmp_path)]
    assert sorted(found) == sorted(zip(images, masks, strict=True))
    check_readable(find_pairs(tmp_path))


def test_what_other_systems_leave_is_passed_over(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg")
    put(tmp_path, "masks/a.png", mask=True)
    for name in (
        "images/._a.jpg",
        "__MACOSX/images/._a.jpg",
        "__MACOSX/masks/a.png",
        ".thumbs/a.jpg",
        "images/Thumbs.db",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"junk")
    assert [image.name for image, _ in find_pairs(tmp_path)] == ["a.jpg"]


def test_without_masks_the_rule_is_told(tmp_path: Path) -> None:
    put(tmp_path, "images/a.jpg", "other/a.png")
    with pytest.raises(
        UsageError, match=r"no masks in .*: a mask lies in a folder whose name has one of the words mask, gt"
    ):
        find_pairs(tmp_path)


def test_a_test_set_is_told_from_another_by_content(tmp_path: Path) -> None:
    put(tmp_path, "images/a.bmp")
    put(tmp_path, "masks/a.bmp", mask=True)
    subject = SimpleNamespace(generator=SimpleNamespace(image_shape=(3, 32, 32)), domain=None)
    params = SaliencyParams(data=str(tmp_path))
    _, first = _test_set(subject, params)  # type: ignore[arg-type]
    assert _test_set(subject, params)[1] == first  # type: ignore[arg-type]
    size = (tmp_path / "images" / "a.bmp").stat().st_size
    Image.fromarray(PHOTO[..., ::-1].copy()).save(tmp_path / "images" / "a.bmp")
    assert (tmp_path / "images" / "a.bmp").stat().st_size == size
    tests, second = _test_set(subject, params)  # type: ignore[arg-type]
    assert second != first
    assert isinstance(tests, Files)
