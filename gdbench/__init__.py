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
    EngineSpec,
    ExtraFile,
    GeneratorSpec,
    MethodSpec,
    MetricSpec,
    NoParams,
)
from gdbench.version import __version__

if TYPE_CHECKING:
    from gdbench.boards.api import leaderboard
    from gdbench.boards.board import Leaderboard
    from gdbench.boards.cells import markdown
    from gdbench.codes import Codes
    from gdbench.context import Context
    from gdbench.directions import LinearDirections, orthonormal
    from gdbench.engines import Engine, EngineSetup, Job, JobState, Resources
    from gdbench.evaluation.blocks import block_numbers, block_values
    from gdbench.evaluation.calibration import Calibration, calibrate
    from gdbench.evaluation.factors import coordinates, difference, mean_square, spread, steering, turned, visible
    from gdbench.evaluation.perception import distance, embed, fitted, image_features
    from gdbench.evaluation.prior import DenseMoments, DiagonalMoments, LowRankMoments, Moments, moments
    from gdbench.evaluation.sample_distances import inside, kid, precision
    from gdbench.evaluation.subject import Edits, Readings, Subject
    from gdbench.explorer.api import Explorer, explore
    from gdbench.files import atomic_write, sha256, write_text
    from gdbench.home import data_folder
    from gdbench.params import build as build_params
    from gdbench.params import parse_assignments
    from gdbench.programs import Op, Program, ProgramWriter
    from gdbench.protocols import (
        Bindable,
        ChannelWeights,
        CodeDependent,
        DataFolder,
        Directions,
        Domain,
        Factor,
        Features,
        FiniteImages,
        Generator,
        Licensed,
        MapsToW,
        ModulationWeights,
        Oracle,
        OwnFeatures,
        Programmed,
        Scores,
        StepLengths,
        StraightDirections,
        TrainingImages,
        Void,
    )
    from gdbench.record import RunRecord
    from gdbench.registry import generator_specs
    from gdbench.runs.api import load_domain, load_generator, read_run, read_runs, run
    from gdbench.runs.carry import Carried, carried, packed
    from gdbench.spaces import LayeredSpace
    from gdbench.streams import Stream, initialised, integers, normal, unfilled, uniform
    from gdbench.tensors import load_tensors, read_facts, save_tensors, save_weights
    from gdbench.training import falling, train
    from gdbench.weights.cards import plugin_folder
    from gdbench.weights.download import fetch as fetch_file
    from gdbench.weights.extra_files import checked as checked_file
    from gdbench.weights.networks import load_network
    from gdbench.weights.reading import load_weights
    from gdbench.weights.unpickle import Record
    from gdbench.wrapping import Wrapped, wrap

