"""The domain `mnist`: handwritten digits at 32 px, a digit class and five measures of their shape."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gdbench import DomainSpec, hookimpl

if TYPE_CHECKING:
    import typer


@hookimpl
def gdbench_domains() -> Iterable[DomainSpec]:
    """Offer the handwritten digits."""
    yield DomainSpec(
        name="mnist",
        summary="handwritten digits; digit, and thickness, slant, width, height and area measured from the image",
        load="gdbench_mnist.domain:load",
        offers=("factors", "images"),
        factors={
            "digit": "which of the ten digits it is",
            "thickness": "how thick the strokes are",
            "slant": "how far the digit leans",
            "width": "how wide the digit is",
            "height": "how high the digit is",
            "area": "how much of the image is ink",
        },
        citation="LeCun et al., Gradient-Based Learning Applied to Document Recognition, Proc. IEEE 1998; "
        "measures: Castro et al., Morpho-MNIST, JMLR 2019",
    )


@hookimpl
def gdbench_commands(app: typer.Typer) -> None:
    """Add `gdbench mnist`."""
    from gdbench_mnist.commands import mnist

    app.add_typer(mnist, name="mnist")
