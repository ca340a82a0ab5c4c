"""The reference `steerability`: edits against exact ones, a planted shift recovered, resuming bit for bit."""

from __future__ import annotations

import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_supervised.edits import Edit, edits
from gdbench_supervised.params import SteerabilityParams
from gdbench_supervised.steerability import discover, masked_error
from torch import Tensor

from gdbench import Codes, Context, PluginError, Stream, normal
from gdbench.context import ResumePoint

CPU = torch.device("cpu")
SIDE, DIM, SPEED = 16, 10, 0.25
AXIS = (torch.arange(SIDE) + 0.5) * 2 / SIDE - 1


@dataclass
class Blob:
    """A grey blob at (x, y) = SPEED * (a'z, b'z), a and b orthonormal: moving it is an exact shift of the image."""

    channels: int = 1
    spaces: tuple[str, ...] = ("z", "w")
    domain: str = "none"
    device: torch.device = CPU
    rendered: int = 0
    stretch: Tensor = field(default_factory=lambda: torch.diag(torch.linspace(0.5, 2, DIM)))

    def __post_init__(self) -> None:
        self.image_shape = (self.channels, SIDE, SIDE)
        self.planted = torch.linalg.qr(normal(Stream(0, "planted").at(), DIM, DIM)).Q[:2]

    def dim(self, space: str) -> int:
        return DIM

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        latents = normal(rng, n, DIM)
        return Codes(latents if space == "z" else latents @ self.stretch, space)

    def render(self, codes: Codes) -> Tensor:
        self.rendered += len(codes)
        latents = codes.latents if codes.space == "z" else codes.latents @ torch.linalg.inv(self.stretch)
        x, y = (SPEED * latents @ self.planted.T)[:, :, None].unbind(1)
        across, down = (AXIS - x).square()[:, None, :], (AXIS - y).square()[:, :, None]
        image = torch.exp(-(across + down) / 0.5)[:, None]
        return image.expand(-1, self.channels, -1, -1) - 0.5


def context(k: int, space: str = "z", **more: Any) -> Context:
    return Context(seed=0, device=CPU, k=k, space=space, **more)


def edit(name: str, channels: int = 1) -> Edit:
    return next(each for each in edits(channels) if each.name == name)


def picture(channels: int = 1) -> Tensor:
    return normal(Stream(0, "picture").at(), 2, channels, SIDE, SIDE)


def test_which_edits_there_are() -> None:
    geometric = ["zoom", "shift x", "shift y", "rotation"]
    assert [each.name for each in edits(3)] == [*geometric, "red", "green", "blue", "brightness"]
    assert [each.name for each in edits(1)] == [*geometric, "brightness"]


@pytest.mark.parametrize("name", [each.name for each in edits(3)])
def test_coefficient_zero_changes_nothing(name: str) -> None:
    target, mask = edit(name, 3).apply(picture(3), torch.zeros(2))
    torch.testing.assert_close(target, picture(3), atol=1e-5, rtol=0)
    assert mask.all()


