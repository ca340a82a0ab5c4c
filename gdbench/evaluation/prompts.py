"""Factors by prompts: how well sentences fit an image, as a CLIP network has it, read factors off any domain.

A text file has a line for each factor: ``smile: a face that smiles / a face that does not smile``. The first sentence's
cosine with the image less the second's is the reading; three sentences or more are classes. ``model:`` names a network
of open_clip (or a JSON file of its configuration), ``weights:`` a file that ``gdbench checkpoint fetch`` gets, or one
of the user's own. No network is used, and nothing but tensors is read of the weights.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gdbench.errors import IntegrityError, MissingFile, UsageError
from gdbench.evaluation.perception import fitted
from gdbench.files import parsing
from gdbench.protocols import Factor

FACTOR = re.compile(r"\w[\w .-]{0,63}")
"""What a factor may be called."""
MODEL, WEIGHTS = "ViT-B-32", "clip"
BATCH, LAYERS, LARGEST = 64, 200, 100_000
Fetched = Callable[[str], Path | None]
"""Gives the checked file of a name that ``gdbench checkpoint fetch`` knows; None for any other name."""
PLAIN = {"embed_dim", "vision_cfg", "text_cfg", "quick_gelu", "init_logit_scale"}
"""What may stand in a configuration: a text tower of another library would want files of its own."""


@dataclass(frozen=True)
class Sentences:
    """What a file of prompts says. prompts: factor -> its sentences. model, weights: names, or files beside it."""

    prompts: Mapping[str, tuple[str, ...]]
    model: str = MODEL
    weights: str = WEIGHTS

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Two sentences are the ends of a number, more are classes."""
        return tuple(
            Factor(name, moves=(f"towards {said[1]}", f"towards {said[0]}"))
            if len(said) == 2
            else Factor(name, "class", classes=said)
            for name, said in self.prompts.items()
        )


def read_prompts(path: Path) -> Sentences:
    """The prompts in a text file; # begins a comment. Raises MissingFile or UsageError with the number of the line."""
    if not path.is_file():
        raise MissingFile(f"no file of prompts at {path}")
    found: dict[str, tuple[str, ...]] = {}
    settings = {"model": MODEL, "weights": WEIGHTS}
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except UnicodeDecodeError:
        raise UsageError(f"{path.name}: neither an ONNX model (.onnx) nor a text file of prompts") from None
    for number, raw in enumerate(lines, 1):
        name, colon, rest = (part.strip() for part in raw.partition("#")[0].partition(":"))
        said = tuple(" ".join(part.split()) for part in rest.split(" / "))
        if colon and name in settings and rest:
            settings[name] = rest
        elif name and (not FACTOR.fullmatch(name) or name in found or len({*said} - {""}) != max(2, len(said))):
            raise UsageError(f"{path.name}:{number}: {raw.strip()[:60]!r}: expected a new name: one sentence / another")
        elif name:
            found[name] = said
    if not found:
        raise UsageError(f"{path.name}: no prompts")
    return Sentences(found, **settings)


