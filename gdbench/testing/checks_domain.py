"""Clauses D: what every domain keeps."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from gdbench.errors import GdbenchError, MissingFile
from gdbench.evaluation.factors import visible
from gdbench.evaluation.perception import distance, embed, fitted
from gdbench.protocols import (
    ChannelWeights,
    Domain,
    Factor,
    FiniteImages,
    Licensed,
    Oracle,
    OwnFeatures,
    TrainingImages,
)
from gdbench.streams import Stream, normal
from gdbench.testing.cases import DomainCase, same
from gdbench.testing.isolation import observe, seeded
from gdbench.testing.results import Check, Failed, Unusable, describe, expect

N = 8
JUDGED = 400
SIDE = 64  # pixels of the images that stand in for those of a domain that offers none
READ_WELL = 0.9
"""An oracle must reach .95 on held-out renders; .9 on 400 of them leaves room for the luck of the draw."""

MEMBERS = ("name", "distance", "factors", "images", "pairs", "truth", "oracle")
WHICH: tuple[Literal["a", "b"], ...] = ("a", "b")


def checks(subject: str, case: DomainCase) -> Iterator[Check]:
    """The checks of a domain; images, masks and factors are checked where they are offered."""
    yield Check(subject, "D01", check_domain_loads, case)
    if "images" in case.offer.spec.offers:
        yield Check(subject, "D02", check_domain_images, case)
        yield Check(subject, "D03", check_domain_images_repeat, case)
    if "masks" in case.offer.spec.offers:
        yield Check(subject, "D04", check_domain_masks, case)
    if "factors" in case.offer.spec.offers:
        yield Check(subject, "D05", check_domain_truth, case)
        yield Check(subject, "D06", check_domain_oracles_read_all_factors, case)
        yield Check(subject, "D07", check_domain_oracles_read_well, case)
    yield Check(subject, "D08", check_domain_oracle_masks, case)
    yield Check(subject, "D09", check_domain_distance, case)
    yield Check(subject, "D10", check_domain_oracles_repeat, case)
    if "factors" in case.offer.spec.offers:
        yield Check(subject, "D11", check_domain_oracles_differ, case)
    yield Check(subject, "D12", check_domain_uses_no_global_random_state, case)
    yield Check(subject, "D13", check_domain_leaves_the_process_alone, case)
    yield Check(subject, "D14", check_domain_oracles_take_small_grey_images, case)
    yield Check(subject, "D15", check_domain_optional_members, case)


def check_domain_loads(case: DomainCase) -> None:
    """It loads on the CPU under its own name, with the members of the protocol and both oracles."""
    try:
        domain = case.load()
        missing = [name for name in MEMBERS if not hasattr(domain, name)]
        expect(not missing, f"the domain has no {', '.join(missing)}")
        for which in WHICH:
            domain.oracle(which)
    except MissingFile:
        raise
    except (Unusable, GdbenchError) as error:
        expect(False, f"raised {error}")
    expect(domain.name == case.offer.spec.name, f"it calls itself {domain.name!r}")


def check_domain_images(case: DomainCase) -> None:
    """images(n, rng) gives n finite float32 images (n, c, h, w) in [-1, 1]."""
    _expect_images(case.load().images(N, _rng()), N)


def check_domain_images_repeat(case: DomainCase) -> None:
    """Equal random generators give equal images; others give others."""
    domain = case.load()
    with seeded(1):
        first = domain.images(N, _rng())
    with seeded(1):  # so that a draw from global state is the business of another clause
        expect(same(first, domain.images(N, _rng())), "two draws from equal rng differ")
    other = domain.images(N, Stream(1, "check").at())
    expect(not same(first, other), "another rng gives the same images")


def check_domain_masks(case: DomainCase) -> None:
    """pairs(n, rng) gives images and their masks: float32 (n, h, w) in [0, 1], neither all empty nor all full."""
    images, masks = case.load().pairs(N, _rng())
    _expect_images(images, N)
    _expect_masks(masks, images)
    expect(0.01 < float(masks.mean()) < 0.99, f"masks cover {float(masks.mean()):.0%} of the images")


def check_domain_truth(case: DomainCase) -> None:
    """truth(n, rng) gives images and, of each factor, a turn in [0, 1), class or number; words are of all or none."""
    domain = case.load()
    words, names = case.offer.spec.factors, {factor.name for factor in domain.factors}
    expect(not words or set(words) == names, f"factors in words are of {sorted(words)}, expected {sorted(names)}")
    images, truth = domain.truth(N, _rng())
    _expect_images(images, N)
    _expect_names(truth, domain)
    for factor in domain.factors:
        values = truth[factor.name]
        expect(tuple(values.shape) == (N,), f"{factor.name!r} has shape {tuple(values.shape)}, expected ({N},)")
        if factor.kind == "class":
            expect(values.dtype == torch.int64, f"{factor.name!r} is {values.dtype}, expected int64 classes")
        _expect_range(factor, values)


def check_domain_oracles_read_all_factors(case: DomainCase) -> None:
    """Both oracles read every factor: (n,) numbers or turns, (n, classes) probabilities; and say which passed."""
    domain = case.load()
    images = _images(case, domain, N)
    for which in WHICH:
        oracle = domain.oracle(which)
        read = oracle.read(images)
        _expect_names(read, domain)
        _expect_names(oracle.passed, domain)
        for factor in domain.factors:
            _expect_reading(factor, read[factor.name])


def check_domain_oracles_read_well(case: DomainCase) -> None:
    """What an oracle says it passed, it reads: R² or accuracy against the truth, where the factor is visible."""
    domain = case.load()
    images, truth = domain.truth(JUDGED, _rng())
    for which in WHICH:
        oracle = domain.oracle(which)
        read = oracle.read(images)
        for factor in domain.factors:
            if oracle.passed.get(factor.name, False):
                score = _agreement(factor, read[factor.name].nan_to_num(), truth, domain.factors)
                expect(score >= READ_WELL, f"oracle {which} reads {factor.name!r} with {score:.2f}, and says it passed")


def check_domain_oracle_masks(case: DomainCase) -> None:
    """Both oracles give a mask (n, h, w) in [0, 1]."""
    domain = case.load()
    images = _images(case, domain, N)
    for which in WHICH:
        _expect_masks(domain.oracle(which).mask(images), images)


def check_domain_distance(case: DomainCase) -> None:
    """Oracle A gives maps (n, c, h, w) and features (n, d); distance is zero to itself, positive to others."""
    domain = case.load()
    images = _images(case, domain, N)
    maps, pooled = domain.oracle("a").embed(images)
    expect(all(layer.dim() == 4 and len(layer) == N for layer in maps), "maps must be (n, c, h, w)")
    expect(pooled.dim() == 2 and len(pooled) == N, f"features have shape {tuple(pooled.shape)}, expected ({N}, d)")
    here, there = embed(domain.oracle("a"), images), embed(domain.oracle("a"), images.roll(1, 0))
    itself, others = distance(here, here), distance(here, there)
    expect(bool((itself == 0).all()), f"the distance of an image to itself is {float(itself.max()):.2g}")
    expect(bool((others > 0).all()), "two different images have distance zero")


def check_domain_oracles_repeat(case: DomainCase) -> None:
    """An oracle reads the same image the same way again, whatever it read in between."""
    domain = case.load()
    images, others = _images(case, domain, 2 * N)[:N], _images(case, domain, 2 * N)[N:]
    for which in WHICH:
        oracle = domain.oracle(which)
        first = _everything(oracle, images)
        oracle.read(others)
        expect(same(first, _everything(oracle, images)), f"oracle {which} reads the same images differently")


def check_domain_oracles_differ(case: DomainCase) -> None:
    """Oracle B is not oracle A under another name: it would score what it labelled."""
    domain = case.load()
    images = _images(case, domain, N)
    a, b = (_everything(domain.oracle(which), images) for which in WHICH)
    expect(not same(a, b), "both oracles give the same numbers")


def check_domain_oracles_take_small_grey_images(case: DomainCase) -> None:
    """Both oracles embed, read and mask grey 24 x 24 images, resized as their networks need; masks have their size."""
    domain = case.load()
    images = fitted(_images(case, domain, N), (1, 24, 24))
    for which in WHICH:
        oracle = domain.oracle(which)
        try:
            maps, pooled = oracle.embed(images)
            read, mask = oracle.read(images), oracle.mask(images)
        except Exception as error:
            raise Failed(f"oracle {which} raised {describe(error)}") from error
        expect(all(len(values) == N for values in (*maps, pooled, *read.values())), f"oracle {which} loses images")
        expect(tuple(mask.shape) == (N, 24, 24), f"oracle {which} gives masks of shape {tuple(mask.shape)}")


def check_domain_optional_members(case: DomainCase) -> None:
    """What it has beside fits: channel weights for each map, own features (n, d), training images, count, licence."""
    domain = case.load()
    images = _images(case, domain, N)
    for which in WHICH:
        _expect_optional_oracle(which, domain.oracle(which), images)
    if isinstance(domain, FiniteImages):
        count = domain.real_images
        expect(isinstance(count, int) and count > 0, f"real_images is {count!r}, expected how many there are")
    if isinstance(domain, Licensed):
        line = domain.licence
        expect(isinstance(line, str) and len(line.splitlines()) == 1, f"licence is {line!r}, expected one line")
    if isinstance(domain, TrainingImages):
        with contextlib.suppress(MissingFile):
            _expect_images(domain.training_images(N, _rng()), N)


def _expect_optional_oracle(which: str, oracle: Oracle, images: Tensor) -> None:
    if isinstance(oracle, ChannelWeights) and (weights := oracle.channel_weights) is not None:
        given, wanted = ([tuple(one.shape) for one in weights], [(one.shape[1],) for one in oracle.embed(images)[0]])
        expect(given == wanted, f"oracle {which} has channel_weights of shapes {given}, its maps ask for {wanted}")
        expect(all(bool((one >= 0).all()) for one in weights), f"oracle {which} has channel_weights below 0")
    if isinstance(oracle, OwnFeatures):
        shape = tuple(oracle.features(images).shape)
        expect(len(shape) == 2 and shape[0] == N, f"oracle {which}: features of {N} images have shape {shape}")


def check_domain_uses_no_global_random_state(case: DomainCase) -> None:
    """Drawing and reading images neither draw from nor seed torch's, numpy's or Python's global generators."""
    observed = observe(lambda: _use(case))
    expect(not observed.random, f"{', '.join(observed.random)} changed")
    expect(not observed.uses_global_seed(same), "the global seed changes images or readings")


