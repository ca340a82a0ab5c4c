"""The metrics of the protocol: one module each, declared here."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import Column, MetricSpec, NoParams, hookimpl
from gdbench_metrics.params import FactorsParams, ReconstructionParams

VOYNOV = "Voynov and Babenko, Unsupervised Discovery of Interpretable Directions in the GAN Latent Space, ICML 2020"
EASTWOOD = "Eastwood and Williams, Quantitative Evaluation of Disentangled Representations, ICLR 2018"

RECONSTRUCTION = (
    Column("accuracy", "share of edits whose direction a fresh reconstructor names, times the alive share"),
    Column("kappa", "accuracy above chance: 0 guesses, 1 is always right", ranked=True),
    Column("bits", "information of the named about the true direction, times the alive share", unit="bit"),
    Column("magnitude_error", "mean error of the visible change and its sign; .225 is a guess", "lower", "D-bar"),
    Column("leak", "accuracy between twins that differ by an invisible pattern; up to .6 passes", "neither"),
)
FACTORS = (
    Column("coverage", "share of factors that some direction moves by half a spread, and little else", ranked=True),
    Column("disentanglement", "each direction moves one factor (weighted entropy of rows), times the alive share"),
    Column("completeness", "one direction moves each factor (weighted entropy of columns), times the alive share"),
    Column("purity", "mean over factors of the purest direction that moves it by half a spread"),
    Column("concentration", "mean over directions of the largest share that one factor has of its effect"),
    Column("precision_at_k", "share of directions that are alive, move a factor by half a spread, and little else"),
    Column("monotonicity", "does a direction's leading factor rise from - to + in every image; 0 is noise"),
    Column("counted", "factors that count for this generator", "neither"),
)
DIVERSITY = (
    Column("rank_image", "effective number of different directions, seen in image features", ranked=True),
    Column("rank_latent", "effective number of different directions in the latent space"),
    Column("duplicates", "share of directions that do what another one does (mean cosine above .9)", "lower"),
    Column("alive_share", "directions that reach a visible change of .30; one dead sign is half a failure"),
)
COST = (
    Column("images", "images rendered in discovery", "lower"),
    Column("backward", "images that a gradient flowed back through", "lower"),
    Column("cpu_seconds", "processor time of discovery", "lower", "s"),
    Column("wall_seconds", "time that discovery took", "lower", "s"),
    Column("peak_memory", "largest memory until the end of discovery", "lower", "MiB"),
)


@hookimpl
def gdbench_metrics() -> Iterable[MetricSpec]:
    """Offer the metrics of PROTOCOL.md, section 5."""
    yield MetricSpec(
        name="reconstruction",
        summary="can a fresh reconstructor name the direction, at equal visible change?",
        measure="gdbench_metrics.reconstruction:measure",
        columns=RECONSTRUCTION,
        params=ReconstructionParams,
        smoke={"steps": 12, "test": 256, "leak_steps": 8},
        tiers={
            "standard": {"steps": 10_000, "reuse": 1, "leak_steps": 2000},
            "paper": {"steps": 20_000, "reuse": 1, "leak_steps": 2000},
        },
        default=True,
        citation=VOYNOV,
    )
    yield MetricSpec(
        name="factors",
        summary="which known factors does each direction move, and how purely?",
        measure="gdbench_metrics.factors:measure",
        columns=FACTORS,
        params=FactorsParams,
        smoke={"samples": 500},
        needs=("factors",),
        default=True,
        citation=EASTWOOD,
    )
    yield MetricSpec(
        name="diversity",
        summary="how many different directions are there, in latents and in images?",
        measure="gdbench_metrics.diversity:measure",
        columns=DIVERSITY,
        needs=("images",),
        default=True,
        citation="Roy and Vetterli, The Effective Rank, EUSIPCO 2007",
    )
    yield MetricSpec(
        name="cost",
        summary="what did the discovery cost?",
        measure="gdbench_metrics.cost:measure",
        columns=COST,
        params=NoParams,
        default=True,
    )
