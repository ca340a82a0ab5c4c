"""The tables of a run: a row for each direction, and the columns of all metrics in one parquet file."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdbench.errors import PluginError
from gdbench.files import atomic_write, parsing
from gdbench.runs.store import TABLES

if TYPE_CHECKING:
    import pandas as pd

EARLIER = "tables"
"""The folder in which records of protocol 1 have a file for each metric."""
BETWEEN = "/"
"""Stands between metric and column in the file; no metric's name holds it."""
SHARE, BEST, GATE = "share:", "best:", "void:"
"""What the names of columns on factors begin with: see ``gdbench.Scores.directions``."""


def as_table(columns: Mapping[str, Sequence[float]], k: int) -> pd.DataFrame:
    """Columns of one number for each of ``k`` directions as a table. Raises PluginError for what cannot be kept."""
    import pandas as pd
    import pyarrow as pa

    for name, values in columns.items():
        if len(values) != k:
            raise PluginError(f"returned {len(values)} numbers for {k} directions as {name!r}")
    table = pd.DataFrame(columns)
    try:
        pa.Table.from_pandas(table)
    except pa.ArrowException as error:
        raise PluginError(f"returned a table per direction that cannot be kept: {error}") from None
    return table


def read_tables(folder: Path) -> dict[str, pd.DataFrame]:
    """Metric -> its table (K rows), in order of names; empty where no metric kept one.

    Folders of protocol 1, which have a file for each metric, are read too.
    """
    import pandas as pd

    if not (folder / TABLES).exists():
        return {path.stem: _read(path) for path in sorted((folder / EARLIER).glob("*.parquet"))}
    together = _read(folder / TABLES)
    found: dict[str, dict[str, pd.Series]] = {}
    for name in together:
        metric, _, column = str(name).partition(BETWEEN)
        found.setdefault(metric, {})[column] = together[name]
    return {metric: pd.DataFrame(columns, index=together.index) for metric, columns in sorted(found.items())}


def _read(path: Path) -> pd.DataFrame:
    import pandas as pd

    with parsing(path):
        return pd.read_parquet(path)


@dataclass(frozen=True)
class Finding:
    """What a direction was found to do: ``what`` its + does, in words, and the share that this has of all it does."""

    direction: int
    what: str
    share: float


def findings(folder: Path) -> list[Finding]:
    """The directions that do something with a name, the purest first; empty where no metric names any.

    Read from the table that has the columns ``plus`` (text) and ``share`` (see ``gdbench.Scores``).
    """
    for table in read_tables(folder).values():
        if {"plus", "share"} <= set(table):
            rows = enumerate(zip(table["plus"].astype(str), table["share"].astype(float), strict=True))
            named = [Finding(k, what, share) for k, (what, share) in rows if what]
            return sorted(named, key=lambda found: -found.share)
    return []


def write_tables(folder: Path, tables: Mapping[str, pd.DataFrame]) -> None:
    """Replace the tables of a run by these, with page checksums; a file for each metric of an earlier layout goes."""
    import pandas as pd

    columns = {
        f"{metric}{BETWEEN}{name}": table[name].reset_index(drop=True)
        for metric, table in sorted(tables.items())
        for name in table
    }
    if columns:
        together = pd.DataFrame(columns)
        together.index.name = "direction"
        with atomic_write(folder / TABLES) as file:
            together.to_parquet(file, write_page_checksum=True)
    else:
        (folder / TABLES).unlink(missing_ok=True)
    shutil.rmtree(folder / EARLIER, ignore_errors=True)
