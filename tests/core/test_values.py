"""Codes, directions, streams, moments and distance against closed forms."""

from __future__ import annotations

import dataclasses
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gdbench import Checkpoint, Codes, LinearDirections, MethodSpec, NoParams, Stream, initialised, moments, normal
from gdbench.directions import load_directions
from gdbench.errors import GdbenchError, IntegrityError, PluginError
from gdbench.evaluation.perception import Embedded, distance, flatten
from gdbench.evaluation.prior import DenseMoments


def test_shifted_codes_keep_space_and_labels() -> None:
    codes = Codes(torch.zeros(3, 4), "z", labels=torch.tensor([5, 6, 7]))
    moved = codes.shifted(torch.ones(3, 4))
    assert moved.space == "z"
    assert torch.equal(moved.labels, codes.labels)
    assert torch.equal(moved.latents, torch.ones(3, 4))


def test_a_shift_moves_every_layer_of_w_plus() -> None:
    moved = Codes(torch.zeros(2, 5, 4), "w").shifted(torch.arange(8.0).reshape(2, 4))
    assert torch.equal(moved.latents, torch.arange(8.0).reshape(2, 1, 4).expand(2, 5, 4))


def test_directions_are_unit_with_their_largest_component_positive() -> None:
    made = LinearDirections(torch.tensor([[3.0, -4.0], [0.0, 0.0]]), "z")
    torch.testing.assert_close(made.vectors, torch.tensor([[-0.6, 0.8], [0.0, 0.0]]))


def test_equal_directions_give_equal_files(tmp_path: Path) -> None:
    vectors = normal(Stream(0, "test").at(), 4, 8)
    contents = []
    for name, scale in (("a", 1.0), ("b", -2.0)):
        folder = tmp_path / name
        folder.mkdir()
        LinearDirections(vectors * scale, "w").save(folder)
        contents.append([file.read_bytes() for file in sorted(folder.iterdir())])
    assert contents[0] == contents[1]


def test_displacement_is_magnitude_times_vector_and_survives_the_disk(tmp_path: Path) -> None:
    directions = LinearDirections(normal(Stream(0, "test").at(), 4, 8), "z", unit=torch.arange(4.0))
    directions.save(tmp_path)
    loaded = load_directions(tmp_path, frozenset({"gdbench"}))
    codes, index = Codes(torch.zeros(3, 8), "z"), torch.tensor([2, 0, 2])
    magnitude = torch.tensor([1.0, -2.0, 0.0])
    for found in (directions, loaded):
        moved = found.displace(codes, index, magnitude).latents
        torch.testing.assert_close(moved, magnitude[:, None] * directions.vectors[index])


def test_a_class_named_in_a_file_is_imported_only_from_plugins(tmp_path: Path) -> None:
    LinearDirections(torch.eye(2), "z").save(tmp_path)
    (tmp_path / "directions.json").write_text('{"class": "subprocess:Popen", "space": "z"}')
    with pytest.raises(IntegrityError, match="no installed plugin"):
        load_directions(tmp_path, frozenset({"gdbench"}))


@pytest.mark.parametrize(
    ("vectors", "complaint"),
    [
        (torch.zeros(3), r"must be \(k, dim\), got shape \(3,\)"),
        (torch.full((2, 2), torch.nan), "must be finite; NaN or infinite values in rows 0, 1"),
        (np.zeros((2, 2)), "must be a torch tensor .* got numpy.ndarray"),
    ],
)
def test_what_is_no_set_of_directions_is_refused(vectors: Any, complaint: str) -> None:
    with pytest.raises(PluginError, match=complaint):
        LinearDirections(vectors, "z")


def test_a_step_of_a_stream_does_not_depend_on_what_was_drawn_before() -> None:
    stream = Stream(3, "discover")
    drawn = [stream.at(step).standard_normal(4) for step in range(5)]
    np.testing.assert_array_equal(Stream(3, "discover").at(4).standard_normal(4), drawn[4])
    flat = np.concatenate(drawn)
    assert len(np.unique(flat)) == 20


