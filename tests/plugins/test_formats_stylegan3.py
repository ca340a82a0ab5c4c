"""Files in the official StyleGAN3 layout must be recognised and render what the official formulas give."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import gdbench_stylegan2.formats
import numpy as np
import pytest
import torch
from gdbench_stylegan3 import Params
from gdbench_stylegan3.formats import convert, recognise
from gdbench_stylegan3.generator import load
from gdbench_stylegan3.official import OFFICIAL
from torch import Tensor

from gdbench import Codes, IntegrityError, UsageError, load_weights, save_weights
from gdbench.registry import load_registry
from gdbench.specs import NAME
from gdbench.weights.importing import import_checkpoint
from tests.plugins import writers_stylegan2
from tests.plugins.writers_stylegan2 import Dice
from tests.plugins.writers_stylegan3 import R, Reference, Sizes, drawn, layers, write

T = Sizes()
TABLE = {
    "t": T,
    "r": R,
    "grey, deeper mapping, wide z": Sizes(channels=1, mapping=4, z_dim=11),
    "three layers, factors of 4": Sizes(layers=3, resolution=64),
    "ten layers at 16 px": Sizes(layers=11, resolution=16, base=16, most=3),
    "small margin, another filter, another first cutoff": Sizes(margin=3, taps=4, first_cutoff=1.5),
    "clamped": Sizes(clamp=0.7),
    "not clamped": replace(R, clamp=None),
    "another scale and learning rate": Sizes(scale=0.5, lr=0.1),
}


def rendered(path: Path, z: Tensor, labels: Tensor | None = None) -> Tensor:
    tensors, facts = convert(path)
    save_weights(path.with_suffix(".safetensors"), tensors, facts)
    network = load(path.with_suffix(".safetensors"), Params(), torch.device("cpu")).network
    with torch.no_grad():
        images: Tensor = network(z, labels)
    return images


def assert_equal_images(images: Tensor, reference: Tensor) -> None:
    span = reference.max() - reference.min()
    assert images.shape == reference.shape
    assert span > 0.05
    assert (images.double() - reference).abs().max() < 1e-5 * span


@pytest.mark.parametrize("sizes", TABLE.values(), ids=TABLE.keys())
def test_a_file_renders_as_the_formulas_say(sizes: Sizes, tmp_path: Path) -> None:
    made = write(tmp_path / "network.pkl", drawn(sizes))
    z = Dice(1)(2, sizes.z_dim)
    assert recognise(tmp_path / "network.pkl") == "nvidia-pytorch"
    assert_equal_images(rendered(tmp_path / "network.pkl", z), made.render(z))


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_every_pickle_protocol_is_read_and_no_code_of_it_runs(
    protocol: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    made = write(tmp_path / "network.pkl", drawn(R), protocol)
    tensors, facts = convert(tmp_path / "network.pkl")
    assert tensors.keys() == made.tensors.keys()
    assert all(torch.equal(tensors[name], tensor) for name, tensor in made.tensors.items())
    assert facts == {
        "lr_multiplier": 0.01,
        "conv_clamp": 256.0,
        "output_scale": 0.25,
        "sampling_rate": 16.0,
        "bandwidth": 2.0,
        "filter_size": 6,
    }
    assert not (tmp_path / "canary").exists()


def test_classes_may_be_soft(tmp_path: Path) -> None:
    sizes = Sizes(classes=4)
    made = write(tmp_path / "network.pkl", drawn(sizes))
    z, labels = Dice(1)(3, sizes.z_dim), torch.eye(4)[:3] * 0.7 + 0.1
    assert_equal_images(rendered(tmp_path / "network.pkl", z, labels), made.render(z, labels))


@pytest.mark.parametrize("sizes", [T, R], ids=["t", "r"])
def test_the_transform_of_a_file_acts(sizes: Sizes, tmp_path: Path) -> None:
    angle, scale = 0.7, 1.9  # the scale lifts frequencies above the bandwidth, where they fade
    user = scale * np.array([[np.cos(angle), -np.sin(angle), 0.3], [np.sin(angle), np.cos(angle), -0.2], [0, 0, 0]])
    user[2, 2] = 1
    made = drawn(sizes).with_tensors(synthesis__input__transform=torch.from_numpy(user.astype(np.float32)))
    write(tmp_path / "network.pkl", made)
    z = Dice(1)(2, sizes.z_dim)
    assert_equal_images(rendered(tmp_path / "network.pkl", z), made.render(z))


def test_a_separable_filter_in_place_of_a_radial_one_would_be_seen(tmp_path: Path) -> None:
    """The reference itself moves by more than the tolerance of every comparison here."""
    made, z = drawn(R), Dice(1)(1, 7)
    wrong = replace(R, radial=False)
    assert (made.render(z) - drawn(wrong).render(z)).abs().max() > 1e-3


def test_the_epsilon_of_demodulation_acts_as_in_the_official_network(tmp_path: Path) -> None:
    made = drawn(T)
    for layer in layers(T)[:-1]:
        made.tensors[f"synthesis.{layer.name}.weight"][:2] *= 1e-4
    write(tmp_path / "network.pkl", made)
    z = Dice(1)(2, T.z_dim)
    assert_equal_images(rendered(tmp_path / "network.pkl", z), made.render(z))


@pytest.mark.parametrize("psi", [0.5, 0.0])
def test_truncation_and_its_cutoff(psi: float, tmp_path: Path) -> None:
    made = write(tmp_path / "network.pkl", drawn(T))
    tensors, facts = convert(tmp_path / "network.pkl")
    save_weights(tmp_path / "w.safetensors", tensors, facts)
    z = Dice(1)(2, T.z_dim)
    ws, mean = np.repeat(made.map(z)[:, None], T.layers + 2, 1), made["mapping.w_avg"]
    for cutoff in (None, 3):
        pulled = ws.copy()
        pulled[:, :cutoff] = mean + psi * (pulled[:, :cutoff] - mean)
        generator = load(tmp_path / "w.safetensors", Params(psi=psi, cutoff=cutoff), torch.device("cpu"))
        assert_equal_images(generator.render(Codes(z, "z")), made.synthesise(pulled))


def test_every_layer_takes_its_own_code(tmp_path: Path) -> None:
    made = write(tmp_path / "network.pkl", drawn(R))
    tensors, facts = convert(tmp_path / "network.pkl")
    save_weights(tmp_path / "w.safetensors", tensors, facts)
    ws = Dice(4)(2, R.layers + 2, R.w_dim)
    generator = load(tmp_path / "w.safetensors", Params(), torch.device("cpu"))
    assert_equal_images(generator.render(Codes(ws, "w+")), made.synthesise(ws.double().numpy()))


WRAPPED: dict[str, Callable[[dict[str, Tensor]], dict[str, Any]]] = {
    "flat": lambda tensors: {**tensors, "step": 3, "latent_avg": torch.zeros(16)},
    "G_ema": lambda tensors: {"G_ema": tensors, "step": 3},
    "an encoder's decoder": lambda tensors: {
        "state_dict": {"encoder.weight": torch.zeros(2), **{f"decoder.{name}": t for name, t in tensors.items()}},
        "latent_avg": torch.zeros(16),
    },
}


@pytest.mark.parametrize("wrap", WRAPPED.values(), ids=WRAPPED.keys())
def test_a_state_dict_with_the_official_names(
    wrap: Callable[[dict[str, Tensor]], dict[str, Any]], tmp_path: Path
) -> None:
    made = drawn(R)
    torch.save(wrap(made.tensors), tmp_path / "cats.pt")
    spec = load_registry().generator("stylegan3").spec
    card = import_checkpoint(tmp_path / "cats.pt", [spec], tmp_path / "store")
    z = Dice(1)(2, R.z_dim)
    generator = load(tmp_path / "store" / "stylegan3" / card.file, Params(), torch.device("cpu"))
    assert card.card["format"] == "state-dict"
    assert_equal_images(generator.render(Codes(z, "z")), made.render(z))


def test_an_import_needs_no_hint_among_all_families(tmp_path: Path) -> None:
    made = write(tmp_path / "network-snapshot-000100.pkl", drawn(Sizes(classes=3)))
    specs = [offer.spec for offer in load_registry().generators.values()]
    card = import_checkpoint(tmp_path / "network-snapshot-000100.pkl", specs, tmp_path / "store")
    assert card.card["family"] == "stylegan3"
    assert (card.resolution, card.domain, card.card["spaces"]) == (32, "natural", ["w", "z", "w+", "s"])
    stored = load_weights(tmp_path / "store" / "stylegan3" / card.file)
    assert torch.equal(stored["mapping.w_avg"], made.tensors["mapping.w_avg"])


def test_neighbours_in_the_same_container_are_told_apart(tmp_path: Path) -> None:
    write(tmp_path / "3.pkl", drawn(T))
    writers_stylegan2.LAYOUTS[2].write(tmp_path / "2.pkl", writers_stylegan2.Sizes())
    assert gdbench_stylegan2.formats.recognise(tmp_path / "3.pkl") is None
    assert recognise(tmp_path / "2.pkl") is None
    assert recognise(tmp_path) is None
    with pytest.raises(UsageError, match="not a StyleGAN3"):
        convert(tmp_path / "2.pkl")


@pytest.mark.parametrize(
    ("place", "value", "reason"),
    [
        ("mapping:class_name", "MappingNetworkXL", "modules MappingNetworkXL"),
        ("synthesis.L1_36_5:class_name", "SuperresLayer", "modules SuperresLayer"),
        ("mapping.fc0:activation", "relu", "activation relu"),
        ("synthesis.input.affine:activation", "tanh", "activation tanh"),
        ("synthesis.L1_36_5:padding", [9, 9, 9, 9], "padding"),
        ("synthesis.L1_36_5:down_factor", 4, "down_factor 4"),
        ("synthesis.L1_36_5:up_factor", 4, "filter_size 3"),
        ("synthesis.L1_36_5:conv_clamp", 1.0, "conv_clamp"),
    ],
)
def test_relatives_are_refused_with_the_reason(place: str, value: Any, reason: str, tmp_path: Path) -> None:
    write(tmp_path / "network.pkl", drawn(T), changes={place: value})
    with pytest.raises(UsageError, match=reason):
        convert(tmp_path / "network.pkl")


def test_a_file_that_lacks_a_tensor_is_refused_in_one_line(tmp_path: Path) -> None:
    made = drawn(T)
    del made.tensors["synthesis.L1_36_5.bias"]
    torch.save(made.tensors, tmp_path / "cats.pt")
    spec = load_registry().generator("stylegan3").spec
    with pytest.raises(IntegrityError, match=r"L1_36_5\.bias"):
        import_checkpoint(tmp_path / "cats.pt", [spec], tmp_path / "store")


def test_a_global_beyond_the_list_is_refused_by_name(tmp_path: Path) -> None:
    with (tmp_path / "network.pkl").open("wb") as file:
        pickle.dump({"G_ema": Reference.render}, file)
    with pytest.raises(IntegrityError, match="refused pickle: it asks for tests"):
        recognise(tmp_path / "network.pkl")


def test_official_cards_are_well_formed() -> None:
    names = [card.name for card in OFFICIAL]
    assert len(names) == len(set(names)) == 12
    for card in OFFICIAL:
        assert NAME.fullmatch(card.name)
        assert card.url is not None
        assert card.url.endswith(f"/{card.file}")
        assert "licen" in card.licence.lower()
        assert card.resolution in (256, 512, 1024)
