"""From run folders to the explorer's page."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from gdbench.columns import columns_of
from gdbench.explorer.contents import contents, order_of, shuffled_names
from gdbench.explorer.page import page_text
from gdbench.explorer.subject import Subject, subject_of

if TYPE_CHECKING:
    from gdbench.registry import Registry

LATENTS = 4
"""Latents that are pre-rendered where the page cannot draw."""


@dataclass(frozen=True)
class Made:
    """A page and what it shows. order: which run of the subject its n-th is. names: what a blind one calls each run."""

    text: str
    subject: Subject
    order: list[int]
    names: tuple[tuple[str, str], ...] = ()


def explorer_of(
    folders: Sequence[Path],
    registry: Registry,
    latents: int = LATENTS,
    blind: bool = False,
    served: bool = False,
    inverted: Path | None = None,
) -> Made:
    """The page of the runs in ``folders``, on pictures of one's own first where there are any.

    Raises what ``subject_of`` and ``contents`` raise.
    """
    subject = subject_of(folders, registry, inverted)
    told = contents(subject, columns_of(registry), latents, blind, served)
    names = tuple(shuffled_names(subject)) if blind else ()
    return Made(page_text(told), subject, order_of(subject, blind), names)
