"""BigGAN: what is inferred from files, the deep form's statistics, labels, gradients, modulation weights, refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_biggan import Params, gdbench_generators
from gdbench_biggan.formats import convert, recognise, row_at
from gdbench_biggan.generator import BigGAN, load
from gdbench_biggan.networks import ConditionalNorm, Config, infer_config

from gdbench import Codes, IntegrityError, UsageError, save_weights
from gdbench.params import as_plain
from tests.plugins import writers_biggan as writers
from tests.plugins.writers_biggan import load_official

CPU = torch.device("cpu")
LAYERS = ((False, 8, 8), (True, 8, 4), (False, 4, 4), (True, 4, 2))


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(5)


def saved(folder: Path, state: writers.State) -> Path:
    torch.save(state, folder / "G_ema.pth")
    return folder / "G_ema.pth"


def ajbrock(folder: Path, rng: np.random.Generator, **form: object) -> BigGAN:
    return load_official(saved(folder, writers.ajbrock(rng, (2, 2, 1), **form)))  # type: ignore[arg-type]


PUBLISHED = {  # multiples of ch, block with attention
    128: ((16, 16, 8, 4, 2, 1), (3,)),
    256: ((16, 16, 8, 8, 4, 2, 1), (4,)),
    512: ((16, 16, 8, 8, 4, 2, 1, 1), (3,)),
    32: ((4, 4, 4, 4), ()),
}


@pytest.mark.parametrize("resolution", PUBLISHED)
def test_every_size_follows_from_the_tensors(resolution: int, tmp_path: Path, rng: np.random.Generator) -> None:
    multiples, attention = PUBLISHED[resolution]
    tensors, facts = convert(saved(tmp_path, writers.ajbrock(rng, multiples, ch=4, attention=attention)))
    assert facts == {"format": "biggan-ajbrock", "eps": 1e-5}
    blocks = len(multiples) - 1
    widths = tuple(4 * m for m in multiples)
    expected = Config(widths, 3 * (blocks + 1), 7, 5, blocks + 1, tuple(range(blocks)), attention)
    assert infer_config(tensors) == expected
    assert expected.resolution == resolution


def test_cifar_form_has_no_slots(tmp_path: Path, rng: np.random.Generator) -> None:
    tensors, _ = convert(saved(tmp_path, writers.ajbrock(rng, (2, 2, 2, 2), shared=0, chunk=9)))
    assert infer_config(tensors) == Config((16, 16, 16, 16), 9, 7, 0, 1, (0, 1, 2))


def test_deep_sizes_follow_from_the_tensors_and_every_second_block_doubles(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    state = writers.deep(rng, LAYERS)
    tensors, facts = convert(saved(tmp_path, state))
    assert facts == {"format": "biggan-deep-huggingface", "eps": 1e-4, "up": [1, 3]}
    assert recognise(saved(tmp_path, state)) == facts["format"]
    config = infer_config(tensors, facts["eps"])
    assert (config.widths, config.latent_dim, config.classes, config.class_dim) == ((32, 32, 16, 16, 8), 5, 7, 5)
    assert (config.attention, config.deep, config.image_channels) == ((1,), True, 3)


def test_the_configuration_wins_over_defaults_and_parameters_over_both(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    layers = ((True, 8, 8), (False, 8, 4), (True, 4, 4), (True, 4, 2))
    folder = writers.save_folder(tmp_path / "deep", writers.deep(rng, layers), layers, eps=1e-3)
    config = load_official(folder).network.config
    assert (config.up, config.eps, config.output_eps, config.resolution) == ((0, 2, 3), 1e-3, 1e-3, 32)
    torch.save({}, folder / "training_args.bin")  # as Hugging Face's trainers leave it
    config = load_official(folder, up=(1,), eps=1e-2).network.config
    assert (config.up, config.eps, config.resolution) == ((1,), 1e-2, 8)


@pytest.mark.parametrize(
    ("truncation", "weights"),
    [
        (1.0, {50: 1.0}),
        (0.7, {35: 1.0}),
        (0.5, {25: 1.0}),
        (0.4, {20: 1.0}),
        (0.58, {28: 1.0}),  # 28.999999999999996: the swapped weights select the row below
        (0.14, {8: 1.0}),  # 7.000000000000001: and here the row above
        (0.43, {21: 0.5, 22: 0.5}),
        (0.435, {21: 0.75, 22: 0.25}),
    ],
)
def test_statistics_between_rows_are_swapped_as_in_the_official_code(
    truncation: float, weights: dict[int, float]
) -> None:
    row = row_at(torch.eye(51), truncation)
    expected = torch.zeros(51)
    for index, weight in weights.items():
        expected[index] = weight
    torch.testing.assert_close(row, expected, atol=1e-6, rtol=0)


@pytest.mark.parametrize("truncation", [1.02, 3.0])
def test_deep_statistics_end_at_one(truncation: float) -> None:
    with pytest.raises(UsageError, match="truncation"):
        row_at(torch.eye(51), truncation)


def test_index_one_hot_and_embedding_of_a_class_are_the_same_label(tmp_path: Path, rng: np.random.Generator) -> None:
    generator = ajbrock(tmp_path, rng)
    codes = generator.sample(4, "z", rng)
    assert codes.labels is not None
    shared = generator.network.shared
    assert shared is not None
    image = generator.render(codes)
    soft = torch.nn.functional.one_hot(codes.labels, 7).float()
    for labels in (soft, shared.weight[codes.labels]):
        torch.testing.assert_close(generator.render(Codes(codes.latents, "z", labels)), image, atol=1e-6, rtol=0)
    with pytest.raises(UsageError, match="labels"):
        generator.render(Codes(codes.latents, "z"))


def test_labels_are_uniform_and_truncation_scales_z(tmp_path: Path, rng: np.random.Generator) -> None:
    path = saved(tmp_path, writers.ajbrock(rng, (2, 1)))
    whole, half = (load_official(path, truncation=t).sample(7000, "z", np.random.default_rng(1)) for t in (1.0, 0.5))
    torch.testing.assert_close(half.latents, whole.latents * 0.5)
    assert whole.labels is not None
    assert (whole.labels.bincount(minlength=7) - 1000).abs().max() < 5 * 1000**0.5
    assert abs(float(whole.latents.std()) - 1) < 0.02


def test_one_class_may_be_asked_for_and_the_latents_stay(tmp_path: Path) -> None:
    path = saved(tmp_path, writers.ajbrock(np.random.default_rng(5), (2, 1)))
    every, one = (load_official(path, label=label).sample(50, "z", np.random.default_rng(1)) for label in (None, 6))
    assert one.labels is not None
    assert one.labels.dtype == torch.int64
    assert one.labels.tolist() == [6] * 50
    assert torch.equal(one.latents, every.latents)
    with pytest.raises(UsageError, match=r"label 7: this BigGAN has the classes 0 to 6$"):
        load_official(path, label=7)
    with pytest.raises(ValueError, match="label must be >= 0"):
        Params(label=-1)


def test_a_class_not_asked_for_is_not_written_down() -> None:
    """Runs keep the names that they had before there was the choice."""
    assert "label" not in as_plain(Params())
    assert as_plain(Params(label=3))["label"] == 3


def test_deep_latents_are_cut_at_two_deviations_and_scaled(tmp_path: Path, rng: np.random.Generator) -> None:
    path = saved(tmp_path, writers.deep(rng, LAYERS))
    z = load_official(path, truncation=0.5).sample(4000, "z", rng).latents
    assert 0.95 < float(z.abs().max()) <= 1.0
    assert abs(float(z.std()) - 0.5 * 0.8796) < 0.01  # the deviation of a normal cut at +-2 is .8796


@pytest.mark.parametrize("deep", [False, True])
def test_images_have_the_right_gradient(deep: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    state = writers.deep(rng, LAYERS) if deep else writers.ajbrock(rng, (2, 1), attention=(0,))
    network = load_official(saved(tmp_path, state)).network.double()
    z = torch.from_numpy(rng.standard_normal((2, network.config.latent_dim))).requires_grad_()
    labels = torch.tensor([1, 4])
    direction = torch.from_numpy(rng.standard_normal((3, network.config.resolution, network.config.resolution)))
    assert torch.autograd.gradcheck(lambda z: (network(z, labels) * direction).mean((1, 2, 3)), z)


@pytest.mark.parametrize("deep", [False, True])
def test_an_image_does_not_depend_on_its_batch(deep: bool, tmp_path: Path, rng: np.random.Generator) -> None:
    state = writers.deep(rng, LAYERS) if deep else writers.ajbrock(rng, (2, 2, 1), attention=(1,))
    generator = load_official(saved(tmp_path, state))
    codes = generator.sample(5, "z", rng)
    together = generator.render(codes)
    assert together.shape == (5, *generator.image_shape)
    torch.testing.assert_close(
        torch.cat([generator.render(codes[i : i + 1]) for i in range(5)]), together, atol=2e-6, rtol=0
    )


@pytest.mark.parametrize("form", ["slots", "deep", "cifar"])
def test_modulation_weights_are_the_derivative_of_what_layers_see(
    form: str, tmp_path: Path, rng: np.random.Generator
) -> None:
    state = {
        "slots": lambda: writers.ajbrock(rng, (2, 2, 1)),
        "deep": lambda: writers.deep(rng, LAYERS),
        "cifar": lambda: writers.ajbrock(rng, (2, 2, 1), shared=0, chunk=6),
    }[form]()
    generator = load_official(saved(tmp_path, state))
    network, codes = generator.network, generator.sample(1, "z", rng)

    def seen(z: torch.Tensor) -> dict[str, torch.Tensor]:
        first, *conditions = network.conditions(z, network.embed(codes.labels))  # type: ignore[arg-type]
        layers = {"linear": network.linear(first)[0]}
        for i, (block, condition) in enumerate(zip(network.blocks, conditions, strict=True)):
            norms = [norm for norm in block.children() if isinstance(norm, ConditionalNorm)]
            layers[f"block{i}"] = torch.cat([part(condition)[0] for norm in norms for part in (norm.gain, norm.bias)])
        return layers

    weights = generator.modulation_weights("z")
    jacobian = torch.autograd.functional.jacobian(lambda z: tuple(seen(z).values()), codes.latents)
    for name, slope in zip(seen(codes.latents), jacobian, strict=True):
        torch.testing.assert_close(weights.get(name, torch.zeros_like(slope[:, 0])), slope[:, 0])
    assert set(weights) == (
        {"linear"} if form == "cifar" else {"linear", *(f"block{i}" for i in range(len(network.blocks)))}
    )


def test_features_are_named_activations(tmp_path: Path, rng: np.random.Generator) -> None:
    generator = ajbrock(tmp_path, rng)
    codes = generator.sample(2, "z", rng)
    sizes = [tuple(generator.features(codes, layer).shape) for layer in generator.feature_layers]
    assert sizes == [(2, 16, 4, 4), (2, 16, 8, 8), (2, 8, 16, 16)]
    with pytest.raises(UsageError, match="block1"):
        generator.features(codes, "block7")


def test_prefixes_of_dataparallel_and_the_domain_of_a_converted_file(tmp_path: Path, rng: np.random.Generator) -> None:
    state = writers.ajbrock(rng, (2, 1), trained=False)
    plain, _ = convert(saved(tmp_path, state))
    tensors, facts = convert(saved(tmp_path, {f"module.{name}": tensor for name, tensor in state.items()}))
    assert all(torch.equal(tensors[name], plain[name]) for name in plain)
    halved = {name: tensor.half() for name, tensor in tensors.items()}  # as shipped checkpoints are stored
    save_weights(tmp_path / "half.safetensors", halved, facts | {"domain": "imagenet"})
    generator = load(tmp_path / "half.safetensors", Params(), CPU)
    assert generator.domain == "imagenet"
    assert generator.render(generator.sample(2, "z", rng)).dtype == torch.float32


def test_what_nobody_published_or_is_incomplete_is_refused(tmp_path: Path, rng: np.random.Generator) -> None:
    state = writers.ajbrock(rng, (2, 1))
    with pytest.raises(UsageError, match="mybn"):
        convert(saved(tmp_path, {k.replace("bn1.stored", "bn1.bn.stored"): v for k, v in state.items()}))
    del state["blocks.0.0.conv2.weight"]
    with pytest.raises(IntegrityError, match="incomplete biggan-ajbrock"):
        convert(saved(tmp_path, state))
    assert recognise(saved(tmp_path, {"l1.weight": torch.zeros(1)})) is None
    assert recognise(tmp_path) is None
    with pytest.raises(UsageError, match="no BigGAN checkpoint"):
        convert(saved(tmp_path, {"l1.weight": torch.zeros(1)}))


def test_redundant_and_unknown_entries_change_nothing(tmp_path: Path, rng: np.random.Generator) -> None:
    state = writers.deep(rng, LAYERS)
    tensors, _ = convert(saved(tmp_path, state))
    extra = {name.removesuffix("_orig"): torch.ones(1) for name in state if name.endswith("_orig")}
    again, _ = convert(saved(tmp_path, {**extra, **state, "generator.step": torch.ones(1)}))
    assert tensors.keys() == again.keys()
    assert all(torch.equal(tensors[name], again[name]) for name in tensors)


def test_cards_of_official_files_say_where_to_get_them() -> None:
    (spec,) = gdbench_generators()
    official = [card for card in spec.checkpoints if not card.shipped]
    assert {card.resolution for card in official} == {128, 256, 512}
    assert all("/" in (card.url or card.card["page"]) for card in official)  # an address or a repository


def test_files_have_as_many_tensors_as_the_published_ones(rng: np.random.Generator) -> None:
    counts = {128: 166, 256: 194, 512: 222}
    for resolution, expected in counts.items():
        multiples, attention = PUBLISHED[resolution]
        assert len(writers.ajbrock(rng, multiples, ch=4, attention=attention)) == expected
    pairs = ((16, 16), (16, 16), (16, 16), (16, 8), (8, 8), (8, 4), (4, 4), (4, 2), (2, 2), (2, 1))
    layers = tuple((i % 2 == 1, a, b) for i, (a, b) in enumerate(pairs))
    assert len(writers.deep(rng, layers, cw=4, attention=8)) == 506
