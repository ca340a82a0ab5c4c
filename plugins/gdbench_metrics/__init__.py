"""The metrics of the protocol: one module each, declared here."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import Column, MetricSpec, NoParams, hookimpl
from gdbench_metrics.params import (
    FactorsParams,
    NaturalnessParams,
    ObservationalParams,
    PathParams,
    RcaPaperParams,
    RealismParams,
    ReconstructionParams,
    RecoveryParams,
)

VOYNOV = "Voynov and Babenko, Unsupervised Discovery of Interpretable Directions in the GAN Latent Space, ICML 2020"
SHARE, KAPPA, FROM_0 = (0.0, 1.0), (-1.0, 1.0), (0.0, None)
"""Ranges of columns: within them intervals stay."""
LONG = {"standard": 10_000, "paper": 20_000}
"""The tiers that take time, and the steps of the reconstructor there."""

EASTWOOD = "Eastwood and Williams, Quantitative Evaluation of Disentangled Representations, ICLR 2018"

RECONSTRUCTION = (
    Column(
        "accuracy", "share of edits whose direction a fresh reconstructor names, times the alive share", range=SHARE
    ),
    Column(
        "kappa",
        "accuracy above chance: 0 guesses, 1 is always right",
        range=KAPPA,
    ),
    Column("kappa_resnet", "the same for a ResNet-18 reconstructor (from the standard tier on)", range=KAPPA),
    Column(
        "bits", "information of the named about the true direction, times the alive share", unit="bit", range=FROM_0
    ),
    Column(
        "magnitude_error",
        "mean error of the visible change and its sign; .225 is a guess",
        "lower",
        "D-bar",
        range=FROM_0,
    ),
    Column(
        "leak", "accuracy between copies that differ by an invisible pattern; up to .6 passes", "neither", range=SHARE
    ),
)
RECOVERY = (
    Column(
        "recall",
        "share of the known factors that the directions recover, one direction for each",
        ranked=True,
        range=SHARE,
        brief=True,
    ),
    Column(
        "precision",
        "mean over the K directions of the share of the one known thing that each does most; "
        "ceil(K / J) directions count for each of J factors",
        ranked=True,
        range=SHARE,
        brief=True,
    ),
    Column("F1", "harmonic mean of recall and precision", ranked=True, range=SHARE, headline=True, brief=True),
    Column("purity", "mean over directions of the largest share, however many move the same factor", range=SHARE),
    Column("found", "factors that some direction moves with a share above .3", unit="factors", range=FROM_0),
    Column(
        "led",
        "how many factors the directions are spread over: exp(entropy) of what each moves most",
        "neither",
        range=FROM_0,
    ),
    Column("counted", "factors that count for this generator", "neither", range=FROM_0),
)
DISTINCT = (
    Column(
        "distinct",
        "how many of K directions a reader in closed form tells apart: 2^bits",
        "neither",
        range=FROM_0,
    ),
    Column("bits", "information of the named about the true direction", "neither", "bit", range=FROM_0),
)
FACTORS = (
    Column(
        "disentanglement",
        "each direction moves one factor (weighted entropy of rows), times the alive share",
        range=SHARE,
    ),
    Column(
        "completeness",
        "one direction of the living moves each factor (weighted entropy), times the alive share",
        range=SHARE,
    ),
    Column(
        "monotonicity", "does a direction's leading factor rise from - to + in every image; 0 is noise", range=KAPPA
    ),
    Column("counted", "factors that count for this generator", "neither", range=FROM_0),
)
DIVERSITY = (
    Column("rank_image", "effective number of different directions, seen in image features", range=FROM_0),
    Column("rank_latent", "effective number of different directions in the latent space", range=FROM_0),
    Column(
        "duplicates",
        "share of directions that are dead or do what another does (mean cosine above .9)",
        "lower",
        range=SHARE,
    ),
    Column(
        "alive_share", "directions that reach a visible change of .30; one dead sign is half a failure", range=SHARE
    ),
)
COST = (
    Column("images", "images rendered in discovery", "lower", range=FROM_0, brief=True),
    Column("backward", "images that a gradient flowed back through", "lower", range=FROM_0),
    Column("cpu_seconds", "processor time of discovery", "lower", "s", range=FROM_0),
    Column("wall_seconds", "time that discovery took", "lower", "s", range=FROM_0),
    Column("peak_memory", "largest memory until the end of discovery", "lower", "MiB", range=FROM_0),
)
PATH = (
    Column("straightness", "chord by way from -t to +t in the perceptual space; 1 is straight", range=SHARE),
    Column("evenness", "1 / (1 + variation of the ten steps); 1 is even", range=SHARE),
)


def _realism() -> Iterable[Column]:
    yield Column("kid_real_00", "KID of unedited against real images: what the generator itself lacks", "neither")
    yield Column("kid_real_00_se", "its standard error", "neither")
    yield Column("precision_real_00", "share of unedited images inside the real manifold", "neither", range=SHARE)
    for tau in ("15", "30", "45"):
        ranked = tau == "30"
        yield Column(f"kid_{tau}", f"KID of images edited by .{tau} against unedited ones", "lower", ranked=ranked)
        yield Column(f"kid_{tau}_se", "its standard error", "neither")
        yield Column(f"precision_{tau}", f"share of images edited by .{tau} inside the unedited manifold", range=SHARE)
        yield Column(f"kid_real_{tau}", f"KID of images edited by .{tau} against real ones", "lower")
        yield Column(f"kid_real_{tau}_se", "its standard error", "neither")
        yield Column(f"precision_real_{tau}", f"share of images edited by .{tau} inside the real manifold", range=SHARE)


RCA_PAPER = (
    Column(
        "accuracy",
        "share of shifts whose direction a fresh reconstructor names, in the method's own range",
        range=SHARE,
    ),
    Column("shift_error", "mean error of epsilon; depends on the method's own signs and steps", "neither"),
)
OBSERVATIONAL = (
    Column("mig", "mutual information gap of coordinates and factors", range=SHARE),
    Column("sap", "gap of the variance explained by the two best coordinates", range=SHARE),
    Column("dci_disentanglement", "each coordinate predicts one factor", range=SHARE),
    Column("dci_completeness", "one coordinate predicts each factor", range=SHARE),
    Column("modularity", "each coordinate has information on one factor", range=SHARE),
)
NATURALNESS = (
    Column(
        "naturalness",
        "2 * accuracy - 1 of classifiers that know the direction from real images alone",
        ranked=True,
        range=KAPPA,
    ),
    Column(
        "balanced",
        "share of labellings with .2 to .8 of real images on one side; the others count 0",
        "neither",
        range=SHARE,
    ),
)

METRICS = (
    MetricSpec(
        name="recovery",
        summary="how many known factors do the directions recover, and how purely?",
        measure="gdbench_metrics.recovery:measure",
        columns=RECOVERY,
        params=RecoveryParams,
        smoke={"samples": 500},
        needs=("factors",),
        default=True,
        citation="PROTOCOL, Recovery",
    ),
    MetricSpec(
        name="distinct",
        summary="how many of the directions can be told apart, by a reader in closed form?",
        measure="gdbench_metrics.distinct:measure",
        columns=DISTINCT,
        needs=("domain",),
        default=True,
        citation="Ledoit and Wolf, A Well-Conditioned Estimator for Large-Dimensional Covariance Matrices, 2004",
    ),
    MetricSpec(
        name="reconstruction",
        summary="can a fresh reconstructor name the direction, at equal visible change?",
        measure="gdbench_metrics.reconstruction:measure",
        columns=RECONSTRUCTION,
        params=ReconstructionParams,
        smoke={"steps": 12, "test": 256, "leak_steps": 8},
        tiers={tier: {"steps": steps, "reuse": 1, "leak_steps": 2000, "resnet": True} for tier, steps in LONG.items()},
        measured_with=("diversity",),
        citation=VOYNOV,
    ),
    MetricSpec(
        name="factors",
        summary="which known factors does each direction move, and how purely?",
        measure="gdbench_metrics.factors:measure",
        columns=FACTORS,
        params=FactorsParams,
        smoke={"samples": 500},
        needs=("factors",),
        version=3,  # 2 had coverage, purity, concentration and precision_at_k, which recovery replaces
        citation=EASTWOOD,
    ),
    MetricSpec(
        name="diversity",
        summary="how many different directions are there, in latents and in images?",
        measure="gdbench_metrics.diversity:measure",
        columns=DIVERSITY,
        needs=("domain",),
        default=True,
        version=2,
        citation="Roy and Vetterli, The Effective Rank, EUSIPCO 2007",
    ),
    MetricSpec(
        name="cost",
        summary="what did the discovery cost?",
        measure="gdbench_metrics.cost:measure",
        columns=COST,
        params=NoParams,
        default=True,
    ),
    MetricSpec(
        name="path",
        summary="is the way along a direction straight and even?",
        measure="gdbench_metrics.path:measure",
        columns=PATH,
        params=PathParams,
        smoke={"codes": 2},
        tiers={tier: {"codes": 64} for tier in LONG},
        needs=("domain",),
    ),
    MetricSpec(
        name="realism",
        summary="do edited images still look like the generator's own, and like real ones?",
        measure="gdbench_metrics.realism:measure",
        columns=tuple(_realism()),
        params=RealismParams,
        smoke={"images": 32},
        tiers={tier: {"images": 5000} for tier in LONG},
        needs=("domain",),
        version=2,  # 1 compared repeated real images where it asked for more than there are
        citation="Binkowski et al., Demystifying MMD GANs, ICLR 2018",
    ),
    MetricSpec(
        name="naturalness",
        summary="does what a direction changes vary among real images too?",
        measure="gdbench_metrics.naturalness:measure",
        version=2,  # the first convolution is shared by classifiers that see the same image: other rounding
        columns=NATURALNESS,
        params=NaturalnessParams,
        smoke={"initialisations": 2, "steps": 2, "batch": 4, "codes": 4, "real": 16},
        tiers={tier: {"batch": 32, "codes": 384, "real": 2000} for tier in LONG},
        needs=("images",),
        citation=VOYNOV,
    ),
    MetricSpec(
        name="rca_paper",
        summary="reconstruction accuracy by the paper's letter: the method's own range, nothing calibrated",
        measure="gdbench_metrics.rca_paper:measure",
        columns=RCA_PAPER,
        params=RcaPaperParams,
        smoke={"steps": 4, "test": 32},
        tiers={"standard": {"steps": 10_000}, "paper": {"steps": 100_000, "rate": 1e-4}},
        citation=VOYNOV,
    ),
    MetricSpec(
        name="observational",
        summary="MIG, SAP, DCI and modularity of straight directions as coordinates of the prior",
        measure="gdbench_metrics.observational:measure",
        columns=OBSERVATIONAL,
        params=ObservationalParams,
        smoke={"samples": 200},
        tiers={tier: {"samples": 10_000} for tier in LONG},
        needs=("factors",),
        version=2,  # 1 gave DCI's columns the variances of their factors, which depend on units
        citation="Locatello et al., Challenging Common Assumptions in Disentanglement, ICML 2019",
    ),
)


@hookimpl
def gdbench_metrics() -> Iterable[MetricSpec]:
    """Offer the metrics of docs/protocol.md."""
    return METRICS
