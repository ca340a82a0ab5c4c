"""The explorer from Python and notebooks."""

from __future__ import annotations

import html
from dataclasses import dataclass
from pathlib import Path

from gdbench.errors import UsageError
from gdbench.explorer.making import LATENTS, explorer_of
from gdbench.files import write_text
from gdbench.registry import load_registry
from gdbench.runs.api import Run


@dataclass(frozen=True)
class Explorer:
    """The page of an explorer. A notebook shows it in place; ``save`` writes it.

    names: what a blind page calls each run, and which run it is.
    """

    html: str
    names: tuple[tuple[str, str], ...] = ()

    def save(self, path: str | Path) -> Path:
        """Write the page, which opens from disk; the path is returned."""
        write_text(Path(path), self.html)
        return Path(path)

    def _repr_html_(self) -> str:
        """A frame that may run scripts and save files, and can reach nothing of the notebook."""
        page = html.escape(self.html)
        kept = 'sandbox="allow-scripts allow-downloads" width="100%" height="860" style="border:0"'
        return f'<iframe title="gdbench explorer" {kept} srcdoc="{page}"></iframe>'


def explore(
    *runs: Run | str | Path, latents: int = LATENTS, blind: bool = False, inverted: str | Path | None = None
) -> Explorer:
    """A page with sliders for the directions of runs of one generator, as ``gdbench explore`` writes it.

    runs: as ``gdbench.run`` and ``read_run`` give them, or their folders. latents: how many are rendered beforehand
    where a page cannot draw. blind: name no method. inverted: a folder of ``gdbench invert``, whose pictures come
    before random latents. Raises UsageError, MissingFile and IntegrityError in one line.
    """
    if not runs:
        raise UsageError("explore(run, ...): name at least one run")
    folders = [run.folder if isinstance(run, Run) else Path(run) for run in runs]
    files = dict.fromkeys(file for run in runs if isinstance(run, Run) for file in run.plugins)
    mine = None if inverted is None else Path(inverted)
    made = explorer_of(folders, load_registry(tuple(files)), latents, blind, inverted=mine)
    return Explorer(made.text, made.names)
