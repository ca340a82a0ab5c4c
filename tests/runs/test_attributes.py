"""Attributes by ONNX models: files are read as they say, planted factors are found, and disagreement stops a factor."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image
from torch import Tensor

import gdbench
from gdbench import IntegrityError, MissingFile, Stream, UsageError, load_domain
from gdbench.context import SILENT
from gdbench.evaluation.attributes import Model, Names, read_names, second_look
from gdbench.protocols import Factor
from gdbench.registry import load_registry
from gdbench.runs.pipeline import remeasure
from gdbench.runs.planning import request_of
from gdbench.runs.reproducing import reproduce
from gdbench.runs.store import RunFolder

SIDE = 32


def saved(path: Path, weight: Tensor, bias: Tensor, side: int = SIDE, batch: int | str = "n") -> Path:
    """A linear model (outputs, 3 * side * side) of images, as an ONNX file."""
    nodes = [
        onnx.helper.make_node("Flatten", ["images"], ["flat"], axis=1),
        onnx.helper.make_node("Gemm", ["flat", "weight", "bias"], ["out"], transB=1),
    ]
    floats = onnx.TensorProto.FLOAT
    graph = onnx.helper.make_graph(
        nodes,
        "linear",
        [onnx.helper.make_tensor_value_info("images", floats, [batch, 3, side, side])],
        [onnx.helper.make_tensor_value_info("out", floats, [batch, len(weight)])],
        [onnx.numpy_helper.from_array(t.numpy(), name) for name, t in (("weight", weight), ("bias", bias))],
    )
    made = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(made, str(path))
    return path


def trained(names: tuple[str, ...], seed: int) -> tuple[Tensor, Tensor]:
    """Ridge regression of factors of the toy on its pixels."""
    images, truth = load_domain("toy").truth(1500, Stream(seed, "attributes").at())
    x = torch.cat([images.flatten(1), torch.ones(len(images), 1)], 1).double()
    y = torch.stack([truth[name] for name in names], 1).double()
    solved = torch.linalg.solve(x.T @ x + 30 * torch.eye(x.shape[1]), x.T @ y).float()
    return solved[:-1].T.contiguous(), solved[-1]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("attributes")
    names = ("brightness", "level")
    for which in (1, 2):
        saved(made / f"model{which}.onnx", *trained(names, which))
    weight, bias = trained(names, 1)
    rng = np.random.default_rng(0)
    other = torch.from_numpy(rng.standard_normal(weight[1].shape).astype(np.float32)) * weight[1].std()
    saved(made / "fooled.onnx", torch.stack([weight[0], other]), bias)
    (made / "model1.txt").write_text("brightness\nlevel  # of the ground\n")
    return made


def test_a_model_reads_what_its_matrix_says(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    weight = torch.from_numpy(rng.standard_normal((3, 3 * 8 * 8)).astype(np.float32))
    images = torch.tanh(torch.from_numpy(rng.standard_normal((5, 3, 8, 8)).astype(np.float32)))
    factors = (Factor("a"), Factor("b", "class", classes=("x", "y")))
    for input_, given in (("-1 1", images), ("0 1", (images + 1) / 2), ("0 255", (images + 1) * 127.5)):
        for batch in ("n", 1, 4):
            model = Model(saved(tmp_path / "m.onnx", weight, torch.zeros(3), 8, batch), Names(factors, input_))
            read = model.read(images)
            expected = given.flatten(1) @ weight.T
            torch.testing.assert_close(read["a"], expected[:, 0], rtol=1e-3, atol=1e-3)
            torch.testing.assert_close(read["b"], expected[:, 1:].softmax(1), rtol=1e-3, atol=1e-3)


def test_imagenet_values_are_those_of_torchvision(tmp_path: Path) -> None:
    weight = torch.eye(3).repeat_interleave(64, 1) / 64
    model = Model(saved(tmp_path / "m.onnx", weight, torch.zeros(3), 8), Names(tuple(map(Factor, "rgb")), "imagenet"))
    read = model.read(torch.full((1, 3, 8, 8), 0.5))
    expected = [(0.75 - m) / d for m, d in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))]
    assert [float(read[name]) for name in "rgb"] == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no names"),
        ("a\na\n", "names.txt:2: 'a'"),
        ("hair: blond\n", "names.txt:1"),
        ("input: bgr\na\n", "input 'bgr': known: -1 1, 0 1, 0 255, imagenet"),
    ],
)
def test_faults_of_a_file_of_names(text: str, message: str, tmp_path: Path) -> None:
    (tmp_path / "names.txt").write_text(text)
    with pytest.raises(UsageError, match=message):
        read_names(tmp_path / "names.txt")


def run(folder: Path, out: Path, **how: object) -> gdbench.runs.api.Run:
    options = {"k": 4, "tier": "smoke", "metrics": ("recovery",), "out": out, **how}
    return gdbench.run("toy", "oracle-linear", attributes=str(folder / "model1.onnx"), **options)  # type: ignore[arg-type]


def test_planted_factors_are_found_and_agreement_is_a_gate(folder: Path, tmp_path: Path) -> None:
    found = run(folder, tmp_path, attribute_check=str(folder / "model2.onnx"))
    record = found.record
    assert record.status == "done", record.reason
    assert record.domain.startswith("toy-model1-")
    assert str(folder) not in record.to_json()
    assert "--attributes model1.onnx" in record.command
    assert record.scores["recovery"]["counted"].value == 2
    vectors, planted = found.directions.vectors, gdbench.load_generator("toy").planted  # type: ignore[attr-defined]
    on_planted = (vectors[:2] @ planted.T).abs()
    assert float(on_planted[:, 3].max()) > 0.99  # brightness; a linear reading of level is one of presence too
    assert float(on_planted.square().sum(1).min()) > 0.95
    fooled = run(folder, tmp_path, attribute_check=str(folder / "fooled.onnx")).record
    assert fooled.id != record.id
    assert fooled.scores["recovery"]["counted"].value == 1


def test_a_run_is_measured_and_made_again_where_its_files_lie(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = run(folder, tmp_path, attribute_check=str(folder / "model2.onnx"))
    kept, registry = RunFolder(found.folder), load_registry()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(MissingFile, match=r"--attributes model1\.onnx: nothing here has this name"):
        remeasure(kept, ["diversity"], registry, SILENT)
    monkeypatch.chdir(folder)
    assert set(remeasure(kept, ["diversity"], registry, SILENT).scores) >= {"recovery", "diversity"}
    assert reproduce(kept, registry, "scratch", SILENT).held
    other = request_of(found.record, tmp_path, ())
    assert (other.attributes, other.attribute_check, other.domain) == ("model1.onnx", "model2.onnx", None)
    (folder / "model1.txt").rename(folder / "kept.txt")
    (folder / "model1.txt").write_text("level\nbrightness\n")
    try:
        with pytest.raises(UsageError, match="made with other versions"):
            remeasure(kept, ["cost"], registry, SILENT)
    finally:
        (folder / "kept.txt").rename(folder / "model1.txt")


def test_one_model_is_held_against_its_second_look(folder: Path, tmp_path: Path) -> None:
    images = load_domain("toy").images(200, Stream(0, "x").at())
    model = Model(folder / "model1.onnx", read_names(folder / "model1.txt"))
    once, again = model.read(images), model.read(second_look(images))
    assert float((once["brightness"] - again["brightness"]).abs().max()) > 0
    assert np.corrcoef(once["brightness"], again["brightness"])[0, 1] > 0.8


def test_real_images_of_a_folder(folder: Path, tmp_path: Path) -> None:
    from gdbench.evaluation.attributes import AttributedDomain

    for number in range(3):
        Image.new("RGB", (40, 30), (80 * number, 0, 0)).save(tmp_path / f"{number}.png")
    base = load_domain("plain")
    model = Model(folder / "model1.onnx", read_names(folder / "model1.txt"))
    with pytest.raises(UsageError, match="--real-images FOLDER"):
        AttributedDomain(base, "x", model, None, None).images(2, Stream(0, "x").at())
    images = AttributedDomain(base, "x", model, None, tmp_path).images(6, Stream(0, "x").at())
    assert images.shape == (6, 3, 256, 256)
    assert set(((images[:, 0, 0, 0] + 1) * 127.5).round().int().tolist()) <= {0, 80, 160}


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ({"attributes": "none.onnx"}, MissingFile, "none.onnx|none.txt"),
        ({"attributes": "broken.onnx"}, IntegrityError, "broken.onnx: no readable ONNX model"),
        ({"attributes": "wide.onnx"}, UsageError, "gives 3 numbers for an image, the names account for 2"),
        ({"real_images": "here"}, UsageError, "belong to --attributes"),
    ],
)
def test_faults_of_files_are_one_line(
    how: dict[str, str], error: type[Exception], message: str, folder: Path, tmp_path: Path
) -> None:
    (folder / "broken.onnx").write_bytes(b"no model")
    for name in ("broken", "wide"):
        (folder / f"{name}.txt").write_text("a\nb\n")
    saved(folder / "wide.onnx", torch.zeros(3, 3 * SIDE * SIDE), torch.zeros(3))
    given = {name: str(folder / value) for name, value in how.items()}
    with pytest.raises(error, match=message) as caught:
        gdbench.run("toy", "random", k=2, tier="smoke", out=tmp_path, **given)  # type: ignore[arg-type]
    assert "\n" not in str(caught.value)
