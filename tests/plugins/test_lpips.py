"""The domain natural: its distance is what the lpips package says, its backbone is checked at every use."""

from __future__ import annotations

import subprocess
import sys
import warnings
from dataclasses import replace
from pathlib import Path

import lpips
import numpy as np
import pytest
import torch
from gdbench_lpips import BACKBONE, INCEPTION, backbone, inception
from gdbench_lpips.domain import Natural, load
from torch import Tensor
from torchvision.models import Inception3

from gdbench import (
    ExtraFile,
    IntegrityError,
    MissingFile,
    Stream,
    distance,
    embed,
    image_features,
    normal,
    sha256,
)
from gdbench.registry import load_registry
from gdbench.testing import run_checks

SHAPES = {
    "0": (64, 3, 11, 11),
    "3": (192, 64, 5, 5),
    "6": (384, 192, 3, 3),
    "8": (256, 384, 3, 3),
    "10": (256, 256, 3, 3),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A backbone file as torchvision's, with weights from a seed and so with a hash of its own."""
    rng = np.random.default_rng(0)
    tensors: dict[str, Tensor] = {"classifier.6.bias": torch.zeros(3)}  # the rest of the file is not looked at
    for name, shape in SHAPES.items():
        tensors[f"features.{name}.weight"] = normal(rng, *shape) / np.prod(shape[1:]) ** 0.5
        tensors[f"features.{name}.bias"] = 0.1 * normal(rng, shape[0])
    made: Path = tmp_path_factory.mktemp("checkpoints")
    (made / BACKBONE.name).mkdir()
    torch.save(tensors, made / BACKBONE.name / BACKBONE.file)
    (made / INCEPTION.name).mkdir()
    torch.save(inception_weights(rng), made / INCEPTION.name / INCEPTION.file)
    return made


def inception_weights(rng: np.random.Generator) -> dict[str, Tensor]:
    """Tensors as in torchvision's file, drawn from a seed, such that activations keep their size."""
    with torch.device("meta"):
        wanted = Inception3(init_weights=False).state_dict()
    tensors = {}
    for name, like in wanted.items():
        if like.dim() > 1:
            tensors[name] = normal(rng, *like.shape) * float(np.prod(like.shape[1:]) / 2) ** -0.5
        else:
            tensors[name] = like.new_ones(like.shape, device="cpu") * name.endswith(("bn.weight", "running_var"))
    return tensors


@pytest.fixture(scope="module")
def path(folder: Path) -> Path:
    return folder / BACKBONE.name / BACKBONE.file


@pytest.fixture(scope="module")
def file(path: Path) -> ExtraFile:
    """The declaration of the made file: torchvision's, with its hash."""
    return replace(BACKBONE, sha256=sha256(path)[:8])


@pytest.fixture(scope="module")
def inception_file(folder: Path) -> ExtraFile:
    return replace(INCEPTION, sha256=sha256(folder / INCEPTION.name / INCEPTION.file)[:8])


@pytest.fixture(scope="module")
def natural(file: ExtraFile, inception_file: ExtraFile, folder: Path) -> Natural:
    return Natural(backbone.load(file, folder), inception.load(inception_file, folder))


@pytest.fixture(scope="module")
def theirs(path: Path) -> lpips.LPIPS:
    """The package itself, made its own way and filled by torchvision's names."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = lpips.LPIPS(net="alex", pnet_rand=True, verbose=False)
    tensors = torch.load(path, weights_only=True)
    for part in (made.net.slice1, made.net.slice2, made.net.slice3, made.net.slice4, made.net.slice5):
        for name, layer in part.named_children():
            if isinstance(layer, torch.nn.Conv2d):
                layer.weight.data = tensors[f"features.{name}.weight"]
                layer.bias.data = tensors[f"features.{name}.bias"]
    return made


def images(channels: int = 3, size: int = 64) -> tuple[Tensor, Tensor]:
    rng = Stream(0, "test").at()
    first = torch.tanh(normal(rng, 6, channels, size, size))
    return first, (first + 0.3 * normal(rng, 6, channels, size, size)).clamp(-1, 1)


@pytest.mark.parametrize("channels", [1, 3])
def test_distance_is_lpips(natural: Natural, theirs: lpips.LPIPS, channels: int) -> None:
    first, second = images(channels)
    oracle = natural.oracle("a")
    ours = distance(embed(oracle, first), embed(oracle, second))
    with torch.no_grad():
        expected = theirs(first.expand(-1, 3, -1, -1), second.expand(-1, 3, -1, -1)).flatten()
    assert float(expected.min()) > 0.01
    torch.testing.assert_close(ours, expected, rtol=1e-4, atol=1e-6)
    assert bool((distance(embed(oracle, first), embed(oracle, first)) == 0).all())


def test_the_learned_weights_are_those_of_the_package(natural: Natural) -> None:
    weights = natural.oracle("a").channel_weights
    shipped = torch.load(Path(lpips.__file__).parent / "weights/v0.1/alex.pth", map_location="cpu", weights_only=True)
    assert [len(weight) for weight in weights] == [64, 192, 384, 256, 256]
    for i, weight in enumerate(weights):
        torch.testing.assert_close(weight, shipped[f"lin{i}.model.1.weight"].flatten())
        assert float(weight.min()) >= 0


def test_features_are_means_of_the_maps(natural: Natural) -> None:
    maps, pooled = natural.oracle("a").embed(images()[0])
    assert pooled.shape == (6, 1152)
    torch.testing.assert_close(pooled[:, -256:], maps[-1].flatten(2).mean(2))


def test_compared_features_are_those_before_the_classifier_of_inception(natural: Natural, folder: Path) -> None:
    """Torchvision's own network, with its classifier, whose input a hook keeps."""
    whole, seen = Inception3(init_weights=False), []
    whole.load_state_dict(torch.load(folder / INCEPTION.name / INCEPTION.file, weights_only=True))
    whole.eval().fc.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    shown = images(size=299)[0][:2]
    with torch.no_grad():
        whole(shown)
    found = image_features(natural.oracle("a"), shown)
    assert found.shape == (2, 2048)
    assert float(found.std(0).mean()) > 1e-3
    torch.testing.assert_close(found, seen[0])
    grey = image_features(natural.oracle("a"), images(channels=1)[0][:2])
    assert torch.isfinite(grey).all()


def test_other_tensors_are_no_inception(tmp_path: Path) -> None:
    (tmp_path / "inception").mkdir()
    path = tmp_path / "inception" / INCEPTION.file
    torch.save({"fc.bias": torch.zeros(1000)}, path)
    with pytest.raises(IntegrityError, match="no Inception v3 of torchvision"):
        inception.load(replace(INCEPTION, sha256=sha256(path)), tmp_path)


@pytest.mark.parametrize("size", [31, 30, 24, 8])
def test_a_small_image_is_enlarged(natural: Natural, size: int) -> None:
    maps, features = natural.oracle("a").embed(images(size=size)[0])
    assert maps[-1].shape[2:] == (1, 1)
    assert bool(torch.isfinite(features).all())


def test_loading_leaves_global_random_state(file: ExtraFile, folder: Path) -> None:
    before = torch.random.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    backbone.load(file, folder)
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert (before[1] == np.random.get_state()[1]).all()  # noqa: NPY002


def test_loading_depends_on_the_file_alone(file: ExtraFile, folder: Path, natural: Natural) -> None:
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(99)
        again = backbone.load(file, folder)
    assert all(torch.equal(a, b) for a, b in zip(natural.network.parameters(), again.parameters(), strict=True))
    assert not any(parameter.requires_grad for parameter in again.parameters())


def test_without_the_file_the_command_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    with pytest.raises(MissingFile, match="gdbench checkpoint fetch lpips") as raised:
        load(torch.device("cpu"))
    assert raised.value.exit_code == 3
    assert str(tmp_path / "gdbench" / "checkpoints" / "lpips" / "alexnet-owt-7be5be79.pth") in str(raised.value)


def test_another_file_under_the_name_is_refused(path: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    place = tmp_path / "gdbench" / "checkpoints" / "lpips" / BACKBONE.file
    place.parent.mkdir(parents=True)
    place.write_bytes(path.read_bytes())  # an AlexNet, but random
    with pytest.raises(IntegrityError, match="does not begin with 7be5be79"):
        load(torch.device("cpu"))


def test_other_tensors_are_refused(tmp_path: Path) -> None:
    (tmp_path / "lpips").mkdir()
    path = tmp_path / "lpips" / BACKBONE.file
    torch.save({"features.0.weight": torch.zeros(64, 3, 3, 3)}, path)
    with pytest.raises(IntegrityError, match="no AlexNet"):
        backbone.load(replace(BACKBONE, sha256=sha256(path)), tmp_path)


def test_fetching_shows_the_licence_and_asks(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    asked = [sys.executable, "-m", "gdbench", "checkpoint", "fetch", "lpips"]
    done = subprocess.run(asked, input="n\n", capture_output=True, text=True, check=False)
    assert "alexnet-owt-7be5be79.pth (244 MB) from https://download.pytorch.org" in done.stdout
    assert "BSD 3-Clause" in done.stdout
    assert done.returncode == 1
    assert not list(tmp_path.rglob("*.pth"))


def test_with_its_file_the_domain_keeps_the_contract(
    file: ExtraFile, inception_file: ExtraFile, folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """The made files in place of torchvision's, under the hashes that they have."""
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    (tmp_path / "gdbench").mkdir()
    (tmp_path / "gdbench" / "checkpoints").symlink_to(folder)
    monkeypatch.setattr("gdbench_lpips.domain.BACKBONE", file)
    monkeypatch.setattr("gdbench_lpips.domain.INCEPTION", inception_file)
    registry = load_registry()
    results = run_checks(registry.domain("natural"), registry)
    assert [(result.name, result.reason) for result in results if result.status == "failed"] == []
    passed = {result.clause for result in results if result.status == "passed"}
    assert {"D01", "D08", "D09", "D10", "D12", "D13"} <= passed