@pytest.mark.parametrize(("name", "axis"), [("shift x", 3), ("shift y", 2)])
@pytest.mark.parametrize("pixels", [3, -5])
def test_a_shift_of_whole_pixels_rolls_the_image(name: str, axis: int, pixels: int) -> None:
    image = picture()
    target, mask = edit(name).apply(image, torch.full((2,), pixels / (SIDE // 2)))
    rolled = image.roll(pixels, axis)
    torch.testing.assert_close(target * mask, rolled * mask, atol=1e-4, rtol=0)
    assert mask.sum() == 2 * SIDE * (SIDE - abs(pixels))
    assert mask.select(axis, 0).all() == (pixels < 0)  # a shift to the right leaves the left side undefined


def test_two_steps_of_rotation_are_a_quarter_turn_clockwise() -> None:
    target, mask = edit("rotation").apply(picture(), torch.full((2,), 2.0))
    torch.testing.assert_close(target, picture().rot90(-1, (2, 3)), atol=1e-4, rtol=0)
    assert mask.all()


def test_zoom_magnifies_a_ramp_about_its_centre() -> None:
    ramp = AXIS.expand(2, 1, SIDE, SIDE).clone()
    target, mask = edit("zoom").apply(ramp, torch.tensor([2.0, 0.5]).log())
    torch.testing.assert_close(target[0], ramp[0] / 2, atol=1e-5, rtol=0)
    assert mask[0].all()
    torch.testing.assert_close(target[1] * mask[1], 2 * ramp[1] * mask[1], atol=1e-5, rtol=0)
    assert mask[1].sum() == (SIDE // 2) ** 2


def test_colour_and_brightness_are_added() -> None:
    amount = torch.tensor([0.25, -0.5])
    target, _ = edit("green", 3).apply(picture(3), amount)
    added = (target - picture(3)).mean((2, 3))
    torch.testing.assert_close(added, amount[:, None] * torch.tensor([0.0, 1, 0]), atol=1e-5, rtol=0)
    target, mask = edit("brightness", 3).apply(picture(3), amount)
    torch.testing.assert_close((target - picture(3)).mean((2, 3)), amount[:, None].expand(2, 3), atol=1e-5, rtol=0)
    assert mask.all()


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [("zoom", -math.log(4), math.log(4)), ("shift x", -15 / 16, 15 / 16), ("rotation", -44 / 45, 44 / 45)],
)
def test_coefficients_follow_the_published_laws(name: str, low: float, high: float) -> None:
    drawn = edit(name).draw(np.random.default_rng(0), 4_000, 32)
    assert low - 1e-6 <= float(drawn.min()) < 0.97 * low
    assert 0.97 * high < float(drawn.max()) <= high + 1e-6
    assert abs(float((drawn > 0).float().mean()) - 0.5) < 0.03
    if name != "zoom":
        units = {"shift x": 16, "rotation": 45}[name] * drawn
        torch.testing.assert_close(units, units.round(), atol=1e-4, rtol=0)
        assert units.abs().min() > 0.9


def test_error_is_a_mean_over_the_mask() -> None:
    images, targets, masks = torch.zeros(2, 3, 4, 4), torch.full((2, 3, 4, 4), 2.0), torch.zeros(2, 1, 4, 4)
    masks[0, :, :2] = 1
    targets[0, :, 2:] = 100
    assert masked_error(images, targets, masks).tolist() == [4.0, 0.0]


@pytest.mark.parametrize("space", ["z", "w"])
def test_the_walk_of_an_exact_shift_is_the_planted_direction(space: str) -> None:
    generator = Blob()
    found = discover(generator, SteerabilityParams(steps=150, batch=8, lr=0.15), context(3, space))
    expected = generator.planted if space == "z" else generator.planted @ generator.stretch
    steps = found.vectors * found.unit[:, None]
    for row, planted in ((1, expected[0]), (2, expected[1])):
        assert float(torch.nn.functional.cosine_similarity(steps[row], planted, dim=0).abs()) > 0.95
        # coefficient 1 is half the image, one unit of x: z moves by a / SPEED
        assert float(steps[row].norm() / planted.norm()) == pytest.approx(1 / SPEED, rel=0.2)


def test_walks_stay_in_the_span_of_what_images_show() -> None:
    generator = Blob()
    found = discover(generator, SteerabilityParams(steps=30, batch=4), context(5))
    within = (found.vectors @ generator.planted.T).square().sum(1)
    torch.testing.assert_close(within, torch.ones(5), atol=1e-4, rtol=0)


def test_what_is_left_of_k_is_random_and_orthogonal() -> None:
    found = discover(Blob(), SteerabilityParams(steps=20, batch=4), context(8))
    assert len(found) == 8
    assert (found.vectors[5:] @ found.vectors[:5].T).abs().max() < 1e-4
    beside = "K = 14 .* in 10 dimensions beside 5 directions of rank 2 only 8 orthogonal ones fit"
    with pytest.raises(PluginError, match=beside):  # the walks are in a plane
        discover(Blob(), SteerabilityParams(steps=20, batch=4), context(14))
    assert len(discover(Blob(), SteerabilityParams(steps=20, batch=4), context(13))) == 13


def test_every_walk_renders_each_code_once() -> None:
    generator = Blob(channels=3)
    discover(generator, SteerabilityParams(steps=10, batch=4), context(8))
    assert generator.rendered == 10 * 4 * (1 + 8)
    defaults = SteerabilityParams()
    assert defaults.steps * defaults.batch * 9 <= 100_000


class Stopping:
    """A reporter that interrupts once ``after`` steps are done."""

    def __init__(self, after: int) -> None:
        self.left, self.resumed = after, 0

    @contextmanager
    def task(self, title: str, total: int, done: int = 0) -> Iterator[Stopping]:
        self.resumed = done
        yield self

    def advance(self, steps: int = 1, **numbers: float) -> None:
        self.left -= steps
        if self.left < 0:
            raise KeyboardInterrupt

    def log(self, text: str) -> None: ...


def test_a_resumed_training_is_the_same_bit_for_bit(tmp_path: Path) -> None:
    params = SteerabilityParams(steps=80, batch=4)
    whole = discover(Blob(), params, context(3))
    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(KeyboardInterrupt):
        discover(Blob(), params, context(3, resume=resume, reporter=Stopping(40)))
    second = Stopping(1_000)
    again = discover(Blob(), params, context(3, resume=resume, reporter=second))
    assert second.resumed == 50
    assert torch.equal(again.vectors, whole.vectors)
    assert torch.equal(again.unit, whole.unit)


def test_a_loss_that_is_no_number_stops_and_leaves_the_last_good_state(tmp_path: Path) -> None:
    @dataclass
    class Failing(Blob):
        calls: int = 0

        def render(self, codes: Codes) -> Tensor:
            self.calls += codes.latents.requires_grad
            return super().render(codes) * (math.nan if self.calls > 30 else 1.0)

    resume = ResumePoint(tmp_path / "resume.pt", every=0.0)
    with pytest.raises(PluginError, match="loss was nan between steps 25 and 50"):
        discover(Failing(), SteerabilityParams(steps=60, batch=2), context(1, resume=resume))
    state = resume.load()
    assert state is not None
    assert state["step"] == 25
    assert torch.isfinite(state["training"]["walks"]).all()
    assert state["training"]["walks"].abs().max() > 0
