"""Clauses G: what every generator keeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from gdbench.codes import Codes
from gdbench.errors import IntegrityError, MissingFile
from gdbench.programs import Program
from gdbench.streams import Stream, normal
from gdbench.testing.cases import CODES, GeneratorCase, load_generator, same, sampled
from gdbench.testing.isolation import observe, seeded
from gdbench.testing.results import Check, Skipped, Unusable, expect
from gdbench.weights.checkpoints import default_folder, find

MEMBERS = ("spaces", "image_shape", "domain", "device", "dim", "sample", "render")
PROGRAM_TOLERANCE, SPREAD_CODES = 1e-3, 128
"""Largest difference of a pixel of a program, as a share of the range [-1, 1]; codes by which spreads are compared."""
TOLERANCE = 2e-3
"""Largest difference of a pixel between rendering alone and in a batch: half a grey level is 4e-3."""


def checks(subject: str, case: GeneratorCase) -> Iterator[Check]:
    """The checks of a generator; capabilities are checked where they are declared."""
    yield Check(subject, "G01", check_generator_loads, case)
    yield Check(subject, "G02", check_generator_checkpoints_are_intact, case)
    yield Check(subject, "G03", check_generator_spaces_are_declared, case)
    yield Check(subject, "G04", check_generator_samples_codes, case)
    yield Check(subject, "G05", check_generator_sampling_repeats, case)
    yield Check(subject, "G06", check_generator_image_shape, case)
    yield Check(subject, "G07", check_generator_images_are_finite, case)
    yield Check(subject, "G08", check_generator_image_range, case)
    yield Check(subject, "G09", check_generator_rendering_repeats, case)
    yield Check(subject, "G10", check_generator_batch_invariance, case)
    yield Check(subject, "G11", check_generator_codes_stay, case)
    yield Check(subject, "G12", check_generator_is_differentiable, case)
    yield Check(subject, "G13", check_generator_is_frozen, case)
    yield Check(subject, "G14", check_generator_labels, case)
    if "mapping" in case.offer.spec.provides:
        yield Check(subject, "G15", check_generator_mapping, case)
    if "features" in case.offer.spec.provides:
        yield Check(subject, "G16", check_generator_features, case)
    if "modulation" in case.offer.spec.provides:
        yield Check(subject, "G17", check_generator_modulation, case)
    yield Check(subject, "G18", check_generator_uses_no_global_random_state, case)
    yield Check(subject, "G19", check_generator_leaves_the_process_alone, case)
    if "program" in case.offer.spec.provides:
        yield Check(subject, "G20", check_generator_program, case)


def check_generator_loads(case: GeneratorCase) -> None:
    """It loads with its default weights and smoke parameters, and has the members of the protocol."""
    try:
        generator = case.load()
    except Unusable as error:
        expect(False, f"load raised {error}")
    missing = [name for name in MEMBERS if not hasattr(generator, name)]
    expect(not missing, f"the generator has no {', '.join(missing)}")


def check_generator_checkpoints_are_intact(case: GeneratorCase) -> None:
    """Every shipped checkpoint is there, has the hash and size of its card, and loads."""
    spec = case.offer.spec
    shipped = [card for card in spec.checkpoints if card.shipped]
    if not shipped:
        raise Skipped("no shipped checkpoint")
    for card in shipped:
        expect(card.sha256 is not None, f"{card.name}: the card has no sha256")
        try:
            found = find(spec, card.name, default_folder(), offline=True)
            size = found.path.stat().st_size if found.path else 0
            expect(card.size == size, f"{card.name}: the file has {size} bytes, its card says {card.size}")
            load_generator(dataclasses.replace(spec, checkpoints=(card,)))
        except (IntegrityError, MissingFile, Unusable) as error:
            expect(False, f"{card.name}: {error}")


def check_generator_spaces_are_declared(case: GeneratorCase) -> None:
    """It has the spaces of its spec, the same one first, and a positive dimension in each."""
    generator, declared = case.load(), case.offer.spec.spaces
    found = tuple(generator.spaces)
    expect(found[:1] == declared[:1], f"default space is {found[:1]}, declared {declared[:1]}")
    expect(set(found) == set(declared), f"spaces are {found}, declared {declared}")
    expect(all(generator.dim(space) > 0 for space in found), "dim(space) must be positive")


def check_generator_samples_codes(case: GeneratorCase) -> None:
    """sample(n, space, rng) gives n finite float32 codes of that space, (n, dim) or (n, layers, dim)."""
    generator = case.load()
    for space in generator.spaces:
        codes = sampled(generator, CODES, space)
        expect(isinstance(codes, Codes), f"sample must give Codes, got {type(codes).__name__}")
        _expect_codes(codes, CODES, space, generator.dim(space))


def check_generator_sampling_repeats(case: GeneratorCase) -> None:
    """Equal random generators give equal codes."""
    generator = case.load()
    for space in generator.spaces:
        with seeded(1):
            first = sampled(generator, CODES, space)
        with seeded(1):  # so that a draw from global state is the business of another clause
            again = sampled(generator, CODES, space)
        expect(_equal_codes(first, again), f"two samples in {space!r} from equal rng differ")


def check_generator_image_shape(case: GeneratorCase) -> None:
    """Images are float32 tensors of shape (n, *image_shape), with one or three channels."""
    generator = case.load()
    codes = case.codes(generator)
    images = generator.render(codes)
    expect(isinstance(images, Tensor), f"render must give a tensor, got {type(images).__name__}")
    wanted = (len(codes), *generator.image_shape)
    expect(tuple(images.shape) == wanted, f"expected shape {wanted}, got {tuple(images.shape)}")
    expect(images.dtype == torch.float32, f"expected float32, got {images.dtype}")
    expect(wanted[1] in (1, 3), f"expected 1 or 3 channels, got {wanted[1]}")


def check_generator_images_are_finite(case: GeneratorCase) -> None:
    """No pixel is NaN or infinite."""
    images = _rendered(case)
    expect(bool(torch.isfinite(images).all()), "images hold NaN or infinite values")


def check_generator_image_range(case: GeneratorCase) -> None:
    """Values are nominally in [-1, 1]: 99 % within +-1.3, and some are dark (an image in [0, 1] has none below -.1)."""
    generator = case.load()
    with torch.no_grad():
        values = generator.render(case.codes(generator, 16)).nan_to_num()
    outside = float((values.abs() > 1.3).float().mean())
    expect(outside < 0.01, f"{outside:.0%} of values lie outside [-1.3, 1.3]")
    expect(float(values.min()) < -0.1, f"the darkest value is {float(values.min()):.2f}: is white 1 and black -1?")


def check_generator_rendering_repeats(case: GeneratorCase) -> None:
    """The same codes give the same images bit for bit, whatever was rendered in between."""
    generator = case.load()
    codes, others = case.codes(generator), case.codes(generator, 2 * CODES)[CODES:]
    with torch.no_grad():
        first = generator.render(codes)
        generator.render(others)
        expect(same(first, generator.render(codes)), "rendering the same codes again gives other images")


def check_generator_batch_invariance(case: GeneratorCase) -> None:
    """An image does not depend on what else is in its batch, beyond rounding."""
    generator = case.load()
    codes = case.codes(generator)
    with torch.no_grad():
        together = generator.render(codes)
        alone = torch.cat([generator.render(codes[i : i + 1]) for i in range(len(codes))])
    apart = float((together - alone).nan_to_num().abs().max())
    expect(apart <= TOLERANCE, f"rendered alone, a pixel differs by {apart:.4f}")


def check_generator_codes_stay(case: GeneratorCase) -> None:
    """Rendering leaves the codes as they are."""
    generator = case.load()
    codes = case.codes(generator)
    before = codes.latents.clone()
    with torch.no_grad():
        generator.render(codes)
    expect(same(before, codes.latents), "render changed the latents it was given")


def check_generator_is_differentiable(case: GeneratorCase) -> None:
    """A gradient flows from images to the latents of every space."""
    generator = case.load()
    for space in generator.spaces:
        codes = sampled(generator, CODES, space)
        latents = codes.latents.detach().clone().requires_grad_()
        images = generator.render(dataclasses.replace(codes, latents=latents))
        expect(images.requires_grad, f"images do not depend on latents in {space!r}: is render under no_grad?")
        (gradient,) = torch.autograd.grad(images.square().sum(), latents, allow_unused=True)
        expect(gradient is not None and bool((gradient != 0).any()), f"the gradient in {space!r} is zero")


def check_generator_is_frozen(case: GeneratorCase) -> None:
    """No parameter asks for a gradient: images of codes that need none need none."""
    images = _rendered(case, gradients=True)
    expect(not images.requires_grad, "images require a gradient: freeze the parameters (requires_grad_(False))")


def check_generator_labels(case: GeneratorCase) -> None:
    """Labels belong to their codes: one for each, equal for an equal rng, and shape the image with their slice."""
    generator = case.load()
    codes = case.codes(generator)
    if codes.labels is None:
        raise Skipped("the generator has no labels")
    expect(len(codes.labels) == len(codes), f"{len(codes.labels)} labels for {len(codes)} codes")
    with torch.no_grad():
        expect(len(generator.render(codes[1:])) == len(codes) - 1, "a slice of the codes cannot be rendered")


def check_generator_mapping(case: GeneratorCase) -> None:
    """Capability mapping: map takes codes of z to finite codes of w, and keeps their labels."""
    generator: Any = case.load()
    codes = sampled(generator, CODES, "z")
    with torch.no_grad():
        mapped = generator.map(codes)
    expect(mapped.space in ("w", "w+"), f"map must lead to w or w+, got {mapped.space!r}")
    _expect_codes(mapped, CODES, mapped.space, generator.dim(mapped.space))
    expect(_same_labels(codes, mapped), "map changed the labels")


def check_generator_features(case: GeneratorCase) -> None:
    """Capability features: every layer of feature_layers gives finite activations, one row for each code."""
    generator: Any = case.load()
    codes = case.codes(generator)
    expect(bool(generator.feature_layers), "feature_layers is empty")
    for layer in generator.feature_layers:
        with torch.no_grad():
            activations = generator.features(codes, layer)
        found = f"layer {layer!r} gives {tuple(activations.shape)}"
        expect(activations.dim() >= 2 and len(activations) == len(codes), f"{found}, expected ({len(codes)}, ...)")
        expect(bool(torch.isfinite(activations).all()), f"layer {layer!r} gives NaN or infinite values")


def check_generator_modulation(case: GeneratorCase) -> None:
    """Capability modulation: weights (outputs, dim) in at least one space, one column for each of its dimensions."""
    generator: Any = case.load()
    tables = {space: generator.modulation_weights(space) for space in generator.spaces}
    expect(any(tables.values()), "no space has modulation weights")
    for space, table in tables.items():
        for layer, weight in table.items():
            found = f"{layer!r} in {space!r} has shape {tuple(weight.shape)}"
            expect(
                weight.dim() == 2 and weight.shape[1] == generator.dim(space),
                f"{found}, expected (outputs, {generator.dim(space)})",
            )


def check_generator_program(case: GeneratorCase) -> None:
    """Capability program: its operations draw codes spread as those of sample, and images to 1e-3 of the range."""
    generator: Any = case.load()
    programs = {space: generator.program(space) for space in generator.spaces}
    expect(any(programs.values()), "no space has a program")
    for space, program in programs.items():
        if program is not None:
            _expect_program(generator, program, space)


def _expect_program(generator: Any, program: Program, space: str) -> None:
    codes = sampled(generator, CODES, space)
    with torch.no_grad():
        wanted = generator.render(codes)
    labels = _class_vectors(codes, program.classes)
    drawn = torch.stack([program.image(code, label) for code, label in zip(codes.latents, labels, strict=True)])
    expect(drawn.shape == wanted.shape, f"in {space!r} images are {tuple(drawn[0].shape)}")
    apart = float((drawn - wanted).abs().max()) / 2
    expect(apart <= PROGRAM_TOLERANCE, f"in {space!r} a pixel differs by {apart:.4f} of the range")
    many = sampled(generator, SPREAD_CODES, space)
    labels = _class_vectors(many, program.classes)
    normals = normal(Stream(1, "program").at(), SPREAD_CODES, program.normals)
    own = torch.stack([program.code(row, label) for row, label in zip(normals, labels, strict=True)])
    found, told = float(own.square().mean().sqrt()), float(many.latents.square().mean().sqrt())
    expect(
        abs(found - told) <= 0.1 * told, f"codes drawn in {space!r} are {found:.3f} long a component, not {told:.3f}"
    )


def _class_vectors(codes: Codes, classes: int) -> list[Tensor | None]:
    """A soft class vector for each code, as programs take them."""
    labels = codes.labels
    if labels is None or not classes:
        return [None] * len(codes)
    return list(labels if labels.is_floating_point() else torch.nn.functional.one_hot(labels, classes).float())


def check_generator_uses_no_global_random_state(case: GeneratorCase) -> None:
    """Sampling and rendering neither draw from nor seed torch's, numpy's or Python's global generators."""
    observed = observe(lambda: _rendered(case))
    expect(not observed.random, f"{', '.join(observed.random)} changed")
    expect(not observed.uses_global_seed(same), "images change with the global seed")


