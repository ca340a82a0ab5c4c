"""The domain plain: its distance against a float64 sum of squares, and the laws that a distance of images keeps."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.ndimage import gaussian_filter
from torch import Tensor

import gdbench
from gdbench import Stream, UsageError, distance, embed, load_domain, normal
from gdbench.registry import load_registry
from gdbench.testing import run_checks


def apart(a: Tensor, b: Tensor) -> list[float]:
    """The domain's distance of image pairs."""
    oracle = load_domain("plain").oracle("a")
    return distance(embed(oracle, a), embed(oracle, b)).tolist()


def derived(a: Tensor, b: Tensor) -> float:
    """The distance of one pair, by its definition, in float64 with loops over scales."""
    d = (a - b).double().numpy()
    total = 0.0
    for _ in range(5):
        total += (d**2).sum(0).mean()
        total += (np.diff(d, axis=1) ** 2).sum() / d[0].size + (np.diff(d, axis=2) ** 2).sum() / d[0].size
        if min(d.shape[1:]) < 8:
            break
        c, h, w = d.shape
        d = d[:, : h // 2 * 2, : w // 2 * 2].reshape(c, h // 2, 2, w // 2, 2).mean((2, 4))
    return float(total)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.tanh(normal(Stream(seed, "plain").at(), *shape))


def test_contract() -> None:
    registry = load_registry()
    results = run_checks(registry.domain("plain"), registry)
    assert [(result.name, result.reason) for result in results if result.status == "failed"] == []
    passed = {result.clause for result in results if result.status == "passed"}
    assert {"D01", "D08", "D09", "D10", "D12", "D13", "D14"} <= passed


@pytest.mark.parametrize("shape", [(1, 28, 28), (2, 33, 21), (3, 64, 64), (4, 16, 40), (3, 4, 4), (3, 2, 3)])
def test_the_distance_is_the_sum_that_it_says(shape: tuple[int, ...]) -> None:
    a, b = noise(2, *shape, seed=1), noise(2, *shape, seed=2)
    torch.testing.assert_close(apart(a, b), [derived(*pair) for pair in zip(a, b, strict=True)], rtol=2e-4, atol=0)


def test_zero_to_itself_and_symmetric() -> None:
    a, b = noise(4, 3, 32, 32, seed=1), noise(4, 3, 32, 32, seed=2)
    assert apart(a, a) == [0.0] * 4
    assert apart(a, b) == apart(b, a)
    assert min(apart(a, b)) > 0


@pytest.mark.parametrize("factor", [0.5, 0.25, 0.1])
def test_a_difference_of_half_the_size_is_a_quarter_as_far(factor: float) -> None:
    a, d = 0.5 * noise(2, 3, 32, 32, seed=1), 0.5 * noise(2, 3, 32, 32, seed=2)
    whole, part = apart(a, a + d), apart(a, a + factor * d)
    assert [p / w for p, w in zip(part, whole, strict=True)] == pytest.approx([factor**2] * 2, rel=2e-3)


def test_stronger_blur_is_farther() -> None:
    sharp = noise(1, 1, 48, 48)
    blurred = [torch.from_numpy(gaussian_filter(sharp.numpy(), (0, 0, s, s), mode="wrap")) for s in (0.5, 1, 2, 4)]
    found = [apart(sharp, image)[0] for image in blurred]
    assert found == sorted(found)
    assert found[0] > 0


def test_a_longer_shift_of_an_edge_is_farther() -> None:
    def edge(at: int) -> Tensor:
        image = -torch.ones(1, 3, 40, 40)
        image[..., at:] = 1
        return image

    found = [apart(edge(8), edge(8 + shift))[0] for shift in (1, 2, 4, 8, 16)]
    assert all(later > earlier for earlier, later in pairwise(found))


def test_large_images_are_compared_after_averaging() -> None:
    """What the 64 px cannot show does not count; what they can counts as in the small image."""
    rows = torch.linspace(-0.9, 0.9, 64)
    small = torch.stack([rows.expand(64, 64), rows.expand(64, 64).T])[:, None]
    large = small.repeat_interleave(4, 2).repeat_interleave(4, 3)
    assert apart(large[:1], large[1:]) == pytest.approx(apart(small[:1], small[1:]), rel=0.02)
    checker = (torch.arange(256)[:, None] + torch.arange(256)) % 2 * 2.0 - 1
    assert apart(0.5 * checker.expand(1, 1, -1, -1), torch.zeros(1, 1, 256, 256))[0] < 1e-3


def test_five_channels_are_refused() -> None:
    with pytest.raises(UsageError, match="1 to 4 channels, these have 5"):
        apart(torch.zeros(1, 5, 8, 8), torch.ones(1, 5, 8, 8))


def test_gradients_flow() -> None:
    image = noise(1, 3, 16, 16).requires_grad_()
    oracle = load_domain("plain").oracle("a")
    distance(embed(oracle, image), embed(oracle, torch.zeros(1, 3, 16, 16))).sum().backward()  # type: ignore[no-untyped-call]
    assert image.grad is not None
    assert bool(torch.isfinite(image.grad).all())


def test_a_run_on_plain_is_recorded_and_never_ranked(tmp_path: Path) -> None:
    run = gdbench.run("sngan", "sefa", k=2, domain="plain", out=tmp_path, tier="smoke", metrics=("diversity",))
    record = run.record
    assert (record.status, record.domain, record.distance) == ("done", "plain", "pixels and edges")
    assert record.cell.domain == "plain"
    assert "--domain plain" in record.command
    records = [
        replace(record, id=f"{method}-{seed}", cell=replace(record.cell, method=method, seed=seed, tier="quick"))
        for method in ("sefa", "ganspace")
        for seed in (0, 1)
    ]
    (board,) = gdbench.leaderboard(records, changed=True).boards
    entries = [entry for row in board.rows for entry in row.entries]
    assert all(entry.rank is None and not entry.mark for entry in entries)
    assert any(entry.mean is not None for entry in entries)
    assert any("domain plain" in note and "not ranked" in note for note in board.notes)


def test_the_usual_domain_by_name_is_the_same_run(tmp_path: Path) -> None:
    from gdbench.runs.planning import plan
    from gdbench.runs.request import RunRequest

    registry = load_registry()
    ids = [plan(RunRequest("sngan", "sefa", domain=domain), registry).id for domain in (None, "scenes", "plain")]
    assert ids[0] == ids[1] != ids[2]
