"""voynov: precision, compilation and micro-batches leave alone what is computed, or round it as declared."""

from __future__ import annotations

from dataclasses import fields, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_voynov.discover import Batch, Training, discover, prepare, train_step
from gdbench_voynov.execution import arrange
from gdbench_voynov.params import PAPER, Form, VoynovParams
from gdbench_voynov.reconstructors import LeNet, Reconstructor, ResNet18
from gdbench_voynov.shifts import draw
from torch import Tensor

from gdbench import Codes, LinearDirections, UsageError
from gdbench.context import ResumePoint
from gdbench.params import as_plain, build
from gdbench.runs.counting import Counted
from tests.plugins.methods_generators import Convnet, context
from tests.plugins.test_voynov import Killed, Killing

pytestmark = pytest.mark.usefixtures("one_thread")


def _step(params: VoynovParams, generator: Any = None, space: str = "w") -> tuple[Training, Tensor]:
    """A training after one step, whose gradients are still there, and what the step returned."""
    chosen = context(4, space)
    generator = generator or Convnet()
    training = prepare(generator, params, chosen)
    codes = generator.sample(params.batch, space, np.random.default_rng(1))
    with torch.no_grad():
        images = training.calls.base(codes)
    batch = Batch(codes, images, *draw(params, 4, np.random.default_rng(2)))
    return training, train_step(training, batch, params.shift_weight)


def _gradients(training: Training) -> list[Tensor]:
    parameters = [*training.form.parameters(), *training.reconstructor.parameters()]
    return [parameter.grad for parameter in parameters if parameter.grad is not None]


# micro-batches


@pytest.mark.parametrize("form", ["ortho", "fc"])
@pytest.mark.parametrize("size", [1, 3, 8])
def test_micro_batches_have_the_gradients_of_the_whole_batch(form: Form, size: int) -> None:
    params = VoynovParams(form=form, batch=8)
    (whole, numbers), (parts, again) = _step(params), _step(replace(params, micro_batch=size))
    torch.testing.assert_close(again, numbers)
    assert len(_gradients(whole)) > 20
    for found, expected in zip(_gradients(parts), _gradients(whole), strict=True):
        assert (found - expected).norm() <= 1e-3 * expected.norm() + 1e-5


def test_micro_batches_bound_what_is_rendered_with_a_graph_and_count_each_image_once() -> None:
    class Watched(Convnet):
        sizes: tuple[int, ...] = ()

        def render(self, codes: Codes) -> Tensor:
            self.sizes += (len(codes),)
            return super().render(codes)

    inner = Watched()
    counted = Counted(inner)
    _step(VoynovParams(batch=8, micro_batch=3), counted)
    assert inner.sizes == (3, 3, 2) * 2 + (2, 3, 3)  # base, shifted, and shifted again from the last part backwards
    assert (counted.images, counted.backward) == (16, 8)


def test_a_training_in_micro_batches_ends_where_the_whole_one_does() -> None:
    params = VoynovParams(steps=20, batch=8)
    whole, parts = (discover(Convnet(), chosen, context()) for chosen in (params, replace(params, micro_batch=3)))
    assert isinstance(whole, LinearDirections)
    assert isinstance(parts, LinearDirections)
    torch.testing.assert_close(parts.vectors, whole.vectors, atol=1e-4, rtol=0)


# precision


class Noting(Convnet):
    """Notes in which type its last layer computes."""

    def render(self, codes: Codes) -> Tensor:
        images = super().render(codes)
        self.dtype = images.dtype
        return images


def test_bf16_computes_both_networks_in_bf16_and_a_and_the_loss_in_fp32() -> None:
    generator = Noting()
    exact, rough = _step(VoynovParams(batch=32)), _step(VoynovParams(batch=32, precision="bf16"), generator)
    assert generator.dtype == torch.bfloat16
    assert rough[1].dtype == torch.float32
    images = torch.zeros(4, 3, 16, 16)
    assert all(part.dtype == torch.float32 for part in rough[0].calls.read(images, images))
    assert {part.dtype for part in [*rough[0].form.parameters(), *_gradients(rough[0])]} == {torch.float32}
    torch.testing.assert_close(rough[1][0], exact[1][0], atol=0.05, rtol=0)
    assert rough[1][0] != exact[1][0]
    found, expected = (_gradients(training)[0].flatten() for training in (rough[0], exact[0]))
    assert torch.cosine_similarity(found, expected, 0) > 0.95


