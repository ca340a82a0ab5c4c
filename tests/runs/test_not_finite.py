"""A generator that gives numbers which are none is blamed, whatever the method made of them; and peaks of memory."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdbench import Codes, GeneratorSpec, LinearDirections, MethodSpec, PluginError, Stream, load_domain, load_generator
from gdbench.context import SILENT
from gdbench.evaluation.calibration import calibrate
from gdbench.evaluation.prior import moments
from gdbench.record import RunRecord
from gdbench.registry import Registry, load_registry
from gdbench.runs.counting import Counted, Meter
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan
from gdbench.runs.request import RunRequest
from gdbench.specs import resolve

Spoil = Callable[[Codes, Tensor], Tensor]


class Spoiled:
    """A generator some of whose images are spoiled; everything else is the other generator's."""

    def __init__(self, generator: Any, spoil: Spoil, codes: float = 0.0) -> None:
        self.generator, self.spoil, self.codes = generator, spoil, codes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return self.generator.sample(n, space, rng).shifted(torch.tensor(self.codes))  # type: ignore[no-any-return]

    def render(self, codes: Codes) -> Tensor:
        return self.spoil(codes, self.generator.render(codes))


def everywhere(value: float) -> Spoil:
    return lambda codes, images: images * value


def one_pixel(codes: Codes, images: Tensor) -> Tensor:
    hidden = torch.zeros_like(images)
    hidden[:, -1, -1, -1] = float("nan")
    return images + hidden


def some_codes(codes: Codes, images: Tensor) -> Tensor:
    """Every code whose first entry is large."""
    return torch.where((codes.latents[:, 0] > 1.5)[:, None, None, None], torch.nan, images)


def far_codes(codes: Codes, images: Tensor) -> Tensor:
    """Only codes far from the prior, which shifts reach."""
    return torch.where((codes.latents.norm(dim=1) > 11)[:, None, None, None], torch.inf, images)


SPOILS = {"nan": everywhere(torch.nan), "inf": everywhere(torch.inf), "one pixel": one_pixel}
SPOILS |= {"some codes": some_codes, "far codes": far_codes}


def registry_of(spoil: Spoil, codes: float = 0.0, method: MethodSpec | None = None) -> Registry:
    registry = load_registry()
    offer = registry.generator("toy")
    spec: GeneratorSpec = replace(
        offer.spec, load=lambda *arguments: Spoiled(resolve(offer.spec.load)(*arguments), spoil, codes)
    )
    more = {method.name: replace(registry.method("random"), spec=method)} if method else {}
    methods = {**registry.methods, **more}
    return replace(registry, generators={**registry.generators, "toy": replace(offer, spec=spec)}, methods=methods)


def run(registry: Registry, method: str, out: Path) -> RunRecord:
    request = RunRequest("toy", method, k=2, tier="smoke", metrics=("diversity",), out=out)
    return execute(plan(request, registry), registry, SILENT)[0]


@pytest.mark.parametrize(
    ("method", "spoil"),
    [*(("random", spoil) for spoil in SPOILS), ("voynov", "nan"), ("voynov", "some codes"), ("jacobian", "nan"),
     ("ganspace", "nan"), ("latentclr", "nan")],
)  # fmt: skip
def test_the_generator_is_blamed_and_not_the_method(method: str, spoil: str, tmp_path: Path) -> None:
    record = run(registry_of(SPOILS[spoil]), method, tmp_path)
    assert (record.status, record.scores) == ("failed", {})
    assert record.reason.startswith("generator toy/none renders images that are not finite")
    assert method not in record.reason
    assert "\n" not in record.reason


def test_images_that_are_spoiled_only_where_metrics_look_fail_the_run(tmp_path: Path) -> None:
    calls: list[int] = []

    def late(codes: Codes, images: Tensor) -> Tensor:
        calls.append(len(images))
        return images if sum(calls) <= before else one_pixel(codes, images)

    before = 10**9
    costs = run(registry_of(late), "random", tmp_path / "1").costs
    before = costs["discover"].images + costs["calibrate"].images
    calls.clear()
    record = run(registry_of(late), "random", tmp_path / "2")
    assert record.reason.startswith("generator toy/none renders images that are not finite")


def test_codes_that_are_not_finite_are_the_generators_too(tmp_path: Path) -> None:
    record = run(registry_of(everywhere(1.0), codes=float("nan")), "random", tmp_path)
    assert record.status == "failed"
    assert record.reason.startswith("the generator Spoiled: latents in 'z' hold NaN")


def test_directions_that_are_not_finite_are_the_methods(tmp_path: Path) -> None:
    def discover(generator: Any, params: Any, context: Any) -> LinearDirections:
        generator.render(Codes(torch.full((2, 64), float("nan")), "z"))  # as a search that diverged does
        raise PluginError("loss was nan: try a smaller lr")

    method = MethodSpec(name="diverging", summary="", discover=discover)
    assert run(registry_of(everywhere(1.0), method=method), "diverging", tmp_path).reason.startswith("loss was nan")


def test_calibration_stops_at_the_first_image_that_is_not_finite() -> None:
    toy, domain = load_generator("toy"), load_domain("toy")
    rendered: list[int] = []

    def spoil(codes: Codes, images: Tensor) -> Tensor:
        rendered.append(len(images))
        return images if len(rendered) < 3 else images * torch.nan

    generator = Spoiled(toy, spoil)
    directions = LinearDirections(torch.eye(64)[:2], "z")
    with pytest.raises(PluginError, match=r"the generator's images are not finite .*: 16 of 16 are not"):
        calibrate(generator, directions, domain.oracle("a"), moments(toy, "z"), Stream(0, "calibrate"), 64, 16)
    assert len(rendered) == 3


# Memory, with a stand-in for a machine with two CUDA devices


class Cuda:
    """What torch.cuda says of the memory of two devices, which the test sets."""

    def __init__(self) -> None:
        self.allocated = {0: 10, 1: 100}
        self.peak = {0: 9_000, 1: 500}

    def max_memory_allocated(self, device: Any = None) -> int:
        return self.peak[self._index(device)]

    def memory_allocated(self, device: Any = None) -> int:
        return self.allocated[self._index(device)]

    def reset_peak_memory_stats(self, device: Any = None) -> None:
        self.peak[self._index(device)] = self.allocated[self._index(device)]

    @staticmethod
    def _index(device: Any) -> int:
        return 0 if device is None else torch.device(device).index or 0


def test_the_peak_is_that_of_the_runs_own_device_and_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    for name in ("max_memory_allocated", "memory_allocated", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    generator = Counted(type("OnSecond", (), {"device": torch.device("cuda:1")})())
    discovery = Meter(generator)
    cuda.peak[1] = 7_000
    assert discovery.cost().peak_memory == 7_000
    calibration = Meter(generator)
    assert calibration.cost().peak_memory == cuda.allocated[1]
    cuda.peak[1] = 800
    assert calibration.cost().peak_memory == 800
    on_cpu = Meter(Counted(load_generator("toy", device="cpu"))).cost().peak_memory
    assert on_cpu > 10**7  # this process, whatever the devices hold


def test_the_default_device_of_cuda_is_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda()
    for name in ("max_memory_allocated", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, getattr(cuda, name))
    meter = Meter(Counted(type("OnFirst", (), {"device": torch.device("cuda")})()))
    cuda.peak = {0: 3_000, 1: 5_000}
    assert meter.cost().peak_memory == 3_000
