"""From a direction to numbers: choose it, train a segmenter on its masks, test that on real images."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from torch import Tensor

from gdbench import Context, Directions, Stream, Subject
from gdbench_saliency import measures
from gdbench_saliency.masks import Source, shifted
from gdbench_saliency.measures import PerImage
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.testset import TestSet, predictions_at
from gdbench_saliency.unet import UNet, predict, trained
from gdbench_saliency.whitening import Choice, choose


@dataclass(frozen=True)
class Result:
    """Measures of the tested images, and how many were left out: background white already, no object."""

    images: PerImage
    white: int
    empty: int


@dataclass(frozen=True)
class Fitted:
    """A chosen direction and the segmenter trained on its masks."""

    choice: Choice
    source: Source
    network: UNet


def fit(
    subject: Subject,
    directions: Directions,
    magnitudes: Tensor,
    params: SaliencyParams,
    stream: Stream,
    context: Context,
    title: str = "saliency",
) -> Fitted:
    """Choose among ``directions`` and ``magnitudes`` (k, 2, m) by the automatic score, and train. Raises NoMasks."""
    generator = subject.generator
    codes = generator.sample(params.codes, directions.space, stream.of("select").at())
    choice = choose(generator, directions, magnitudes, codes, subject.batch)
    source = shifted(generator, directions, choice, params, subject.batch)
    return Fitted(choice, source, trained(source, generator, params, stream, context, title))


def tested(network: UNet, tests: TestSet, params: SaliencyParams) -> Result:
    """Test on every image with a visible background and an object. Raises ValueError where there is none."""
    parts: list[PerImage] = []
    white = empty = 0
    for group in tests:
        white, empty = white + int(group.white.sum()), empty + int((group.empty & ~group.white).sum())
        kept = np.flatnonzero(group.tested)
        if len(kept):
            found = predict(network, group.images[kept], params.temperature)
            truths = group.truths[kept]
            parts.append(measures.measure(predictions_at(found, truths.shape[1:]), truths))
    if not parts:
        raise ValueError(f"no image to test on: {white} have a white background, {empty} no object")
    return Result(measures.joined(parts), white, empty)
