"""Every first-party plugin keeps the contract that strangers are held to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from gdbench.registry import Registry, load_registry
from gdbench.testing import checks, clauses, run_checks
from gdbench.testing.runner import offers
from gdbench.weights.checkpoints import default_folder
from gdbench.weights.importing import import_checkpoint
from tests.plugins import writers_biggan, writers_progan, writers_sngan, writers_stylegan2, writers_stylegan3


def first_party(registry: Registry) -> list[str]:
    kinds = (registry.generators, registry.methods, registry.metrics, registry.domains, registry.engines)
    return sorted({name for kind in kinds for name, offer in kind.items() if offer.provider.distribution == "gdbench"})


@pytest.mark.gdbench_checks(*first_party(load_registry()))
def test_contract(gdbench_check) -> None:  # type: ignore[no-untyped-def]
    gdbench_check()


def test_no_first_party_plugin_is_broken() -> None:
    broken = [str(fault) for fault in load_registry().broken if fault.distribution == "gdbench"]
    assert broken == []


def test_what_is_shipped_is_checked_and_not_skipped() -> None:
    registry = load_registry()
    specs = [offer.spec for offer in registry.generators.values() if offer.provider.distribution == "gdbench"]
    cards = {spec.name: [card for card in spec.checkpoints if card.shipped] for spec in specs}
    names = {spec.name for spec in specs if cards[spec.name] or (spec.domain and not spec.checkpoints)}
    domains = {spec.domain for spec in specs if spec.domain} | {card.domain for kept in cards.values() for card in kept}
    names |= {name for name in domains if not registry.domain(name).spec.files}  # what must be fetched is not shipped
    assert {"scenes", "mnist", "toy"} <= names
    loads = [
        check
        for name in sorted(names)
        for offer in offers(name, registry)
        for check in checks(offer, registry)
        if check.clause in ("G01", "G02", "D01")
    ]
    skipped = [result for result in (check.run() for check in loads) if result.status == "skipped"]
    assert [result for result in skipped if "no shipped checkpoint" not in result.reason] == []


def biggan(path: Path) -> None:
    torch.save(writers_biggan.ajbrock(np.random.default_rng(0), (2, 2, 1), classes=7), path)


def progan(path: Path) -> None:
    torch.save(writers_progan.ptrblck(), path)


def sngan(path: Path) -> None:
    torch.save(writers_sngan.mimicry(writers_sngan.Sizes(classes=3)), path)


def stylegan2(path: Path) -> None:
    torch.save(writers_stylegan2.rosinality(writers_stylegan2.Sizes())[0], path)


def stylegan3(path: Path) -> None:
    writers_stylegan3.write(path, writers_stylegan3.drawn(writers_stylegan3.Sizes(classes=3)))


@pytest.mark.parametrize("write", [biggan, progan, sngan, stylegan2, stylegan3], ids=lambda write: write.__name__)
def test_official_files_give_generators_that_keep_the_contract(
    write: Callable[[Path], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    write(tmp_path / "official.pth")
    registry = load_registry()
    offer = registry.generator(write.__name__)
    import_checkpoint(tmp_path / "official.pth", [offer.spec], default_folder())
    imported = replace(offer, spec=replace(offer.spec, checkpoints=()))
    results = {result.name: result for result in run_checks(imported, registry)}
    del results["check_generator_image_range"]  # random weights paint what they like
    assert [result for result in results.values() if result.status == "failed"] == []
    assert results["check_generator_loads"].status == "passed"


def test_clauses_are_numbered_once_and_say_what_they_ask() -> None:
    found = clauses()
    numbers = [name.split()[0] for name, _ in found]
    assert len(set(numbers)) == len(numbers)
    assert all(sentence.endswith(".") and "\n" not in sentence for _, sentence in found)
