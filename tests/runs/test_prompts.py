"""Factors by prompts: a small CLIP of open_clip's own parts reads what its sentences say, and faults are one line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import gdbench
from gdbench import IntegrityError, MissingFile, Stream, UsageError, load_domain
from gdbench.evaluation.prompts import prompts, read_prompts
from gdbench.registry import load_registry

open_clip = pytest.importorskip("open_clip", reason="open_clip is not installed here: pip install 'gdbench[clip]'")

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 1, "width": 64, "patch_size": 8, "head_width": 32},
    "text_cfg": {"context_length": 16, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 1},
}
SETTINGS = "model: tiny.json\nweights: tiny.safetensors\n"
BRIGHT = ("a bright picture", "a dark picture")
OTHER = ("a sunny day", "the night outside")
COLOURS = ("red", "green", "blue")


def nothing(name: str) -> None:
    """No file is fetched."""


def network(seed: int = 0) -> torch.nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        made: torch.nn.Module = open_clip.CLIP(**CONFIG)
    return made


def texts(made: torch.nn.Module, *sentences: str) -> Tensor:
    tokens = open_clip.SimpleTokenizer(context_length=16)(list(sentences))
    return torch.nn.functional.normalize(made.encode_text(tokens), dim=-1)  # type: ignore[operator]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights that were trained so that two pairs of sentences tell the toy's brightness, in units of their own."""
    made = tmp_path_factory.mktemp("prompts")
    (made / "tiny.json").write_text(json.dumps(CONFIG))
    images, truth = load_domain("toy").truth(1200, Stream(0, "prompts").at())
    clip = network()
    with torch.no_grad():
        said = texts(clip, *BRIGHT, *OTHER)
    mean, deviation = (
        torch.tensor(v)[:, None, None]
        for v in ((0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711))
    )
    given, wanted = ((images + 1) / 2 - mean) / deviation, truth["brightness"] - truth["brightness"].mean()
    adam = torch.optim.Adam(clip.visual.parameters(), 2e-3)  # type: ignore[union-attr]
    rng = np.random.default_rng(0)
    for _ in range(250):
        rows = torch.from_numpy(rng.integers(len(given), size=64))
        logits = 14 * torch.nn.functional.normalize(clip.encode_image(given[rows]), dim=-1) @ said.T  # type: ignore[operator]
        first, second = logits[:, 0] - logits[:, 1], logits[:, 2] - logits[:, 3]
        loss = (first - wanted[rows]).square().mean() + (second - 2 * wanted[rows] - 0.5).square().mean()
        adam.zero_grad()
        loss.backward()
        adam.step()
    save_file(clip.state_dict(), made / "tiny.safetensors")
    (made / "light.txt").write_text(f"{SETTINGS}brightness: {BRIGHT[0]} / {BRIGHT[1]}  # two ends\n")
    (made / "words.txt").write_text(f"{SETTINGS}brightness: {OTHER[0]} / {OTHER[1]}\n")
    (made / "opposite.txt").write_text(f"{SETTINGS}brightness: {OTHER[1]} / {OTHER[0]}\n")
    return made


def test_readings_are_cosines_of_open_clips_own_vectors(folder: Path) -> None:
    (folder / "both.txt").write_text(f"{SETTINGS}light: {' / '.join(BRIGHT)}\ncolour: {' / '.join(COLOURS)}\n")
    images = load_domain("toy").images(5, Stream(1, "prompts").at())
    read = prompts(folder / "both.txt", nothing).read(images)
    clip = network()
    clip.load_state_dict(load_file(folder / "tiny.safetensors"))
    transform = open_clip.image_transform(32, is_train=False)
    from torchvision.transforms.functional import to_pil_image

    given = torch.stack([transform(to_pil_image((image + 1) / 2)) for image in images])
    with torch.no_grad():
        seen = torch.nn.functional.normalize(clip.encode_image(given), dim=-1)  # type: ignore[operator]
        cosines = seen.double() @ texts(clip, *BRIGHT, *COLOURS).double().T
        scale = float(clip.logit_scale.exp())  # type: ignore[operator, union-attr]
    assert scale == pytest.approx(1 / 0.07)
    torch.testing.assert_close(read["light"].double(), scale * (cosines[:, 0] - cosines[:, 1]), rtol=0, atol=0.03)
    torch.testing.assert_close(read["colour"].double(), (scale * cosines[:, 2:]).softmax(1), rtol=0, atol=0.01)


def run(folder: Path, out: Path, check: str | None = None, method: str = "oracle-linear") -> gdbench.runs.api.Run:
    checks = {"attribute_check": str(folder / check)} if check else {}
    given = {"k": 2, "tier": "smoke", "metrics": ("recovery",), "out": out, "attributes": str(folder / "light.txt")}
    return gdbench.run("toy", method, **given, **checks)  # type: ignore[arg-type]


