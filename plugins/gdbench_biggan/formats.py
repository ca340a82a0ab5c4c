"""Official BigGAN files: ajbrock's state dicts (trained, or converted from TFHub) and Hugging Face's BigGAN-deep.

`recognise` judges by content, `convert` gives the tensors of `networks.Generator` with spectral norms divided out.
"""

import json
import math
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from torch import Tensor
from torch.nn.functional import normalize

from gdbench import IntegrityError, UsageError, load_weights
from gdbench_biggan.networks import build

AJBROCK, DEEP = "biggan-ajbrock", "biggan-deep-huggingface"
TELL_TALES = {
    AJBROCK: ("linear.weight", "blocks.0.0.conv1.weight"),
    DEEP: ("embeddings.weight", "generator.gen_z.weight_orig"),
}
State = dict[str, Tensor]

AJBROCK_NAMES = (
    (r"(shared|linear)\.(weight|bias)", r"\1.\2"),
    (r"blocks\.(\d+)\.0\.(conv\d|bn\d)\.(weight|bias|gain\.weight|bias\.weight)", r"blocks.\1.\2.\3"),
    (r"blocks\.(\d+)\.0\.conv_sc\.(weight|bias)", r"blocks.\1.shortcut.\2"),
    (r"blocks\.(\d+)\.0\.(bn\d)\.stored_(mean|var)", r"blocks.\1.\2.norm.running_\3"),
    (r"blocks\.(\d+)\.1\.(\w+\.weight|gamma)", r"attention.\1.\2"),
    (r"output_layer\.0\.gain", "output_norm.weight"),
    (r"output_layer\.0\.bias", "output_norm.bias"),
    (r"output_layer\.0\.stored_(mean|var)", r"output_norm.running_\1"),
    (r"output_layer\.2\.(weight|bias)", r"output.\1"),
)
DEEP_NAMES = (
    (r"embeddings\.weight", "shared.weight"),
    (r"generator\.gen_z\.(weight|bias)", r"linear.\1"),
    (r"generator\.layers\.(\d+)\.bn_(\d)\.running_(mean|var)s", r"blocks.\1.bn\2.norm.running_\3"),
    (r"generator\.layers\.(\d+)\.bn_(\d)\.scale\.weight", r"blocks.\1.bn\2.gain.weight"),
    (r"generator\.layers\.(\d+)\.bn_(\d)\.offset\.weight", r"blocks.\1.bn\2.bias.weight"),
    (r"generator\.layers\.(\d+)\.conv_(\d)\.(weight|bias)", r"blocks.\1.conv\2.\3"),
    (r"generator\.layers\.(\d+)\.snconv1x1_(\w+)\.weight", r"attention.\1.\2.weight"),
    (r"generator\.layers\.(\d+)\.gamma", r"attention.\1.gamma"),
    (r"generator\.bn\.running_(mean|var)s", r"output_norm.running_\1"),
    (r"generator\.bn\.(weight|bias)", r"output_norm.\1"),
    (r"generator\.conv_to_rgb\.(weight|bias)", r"output.\1"),
)


def recognise(path: Path) -> str | None:
    """The format of a file or folder, or None. Raises IntegrityError where the file is damaged or refused."""
    return _format(_read(path)[0])


def convert(path: Path) -> tuple[State, dict[str, Any]]:
    """Tensors of `networks.Generator` and the facts that they do not tell: format, eps, and `up` of a deep one.

    Raises UsageError for files of another kind, IntegrityError for incomplete ones.
    """
    state, config = _read(path)
    found = _format(state)
    if found is None:
        raise UsageError(f"{path.name} is no BigGAN checkpoint: none of {[keys[1] for keys in TELL_TALES.values()]}")
    try:
        tensors, facts = _from_ajbrock(state) if found == AJBROCK else _from_deep(state, config)
        build(statistics_at(tensors, 1.0), **facts)
    except (LookupError, RuntimeError, ValueError, TypeError) as error:
        what = " ".join(str(error).split())[:300]
        raise IntegrityError(f"{path.name}: an incomplete {found} checkpoint: {what}") from None
    return tensors, {"format": found, **facts}


def _read(path: Path) -> tuple[State, Mapping[str, Any]]:
    """The state dict of a file, or of pytorch_model.bin or the one .bin file in a folder, with its configuration."""
    config: Mapping[str, Any] = {}
    if path.is_dir():
        files, configs = sorted(path.glob("*.bin")), sorted(path.glob("*config.json"))
        files = [file for file in files if file.name == "pytorch_model.bin"] or files
        if len(files) != 1:
            return {}, config
        path, config = files[0], _json(configs[0]) if configs else {}
    content = load_weights(path)
    state = content if isinstance(content, Mapping) else {}
    return {str(k).removeprefix("module."): v for k, v in state.items() if isinstance(v, Tensor)}, config


def _json(path: Path) -> Mapping[str, Any]:
    try:
        return dict(json.loads(path.read_text()))
    except (ValueError, TypeError) as error:
        raise IntegrityError(f"{path.name}: not a JSON object ({error})") from None


def _format(state: State) -> str | None:
    return next((name for name, keys in TELL_TALES.items() if all(key in state for key in keys)), None)


