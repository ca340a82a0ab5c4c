"""The user's data folder: where imported weights and fetched files lie, and one line where it cannot be written."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import platformdirs

from gdbench.errors import GdbenchError


def data_folder() -> Path:
    """gdbench's folder in the user's data directory as the system has it: on Linux below ``$XDG_DATA_HOME``.

    It need not exist. Absolute, so that it stays where it is when the working directory changes.
    """

    return platformdirs.user_data_path("gdbench", appauthor=False).absolute()


@contextmanager
def writing(folder: Path) -> Iterator[Path]:
    """``folder``, made if it is not there, for a block that writes into it.

    Raises GdbenchError, one line that says what to do, where the system refuses.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield folder
    except OSError as error:
        own = folder.absolute().is_relative_to(data_folder())
        remedy = "set XDG_DATA_HOME to a folder for data" if own else "choose another folder"
        raise GdbenchError(f"cannot write {folder} ({error.strerror or type(error).__name__}); {remedy}") from None
