"""ProGAN: what is inferred from files, gradients, batches, fading, labels, refusals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_progan import Params, gdbench_generators
from gdbench_progan.formats import convert, recognise
from gdbench_progan.generator import ProGAN, load
from gdbench_progan.networks import Config, conv_of_upsampled, infer_config, normalise
from scipy.signal import correlate2d

from gdbench import Codes, IntegrityError, UsageError, save_weights
from tests.plugins import writers_progan as writers


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def saved(folder: Path, content: object) -> Path:
    torch.save(content, folder / "file.pth")
    return folder / "file.pth"


def official(path: Path, **params: Any) -> ProGAN:
    ours = path.with_name("converted.safetensors")
    save_weights(ours, *convert(path))
    return load(ours, Params(**params), torch.device("cpu"))


WIDTHS = {32: (4, 4, 4, 4), 128: (6, 6, 6, 6, 4, 2), 1024: (8, 8, 8, 8, 6, 5, 4, 3, 2)}


@pytest.mark.parametrize("resolution", WIDTHS)
@pytest.mark.parametrize("layout", ["ptrblck", "gandissect", "genforce", "gan_zoo", "nvidia"])
def test_every_size_follows_from_the_tensors(layout: str, resolution: int, tmp_path: Path) -> None:
    widths, path = WIDTHS[resolution], tmp_path / "file"
    if layout == "nvidia":
        writers.save_nvidia(path, writers.nvidia(widths, 5))
    elif layout == "gan_zoo":
        writers.save_gan_zoo(path, *writers.gan_zoo(widths, 5))
    else:
        torch.save(getattr(writers, layout)(widths, 5), path)
    tensors, _ = convert(path)
    levels = len(widths)
    outputs = (levels - 1,) if layout in ("ptrblck", "gandissect") else tuple(range(levels))
    expected = Config(widths, 5, outputs)
    assert infer_config(tensors) == expected
    assert expected.resolution == resolution


def test_facts_of_each_layout(tmp_path: Path) -> None:
    usual = {"pixel_norm": True, "slope": 0.2, "tanh": False, "label_dim": 0}
    assert convert(saved(tmp_path, writers.ptrblck()))[1] == {"format": "progan-ptrblck", "normalisations": 1, **usual}
    assert convert(saved(tmp_path, writers.genforce()))[1] == {
        "format": "progan-genforce",
        "normalisations": 2,
        **usual,
    }
    state, config = writers.gan_zoo(lossCriterion="DCGAN", leakyReluLeak=0.1)
    _, facts = convert(writers.save_gan_zoo(tmp_path / "zoo.pth", state, config))
    assert facts == {"format": "progan-gan-zoo", "normalisations": 1, **usual, "slope": 0.1, "tanh": True}
    _, facts = convert(writers.save_gan_zoo(tmp_path / "zoo.pth", state, None))
    assert facts == {"format": "progan-gan-zoo", "normalisations": 1, **usual}


def test_pixel_norm_is_that_of_the_paper(rng: np.random.Generator) -> None:
    a = rng.standard_normal((2, 5, 3, 4))
    expected = a / np.sqrt((a**2).mean(axis=1, keepdims=True) + 1e-8)
    np.testing.assert_allclose(normalise(torch.from_numpy(a)).numpy(), expected, rtol=1e-12)


@pytest.mark.parametrize("side", [4, 16])
def test_fused_and_plain_convolution_of_the_upsampled_image(side: int, rng: np.random.Generator) -> None:
    conv = torch.nn.Conv2d(3, 2, 3, padding=1).double()
    x = rng.standard_normal((1, 3, side, side))
    weight, bias = conv.weight.detach().numpy(), conv.bias.detach().numpy()  # type: ignore[union-attr]
    big = np.kron(x[0], np.ones((1, 2, 2)))
    expected = [sum(correlate2d(big[i], weight[o, i], "same") for i in range(3)) + bias[o] for o in range(2)]
    result = conv_of_upsampled(torch.from_numpy(x), conv)[0].detach().numpy()
    np.testing.assert_allclose(result, np.stack(expected), atol=1e-12)


def test_images_have_the_right_gradient(tmp_path: Path, rng: np.random.Generator) -> None:
    network = official(saved(tmp_path, writers.genforce((4, 4, 3), lod=0.25))).network.double()
    z = torch.from_numpy(rng.standard_normal((2, 7))).requires_grad_()
    direction = torch.from_numpy(rng.standard_normal((3, 16, 16)))
    assert torch.autograd.gradcheck(lambda z: (network(z) * direction).mean((1, 2, 3)), z)


def test_an_image_does_not_depend_on_its_batch_nor_on_the_length_of_z(tmp_path: Path, rng: np.random.Generator) -> None:
    generator = official(saved(tmp_path, writers.ptrblck()))
    codes = generator.sample(5, "z", rng)
    together = generator.render(codes)
    assert together.shape == (5, *generator.image_shape)
    one_by_one = torch.cat([generator.render(codes[i : i + 1]) for i in range(5)])
    torch.testing.assert_close(one_by_one, together, atol=1e-4, rtol=0)
    torch.testing.assert_close(generator.render(codes.shifted(codes.latents)), together, atol=1e-4, rtol=0)


def test_fading_goes_from_one_resolution_to_the_next(tmp_path: Path, rng: np.random.Generator) -> None:
    network = official(saved(tmp_path, writers.genforce())).network
    z = torch.from_numpy(rng.standard_normal((2, 7))).float()
    half, full, coarse = (network(z, lod=lod) for lod in (0.5, 0.0, 1.0))
    torch.testing.assert_close(half, (full + coarse) / 2)
    assert torch.equal(coarse[..., ::2, ::2], coarse[..., 1::2, 1::2])


def test_first_layer_and_features(tmp_path: Path, rng: np.random.Generator) -> None:
    generator = official(saved(tmp_path, writers.genforce(lod=1.5)))
    assert generator.feature_layers == ("linear", "b4", "b8", "b16")
    codes = generator.sample(3, "z", rng)
    assert generator.features(codes, "b8").shape == (3, 8, 8, 8)
    weight = generator.modulation_weights("z")["linear"]
    linear = generator.features(codes, "linear") - generator.network.linear.bias.view(8, 4, 4)
    torch.testing.assert_close(linear.flatten(1), normalise(codes.latents) @ weight.T, atol=1e-5, rtol=1e-5)
    with pytest.raises(UsageError, match="b16"):
        generator.features(codes, "b32")


def test_labels_are_the_last_inputs_once_it_is_said_that_there_are_any(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = saved(tmp_path, writers.genforce())
    plain, labelled = official(path), official(path, label_dim=2)
    assert (plain.dim("z"), labelled.dim("z")) == (7, 5)
    codes = labelled.sample(3, "z", rng)
    assert codes.labels is not None
    z = normalise(codes.latents)  # this layout normalises z by itself first
    inputs = torch.cat([z, torch.nn.functional.one_hot(codes.labels, 2).float()], 1)
    torch.testing.assert_close(labelled.render(codes), plain.render(Codes(inputs, "z")), atol=1e-4, rtol=1e-4)
    with pytest.raises(UsageError, match="take labels"):
        labelled.render(Codes(codes.latents, "z"))
    with pytest.raises(UsageError, match="take no labels"):
        plain.render(Codes(inputs, "z", codes.labels))


def test_tanh_can_be_asked_for_and_scales_are_as_told(tmp_path: Path, rng: np.random.Generator) -> None:
    path = saved(tmp_path, writers.genforce())
    codes = official(path, truncation=0.5).sample(400, "z", rng)
    assert abs(float(codes.latents.std()) - 0.5) < 0.03
    torch.testing.assert_close(official(path, tanh=True).render(codes), official(path).render(codes).tanh())


def test_incomplete_and_foreign_files_are_named(tmp_path: Path) -> None:
    state = writers.ptrblck()
    del state["features.3.wscale.b"]
    with pytest.raises(IntegrityError, match=r"incomplete progan-ptrblck.*features\.3"):
        convert(saved(tmp_path, state))
    with pytest.raises(IntegrityError, match="level of detail"):
        convert(saved(tmp_path, writers.genforce(lod=3.5)))
    for foreign in ({"l1.weight": torch.zeros(1)}, torch.zeros(2), [1, 2], (), {"config": None}):
        assert recognise(saved(tmp_path, foreign)) is None
    assert recognise(tmp_path) is None
    with pytest.raises(UsageError, match="no ProGAN checkpoint"):
        convert(saved(tmp_path, {"l1.weight": torch.zeros(1)}))


def test_cards_of_official_files_say_where_to_get_them() -> None:
    (spec,) = gdbench_generators()
    official_cards = [card for card in spec.checkpoints if not card.shipped]
    assert all("/" in (card.url or card.card["page"]) for card in official_cards)  # an address or a repository
    assert (
        len({card.name for card in official_cards})
        == len({card.file for card in official_cards})
        == len(official_cards)
    )


def test_files_have_as_many_tensors_as_the_published_ones() -> None:
    assert len(writers.ptrblck(WIDTHS[1024])) == 57
    assert len(writers.gan_zoo((2,) * 7)[0]) == 42
