"""docs/writing-plugins.md shows the files of tests/third_party/ and what the code says of itself.

``python tests/test_docs_plugins.py`` cuts them in.
"""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import gdbench

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "docs" / "writing-plugins.md"
BLOCK = re.compile(r"(<!-- file: (\S+) -->\n```\w+\n)(.*?)(```\n)", re.DOTALL)


LIST = re.compile(r"(<!-- (helpers|members) -->\n).*?(<!-- end -->\n)", re.DOTALL)


def helpers() -> str:
    """Every public function: how it is called, and its first sentence."""
    named = {name: getattr(gdbench, name) for name in gdbench.__all__}
    lines = [
        f"- `{name}{called(function)}`: {sentence(function)}"
        for name, function in named.items()
        if is_function(function)
    ]
    return "\n".join(lines) + "\n"


def members() -> str:
    """Every optional member: its name, the protocol that tells who has it, and what that says."""
    named = {name: getattr(gdbench, name) for name in gdbench.__all__}
    lines = [
        f"- `{name}` (`{'`, `'.join(own(protocol))}`): {sentence(protocol)}"
        for name, protocol in named.items()
        if getattr(protocol, "_is_runtime_protocol", False)
    ]
    return "\n".join(lines) + "\n"


def is_function(value: Any) -> bool:
    return inspect.isfunction(value) and value.__module__.startswith("gdbench")


def called(function: Any) -> str:
    """The signature without types: ``(rng, low, high, *shape)``."""
    signature = inspect.signature(function)
    bare = [one.replace(annotation=inspect.Parameter.empty) for one in signature.parameters.values()]
    text = str(signature.replace(parameters=bare, return_annotation=inspect.Signature.empty))
    return re.sub(r"<gdbench\.context\._Silent object at 0x\w+>", "SILENT", text)


def sentence(value: Any) -> str:
    return " ".join(str(inspect.getdoc(value)).split("\n\n")[0].split())


def own(protocol: type) -> list[str]:
    return [name for name in vars(protocol) if not name.startswith("_")]


def with_files(page: str) -> str:
    """The page with the text of the named file in every marked block, and with the lists of the code."""
    page = LIST.sub(lambda found: found[1] + {"helpers": helpers, "members": members}[found[2]]() + found[3], page)
    return BLOCK.sub(lambda found: found[1] + (ROOT / found[2]).read_text() + found[4], page)


def test_every_example_is_the_tested_file() -> None:
    page = PAGE.read_text()
    assert len(BLOCK.findall(page)) == 8
    assert len(LIST.findall(page)) == 2
    assert page == with_files(page), "run: python tests/test_docs_plugins.py"


def test_the_page_shows_every_file_of_the_distribution() -> None:
    shown = {name for _, name, _, _ in BLOCK.findall(PAGE.read_text())}
    project = ROOT / "tests" / "third_party" / "gdbench-lab"
    files = {str(path.relative_to(ROOT)) for path in project.rglob("*") if path.suffix in (".py", ".toml")}
    assert files <= shown


def test_every_helper_is_shown_as_it_is_called() -> None:
    page = PAGE.read_text()
    assert "- `uniform(rng, low, high, *shape)`: " in page
    assert "- `fitted(images, shape)`: " in page
    assert "- `FiniteImages` (`real_images`): " in page
    assert " at 0x" not in page


if __name__ == "__main__":
    PAGE.write_text(with_files(PAGE.read_text()))
