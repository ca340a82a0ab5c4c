"""A stranger's file or folder while it is imported: every file of it is read once, whoever asks."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gdbench.weights.parts import part

if TYPE_CHECKING:
    _Path = Path
else:
    _Path = type(Path())  # of the platform: before Python 3.12 Path itself cannot be extended


class Source(_Path):
    """A path that plugins treat as any other. ``load_weights`` keeps what it read of it, and gives the part at ``key``.

    Paths made of it (``source / "generator.pt"``) share what was read.
    """

    held: dict[str, Any] | None = None  # None for paths that are made of it in other ways
    key: str = ""

    @classmethod
    def of(cls, path: Path, key: str = "") -> Source:
        """A source of which nothing is read yet; ``key`` as in ``parts.part``, empty for all of the file."""
        return cls(path)._sharing({}, key)

    def at(self, key: str) -> Source:
        """The same file, of which ``key`` is meant."""
        return type(self)(self)._sharing(self.held, key)

    def content(self, read: Callable[[Path], Any]) -> Any:
        """The content of the file, read now or before. Raises what ``read`` raises, every time."""
        held, name = {} if self.held is None else self.held, str(self)
        if name not in held:
            held[name] = read(Path(name))
        return part(held[name], self.key) if self.key else held[name]

    def _sharing(self, held: dict[str, Any] | None, key: str) -> Source:
        self.held, self.key = held, key
        return self

    def __truediv__(self, name: Any) -> Source:
        return type(self)(super().__truediv__(name))._sharing(self.held, self.key)

    def iterdir(self) -> Iterator[Source]:  # type: ignore[override]
        """The files below, which share what was read."""
        return (self / path.name for path in Path(self).iterdir())

    def glob(self, *arguments: Any, **options: Any) -> Iterator[Source]:  # type: ignore[override]
        """Matching files, which share what was read."""
        return (type(self)(path)._sharing(self.held, self.key) for path in Path(self).glob(*arguments, **options))
