"""The method `imported`: directions that others published or somebody made at home, measured like any other.

`gdbench import-directions FILE --gan NAME` reads a file, keeps its directions in the user's data folder under the
SHA-256 of what they are, and runs this method.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from gdbench import MethodSpec, hookimpl
from gdbench_imported.params import ImportedParams

if TYPE_CHECKING:
    import typer


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer the method."""
    yield MethodSpec(
        name="imported",
        summary="directions from a file that `gdbench import-directions` has read",
        discover="gdbench_imported.discover:discover",
        params=ImportedParams,
        deterministic=True,
    )


@hookimpl
def gdbench_commands(app: typer.Typer) -> None:
    """Add `gdbench import-directions`."""
    from gdbench_imported.commands import import_directions

    app.command("import-directions")(import_directions)
