"""Options that several commands share, with the completion of names."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import typer

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
    from gdbench.store import find_runs

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


PLUGIN = typer.Option(None, "--plugin", help="A Python file with hooks, loaded beside the installed plugins.")
JSON = typer.Option(False, "--json", help="Print JSON instead of a table.")
PARAMETER = typer.Option(
    None, "-p", metavar="NAME=VALUE", help="A parameter of the method; gan.NAME=VALUE and METRIC.NAME=VALUE for others."
)
DEVICE = typer.Option("auto", help="auto, cpu, cuda or cuda:N.")
THREADS = typer.Option(None, min=1, help="Torch threads; the default is torch's own.")
MAX_MEMORY = typer.Option(
    None, metavar="SIZE", help="Render in batches that keep the run within this memory, as 2GB; results stay the same."
)
OFFLINE = typer.Option(False, "--offline", help="Never use the network: missing files stop the run at once.")