def _from_ajbrock(state: State) -> tuple[State, dict[str, Any]]:
    """Section 2.1. The converter's files hold no sv0, which tells their epsilons from those of trained ones."""
    if any(".bn1.bn." in key for key in state) or "blocks.0.0.conv4.weight" in state:
        raise UsageError("BigGAN with mybn or cross-replica norms, or of ajbrock's deep form, is not supported")
    trained = any(key.endswith(".sv0") for key in state)
    sigma_eps = 1e-6 if trained else 1e-4
    tensors = _renamed(state, AJBROCK_NAMES, lambda name: _divided(state, name, sigma_eps))
    if "shared.weight" not in tensors:  # classes are the rows of an embedding, and the columns of a linear layer
        tensors.update({name: w.T.contiguous() for name, w in tensors.items() if re.search(r"bn\d\.(gain|bias)", name)})
    return tensors, {"eps": 1e-5 if trained else 1e-4}


def _from_deep(state: State, config: Mapping[str, Any]) -> tuple[State, dict[str, Any]]:
    """Section 2.2: the class comes before z then, the first layer is channel-first, and 3 output channels are left."""
    plain = {name.removesuffix("_orig"): _deep_weight(state, name) for name in state if f"{name}_orig" not in state}
    tensors = _numbered(_renamed(plain, DEEP_NAMES, plain.__getitem__))
    width = len(state["embeddings.weight"])
    for name in [name for name in tensors if name == "linear.weight" or re.search(r"bn\d\.(gain|bias)", name)]:
        z = tensors[name].shape[1] - width
        tensors[name] = tensors[name].roll(-z, 1)
    tensors["shared.weight"] = tensors["shared.weight"].T.contiguous()
    for name in ("linear.weight", "linear.bias"):
        tensors[name] = tensors[name].reshape(16, -1, *tensors[name].shape[1:]).transpose(0, 1).flatten(0, 1)
    for name in ("output.weight", "output.bias"):
        tensors[name] = tensors[name][:3].clone()
    blocks = sum(name.endswith("conv0.weight") for name in tensors)
    up = [i for i, (up, *_) in enumerate(config["layers"]) if up] if "layers" in config else list(range(1, blocks, 2))
    return tensors, {"eps": float(config.get("eps", 1e-4)), "up": up}


def _renamed(state: State, names: tuple[tuple[str, str], ...], value: Callable[[str], Tensor]) -> State:
    """The entries whose name matches a rule, as float32; everything else is not needed to render."""
    tensors = {}
    for key in state:
        for pattern, name in names:
            if (match := re.fullmatch(pattern, key)) and not key.endswith((".u0", ".sv0")):
                new = value(key).float()
                tensors[match.expand(name)] = new.reshape(()) if name.endswith("gamma") else new
    return tensors


def _numbered(tensors: State) -> State:
    """Layers counted together become blocks, and attentions named by the block before them."""
    at = sorted(int(name.split(".")[1]) for name in tensors if name.endswith(".gamma"))

    def name_of(name: str) -> str:
        kind, number, *rest = name.split(".")
        if kind not in ("blocks", "attention"):
            return name
        shift = sum(i < int(number) for i in at) + (kind == "attention")
        return ".".join([kind, str(int(number) - shift), *rest]).replace("_conv.", ".")

    return {name_of(name): tensor for name, tensor in tensors.items()}


def _divided(state: State, name: str, eps: float) -> Tensor:
    """A weight over its spectral norm after one power step from the stored u0; as it is where there is no u0."""
    weight, u = state[name], state.get(f"{name.rpartition('.')[0]}.u0")
    if u is None or not name.endswith(".weight"):
        return weight
    matrix = weight.flatten(1).double()
    v = normalize(u.double() @ matrix, eps=eps)
    u = normalize(v @ matrix.T, eps=eps)
    return weight / (v @ matrix.T @ u.T).squeeze().to(weight.dtype)


def _deep_weight(state: State, name: str) -> Tensor:
    """A weight over u W v with the stored u and v (torch's spectral norm in evaluation)."""
    weight = state[name]
    if not name.endswith(".weight_orig"):
        return weight
    stem = name.removesuffix("_orig")
    u, v = state[f"{stem}_u"].double(), state[f"{stem}_v"].double()
    return weight / (u @ weight.flatten(1).double() @ v).to(weight.dtype)


def statistics_at(tensors: Mapping[str, Tensor], truncation: float) -> State:
    """BigGAN-deep keeps batch statistics (rows, channels) for truncations 0 to 1: the ones at `truncation`.

    Raises UsageError for a truncation outside (0, 1] where there are rows to choose from.
    """
    stats = (".running_mean", ".running_var")
    return {
        name: row_at(tensor, truncation) if name.endswith(stats) and tensor.ndim == 2 else tensor
        for name, tensor in tensors.items()
    }


def row_at(rows: Tensor, truncation: float) -> Tensor:
    """The row of a table over truncations; between two rows with swapped weights, as the official code does it."""
    if not 0 < truncation <= 1:
        raise UsageError(f"truncation {truncation}: BigGAN-deep has batch statistics for truncations in (0, 1]")
    fraction, whole = math.modf(truncation / (1.0 / (len(rows) - 1)))
    i = int(whole)
    return rows[i] if fraction == 0 else rows[i] * fraction + rows[i + 1] * (1 - fraction)
