"""The loop of learned methods against a plain loop: same bits after an interruption, and a stop at NaN."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from gdbench import Context, PluginError, Stream, initialised, normal, train
from gdbench.context import ResumePoint

STEPS = 130


def problem() -> tuple[nn.Module, torch.optim.Optimizer]:
    network = initialised(Stream(0, "net").at(), lambda: nn.Linear(4, 1))
    return network, torch.optim.Adam(network.parameters(), 0.01)


def one_step(network: nn.Module, optimiser: torch.optim.Optimizer, n: int) -> Tensor:
    x = normal(Stream(0, "data").at(n), 8, 4)
    loss = (network(x) - x.sum(1, keepdim=True)).square().mean()
    optimiser.zero_grad()
    loss.backward()  # type: ignore[no-untyped-call]
    optimiser.step()
    return loss.detach()[None]


def context(path: Path) -> Context:
    return Context(0, torch.device("cpu"), 4, "z", resume=ResumePoint(path / "resume.pt", every=0.0))


def weights(network: nn.Module) -> Tensor:
    return torch.cat([value.detach().flatten() for value in network.parameters()])


def test_an_interrupted_training_ends_in_the_same_bits(tmp_path: Path) -> None:
    network, optimiser = problem()
    for n in range(STEPS):
        one_step(network, optimiser, n)

    def until(limit: int) -> Tensor:
        fresh, adam = problem()

        def step(n: int) -> Tensor:
            if n == limit:
                raise KeyboardInterrupt
            return one_step(fresh, adam, n)

        train(context(tmp_path), STEPS, step, {"network": fresh, "optimiser": adam})
        return weights(fresh)

    for limit in (60, 110):
        with pytest.raises(KeyboardInterrupt):
            until(limit)
    assert torch.equal(until(STEPS), weights(network))


def test_a_loss_that_is_no_number_stops_and_keeps_the_last_good_state(tmp_path: Path) -> None:
    network, optimiser = problem()

    def step(n: int) -> Tensor:
        loss = one_step(network, optimiser, n)
        return loss if n < 60 else loss * torch.nan

    with pytest.raises(PluginError, match="loss was nan between steps 50 and 75; try a smaller lr"):
        train(context(tmp_path), STEPS, step, {"network": network, "optimiser": optimiser})
    state = context(tmp_path).resume.load()
    assert state is not None
    assert state["step"] == 50


@pytest.mark.parametrize("length", [0, 1, 1000])
def test_a_state_that_cannot_be_read_is_followed_by_the_one_before_it(length: int, tmp_path: Path) -> None:
    said: list[str] = []
    path = tmp_path / "resume.pt"
    point = ResumePoint(path, warn=said.append)
    for step in (1, 2, 3):
        point.save({"step": step, "weights": torch.full((1000,), float(step))})
    path.write_bytes(path.read_bytes()[:length])
    assert point.spent() == {}
    state = point.load()
    assert state is not None
    assert (state["step"], state["weights"].tolist()) == (2, [2.0] * 1000)
    (line,) = said
    assert line.endswith("kept as .resume.pt.unreadable; going on from the state before it")
    path.unlink()  # killed between two renames of ``save``
    point.save({"step": 4})
    point.save({"step": 5})
    path.unlink()
    assert point.load() == {"step": 4}
    point.save({"step": 6})
    point.clear()
    assert point.load() is None
    assert [file.name for file in tmp_path.iterdir()] == [".resume.pt.unreadable"]


class Own:
    """A part that is neither a module nor a tensor."""

    def __init__(self) -> None:
        self.values = torch.zeros(3)

    def state_dict(self) -> dict[str, Tensor]:
        return {"values": self.values}

    def load_state_dict(self, state_dict: dict[str, Tensor]) -> None:
        self.values.copy_(state_dict["values"])


@pytest.mark.parametrize("kind", ["module", "tensor", "buffer", "own"])
def test_parameters_that_are_no_numbers_are_never_saved_and_no_success(kind: str, tmp_path: Path) -> None:
    norm, own = nn.BatchNorm1d(3), Own()
    parts = {"module": norm, "tensor": torch.zeros(3), "buffer": norm, "own": own}
    assert norm.running_mean is not None
    spoilt = {"module": norm.weight, "tensor": parts["tensor"], "buffer": norm.running_mean, "own": own.values}[kind]
    assert isinstance(spoilt, Tensor)

    def step(n: int) -> Tensor:
        with torch.no_grad():
            spoilt.fill_(torch.nan)
        return torch.zeros(1)

    with pytest.raises(PluginError, match="parameters are no longer finite after step 50"):
        train(context(tmp_path), 50, step, {"part": parts[kind]})  # type: ignore[dict-item]
    assert context(tmp_path).resume.load() is None
