"""Options that several commands share, with the completion of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import fields
from itertools import pairwise
from pathlib import Path
from typing import Any

import typer
from typer.core import TyperCommand

from gdbench.params import parse_assignments
from gdbench.registry import Registry, load_registry

RUNS = Path("runs")

Names = Callable[[str], list[str]]


def completer(names: Iterable[str]) -> Names:
    """Shell completion out of ``names``."""
    known = tuple(names)
    return lambda incomplete: [name for name in known if name.startswith(incomplete)]


def run_folders(incomplete: str) -> list[str]:
    """Shell completion of run folders below ``runs`` and ``results``."""
    from gdbench.runs.store import find_runs

    folders = [str(folder.path) for root in (RUNS, Path("results")) if root.is_dir() for folder in find_runs(root)]
    return [folder for folder in folders if folder.startswith(incomplete)]


def registry_with(registry: Registry, plugins: list[Path] | None) -> Registry:
    """The registry, with the plugin files of this call."""
    return load_registry(plugins) if plugins else registry


def split_assignments(texts: list[str] | None, metrics: Iterable[str]) -> Mapping[str, Any]:
    """``-p`` values by receiver: ``lr=1`` the method's, ``gan.psi=.7`` the generator's, ``reconstruction.steps=9`` a
    metric's. Returns the keyword arguments of a run request."""
    method, generator, metric = [], [], {name: list[str]() for name in metrics}
    for text in texts or []:
        receiver, dot, rest = text.partition("=")[0].partition(".")
        tail = text[len(receiver) + 1 :]
        if dot and rest and receiver == "gan":
            generator.append(tail)
        elif dot and receiver in metric:
            metric[receiver].append(tail)
        else:
            method.append(text)
    return {
        "method_params": parse_assignments(method),
        "generator_params": parse_assignments(generator),
        "metric_params": {name: parse_assignments(given) for name, given in metric.items() if given},
    }


def with_metric_flags(registry: Registry) -> type[TyperCommand]:
    """The class (``cls=``) of commands to which ``--METRIC-FIELD VALUE`` is ``-p METRIC.FIELD=VALUE``."""

    class Command(TyperCommand):
        def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
            return super().parse_args(ctx, args if ctx.resilient_parsing else _spelled_out(ctx, args, registry))

    return Command


def _spelled_out(ctx: Any, args: list[str], registry: Registry) -> list[str]:
    """``args`` with metrics' flags as ``-p``; declared options and what follows ``--`` stay."""
    declared = {flag for param in ctx.command.params for flag in (*param.opts, *param.secondary_opts)}
    if all(token.partition("=")[0] in declared for token in args if token.startswith("--")):
        return args  # before files of plugins are loaded for nothing
    parts = [part for token in args for part in (token.split("=", 1) if token.startswith("--plugin=") else [token])]
    files = [Path(file) for flag, file in pairwise(parts) if flag == "--plugin"]
    metrics = registry_with(registry, files).metrics
    names = [f"{name}.{field.name}" for name, offer in metrics.items() for field in fields(offer.spec.params)]
    flags = {"--" + name.replace(".", "-").replace("_", "-"): name for name in names}
    spelled, rest = list[str](), iter(args)
    for token in rest:
        flag, equals, value = token.partition("=")
        if token == "--":
            return [*spelled, token, *rest]
        if flag in declared or flag not in flags:
            spelled.append(token)
        elif (given := value if equals else next(rest, None)) is None:
            ctx.fail(f"Option '{flag}' requires an argument.")
        else:
            spelled += ["-p", f"{flags[flag]}={given}"]
    return spelled


def assignments(texts: list[str] | None) -> Mapping[str, Any]:
    """``-p`` values of an engine. Raises UsageError."""
    return parse_assignments(texts or [])


LOCAL = "local"
ENGINE = typer.Option(LOCAL, help="What starts the cells: gdbench list engines.")
ENGINE_PARAMETER = typer.Option(
    None, "-p", metavar="NAME=VALUE", help="A parameter of the engine: gdbench info ENGINE."
)


def space_of(registry: Registry, gan: str, space: str | None, layers: str | None) -> str | None:
    """The space that is meant: some layers of it are written behind a colon, as in ``w:0-3``."""
    if layers is None:
        return space
    return f"{space or registry.generator(gan).spec.spaces[0]}:{layers}"


PLUGIN = typer.Option(None, "--plugin", help="A Python file with hooks, loaded beside the installed plugins.")
CHANGED = typer.Option(False, "--changed", help="Show runs of changed code too, which nobody can repeat.")
JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")
PARAMETER = typer.Option(
    None,
    "-p",
    metavar="NAME=VALUE",
    help="A parameter of the method; gan.NAME=VALUE and METRIC.NAME=VALUE for others. "
    "--METRIC-NAME VALUE is the same as the last.",
)
LAYERS = typer.Option(None, metavar="0-3", help="Let directions act on these layers alone; the others stay.")
ATTRIBUTES = typer.Option(
    None, metavar="FILE", help="What reads factors off the images: a model.onnx, or a text file of prompts for CLIP."
)
ATTRIBUTE_NAMES = typer.Option(
    None, metavar="FILE", help="The names of its outputs, one a line; the default is FILE.txt beside it."
)
ATTRIBUTE_CHECK = typer.Option(None, metavar="FILE", help="A second model that must agree with it.")
REAL_IMAGES = typer.Option(None, metavar="FOLDER", help="Real images: how far factors vary in the data.")
DEVICE = typer.Option("auto", help="auto, cpu, cuda or cuda:N.")
THREADS = typer.Option(None, min=1, help="Torch threads; what is fastest now, if not given.")
MAX_MEMORY = typer.Option(
    None, metavar="SIZE", help="Render in batches that keep the run within this memory, as 2GB; results stay the same."
)
OFFLINE = typer.Option(False, "--offline", help="Never use the network: missing files stop the run at once.")
