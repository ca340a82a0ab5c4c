"""Official checkpoints can be run: each has a domain that is installed, so that visible change can be measured."""

from __future__ import annotations

import pytest

from gdbench.registry import load_registry

FAMILIES = ("biggan", "progan", "sngan", "stylegan2", "stylegan3")


@pytest.mark.parametrize("family", FAMILIES)
def test_official_files_have_an_installed_domain_and_say_what_they_show(family: str) -> None:
    registry = load_registry()
    spec = registry.generator(family).spec
    assert all(card.domain in registry.domains for card in spec.checkpoints)
    assert all(card.licence != "" for card in spec.checkpoints if not card.shipped)
    assert spec.domain in registry.domains
