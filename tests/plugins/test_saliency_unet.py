"""The segmenter: the paper's size, its pools of pairs, and that it learns."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from gdbench_saliency import measures
from gdbench_saliency.masks import Pairs
from gdbench_saliency.params import SaliencyParams
from gdbench_saliency.unet import UNet, predict, trained

from gdbench import Stream
from tests.plugins.metrics_subjects import DOMAIN, TOY, context

TINY = SaliencyParams(widths=(4, 8, 8), steps=5, batch=4, pool=8, reuse=2)


def test_the_paper_has_thirteen_million_parameters() -> None:
    """Convolutions with biases, normalisations, bilinear upsampling: 13 395 329 for one logit, and 65 more for two."""
    with torch.device("meta"):
        network = UNet(3, (64, 128, 256, 512, 512))
    assert sum(parameter.numel() for parameter in network.parameters()) == 13_395_329 + 65


@pytest.mark.parametrize("size", [(32, 32), (33, 50)])
def test_any_size_goes_through(size: tuple[int, int]) -> None:
    probability = predict(UNet(1, (4, 8, 8, 8)).eval(), torch.zeros(3, 1, *size), temperature=10)
    assert probability.shape == (3, *size)
    assert bool(((probability > 0) & (probability < 1)).all())


def test_the_answer_is_the_softmax_of_the_tempered_logits() -> None:
    network, images = UNet(3, (4, 8)).eval(), torch.rand(2, 3, 8, 8)
    logits = network(images)
    expected = torch.sigmoid((logits[:, 1] - logits[:, 0]) / 10)
    torch.testing.assert_close(predict(network, images, 10.0, batch=1), expected, rtol=1e-4, atol=1e-6)


def test_pools_are_reused_and_then_drawn_anew() -> None:
    """Pools of 8 in batches of 4, seen twice: five steps need a second pool."""
    asked = []

    def source(n: int, stream: Stream) -> Pairs:
        asked.append((n, stream.purpose))
        images, masks = DOMAIN.pairs(n, stream.at())
        return Pairs(images, masks > 0.5, n)

    trained(source, TOY, TINY, Stream(0, "test"), context(4), "")
    assert asked == [(8, "test/pairs/0"), (8, "test/pairs/1")]


def test_equal_seeds_give_equal_networks() -> None:
    def source(n: int, stream: Stream) -> Pairs:
        images, masks = DOMAIN.pairs(n, stream.at())
        return Pairs(images, masks > 0.5, n)

    before = torch.random.get_rng_state()
    first, again, other = (trained(source, TOY, TINY, Stream(seed, "test"), context(4), "") for seed in (0, 0, 1))
    assert torch.equal(before, torch.random.get_rng_state())
    weights = [torch.cat([p.flatten() for p in network.parameters()]) for network in (first, again, other)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2])
    assert not first.training


def test_it_learns_exact_masks() -> None:
    def source(n: int, stream: Stream) -> Pairs:
        images, masks = DOMAIN.pairs(n, stream.at())
        return Pairs(images, masks > 0.5, n)

    params = SaliencyParams(widths=(8, 16, 16), steps=60, batch=16, pool=256, reuse=8, decay=40)
    network = trained(source, TOY, params, Stream(0, "test"), context(4), "")
    images, masks = DOMAIN.pairs(64, np.random.default_rng(5))
    found = predict(network, images, params.temperature).numpy()
    assert measures.summary(measures.measure(found, (masks > 0.5).numpy()))["IoU"] > 0.8
