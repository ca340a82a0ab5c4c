"""Files as people have them: wrapped, named after a training step, half broken; with the families of the house."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gdbench import GeneratorSpec, IntegrityError, UsageError, read_facts, save_weights, sha256
from gdbench.registry import load_registry
from gdbench.weights import reading
from gdbench.weights.checkpoints import entries, find
from gdbench.weights.importing import import_checkpoint
from gdbench.weights.naming import proposed
from tests.plugins import writers_biggan, writers_sngan, writers_stylegan2

REGISTRY = load_registry()
FAMILIES = [REGISTRY.generator(name).spec for name in ("biggan", "progan", "sngan", "stylegan2")]
STYLE, SN = FAMILIES[3], FAMILIES[2]
Content = dict[str, Any]


def rosinality() -> Content:
    return writers_stylegan2.rosinality(writers_stylegan2.Sizes())[0]


def mimicry() -> Content:
    return writers_sngan.mimicry(writers_sngan.Sizes())


def written(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(content, path)
    return path


def imported(path: Path, **how: Any) -> Any:
    return import_checkpoint(path, FAMILIES, path.parents[1] / "store", **how)


def same_weights(one: Any, other: Any, folder: Path) -> bool:
    from gdbench import load_weights

    a, b = (load_weights(folder / "store" / c.card["family"] / c.file) for c in (one, other))
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


# Numbers that are none


def spoiled(state: dict[str, Tensor], name: str, value: float, kind: torch.dtype = torch.float32) -> None:
    tensor = state[name].to(kind).clone()
    tensor.view(-1)[-1] = value
    state[name] = tensor


@pytest.mark.parametrize(
    ("name", "kind", "value"),
    [
        ("convs.1.conv.weight", torch.float32, float("nan")),
        ("to_rgbs.1.bias", torch.float32, float("inf")),
        ("noises.noise_1", torch.float16, float("nan")),
        ("style.1.bias", torch.bfloat16, -float("inf")),
        ("convs.0.noise.weight", torch.float64, float("nan")),
    ],
)
def test_weights_that_are_not_finite_are_refused_by_name(
    name: str, kind: torch.dtype, value: float, tmp_path: Path
) -> None:
    content = rosinality()
    spoiled(content["g_ema"], name, value, kind)
    with pytest.raises(IntegrityError, match=rf"x\.pt: its weights are not finite: .*{name} holds 1 of"):
        imported(written(tmp_path / "in" / "x.pt", content))
    assert not list((tmp_path / "store").rglob("*"))


def test_statistics_and_the_mean_latent_are_looked_at_too(tmp_path: Path) -> None:
    content = mimicry()
    spoiled(content["model_state_dict"], "block3.b1.running_var", float("nan"))
    with pytest.raises(IntegrityError, match=r"block3\.b1\.running_var holds 1 of"):
        imported(written(tmp_path / "in" / "buffers.pt", content))
    content = rosinality()
    spoiled(content, "latent_avg", float("nan"))
    with pytest.raises(IntegrityError, match="latent_avg holds 1 of"):
        imported(written(tmp_path / "in" / "mean.pt", content))


def test_what_is_not_needed_to_render_may_hold_anything(tmp_path: Path) -> None:
    content = {**rosinality(), "g_optim": {"state": {0: {"exp_avg": torch.full((3,), float("nan"))}}}}
    assert imported(written(tmp_path / "in" / "x.pt", content)).card["format"] == "rosinality"


def test_finite_weights_whose_images_are_not(tmp_path: Path) -> None:
    content = mimicry()
    content["model_state_dict"]["block2.b1.running_var"].fill_(-1.0)
    with pytest.raises(IntegrityError, match=r"x\.pth: the images that it renders are not finite"):
        imported(written(tmp_path / "in" / "x.pth", content))
    assert not list((tmp_path / "store").rglob("*"))


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.name)
def test_a_file_in_the_shipped_layout_is_looked_at_too(spec: GeneratorSpec, tmp_path: Path) -> None:
    path = find(spec, None, tmp_path / "store").path
    assert path is not None
    tensors = dict(reading.load_weights(path))
    name = next(name for name in tensors if name.endswith("weight"))
    spoiled(tensors, name, float("nan"), torch.float16)
    (tmp_path / "in").mkdir()
    save_weights(tmp_path / "in" / "x.safetensors", tensors, read_facts(path))
    with pytest.raises(IntegrityError, match=f"{name} holds 1 of"):
        imported(tmp_path / "in" / "x.safetensors", domain="scenes")
    assert not list((tmp_path / "store").rglob("*"))


def test_a_fault_leaves_what_was_there(tmp_path: Path) -> None:
    first = imported(written(tmp_path / "in" / "x.pt", rosinality()), name="mine")
    kept = {path: path.read_bytes() for path in (tmp_path / "store").rglob("*.*")}
    card = json.loads((tmp_path / "store" / "stylegan2" / "mine.json").read_text())
    assert card["name"] == first.name
    content = rosinality()
    spoiled(content["g_ema"], "to_rgb1.bias", float("nan"))
    with pytest.raises(IntegrityError):
        imported(written(tmp_path / "in" / "y.pt", content))
    assert {path: path.read_bytes() for path in (tmp_path / "store").rglob("*.*")} == kept


# Domains and names


def test_another_domain_gets_another_name(tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "faces.pt", rosinality())
    first = imported(path, domain="scenes")
    second = imported(path, domain="natural")
    assert (first.name, second.name) == ("faces", "faces-natural")
    with pytest.raises(UsageError, match="imported already, as domain scenes: choose another --name"):
        imported(path, domain="natural", name="faces")
    assert imported(path, domain="scenes") == first
    assert imported(path, domain="natural") == second
    assert imported(path) in (first, second)
    assert [e.checkpoint.name for e in entries([STYLE], tmp_path / "store") if e.present and not e.checkpoint.shipped]
    for card in (first, second):
        kept = tmp_path / "store" / "stylegan2" / card.file
        assert (sha256(kept), read_facts(kept)["domain"]) == (card.sha256, card.domain)


NAMES = {
    "celeba64/netG_100000_steps.pth": "fam-celeba64-100000",
    "Downloads/netG_100000_steps.pth": "fam-100000",
    "cats/checkpoints/netG/netG_50_steps.pth": "fam-cats-50",
    "My Cats/G_ema.pth": "fam-my-cats",
    "Downloads/G_ema.pth": "fam",
    "fam-dogs/550000.pt": "fam-dogs-550000",
    "x/network-snapshot-025000.pkl": "fam-25000",
    "birds/epoch=12-step=3400.ckpt": "fam-birds-3400",
    "biggan-deep-128/pytorch_model.bin": "fam-biggan-deep-128",
    "any/stylegan2-ffhq-config-f.pt": "stylegan2-ffhq-config-f",
    "any/Portraits (1).pt": "portraits-1",
    "any/100_celeb_hq_network-snapshot-010403.pth": "100_celeb_hq_network-snapshot-010403",
    "日本/生成器.pt": "fam",
}


@pytest.mark.parametrize("path", NAMES)
def test_names_come_from_folder_and_family_where_the_file_says_nothing(path: str, tmp_path: Path) -> None:
    file = tmp_path / "tmp" / "tmp" / "tmp" / path
    file.parent.mkdir(parents=True)
    file.touch()
    assert proposed(file, "fam") == NAMES[path]


# Wrapped files


def lightning(state: dict[str, Tensor]) -> Content:
    named = {f"generator.{name}": tensor for name, tensor in state.items()}
    other = {f"discriminator.{name}": torch.zeros(2) for name in ("a.weight", "a.bias", "b.weight", "b.bias")}
    return {
        "epoch": 3,
        "state_dict": {**named, **other},
        "hyper_parameters": {"lr": 0.1},
        "pytorch-lightning_version": "2",
    }


WRAPPED: dict[str, Callable[[dict[str, Tensor]], Any]] = {
    "lightning": lightning,
    "state_dict": lambda state: {"state_dict": state, "epoch": 1},
    "compiled": lambda state: {f"_orig_mod.{name}": tensor for name, tensor in state.items()},
    "compiled and wrapped": lambda state: {"g_ema": {f"_orig_mod.{name}": tensor for name, tensor in state.items()}},
    "data parallel": lambda state: {"g_ema": {f"module.{name}": tensor for name, tensor in state.items()}},
    "both": lambda state: {"model": {f"module._orig_mod.{name}": tensor for name, tensor in state.items()}},
    "decoder beside an encoder": lambda state: {
        "state_dict": {
            **{f"decoder.{name}": tensor for name, tensor in state.items()},
            **{f"encoder.{i}.weight": torch.zeros(2) for i in range(5)},
        },
        "opts": {"output_size": 16},
    },
    "deep": lambda state: {"models": {"gan": {"net": state}}},
}


@pytest.mark.parametrize("wrap", WRAPPED)
@pytest.mark.parametrize("family", ["stylegan2", "sngan"])
def test_wrapped_files_are_the_file_inside(family: str, wrap: str, tmp_path: Path) -> None:
    content = rosinality() if family == "stylegan2" else mimicry()
    state = content["g_ema"] if family == "stylegan2" else content["model_state_dict"]
    plain = imported(written(tmp_path / "in" / "plain.pt", state))
    made = imported(written(tmp_path / "in" / "wrapped.ckpt", WRAPPED[wrap](state)))
    assert made.card["family"] == family
    assert same_weights(plain, made, tmp_path)
    assert imported(tmp_path / "in" / "wrapped.ckpt") == made


def test_the_mean_latent_beside_a_decoder_is_kept(tmp_path: Path) -> None:
    content = rosinality()
    wrapped = {
        "state_dict": {f"decoder.{name}": tensor for name, tensor in content["g_ema"].items()},
        "latent_avg": content["latent_avg"].repeat(5, 1),
    }
    plain = imported(written(tmp_path / "in" / "plain.pt", content))
    assert same_weights(plain, imported(written(tmp_path / "in" / "psp.pt", wrapped)), tmp_path)


def test_a_key_picks_one_of_several_generators(tmp_path: Path) -> None:
    one, other = mimicry()["model_state_dict"], writers_sngan.mimicry(writers_sngan.Sizes(), 1)["model_state_dict"]
    path = written(tmp_path / "in" / "both.ckpt", {"state_dict": {
        **{f"G.{name}": tensor for name, tensor in one.items()},
        **{f"G_ema.{name}": tensor for name, tensor in other.items()},
    }})  # fmt: skip
    with pytest.raises(UsageError, match=r"several generators: state_dict\.G \(sngan\), state_dict\.G_ema .*--key"):
        imported(path)
    plain = imported(written(tmp_path / "in" / "plain.pth", other))
    for key in ("state_dict.G_ema", "G_ema"):
        made = imported(path, key=key)
        assert same_weights(plain, made, tmp_path)
        assert made.card["key"] == key
    assert not same_weights(plain, imported(path, key="G"), tmp_path)
    assert len({imported(path, key=key).name for key in ("G", "G_ema")}) == 2


def test_where_no_key_fits_those_that_are_there_are_named(tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "x.ckpt", lightning(mimicry()["model_state_dict"]))
    with pytest.raises(UsageError, match=r"unknown part 'generater': did you mean .*generator"):
        imported(path, key="generater")
    with pytest.raises(
        UsageError, match=r"no known layout of .* in its part discriminator; its parts: .*state_dict\.gen"
    ):
        imported(path, key="discriminator")
    path = written(tmp_path / "in" / "y.ckpt", {"net": {f"body.{i}.weight": torch.zeros(2) for i in range(6)}, "n": 1})
    with pytest.raises(UsageError, match=r"no known layout of .*its parts: net \(6 tensors\).*--key NAME"):
        imported(path)


def test_a_folder_with_one_file_of_weights_is_that_file(tmp_path: Path) -> None:
    path = written(tmp_path / "in" / "cats" / "G_ema.pt", rosinality())
    (path.parent / "readme.txt").write_text("cats")
    (path.parent / "sample.png").write_bytes(b"\x89PNG\r\n")
    made = import_checkpoint(path.parent, FAMILIES, tmp_path / "store")
    assert (made.name, made.card["source"]) == ("stylegan2-cats", "G_ema.pt")
    written(path.parent / "older.pt", rosinality())
    with pytest.raises(UsageError, match=r"give one of its files of weights: G_ema\.pt, older\.pt"):
        import_checkpoint(path.parent, FAMILIES, tmp_path / "store")


# Our own files


@pytest.mark.parametrize("spec", FAMILIES, ids=lambda spec: spec.name)
def test_a_shipped_file_is_known_wherever_it_lies(spec: GeneratorSpec, tmp_path: Path) -> None:
    shipped = find(spec, None, tmp_path / "store")
    assert shipped.path is not None
    assert import_checkpoint(shipped.path, FAMILIES, tmp_path / "store") == shipped.checkpoint
    copy = tmp_path / "model.safetensors"
    copy.write_bytes(shipped.path.read_bytes())
    assert find(spec, copy, tmp_path / "store").path == shipped.path
    assert not (tmp_path / "store").exists()
    facts = {name: value for name, value in read_facts(copy).items() if name != "family"}
    save_weights(copy, {name: t.float() for name, t in reading.load_weights(copy).items()}, facts)
    assert import_checkpoint(copy, FAMILIES, tmp_path / "store").card["family"] == spec.name


def test_a_file_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reads: list[str] = []
    plainly = reading._load

    def counted(path: Path) -> Any:
        reads.append(path.name)
        return plainly(path)

    monkeypatch.setattr(reading, "_load", counted)
    imported(written(tmp_path / "in" / "x.pt", rosinality()))
    assert reads.count("x.pt") == 1
    state = writers_sngan.latent_discovery(writers_sngan.Sizes())
    writers_sngan.write_folder(tmp_path / "in" / "folder", state)
    import_checkpoint(tmp_path / "in" / "folder", FAMILIES, tmp_path / "store")
    assert reads.count("generator.pt") == 1


def test_a_configuration_of_a_million_layers_leaves_nothing(tmp_path: Path) -> None:
    layers = ((False, 4, 4), (True, 4, 2), (False, 2, 2), (True, 2, 1))
    state = writers_biggan.deep(np.random.default_rng(0), layers)
    (tmp_path / "in").mkdir()
    folder = writers_biggan.save_folder(tmp_path / "in" / "deep", state, layers)
    (folder / "config.json").write_text(json.dumps({"layers": [[True, 1, 1]] * 10**6}))
    with pytest.raises(IntegrityError) as caught:
        import_checkpoint(folder, FAMILIES, tmp_path / "store")
    assert len(str(caught.value)) < 500
    assert not list((tmp_path / "store").rglob("*"))


def test_images_beyond_every_published_size_are_refused(tmp_path: Path) -> None:
    spec = replace(
        SN, load=lambda path, params, device: type("Huge", (), {"image_shape": (3, 8192, 8192), "spaces": ("z",)})
    )
    path = written(tmp_path / "in" / "x.pth", mimicry())
    with pytest.raises(IntegrityError, match="more than 4096 px"):
        import_checkpoint(path, [spec], tmp_path / "store")
    assert not list((tmp_path / "store").rglob("*"))