_LAZY = {
    "run": "runs.api",
    "load_generator": "runs.api",
    "load_domain": "runs.api",
    "read_run": "runs.api",
    "read_runs": "runs.api",
    "explore": "explorer.api",
    "Explorer": "explorer.api",
    "leaderboard": "boards.api",
    "Leaderboard": "boards.board",
    "RunRecord": "record",
    "Engine": "engines",
    "EngineSetup": "engines",
    "Job": "engines",
    "JobState": "engines",
    "Resources": "engines",
    "Carried": "runs.carry",
    "carried": "runs.carry",
    "packed": "runs.carry",
    "data_folder": "home",
    "fetch_file": "weights.download:fetch",
    "Calibration": "evaluation.calibration",
    "plugin_folder": "weights.cards",
    "calibrate": "evaluation.calibration",
    "markdown": "boards.cells",
    "Codes": "codes",
    "Context": "context",
    "LinearDirections": "directions",
    "orthonormal": "directions",
    "checked_file": "weights.extra_files:checked",
    "load_network": "weights.networks",
    "build_params": "params:build",
    "parse_assignments": "params",
    "distance": "evaluation.perception",
    "embed": "evaluation.perception",
    "fitted": "evaluation.perception",
    "image_features": "evaluation.perception",
    "coordinates": "evaluation.factors",
    "difference": "evaluation.factors",
    "mean_square": "evaluation.factors",
    "turned": "evaluation.factors",
    "spread": "evaluation.factors",
    "steering": "evaluation.factors",
    "visible": "evaluation.factors",
    "atomic_write": "files",
    "sha256": "files",
    "write_text": "files",
    "DenseMoments": "evaluation.prior",
    "DiagonalMoments": "evaluation.prior",
    "LowRankMoments": "evaluation.prior",
    "inside": "evaluation.sample_distances",
    "kid": "evaluation.sample_distances",
    "precision": "evaluation.sample_distances",
    "Moments": "evaluation.prior",
    "moments": "evaluation.prior",
    "CodeDependent": "protocols",
    "Directions": "protocols",
    "Bindable": "protocols",
    "ChannelWeights": "protocols",
    "DataFolder": "protocols",
    "Features": "protocols",
    "FiniteImages": "protocols",
    "Licensed": "protocols",
    "MapsToW": "protocols",
    "ModulationWeights": "protocols",
    "OwnFeatures": "protocols",
    "Programmed": "protocols",
    "Op": "programs",
    "Program": "programs",
    "ProgramWriter": "programs",
    "StepLengths": "protocols",
    "StraightDirections": "protocols",
    "TrainingImages": "protocols",
    "Domain": "protocols",
    "Factor": "protocols",
    "Generator": "protocols",
    "Oracle": "protocols",
    "Scores": "protocols",
    "Void": "protocols",
    "generator_specs": "registry",
    "LayeredSpace": "spaces",
    "Stream": "streams",
    "initialised": "streams",
    "unfilled": "streams",
    "integers": "streams",
    "normal": "streams",
    "uniform": "streams",
    "train": "training",
    "falling": "training",
    "block_numbers": "evaluation.blocks",
    "block_values": "evaluation.blocks",
    "unit_blocks": "evaluation.blocks:block_numbers",  # former names, which plugins may still use
    "unit_values": "evaluation.blocks:block_values",
    "Edits": "evaluation.subject",
    "Readings": "evaluation.subject",
    "Subject": "evaluation.subject",
    "Record": "weights.unpickle",
    "Wrapped": "wrapping",
    "wrap": "wrapping",
    "load_weights": "weights.reading",
    "read_facts": "tensors",
    "save_weights": "tensors",
    "load_tensors": "tensors",
    "save_tensors": "tensors",
}

__all__ = [
    "Bindable",
    "Busy",
    "Calibration",
    "Carried",
    "ChannelWeights",
    "Checkpoint",
    "CodeDependent",
    "Codes",
    "Column",
    "Context",
    "DataFolder",
    "DenseMoments",
    "DiagonalMoments",
    "Directions",
    "Domain",
    "DomainSpec",
    "Edits",
    "Engine",
    "EngineSetup",
    "EngineSpec",
    "Explorer",
    "ExtraFile",
    "Factor",
    "Features",
    "FiniteImages",
    "GdbenchError",
    "Generator",
    "GeneratorSpec",
    "IntegrityError",
    "Job",
    "JobState",
    "LayeredSpace",
    "Leaderboard",
    "Licensed",
    "LinearDirections",
    "LowRankMoments",
    "MapsToW",
    "MethodSpec",
    "MetricSpec",
    "MissingFile",
    "ModulationWeights",
    "Moments",
    "NoParams",
    "Op",
    "Oracle",
    "OwnFeatures",
    "PluginError",
    "Program",
    "ProgramWriter",
    "Programmed",
    "Readings",
    "Record",
    "Resources",
    "RunRecord",
    "Scores",
    "StepLengths",
    "StraightDirections",
    "Stream",
    "Subject",
    "TrainingImages",
    "UsageError",
    "Void",
    "Wrapped",
    "__version__",
    "atomic_write",
    "block_numbers",
    "block_values",
    "build_params",
    "calibrate",
    "carried",
    "checked_file",
    "coordinates",
    "data_folder",
    "difference",
    "distance",
    "embed",
    "explore",
    "falling",
    "fetch_file",
    "fitted",
    "generator_specs",
    "hookimpl",
    "image_features",
    "initialised",
    "inside",
    "integers",
    "kid",
    "leaderboard",
    "load_domain",
    "load_generator",
    "load_network",
    "load_tensors",
    "load_weights",
    "markdown",
    "mean_square",
    "moments",
    "normal",
    "orthonormal",
    "packed",
    "parse_assignments",
    "plugin_folder",
    "precision",
    "read_facts",
    "read_run",
    "read_runs",
    "run",
    "save_tensors",
    "save_weights",
    "sha256",
    "spread",
    "steering",
    "train",
    "turned",
    "unfilled",
    "uniform",
    "visible",
    "wrap",
    "write_text",
]


def __getattr__(name: str) -> Any:
    if name in _LAZY:
        module, _, attribute = _LAZY[name].partition(":")
        return getattr(importlib.import_module(f"gdbench.{module}"), attribute or name)
    raise AttributeError(f"module 'gdbench' has no attribute {name!r}")