def test_purposes_seeds_and_parts_share_no_numbers() -> None:
    streams = [Stream(0, "a"), Stream(1, "a"), Stream(0, "b"), Stream(0, "a").of("b")]
    draws = {float(stream.at().standard_normal()) for stream in streams}
    assert len(draws) == 4


def test_steps_far_apart_do_not_overlap() -> None:
    # 10,000 draws of one step stay clear of the next: the step is the highest word of the counter.
    first = Stream(0, "x").at(0).random(10_000)
    second = Stream(0, "x").at(1).random(10_000)
    assert not set(first) & set(second)


def test_initialising_a_network_leaves_global_random_state_alone() -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy(), random.getstate()  # noqa: NPY002
    one = initialised(Stream(0, "net").at(), lambda: nn.Linear(4, 4))
    two = initialised(Stream(0, "net").at(), lambda: nn.Linear(4, 4))
    assert torch.equal(one.weight, two.weight)  # type: ignore[arg-type]
    assert torch.equal(before[0], torch.random.get_rng_state())
    np.testing.assert_array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    assert before[2] == random.getstate()


class Stretched:
    """A space with a known covariance."""

    root = torch.tensor([[2.0, 0.0, 0.0], [1.0, 0.5, 0.0], [0.0, 0.0, 0.1]])

    def dim(self, space: str) -> int:
        return 3

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        return Codes(normal(rng, n, 3) @ self.root.T + 5.0, space)


def test_moments_are_those_of_the_space() -> None:
    found = moments(Stretched(), "w", samples=100_000)  # type: ignore[arg-type]
    truth = (Stretched.root @ Stretched.root.T).double()
    torch.testing.assert_close(found.covariance, truth, rtol=0.03, atol=0.02)
    torch.testing.assert_close(found.mean, torch.full((3,), 5.0).double(), rtol=0.01, atol=0)
    torch.testing.assert_close(found.root() @ found.root(), found.covariance)


def test_deviations_count_standard_deviations_along_the_shift() -> None:
    spread = DenseMoments(torch.zeros(2).double(), torch.tensor([[4.0, 0.0], [0.0, 0.25]]).double())
    delta = torch.tensor([[2.0, 0.0], [0.0, 2.0], [0.0, 0.0], [3.0, 4.0]])
    diagonal = 5 / (0.6**2 * 4 + 0.8**2 * 0.25) ** 0.5
    torch.testing.assert_close(spread.deviations(delta), torch.tensor([1.0, 4.0, 0.0, diagonal]).double())


def test_the_distance_is_the_lpips_form() -> None:
    a, b = torch.rand(2, 3, 4, 4), torch.rand(2, 3, 4, 4)
    layers_a, layers_b = [a, a[:, :, :2, :2] + 1], [b, b[:, :, :2, :2] + 1]
    expected = torch.zeros(2)
    for x, y in zip(layers_a, layers_b, strict=True):
        unit_x, unit_y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
        expected += (unit_x - unit_y).square().sum(1).mean((1, 2)) / 2
    nothing = torch.zeros(2, 0)
    found = distance(Embedded(flatten(layers_a), nothing), Embedded(flatten(layers_b), nothing))
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize(("shape", "message"), [("linear", "no parameter 'form'"), ("curved", "curved anyway")])
def test_values_that_curve_a_method_are_values_of_its_parameters(shape: str, message: str) -> None:
    params: type = NoParams if shape == "linear" else dataclasses.make_dataclass("P", ["form"], frozen=True)
    with pytest.raises(PluginError, match=message):
        MethodSpec("m", "", print, params=params, shape=shape, curved_with={"form": ("fc",)})  # type: ignore[arg-type]


def test_errors_have_their_exit_codes() -> None:
    assert {kind.__name__: kind.exit_code for kind in GdbenchError.__subclasses__()} == {
        "UsageError": 2,
        "MissingFile": 3,
        "Busy": 4,
        "IntegrityError": 5,
        "PluginError": 1,
    }


def test_a_card_says_what_its_images_lack() -> None:
    card = Checkpoint(
        "c", "scenes", "c.safetensors", card={"lacking": ["texture"], "rare": {"shape": ["plus", "disc"]}}
    )
    assert card.lacks == "texture, shape plus, shape disc"
    assert Checkpoint("c", "scenes", "c.safetensors").lacks == ""
