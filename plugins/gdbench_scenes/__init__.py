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
        factors={
            "shape": "disc, ring, triangle or plus",
            "x": "where the object is, from left to right",
            "y": "where the object is, from top to bottom",
            "scale": "how large the object is",
            "rotation": "how far the object is turned",
            "object_hue": "the colour of the object",
            "light": "from which side the object is lit",
            "background_hue": "the colour of the background",
            "texture": "how clearly the background is striped",
            "phase": "where the stripes of the background lie",
            "presence": "how much background there is: none is white",
        },
    )
