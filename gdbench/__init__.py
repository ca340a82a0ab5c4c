"""gdbench: a fair benchmark for methods that find interpretable directions in GAN latent spaces.

Names that need torch are loaded at first use, so ``import gdbench`` costs nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from gdbench.errors import (
    Busy,
    GdbenchError,
    IntegrityError,
    MissingFile,
    PluginError,
    UsageError,
)
from gdbench.hooks import hookimpl
from gdbench.specs import (
    Checkpoint,
    Column,
    DomainSpec,
    ExtraFile,
    GeneratorSpec,
    MethodSpec,
    MetricSpec,
    NoParams,
)

if TYPE_CHECKING:
    from gdbench.api import load_domain, load_generator, read_run, run
    from gdbench.calibration import Calibration, calibrate
    from gdbench.cards import plugin_folder
    from gdbench.cells import markdown
    from gdbench.codes import Codes
    from gdbench.context import Context
    from gdbench.directions import LinearDirections, orthonormal
    from gdbench.extra_files import checked as checked_file
    from gdbench.factors import coordinates, difference, mean_square, spread, steering, turned, visible
    from gdbench.files import atomic_write, sha256, write_text
    from gdbench.networks import load_network
    from gdbench.params import build as build_params
    from gdbench.params import parse_assignments
    from gdbench.perception import distance, embed, image_features
    from gdbench.prior import Moments, moments
    from gdbench.protocols import Directions, Domain, Factor, Generator, Oracle, Scores, Void
    from gdbench.registry import generator_specs
    from gdbench.streams import Stream, initialised, integers, normal, uniform
    from gdbench.subject import Edits, Subject
    from gdbench.training import falling, train
    from gdbench.units import unit_blocks, unit_values
    from gdbench.unpickle import Record
    from gdbench.weights import load_weights, read_facts, save_weights

__version__ = "0.1.0"

_LAZY = {
    "run": "api",
    "load_generator": "api",
    "load_domain": "api",
    "read_run": "api",
    "Calibration": "calibration",
    "plugin_folder": "cards",
    "calibrate": "calibration",
    "markdown": "cells",
    "Codes": "codes",
    "Context": "context",
    "LinearDirections": "directions",
    "orthonormal": "directions",
    "checked_file": "extra_files:checked",
    "load_network": "networks",
    "build_params": "params:build",
    "parse_assignments": "params",
    "distance": "perception",
    "embed": "perception",
    "image_features": "perception",
    "coordinates": "factors",
    "difference": "factors",
    "mean_square": "factors",
    "turned": "factors",
    "spread": "factors",
    "steering": "factors",
    "visible": "factors",
    "atomic_write": "files",
    "sha256": "files",
    "write_text": "files",
    "Moments": "prior",
    "moments": "prior",
    "Directions": "protocols",
    "Domain": "protocols",
    "Factor": "protocols",
    "Generator": "protocols",
    "Oracle": "protocols",
    "Scores": "protocols",
    "Void": "protocols",
    "generator_specs": "registry",
    "Stream": "streams",
    "initialised": "streams",
    "integers": "streams",
    "normal": "streams",
    "uniform": "streams",
    "train": "training",
    "falling": "training",
    "unit_blocks": "units",
    "unit_values": "units",
    "Edits": "subject",
    "Subject": "subject",
    "Record": "unpickle",
    "load_weights": "weights",
    "read_facts": "weights",
    "save_weights": "weights",
}

__all__ = [
    "Busy",
    "Calibration",
    "Checkpoint",
    "Codes",
    "Column",
    "Context",
    "Directions",
    "Domain",
    "DomainSpec",
    "Edits",
    "ExtraFile",
    "Factor",
    "GdbenchError",
    "Generator",
    "GeneratorSpec",
    "IntegrityError",
    "LinearDirections",
    "MethodSpec",
    "MetricSpec",
    "MissingFile",
    "Moments",
    "NoParams",
    "Oracle",
    "PluginError",
    "Record",
    "Scores",
    "Stream",
    "Subject",
    "UsageError",
    "Void",
    "__version__",
    "atomic_write",
    "build_params",
    "calibrate",
    "checked_file",
    "coordinates",
    "difference",
    "distance",
    "embed",
    "falling",
    "generator_specs",
    "hookimpl",
    "image_features",
    "initialised",
    "integers",
    "load_domain",
    "load_generator",
    "load_network",
    "load_weights",
    "markdown",
    "mean_square",
    "moments",
    "normal",
    "orthonormal",
    "parse_assignments",
    "plugin_folder",
    "read_facts",
    "read_run",
    "run",
    "save_weights",
    "sha256",
    "spread",
    "steering",
    "train",
    "turned",
    "uniform",
    "unit_blocks",
    "unit_values",
    "visible",
    "write_text",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, _, attribute = _LAZY[name].partition(":")
        return getattr(importlib.import_module(f"gdbench.{module}"), attribute or name)
    raise AttributeError(f"module 'gdbench' has no attribute {name!r}")
