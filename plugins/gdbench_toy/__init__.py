"""The analytic generator and domain `toy`: planted directions and exact truth, for tests of methods and metrics.

No weights and no training: what the right answer is, is known in closed form.
"""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import DomainSpec, GeneratorSpec, hookimpl


@hookimpl
def gdbench_generators() -> Iterable[GeneratorSpec]:
    """Offer the toy generator."""
    yield GeneratorSpec(
        name="toy",
        summary="analytic pictures of a coloured blob; 8 planted directions among 64 latents, the rest does nothing",
        load="gdbench_toy.generator:load",
        provides=("features", "modulation"),
        spaces=("z",),
        domain="toy",
    )


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer the domain of the toy's pictures."""
    yield DomainSpec(
        name="toy",
        summary="analytic pictures of a coloured blob on grey stripes; 8 exact factors, exact masks",
        load="gdbench_toy.domain:load",
        offers=("factors", "masks", "images"),
    )
