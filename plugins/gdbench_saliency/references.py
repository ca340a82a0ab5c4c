"""Floors and ceilings of a generator: what no shift, random and coordinate directions, labels and exact masks reach."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import asdict

import torch
from torch import Tensor

from gdbench import Calibration, Codes, Context, LinearDirections, Stream, Subject, UsageError, calibrate, normal
from gdbench_saliency import measures
from gdbench_saliency.masks import NoMasks, Pairs, generated, likely
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.segment import fit, tested
from gdbench_saliency.testset import TestSet
from gdbench_saliency.unet import UNet, trained
from gdbench_saliency.whitening import brightness, render

VERSION = 1  # of the cached numbers
LABELLED = 2000  # images from which the supervised direction is made
CALIBRATED = 16  # codes that the directions of floors and ceilings are calibrated on
ENOUGH = 0.5  # IoU that the supervised direction must reach


def rows(
    subject: Subject, tests: TestSet, params: SaliencyParams, context: Context, fingerprint: str
) -> dict[str, float]:
    """``row:column`` of none, random, coordinate (floors), supervised and exact (ceilings), once per checkpoint.

    A row that cannot be made is missing: its shifts gave no masks, or the domain has no truth. Where the supervised
    direction stays below ``ENOUGH`` the floors are not made, because nothing will be compared with them.
    fingerprint: of the test set.
    """
    decides = repr((asdict(params), subject.k, subject.space, fingerprint))
    key = f"saliency-{VERSION}-{hashlib.sha256(decides.encode()).hexdigest()[:12]}"
    return dict(subject.cached(key, lambda: _made(subject, tests, params, context)))


def good_enough(found: Mapping[str, float], labelled: bool) -> bool:
    """Whether saliency can be measured: the supervised direction, where there are labels, reaches ``ENOUGH``."""
    return not labelled or found.get("supervised:IoU", 0.0) >= ENOUGH


def _made(subject: Subject, tests: TestSet, params: SaliencyParams, context: Context) -> dict[str, float]:
    found: dict[str, float] = {}
    labelled = bool(subject.domain and subject.domain.factors)
    makers = {"supervised": _supervised, "exact": _exact} if labelled else {}
    for name, make in {**makers, "none": _unshifted, "random": _random, "coordinate": _coordinate}.items():
        if name == "none" and not good_enough(found, labelled):
            break
        stream = Stream(0, "saliency-train").of(name)
        try:
            network = make(subject, params, stream, context)
        except (NoMasks, UsageError) as reason:
            context.reporter.log(f"saliency, {name}: {reason}")
            continue
        columns = measures.summary(tested(network, tests, params).images)
        found |= {f"{name}:{column}": value for column, value in columns.items()}
    return found


def _supervised(subject: Subject, params: SaliencyParams, stream: Stream, context: Context) -> UNet:
    """The shift that whitens what oracle A calls background."""
    vector = background(subject, stream.of("labels"))
    directions = LinearDirections(vector[None], subject.space)
    return _best(subject, directions, params, stream, context, "supervised")


@torch.no_grad()
def background(subject: Subject, stream: Stream) -> Tensor:
    """(dim,): covariance of the code with the mean brightness of the background, on images that show an object."""
    assert subject.domain is not None
    oracle = subject.domain.oracle("a")
    codes = subject.generator.sample(LABELLED, subject.space, stream.at())
    shades, shown = [], []
    for chunk in codes.chunks(subject.batch):
        images = render(subject.generator, chunk, subject.batch)
        ground = 1 - oracle.mask(images)
        shades.append((brightness(images) * ground).sum((1, 2)) / ground.sum((1, 2)).clamp_min(1e-6))
        shown.append(likely(ground < 0.5))
    latents = codes.latents.double() if codes.latents.dim() == 2 else codes.latents.double().mean(1)
    shade, seen = torch.cat(shades).double(), torch.cat(shown)
    if not seen.any():
        return torch.zeros(latents.shape[1])
    latents, shade = latents[seen], shade[seen]
    return ((shade - shade.mean()) @ (latents - latents.mean(0)) / len(shade)).float().cpu()


def _exact(subject: Subject, params: SaliencyParams, stream: Stream, context: Context) -> UNet:
    """Trained on the domain's own images and masks."""
    domain = subject.domain
    assert domain is not None

    def source(n: int, stream: Stream) -> Pairs:
        images, masks = domain.pairs(n, stream.at())
        return Pairs(images, masks > 0.5, n)

    return trained(source, subject.generator, params, stream, context, "saliency, exact masks")


def _unshifted(subject: Subject, params: SaliencyParams, stream: Stream, context: Context) -> UNet:
    """Masks by the threshold alone: only images that are white already help."""

    def masks(codes: Codes, images: Tensor) -> Tensor:
        return brightness(images) < params.threshold

    source = generated(subject.generator, subject.space, masks, params, subject.batch)
    return trained(source, subject.generator, params, stream, context, "saliency, no shift")


def _random(subject: Subject, params: SaliencyParams, stream: Stream, context: Context) -> UNet:
    """The best of K random orthonormal directions by the automatic score."""
    dim = subject.generator.dim(subject.space)
    matrix = normal(stream.of("directions").at(), dim, min(subject.k, dim)).double()
    directions = LinearDirections(torch.linalg.qr(matrix).Q.T.float(), subject.space)
    return _best(subject, directions, params, stream, context, "random directions")


def _coordinate(subject: Subject, params: SaliencyParams, stream: Stream, context: Context) -> UNet:
    """The best of K coordinate axes by the automatic score."""
    dim = subject.generator.dim(subject.space)
    axes = stream.of("directions").at().permutation(dim)[: subject.k]
    directions = LinearDirections(torch.eye(dim)[torch.from_numpy(axes)], subject.space)
    return _best(subject, directions, params, stream, context, "coordinates")


def _best(
    subject: Subject, directions: LinearDirections, params: SaliencyParams, stream: Stream, context: Context, title: str
) -> UNet:
    calibration = _calibrated(subject, directions, stream)
    magnitudes = torch.stack([calibration.usable(tau) for tau in params.taus], -1)
    return fit(subject, directions, magnitudes, params, stream, context, f"saliency, {title}").network


def _calibrated(subject: Subject, directions: LinearDirections, stream: Stream) -> Calibration:
    assert subject.domain is not None
    oracle = subject.domain.oracle("a")
    return calibrate(
        subject.generator, directions, oracle, subject.moments, stream.of("calibrate"), CALIBRATED, subject.batch
    )
