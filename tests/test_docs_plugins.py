"""docs/writing-plugins.md shows the files of tests/third_party/; ``python tests/test_docs_plugins.py`` cuts them in."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "writing-plugins.md"
BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)


def with_files(page: str) -> str:
    """The page with the text of the named file in every marked block."""
    return BLOCK.sub(lambda found: found[1] + (ROOT / found[2]).read_text() + found[4], page)


def test_every_example_is_the_tested_file() -> None:
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 7
    assert page == with_files(page), "run: python tests/test_docs_plugins.py"


def test_the_page_shows_every_file_of_the_distribution() -> None:
    shown = {name for _, name, _, _ in BLOCK.findall(PAGE.read_text())}
    project = ROOT / "tests" / "third_party" / "gdbench-lab"
    files = {str(path.relative_to(ROOT)) for path in project.rglob("*") if path.suffix in (".py", ".toml")}
    assert files <= shown


if __name__ == "__main__":
    PAGE.write_text(with_files(PAGE.read_text()))