@dataclass(frozen=True, eq=False)
class Prompts:
    """Sentences and the network that compares images with them. path: its weights."""

    sentences: Sentences
    path: Path
    config: Mapping[str, Any]

    @property
    def factors(self) -> tuple[Factor, ...]:
        """Those of the sentences."""
        return self.sentences.factors

    @cached_property
    def _loaded(self) -> tuple[Any, Tensor]:
        """The network, and the unit vectors (sentences, dim) of all sentences."""
        clip = _open_clip()
        from safetensors.torch import load_file

        network = _built(self.sentences.model, self.config)
        with parsing(self.path):
            state = load_file(self.path)
        if wrong := _unlike(network.state_dict(), state):
            raise UsageError(
                f"{self.path.name}: not the weights of {self.sentences.model} as open_clip names them: {wrong}"
            )
        network.load_state_dict(state)
        network.requires_grad_(False).eval()
        context = int(self.config["text_cfg"].get("context_length", 77))
        said = [sentence for own in self.sentences.prompts.values() for sentence in own]
        tokens = clip.SimpleTokenizer(context_length=context)(said)
        with torch.no_grad():
            return network, nn.functional.normalize(network.encode_text(tokens), dim=-1)

    @torch.no_grad()
    def read(self, images: Tensor) -> dict[str, Tensor]:
        """Factor name -> (n,) differences of cosines times CLIP's own scale, or (n, classes) probabilities.

        images: (n, c, h, w) in [-1, 1], clamped.
        """
        network, texts = self._loaded
        network, texts = network.to(images.device), texts.to(images.device)
        clip, side = _open_clip(), self.config["vision_cfg"].get("image_size", 224)
        mean, deviation = (
            torch.tensor(values, device=images.device)[:, None, None]
            for values in (clip.OPENAI_DATASET_MEAN, clip.OPENAI_DATASET_STD)
        )
        height, width = (side, side) if isinstance(side, int) else side
        given = (fitted(images.detach().float().clamp(-1, 1), (3, height, width)) + 1) / 2
        given = (given - mean) / deviation
        parts = [network.encode_image(part) for part in torch.split(given, BATCH)]
        logits = network.logit_scale.exp() * nn.functional.normalize(torch.cat(parts), dim=-1) @ texts.T
        if not bool(torch.isfinite(logits).all()):
            raise IntegrityError(f"{self.path.name}: its outputs are not finite (NaN or infinite)")
        each = logits.split([len(said) for said in self.sentences.prompts.values()], 1)
        return {
            name: own[:, 0] - own[:, 1] if own.shape[1] == 2 else own.softmax(1)
            for name, own in zip(self.sentences.prompts, each, strict=True)
        }


def prompts(path: Path, fetched: Fetched) -> Prompts:
    """What a file of prompts asks for. Raises UsageError, MissingFile or IntegrityError about the file, the network or
    its weights."""
    said = read_prompts(path)
    weights = fetched(said.weights) or path.parent / said.weights
    if not weights.is_file():
        raise MissingFile(f"{path.name}: weights {said.weights}: no such file, nor a name that can be fetched")
    if weights.suffix != ".safetensors":
        raise UsageError(f"{path.name}: weights {said.weights}: expected safetensors, which hold no code")
    return Prompts(said, weights, _config(path, said.model))


def _config(path: Path, model: str) -> dict[str, Any]:
    """The configuration of a network; a UsageError where it needs more than open_clip."""
    clip = _open_clip()
    if model.endswith(".json"):
        with parsing(path.parent / model):
            config = json.loads((path.parent / model).read_text())
        config = config.get("model_cfg", config) if isinstance(config, dict) else None
    else:
        config = clip.get_model_config(model) if model in clip.list_models() else None
    if not isinstance(config, dict):
        raise UsageError(f"{path.name}: model {model}: open_clip has no such network (ViT-B-32, ViT-L-14, ...)")
    towers = [config.get("vision_cfg"), config.get("text_cfg")]
    if not all(isinstance(tower, dict) for tower in towers) or not {*config} <= PLAIN or _foreign(towers):
        raise UsageError(
            f"{path.name}: model {model}: only CLIP networks of published sizes without parts of other libraries"
        )
    return config


def _foreign(towers: list[Any]) -> bool:
    """Whether parts of another library are asked for, or more than any published network has."""
    sizes = [(key, value) for tower in towers for key, value in tower.items() if isinstance(value, int)]
    too_much = any(value > (LAYERS if key == "layers" else LARGEST) for key, value in sizes)
    return too_much or any(key.startswith(("hf_", "timm_")) for tower in towers for key in tower)


def _built(model: str, config: Mapping[str, Any]) -> Any:
    try:
        return _open_clip().CLIP(**config)
    except Exception as error:
        raise UsageError(f"model {model}: {type(error).__name__}: {' '.join(str(error).split())[:200]}") from None


def _unlike(expected: Mapping[str, Tensor], found: Mapping[str, Tensor]) -> str:
    """What is missing among tensors, or too much, or of another shape; "" where they fit."""
    for name in sorted(expected.keys() | found.keys()):
        if name not in expected or name not in found:
            return f"{name} is {'not there' if name in expected else 'not expected'}"
        if expected[name].shape != found[name].shape:
            return f"{name} has shape {tuple(found[name].shape)}, expected {tuple(expected[name].shape)}"
    return ""


def _open_clip() -> Any:
    try:
        import open_clip
    except ImportError:
        raise MissingFile("--attributes with prompts needs open_clip: pip install 'gdbench[clip]'") from None
    return open_clip
