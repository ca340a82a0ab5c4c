"""Folders of images and masks as people prepare them: which file is a mask, and of which image."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from itertools import pairwise
from pathlib import Path

from gdbench import MissingFile, UsageError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
PHOTOS = (".jpg", ".jpeg")
MASK_WORDS = re.compile(
    r"(masks?|gts?|truths?|groundtruths?|annotations?|labels?|seg|segs|segmentations?|mattes?|alphas?)"
)
IMAGE_WORDS = re.compile(r"(images?|imgs?|photos?|pictures?|jpegimages|rgb|inputs?)")
MASK_ENDING = re.compile(r"[ ._-](masks?|gt|truth|annotation|labels?|seg|segmentation|matte|alpha)$", re.IGNORECASE)
RULE = (
    "a mask lies in a folder whose name has one of the words mask, gt, truth, annotation, label, segmentation, matte; "
    "or beside its image, as NAME_mask or as the .png of a .jpg"
)

Key = tuple[str, ...]
Pair = tuple[Path, Path]


def find_pairs(folder: Path) -> tuple[Pair, ...]:
    """Images and their masks below ``folder``, in the order of their stems.

    Partners have the same stem, and lie in the same sub-folders but for the one that tells images from masks
    (``images/train`` and ``masks/train``). Hidden files and what archives of other systems leave are passed over.
    Raises MissingFile without folder or images, UsageError for what has no partner or two of them.
    """
    if not folder.is_dir():
        raise MissingFile(f"saliency data: no such folder: {folder}")
    files = sorted(path for path in folder.rglob("*") if _counts(path, folder))
    if not files:
        raise MissingFile(f"saliency data: {folder} holds no images ({', '.join(SUFFIXES)})")
    photos = {path.with_suffix("") for path in files if path.suffix.lower() in PHOTOS}
    masks = {path for path in files if _is_mask(path, folder, photos)}
    if not masks or len(masks) == len(files):
        kind = "no masks" if not masks else "no images, only masks"
        raise UsageError(f"saliency data: {kind} in {folder}: {RULE}")
    images, truths = (
        _by_key((path for path in files if (path in masks) is wanted), folder) for wanted in (False, True)
    )
    keys = [(key, key) for key in images.keys() & truths.keys()]
    keys += _by_stem(images.keys() - truths.keys(), truths.keys() - images.keys())
    alone = {images[key] for key in images.keys() - {pair[0] for pair in keys}}
    alone |= {truths[key] for key in truths.keys() - {pair[1] for pair in keys}}
    if alone:
        names = ", ".join(str(path) for path in sorted(alone)[:3])
        raise UsageError(f"saliency data: {len(alone)} files have no partner of the same stem: {names} ({RULE})")
    return tuple((images[key], truths[other]) for key, other in sorted(keys, key=lambda pair: (pair[0][-1], pair[0])))


def _counts(path: Path, folder: Path) -> bool:
    """Whether a path is an image file, and not what a system left (``._a.jpg``, ``__MACOSX``)."""
    inside = path.relative_to(folder).parts
    return path.suffix.lower() in SUFFIXES and path.is_file() and not any(p.startswith((".", "__")) for p in inside)


def _role(name: str) -> str:
    """``mask``, ``image``, or nothing, as a folder's name says in whole words: washington is no gt."""
    words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
    joined = ["".join(pair) for pair in pairwise(words)]  # ground_truth, JPEGImages
    if any(MASK_WORDS.fullmatch(word) for word in (*words, *joined)):
        return "mask"
    return "image" if any(IMAGE_WORDS.fullmatch(word) for word in (*words, *joined)) else ""


def _is_mask(path: Path, folder: Path, photos: set[Path]) -> bool:
    """By the nearest folder that says; else by the name, or as the .png beside a photograph."""
    for part in reversed(path.relative_to(folder).parts[:-1]):
        if role := _role(part):
            return role == "mask"
    beside = path.suffix.lower() == ".png" and path.with_suffix("") in photos
    return beside or MASK_ENDING.search(path.stem) is not None


def _key(path: Path, folder: Path) -> Key:
    """What partners share: the sub-folders that say no role, and the stem without what makes it a mask's."""
    inside = path.relative_to(folder).parts[:-1]
    return (*(part for part in inside if not _role(part)), MASK_ENDING.sub("", path.stem))


def _by_key(paths: Iterable[Path], folder: Path) -> dict[Key, Path]:
    found: dict[Key, Path] = {}
    for path in paths:
        key = _key(path, folder)
        if key in found:
            raise UsageError(f"saliency data: two files of the same stem: {found[key]}, {path}")
        found[key] = path
    return found


def _by_stem(images: Iterable[Key], truths: Iterable[Key]) -> list[tuple[Key, Key]]:
    """Partners by stem alone, of those that lie in different sub-folders, where the stem occurs once on each side."""
    sides = [list(images), list(truths)]
    counts = [Counter(key[-1] for key in side) for side in sides]
    there = {key[-1]: key for key in sides[1]}
    return [(key, there[key[-1]]) for key in sides[0] if counts[0][key[-1]] == 1 and counts[1][key[-1]] == 1]