def check_generator_leaves_the_process_alone(case: GeneratorCase) -> None:
    """Threads, gradient mode, default dtype, working directory and environment stay as they were."""

    def used() -> Tensor:  # under no inner gradient mode, which would put a changed one back
        generator = case.load()
        return generator.render(case.codes(generator))

    changed = observe(used).process
    expect(not changed, f"{', '.join(changed)} changed")


def _rendered(case: GeneratorCase, gradients: bool = False) -> Tensor:
    generator = case.load()
    codes = case.codes(generator)
    with torch.set_grad_enabled(gradients):
        return generator.render(codes)


def _expect_codes(codes: Codes, n: int, space: str, dim: int) -> None:
    latents = codes.latents
    expect(codes.space == space, f"codes say they are in {codes.space!r}, asked for {space!r}")
    fits = latents.dim() in (2, 3) and len(latents) == n and latents.shape[-1] == dim
    expect(fits, f"latents in {space!r} have shape {tuple(latents.shape)}, expected ({n}, {dim})")
    expect(latents.dtype == torch.float32, f"latents in {space!r} are {latents.dtype}, expected float32")
    expect(bool(torch.isfinite(latents).all()), f"latents in {space!r} hold NaN or infinite values")


def _equal_codes(a: Codes, b: Codes) -> bool:
    return a.space == b.space and same(a.latents, b.latents) and _same_labels(a, b)


def _same_labels(a: Codes, b: Codes) -> bool:
    if a.labels is None or b.labels is None:
        return a.labels is b.labels
    return same(a.labels, b.labels)
