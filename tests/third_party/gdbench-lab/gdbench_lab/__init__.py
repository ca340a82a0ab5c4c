"""What our lab offers. Importing this file imports no torch: the code behind it is named by strings."""

from dataclasses import dataclass, field

from gdbench import Column, DomainSpec, GeneratorSpec, MethodSpec, MetricSpec, hookimpl


@dataclass(frozen=True)
class SteepestParams:
    samples: int = field(default=2_000, metadata={"help": "codes at which the slopes are measured"})
    batch: int = field(default=100, metadata={"help": "codes at a time"})


@hookimpl
def gdbench_methods():
    yield MethodSpec(
        name="steepest",
        summary="directions along which the picture changes most, to first order",
        discover="gdbench_lab.method:discover",
        params=SteepestParams,
        smoke={"samples": 200},
        tiers={"standard": {"samples": 20_000}},
    )


@hookimpl
def gdbench_generators():
    yield GeneratorSpec(
        name="disc",
        summary="a coloured disc on grey: 16 latents, of which four do something",
        load="gdbench_lab.generator:load",
        domain="toy",
    )


@hookimpl
def gdbench_metrics():
    yield MetricSpec(
        name="symmetry",
        summary="do both signs of a direction change the picture by as much, seen in features?",
        measure="gdbench_lab.metric:measure",
        columns=(Column("symmetry", "weaker over stronger sign; 1 is even, 0 is dead", better="higher"),),
    )


@hookimpl
def gdbench_domains():
    yield DomainSpec(
        name="discs",
        summary="red discs on grey; place, size and ground are known exactly",
        load="gdbench_lab.domain:load",
        offers=("images", "masks", "factors"),
    )