def test_a_planted_factor_is_found_and_agreement_is_a_gate(folder: Path, tmp_path: Path) -> None:
    for check in (None, "words.txt"):  # a second look; other words, in units of their own
        found = run(folder, tmp_path, check)
        record = found.record
        assert record.status == "done", record.reason
        assert record.domain.startswith("toy-light-")
        assert record.scores["recovery"]["counted"].value == 1, check
        planted = gdbench.load_generator("toy").planted  # type: ignore[attr-defined]
        on_planted = (found.directions.vectors[0] @ planted.T).abs()
        assert int(on_planted.argmax()) == 3  # brightness
        assert float(on_planted[3]) > 0.75  # what else the little network sees
    disagreed = run(folder, tmp_path, "opposite.txt", "random").record
    assert disagreed.scores["recovery"]["recall"].value is None
    assert "brightness (agreement)" in str(disagreed.scores["recovery"]["recall"].void)


def test_the_name_of_the_domain_tells_weights_and_words(folder: Path, tmp_path: Path) -> None:
    from gdbench.evaluation.attributes import Attributes, attributed

    def name(file: Path) -> str:
        return attributed(load_registry().domain("toy"), Attributes(file)).spec.name

    first = name(folder / "light.txt")
    for file in ("tiny.json", "tiny.safetensors", "light.txt"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    assert name(tmp_path / "light.txt") == first
    (tmp_path / "light.txt").write_text((folder / "light.txt").read_text().replace("dark", "gloomy"))
    assert name(tmp_path / "light.txt") != first
    (tmp_path / "light.txt").write_bytes((folder / "light.txt").read_bytes())
    state = load_file(folder / "tiny.safetensors")
    save_file({**state, "logit_scale": state["logit_scale"] + 1}, tmp_path / "tiny.safetensors")
    assert name(tmp_path / "light.txt") != first


def test_the_weights_to_be_fetched_are_named_with_their_hash(tmp_path: Path) -> None:
    (tmp_path / "p.txt").write_text("smile: a face that smiles / a face\n")
    assert len(load_registry().extra_files()["clip"].sha256) == 64
    with pytest.raises(MissingFile, match="gdbench checkpoint fetch clip"):
        gdbench.run("toy", "random", k=2, tier="smoke", out=tmp_path, attributes=str(tmp_path / "p.txt"))


@pytest.mark.parametrize(
    ("text", "error", "message"),
    [
        ("", UsageError, "p.txt: no prompts"),
        ("a: one sentence\n", UsageError, "p.txt:1: 'a: one sentence'"),
        ("a: x / y\na: z / y\n", UsageError, "p.txt:2"),
        ("a: x / x\n", UsageError, "p.txt:1"),
        ("smiling\n", UsageError, "p.txt:1"),
        ("a: x / y\nmodel: no-such\n" + SETTINGS[17:], UsageError, "open_clip has no such network"),
        ("a: x / y\nmodel: hf-hub:some/where\n" + SETTINGS[17:], UsageError, "open_clip has no such network"),
        ("a: x / y\nmodel: ViT-B-16-SigLIP\n" + SETTINGS[17:], UsageError, "without parts of other libraries"),
        ("a: x / y\nmodel: endless.json\n" + SETTINGS[17:], UsageError, "of published sizes"),
        ("a: x / y\nmodel: narrow.json\n" + SETTINGS[17:], UsageError, "as open_clip names them: .* has shape"),
        ("a: x / y\nmodel: broken.json\n" + SETTINGS[17:], UsageError, "p.txt: model broken.json|model broken.json"),
        ("a: x / y\nmodel: tiny.json\nweights: none.safetensors\n", MissingFile, "weights none.safetensors: no such"),
        ("a: x / y\nmodel: tiny.json\nweights: tiny.json\n", UsageError, "expected safetensors, which hold no code"),
        ("a: x / y\nmodel: tiny.json\nweights: cut.safetensors\n", IntegrityError, "cut.safetensors: cannot be read"),
    ],
)
def test_faults_of_files_are_one_line(text: str, error: type[Exception], message: str, folder: Path) -> None:
    (folder / "p.txt").write_text(text)
    (folder / "endless.json").write_text(json.dumps({**CONFIG, "text_cfg": {"layers": 10**9}}))
    (folder / "narrow.json").write_text(json.dumps({**CONFIG, "embed_dim": 16}))
    (folder / "broken.json").write_text(json.dumps({**CONFIG, "vision_cfg": {"layers": "many"}}))
    (folder / "cut.safetensors").write_bytes((folder / "tiny.safetensors").read_bytes()[:1000])
    with pytest.raises(error, match=message) as caught:
        prompts(folder / "p.txt", nothing).read(torch.zeros(1, 3, 32, 32))
    assert "\n" not in str(caught.value)


def test_two_sentences_are_ends_and_more_are_classes(folder: Path) -> None:
    (folder / "p.txt").write_text(
        "mouth: it smiles /  it  does not\nhair: fair / brown / black\nweights: mine.safetensors\n"
    )
    said = read_prompts(folder / "p.txt")
    assert (said.model, said.weights) == ("ViT-B-32", "mine.safetensors")
    mouth, hair = said.factors
    assert (mouth.kind, mouth.moves) == ("linear", ("towards it does not", "towards it smiles"))
    assert (hair.kind, hair.classes) == ("class", ("fair", "brown", "black"))
