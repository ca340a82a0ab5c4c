"""``gdbench checkpoint``: import, fetch, list and verify weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import typer

from gdbench import console
from gdbench.cli import options, views
from gdbench.errors import UsageError, unknown
from gdbench.params import parse_assignments
from gdbench.registry import Registry
from gdbench.specs import Checkpoint, DomainSpec, ExtraFile, GeneratorSpec


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``checkpoint``."""
    group = typer.Typer(help="Weights: import official files, fetch, list, verify.", no_args_is_help=True)
    app.add_typer(group, name="checkpoint")
    _add_import(group, registry)
    _add_fetch(group, registry)
    _add_list(group, registry)
    _add_verify(group, registry)


def _add_import(group: typer.Typer, registry: Registry) -> None:
    @group.command("import")
    def import_(
        path: Path = typer.Argument(..., help="An official file or folder, in any format that a family knows."),
        gan: str = typer.Option(
            None, help="Its family, where the file does not say.", autocompletion=options.completer(registry.generators)
        ),
        name: str = typer.Option(None, help="The name it gets; the default is that of the file."),
        domain: str = typer.Option(
            None, help="What its images show.", autocompletion=options.completer(registry.domains)
        ),
        licence: str = typer.Option(None, help="The licence of the weights."),
        key: str = typer.Option("", help="The part of a wrapped file that is meant, as state_dict.generator."),
        fact: list[str] = typer.Option(None, "--fact", metavar="NAME=VALUE", help="A fact that the file lacks."),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Convert official weights, and keep them with a card.

        They become safetensors in the user's checkpoint folder.
        """
        from gdbench.weights.checkpoints import default_folder
        from gdbench.weights.importing import import_checkpoint

        offers = options.registry_with(registry, plugin)
        if domain is not None:
            offers.domain(domain)  # a misspelt one is refused
        card = import_checkpoint(
            path,
            _specs(offers) if gan is None else [offers.generator(gan).spec],
            default_folder(),
            name=name,
            domain=domain,
            licence=licence,
            facts=parse_assignments(fact or []),
            key=key,
        )
        _show_imported(path, card, offers)


def _show_imported(path: Path, card: Checkpoint, offers: Registry) -> None:
    """What was imported, what a run of it still needs, and the command that runs it."""

    about = card.card
    family = about.get("family") or next(
        name for name, offer in offers.generators.items() if card in offer.spec.checkpoints
    )
    shape = about.get("image_shape") or [None, card.resolution, card.resolution]
    domain = card.domain if card.domain in offers.domains else None
    method = _quick_method(offers, offers.generator(family).spec, offers.domain(domain).spec if domain else None)
    facts = {
        "family": family,
        "format": f"{about['format']}, part {about['key']}"
        if "key" in about
        else about.get("format", "shipped with it"),
        "images": f"{shape[2]} x {shape[1]} px" + (f", {shape[0]} channels" if shape[0] else ""),
        "spaces": ", ".join(about.get("spaces", ())),
        "domain": card.domain,
        "licence": card.licence or "not stated",
        **{f"note {number}": note for number, note in enumerate(about.get("notes", ()), 1)},
        "needs": "; ".join(_needs(card, offers)) or "nothing more",
        "next": f"gdbench run --gan {family} --checkpoint {card.name} --method {method}",
    }
    free = next((name for name, offer in offers.domains.items() if offer.spec.unranked and not offer.spec.files), "")
    if free and facts["needs"] != "nothing more":
        facts["or now"] = f"{facts['next']} --domain {free}  # needs nothing, is not ranked"
    done = f"{path.name} is {card.name}, which ships with {family}" if card.shipped else ""
    console.say(done or f"imported {path.name} as {card.name}")
    for name, value in facts.items():
        console.say(f"{name}: {value}")


def _quick_method(offers: Registry, generator: GeneratorSpec, domain: DomainSpec | None) -> str:
    """A method to begin with: the first published one that trains nothing and needs no more than generator and domain
    have."""
    has = {*generator.provides, *(domain.offers if domain else ())}
    specs = [offer.spec for offer in offers.methods.values()]
    published = [spec for spec in specs if spec.role == "method" and spec.citation and spec.shape == "linear"]
    fit = [spec for spec in published if has >= {*spec.needs}]
    fit.sort(key=lambda spec: (spec.learned, not spec.deterministic))
    return next((spec.name for spec in fit if not spec.spaces or generator.spaces[0] in spec.spaces), "NAME")


def _needs(card: Checkpoint, offers: Registry) -> list[str]:
    """What a run of these weights still lacks."""
    from gdbench.weights.extra_files import place

    if card.domain not in offers.domains:
        known = ", ".join(offers.domains) or "none is installed"
        return [f"a domain that is installed: import it again with --domain NAME ({known})"]
    lacking = [extra for extra in offers.domain(card.domain).spec.files if not place(extra).is_file()]
    return [f"gdbench checkpoint fetch {extra.name} ({extra.size / 1e6:.0f} MB)" for extra in lacking]


def _add_fetch(group: typer.Typer, registry: Registry) -> None:
    names = (*registry.generators, *registry.extra_files())

    @group.command()
    def fetch(
        generator: str = typer.Argument(
            ..., help="A generator, or a file that a domain needs.", autocompletion=options.completer(names)
        ),
        name: str = typer.Argument(None, help="An official checkpoint of the generator; see: gdbench checkpoint list."),
        yes: bool = typer.Option(False, "--yes", help="Accept the licence without being asked."),
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Download an official file, check its hash and import it. The licence is shown first."""
        offers = options.registry_with(registry, plugin)
        extras = offers.extra_files()
        if generator in offers.generators:
            _fetch_checkpoint(offers.generator(generator).spec, name, yes)
        elif generator in extras:
            _fetch_file(extras[generator], yes)
        else:
            raise unknown("generator or file", generator, (*offers.generators, *extras))


def _fetch_file(extra: ExtraFile, yes: bool) -> None:
    from gdbench.weights import extra_files

    _agree(extra_files.licence_of_extra(extra), yes)
    with _shown(extra.name, extra.size) as show:
        path = extra_files.fetch_extra(extra, progress=show)
    console.say(f"fetched {path}")


def _fetch_checkpoint(spec: GeneratorSpec, name: str | None, yes: bool) -> None:
    from gdbench.weights import checkpoints

    if name is None:
        official = ", ".join(card.name for card in spec.checkpoints if not card.shipped) or "it has none"
        raise UsageError(f"which official checkpoint of {spec.name}? {official}")
    card = next((card for card in spec.checkpoints if card.name == name), None)
    if card is not None and card.url:
        _agree(checkpoints.licence_of(card), yes)
    with _shown(name, (card.size or 0) if card else 0) as show:
        made = checkpoints.fetch_checkpoint(spec, name, checkpoints.default_folder(), show)
    console.say(f"fetched {made.name}; use it with --gan {spec.name} --checkpoint {made.name}")


def _agree(licence: str, yes: bool) -> None:
    console.say(licence)
    if not yes:
        typer.confirm("Download it under this licence?", abort=True)


@contextmanager
def _shown(what: str, size: int) -> Iterator[Callable[[int, int], None]]:
    """A progress bar of ``size`` bytes, to be called with the bytes that are there and their total."""

    from gdbench.progress import reporter

    with reporter().task(f"fetch {what}", size) as task:
        done = 0

        def show(now: int, total: int) -> None:
            nonlocal done
            task.advance(now - done)
            done = now

        yield show


def _add_list(group: typer.Typer, registry: Registry) -> None:
    @group.command("list")
    def list_(plugin: list[Path] = options.PLUGIN, as_json: bool = options.JSON) -> None:
        """List the checkpoints, and whether their files are here."""

        _show(views.checkpoint_rows(options.registry_with(registry, plugin)), as_json)


def _add_verify(group: typer.Typer, registry: Registry) -> None:
    @group.command()
    def verify(plugin: list[Path] = options.PLUGIN, as_json: bool = options.JSON) -> None:
        """Read every checkpoint and compare its hash with its card."""

        from gdbench.weights import checkpoints
        from gdbench.weights.extra_files import verdict

        offers = options.registry_with(registry, plugin)
        verdicts = checkpoints.verify(_specs(offers), checkpoints.default_folder())
        verdicts += [verdict(extra) for extra in offers.extra_files().values()]
        _show([asdict(verdict) for verdict in verdicts], as_json)
        raise typer.Exit(5 if any(verdict.state == "damaged" for verdict in verdicts) else 0)


def _show(rows: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        console.print_json(rows)
    else:
        console.console().print(console.table_of("checkpoints", rows))


def _specs(registry: Registry) -> list[GeneratorSpec]:
    return [offer.spec for offer in registry.generators.values()]
