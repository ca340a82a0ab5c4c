"""Every test sees an empty checkpoint folder of the user, whatever this machine holds; and fixtures for many."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch


@pytest.fixture(scope="session", autouse=True)
def _no_checkpoints_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    patch = pytest.MonkeyPatch()
    folder: Path = tmp_path_factory.mktemp("data")
    patch.setenv("XDG_DATA_HOME", str(folder))
    yield
    patch.undo()


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Small networks train faster on one thread, and always in the same order."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
