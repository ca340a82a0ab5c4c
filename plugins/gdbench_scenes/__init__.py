"""The domain `scenes`: pictures of one object on a background, rendered from known factors, with two oracles."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import DomainSpec, hookimpl


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer the rendered scenes."""
    yield DomainSpec(
        name="scenes",
        summary="rendered discs, rings, triangles and pluses on striped backgrounds; 11 known factors, exact masks",
        load="gdbench_scenes.domain:load",
        offers=("factors", "masks", "images"),
    )