def check_domain_leaves_the_process_alone(case: DomainCase) -> None:
    """Threads, gradient mode, default dtype, working directory and environment stay as they were."""
    changed = observe(lambda: _use(case)).process
    expect(not changed, f"{', '.join(changed)} changed")


def _rng() -> np.random.Generator:
    return Stream(0, "check").at()


def _images(case: DomainCase, domain: Domain, n: int) -> Tensor:
    """What the oracles are asked about: the domain's own images, or blurred noise where it offers none."""
    if "images" in case.offer.spec.offers:
        return domain.images(n, _rng())
    noise = normal(_rng(), n, 3, SIDE // 8, SIDE // 8)
    return torch.tanh(interpolate(noise, (SIDE, SIDE), mode="bilinear"))


def _use(case: DomainCase) -> Tensor:
    domain = case.load()
    images = _images(case, domain, N)
    return torch.cat([images.flatten(), *(_everything(domain.oracle(which), images).flatten() for which in WHICH)])


def _everything(oracle: Oracle, images: Tensor) -> Tensor:
    """All that an oracle says of images, in one row each."""
    read = oracle.read(images)
    maps, pooled = oracle.embed(images)
    parts = [read[name].float() for name in sorted(read)] + [*maps, pooled, oracle.mask(images).float()]
    return torch.cat([part.detach().reshape(len(images), -1) for part in parts], 1)


def _expect_images(images: Tensor, n: int) -> None:
    found = f"images have shape {tuple(images.shape)}"
    expect(
        images.dim() == 4 and len(images) == n and images.shape[1] in (1, 3), f"{found}, expected ({n}, 1 or 3, h, w)"
    )
    expect(images.dtype == torch.float32, f"images are {images.dtype}, expected float32")
    expect(bool(torch.isfinite(images).all()), "images hold NaN or infinite values")
    low, high = float(images.min()), float(images.max())
    expect(low >= -1 and high <= 1, f"real images lie in [{low:.2f}, {high:.2f}], expected [-1, 1]")


def _expect_masks(masks: Tensor, images: Tensor) -> None:
    wanted = (len(images), *images.shape[2:])
    expect(tuple(masks.shape) == wanted, f"masks have shape {tuple(masks.shape)}, expected {wanted}")
    expect(bool(((masks >= 0) & (masks <= 1)).all()), "masks leave [0, 1]")


def _expect_names(given: Mapping[str, object], domain: Domain) -> None:
    wanted = {factor.name for factor in domain.factors}
    expect(set(given) == wanted, f"factors are {sorted(wanted)}, got {sorted(given)}")


def _expect_reading(factor: Factor, values: Tensor) -> None:
    found = f"{factor.name!r} is read as {tuple(values.shape)}"
    if factor.kind != "class":
        expect(tuple(values.shape) == (N,), f"{found}, expected ({N},)")
    else:
        expect(values.dim() == 2 and len(values) == N, f"{found}, expected ({N}, classes)")
        expect(
            torch.allclose(values.sum(1), torch.ones(N), atol=1e-3), f"{factor.name!r}: probabilities do not sum to 1"
        )
    _expect_range(factor, values)


def _expect_range(factor: Factor, values: Tensor) -> None:
    expect(bool(torch.isfinite(values.double()).all()), f"{factor.name!r} holds NaN or infinite values")
    if factor.kind == "circular":
        expect(bool(((values >= 0) & (values <= 1)).all()), f"{factor.name!r} is in turns, and leaves [0, 1)")


def _agreement(factor: Factor, read: Tensor, truth: Mapping[str, Tensor], factors: Sequence[Factor]) -> float:
    """Accuracy, R², or 1 - mean square angle over that of a guess (1/12 turn²), where the factor can be seen."""
    seen = visible(factor, truth, factors)
    read, true = read[seen], truth[factor.name][seen]
    if factor.kind == "class":
        return float((read.argmax(1) == true).double().mean())
    apart = (read - true).double()
    if factor.kind == "circular":
        return float(1 - 12 * ((apart + 0.5) % 1 - 0.5).square().mean())
    return float(1 - apart.square().mean() / true.double().var())