def test_bf16_trains() -> None:
    found = discover(Convnet(), VoynovParams(steps=3, batch=4, precision="bf16", micro_batch=2), context())
    assert isinstance(found, LinearDirections)
    torch.testing.assert_close(found.vectors @ found.vectors.T, torch.eye(4), atol=1e-5, rtol=0)


def test_fp16_is_refused_without_cuda() -> None:
    with pytest.raises(UsageError, match=r"precision=fp16 needs a CUDA device; on cpu take bf16"):
        discover(Convnet(), VoynovParams(steps=1, precision="fp16"), context())


def test_a_killed_run_resumes_with_the_scale_of_fp16(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The scale doubles every 7 steps here: a run that resumed without its state would end at another one."""
    scaler = partial(torch.amp.GradScaler, "cpu", init_scale=8.0, growth_interval=7)
    plain = arrange
    scalers: list[torch.amp.GradScaler] = []

    def scaled(*parts: Any) -> Any:
        scalers.append(scaler())
        return replace(plain(*parts), scaler=scalers[-1])

    monkeypatch.setattr("gdbench_voynov.discover.arrange", scaled)
    params = VoynovParams(steps=60, batch=4)
    whole = discover(Convnet(), params, context())
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(Killed):
        discover(Convnet(), params, context(resume=resume, reporter=Killing(at=2)))
    resumed = discover(Convnet(), params, context(resume=resume))
    assert isinstance(whole, LinearDirections)
    assert isinstance(resumed, LinearDirections)
    assert torch.equal(whole.vectors, resumed.vectors)
    assert scalers[0].get_scale() == scalers[2].get_scale() == 8.0 * 2 ** (60 // 7)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_fp16_scales_its_loss() -> None:
    device = torch.device("cuda")
    generator = Convnet()
    generator.device, generator.network = device, generator.network.to(device)
    training = prepare(generator, VoynovParams(precision="fp16"), context(4, device=device))
    assert training.calls.scaler.is_enabled()


# compilation; with a backend that compiles nothing: a real one takes minutes on a small machine


def test_a_compiled_step_is_the_same_and_costs_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    graphs = []

    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        graphs.append(graph)
        return graph.forward

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    counted, params = Counted(Convnet()), VoynovParams(batch=8)
    (plain, numbers), (fast, again) = _step(params), _step(replace(params, compile=True), counted)
    assert len(graphs) >= 2
    torch.testing.assert_close(again, numbers)
    for found, expected in zip(_gradients(fast), _gradients(plain), strict=True):
        assert (found - expected).norm() <= 1e-3 * expected.norm() + 1e-5
    assert (counted.images, counted.backward) == (16, 8)


def test_a_compiler_that_fails_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def backend(graph: torch.fx.GraphModule, _: list[Tensor]) -> Any:
        raise RuntimeError("no working C++ compiler")

    monkeypatch.setattr(torch, "compile", partial(torch.compile, backend=backend))
    with pytest.raises(UsageError, match=r"compile=true does not work here.*no working C") as caught:
        discover(Convnet(), VoynovParams(steps=1, batch=4, compile=True), context())
    assert "\n" not in str(caught.value)


# parameters


def test_options_at_their_defaults_are_not_written_down_and_the_others_are() -> None:
    plain = as_plain(VoynovParams())
    later = {"precision", "compile", "micro_batch", "devices", "nodes"}
    assert set(plain) == {field.name for field in fields(VoynovParams)} - later
    chosen = VoynovParams(precision="bf16", devices=2)
    named = as_plain(chosen)
    assert set(named) - set(plain) == {"precision", "devices"}
    assert build(VoynovParams, named, where="test") == chosen


@pytest.mark.parametrize(
    "changes", [{"micro_batch": -1}, {"devices": 0}, {"nodes": 0}, {"devices": 3}, {"devices": 2, "compile": True}]
)
def test_senseless_options_are_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="must be"):
        VoynovParams(batch=8, **changes)


@pytest.mark.parametrize(("size", "network"), [(32, LeNet), (64, LeNet), (128, ResNet18), (1024, ResNet18)])
def test_the_paper_tier_takes_the_official_reconstructor(size: int, network: type) -> None:
    name = VoynovParams(**PAPER).reconstructor
    assert isinstance(Reconstructor(name, 3, size, 4, None).network, network)
