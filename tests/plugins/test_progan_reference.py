"""ProGAN against the formats page: float64 numpy renderers that read the official names of each layout directly."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gdbench_progan import Params
from gdbench_progan.formats import convert, recognise
from gdbench_progan.generator import load
from numpy.typing import NDArray

from gdbench import Codes, UsageError, save_weights
from tests.plugins import writers_progan as writers

Array = NDArray[np.float64]
Layer = Callable[[Array], Array]
LAST = len(writers.WIDTHS) - 1


def conv(x: Array, weight: Array, padding: int) -> Array:
    k = weight.shape[2]
    x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
    h, w = x.shape[2] - k + 1, x.shape[3] - k + 1
    windows = np.lib.stride_tricks.sliding_window_view(x, (k, k), (2, 3))[:, :, :h, :w]
    return np.einsum("nihwab,oiab->nohw", windows, weight)


def norm(x: Array) -> Array:
    return x / np.sqrt((x**2).mean(1, keepdims=True) + 1e-8)


def lrelu(x: Array, slope: float = 0.2) -> Array:
    return np.where(x < 0, slope * x, x)


def up(x: Array) -> Array:
    return x.repeat(2, 2).repeat(2, 3)


def up_transposed(x: Array, kernel: Array) -> Array:
    """NVIDIA's fused up convolution: kernel (k, k, out, in), padded, summed over four shifts, transposed, stride 2."""
    w = np.pad(kernel, ((1, 1), (1, 1), (0, 0), (0, 0)))
    w = w[1:, 1:] + w[:-1, 1:] + w[1:, :-1] + w[:-1, :-1]
    n, _, h, width = x.shape
    y = np.zeros((n, w.shape[2], 2 * h + 2, 2 * width + 2))
    for a in range(4):
        for b in range(4):
            y[:, :, a : a + 2 * h : 2, b : b + 2 * width : 2] += np.einsum("nihw,oi->nohw", x, w[a, b])
    return y[:, :, 1:-1, 1:-1]


def doubles(state: Mapping[str, Any]) -> dict[str, Array]:
    return {name: np.asarray(value, dtype=np.float64) for name, value in state.items()}


def run(
    z: Array, first: Layer, layers: list[Layer], outputs: Mapping[int, Layer], normalisations: int, lod: float
) -> Array:
    """Section 4.1; `layers` from the second on."""
    for _ in range(normalisations):
        z = norm(z)
    x = lrelu(first(z[:, :, None, None]))
    last = (len(layers) - 1) // 2 - int(lod)
    activations = []
    for i, layer in enumerate(layers):
        x = lrelu(layer(norm(x)))
        if i % 2 == 0:
            activations.append(x)
    image = outputs[last](norm(activations[last]))
    if lod % 1:
        image = (1 - lod % 1) * image + lod % 1 * up(outputs[last - 1](norm(activations[last - 1])))
    for _ in range(int(lod)):
        image = up(image)
    return image


def ptrblck(state: Mapping[str, Any], z: Array) -> Array:
    s = doubles(state)

    def layer(name: str, padding: int, doubling: bool = False) -> Layer:
        weight, bias = s[f"{name}.conv.weight"] * s[f"{name}.wscale.scale"], s[f"{name}.wscale.b"][:, None, None]
        return lambda x: conv(up(x) if doubling else x, weight, padding) + bias

    layers = [layer(f"features.{i}", 1, i % 2 == 0) for i in range(1, 2 * LAST + 2)]
    return run(z, layer("features.0", 3), layers, {LAST: layer("output", 0)}, 1, 0)


def he(weight: Array, gain: float = 2**0.5) -> Array:
    return weight * gain / np.sqrt(weight[0].size)


def gandissect(state: Mapping[str, Any], z: Array) -> Array:
    s = doubles(state)

    def layer(name: str, padding: int, doubling: bool = False, gain: float = 2**0.5) -> Layer:
        weight, bias = he(s[f"{name}.conv.weight"], gain), s[f"{name}.wscale.b"][:, None, None]
        return lambda x: conv(up(x) if doubling else x, weight, padding) + bias

    layers = [layer(f"layer{i}", 1, i % 2 == 1) for i in range(2, 2 * LAST + 3)]
    r = 4 * 2**LAST
    return run(z, layer("layer1", 3), layers, {LAST: layer(f"output_{r}x{r}", 0, gain=1.0)}, 1, 0)


def genforce(state: Mapping[str, Any], z: Array, fused: bool = False) -> Array:
    s = doubles(state)

    def layer(name: str, padding: int, doubling: bool = False, gain: float = 2**0.5) -> Layer:
        weight, bias = s[f"{name}.weight"], s[f"{name}.bias"][:, None, None]
        if doubling and fused:
            scaled = weight * gain / np.sqrt(9 * weight.shape[0])  # (in, out, 3, 3)
            return lambda x: up_transposed(x, scaled.transpose(2, 3, 1, 0)) + bias
        return lambda x: conv(up(x) if doubling else x, he(weight, gain), padding) + bias

    layers = [layer(f"layer{i}", 1, i % 2 == 0) for i in range(1, 2 * LAST + 2)]
    outputs = {i: layer(f"output{i}", 0, gain=1.0) for i in range(LAST + 1)}
    return run(z, layer("layer0", 3), layers, outputs, 2, float(s["lod"]))


def nvidia(variables: Mapping[str, Any], z: Array) -> Array:
    s = doubles(variables)

    def layer(name: str, padding: int, doubling: bool = False, gain: float = 2**0.5) -> Layer:
        bias = s[f"{name}/bias"][:, None, None]
        weight = s[f"{name}/weight"]
        if name.endswith("_up"):
            scaled = weight * gain / np.sqrt(9 * weight.shape[3])
            return lambda x: up_transposed(x, scaled) + bias
        weight = he(weight.transpose(3, 2, 0, 1), gain)
        return lambda x: conv(up(x) if doubling else x, weight, padding) + bias

    def dense(x: Array) -> Array:
        weight = s["4x4/Dense/weight"]
        y = x[:, :, 0, 0] @ (weight * (np.sqrt(2) / 4 / np.sqrt(len(weight))))
        return y.reshape(len(x), -1, 4, 4) + s["4x4/Dense/bias"][:, None, None]

    layers = [layer("4x4/Conv", 1)]
    for r in (4 * 2**level for level in range(1, LAST + 1)):
        fused = f"{r}x{r}/Conv0_up/weight" in s
        layers += [layer(f"{r}x{r}/Conv0{'_up' if fused else ''}", 1, True), layer(f"{r}x{r}/Conv1", 1)]
    outputs = {LAST - j: layer(f"ToRGB_lod{j}", 0, gain=1.0) for j in range(LAST + 1)}
    return run(z, dense, layers, outputs, 2, float(s["lod"]))


def gan_zoo(state: Mapping[str, Any], config: Mapping[str, Any], z: Array) -> Array:
    """Section 4.5, in that repository's own order."""
    s = {name.replace(".module", ""): value for name, value in doubles(state).items()}
    slope, alpha = config["leakyReluLeak"], config["alpha"]

    def scale(name: str) -> float:
        return float(np.sqrt(2 / s[f"{name}.weight"][0].size)) if config["equalizedlR"] else 1.0

    def layer(x: Array, name: str, padding: int = 1) -> Array:
        return (conv(x, s[f"{name}.weight"], padding) + s[f"{name}.bias"][:, None, None]) * scale(name)

    def normed(x: Array) -> Array:
        return norm(x) if config["perChannelNormalization"] else x

    x = (normed(z) @ s["formatLayer.weight"].T + s["formatLayer.bias"]) * scale("formatLayer")
    x = normed(lrelu(x, slope).reshape(len(z), -1, 4, 4))
    x = normed(lrelu(layer(x, "groupScale0.0"), slope))
    for i in range(LAST):
        before, x = x, up(x)
        for j in range(2):
            x = normed(lrelu(layer(x, f"scaleLayers.{i}.{j}"), slope))
    image = layer(x, f"toRGBLayers.{LAST}", 0)
    if alpha > 0:
        image = alpha * up(layer(before, f"toRGBLayers.{LAST - 1}", 0)) + (1 - alpha) * image
    return np.tanh(image) if config["lossCriterion"] in ("MSE", "DCGAN") else image


def cases(folder: Path) -> Iterator[tuple[str, Path, Callable[[Array], Array]]]:
    """Name, file and reference of every layout and variant."""

    def torch_file(name: str, content: object) -> Path:
        torch.save(content, folder / f"{name}.pth")
        return folder / f"{name}.pth"

    s = writers.ptrblck()
    yield "progan-ptrblck", torch_file("ptrblck", s), lambda z: ptrblck(s, z)
    g = writers.gandissect()
    yield "progan-gandissect", torch_file("dissect", g), lambda z: gandissect(g, z)
    yield "progan-gandissect", torch_file("nested", {"state_dict": g}), lambda z: gandissect(g, z)
    for lod in (0.0, 0.3, 1.0, 1.6):
        f = writers.genforce(lod=lod)
        parts = {"generator": writers.genforce(seed=1), "discriminator": {}, "generator_smooth": f}
        yield "progan-genforce", torch_file(f"genforce{lod}", parts), lambda z, f=f: genforce(f, z)
    fused = writers.genforce(fused=True)
    yield "progan-genforce", torch_file("flat fused", fused), lambda z: genforce(fused, z, True)
    for i, config in enumerate(
        (
            {},
            {"alpha": 0.4, "lossCriterion": "MSE"},
            {"leakyReluLeak": 0.1, "perChannelNormalization": False, "equalizedlR": False, "lossCriterion": "DCGAN"},
        )
    ):
        state, fields = writers.gan_zoo(module=i != 1, **config)
        if i == 2:  # without equalisation and norms, weights must be small themselves
            state = {name: tensor * 0.1 for name, tensor in state.items()}
        path = writers.save_gan_zoo(folder / f"zoo{i}.pth", state, fields, as_object=i != 2)
        yield "progan-gan-zoo", path, lambda z, state=state, fields=fields: gan_zoo(state, fields, z)
    for fused_scale, lod in ((True, 0.0), (False, 0.0), (True, 1.25)):
        v = writers.nvidia(fused=fused_scale, lod=lod)
        path = writers.save_nvidia(folder / f"nvidia{fused_scale}{lod}.pkl", v)
        yield "progan-nvidia-tf", path, lambda z, v=v: nvidia(v, z)


def test_every_layout_renders_as_the_formats_page_says(tmp_path: Path) -> None:
    z = np.random.default_rng(3).standard_normal((2, 7)).astype(np.float32)
    seen = 0
    for form, path, reference in cases(tmp_path):
        assert recognise(path) == form, path
        tensors, facts = convert(path)
        save_weights(tmp_path / "converted.safetensors", tensors, facts)
        generator = load(tmp_path / "converted.safetensors", Params(), torch.device("cpu"))
        truth = reference(z.astype(np.float64))
        image = generator.render(Codes(torch.from_numpy(z), "z")).numpy()
        assert image.shape == truth.shape == (2, 3, 32, 32)
        assert truth.std() > 0.05, path
        np.testing.assert_allclose(image, truth, atol=1e-5 * np.ptp(truth), rtol=0, err_msg=str(path))
        seen += 1
    assert seen == 14


@pytest.mark.parametrize("normalisations", [1, 2])
def test_a_tiny_z_shows_how_often_it_is_normalised(normalisations: int, tmp_path: Path) -> None:
    z = np.full((1, 7), 1e-5, np.float32)
    writer, reference = ((writers.gandissect, gandissect), (writers.genforce, genforce))[normalisations - 1]
    torch.save(writer(), tmp_path / "file.pth")
    save_weights(tmp_path / "converted.safetensors", *convert(tmp_path / "file.pth"))
    generator = load(tmp_path / "converted.safetensors", Params(), torch.device("cpu"))
    truth = reference(writer(), z.astype(np.float64))
    np.testing.assert_allclose(generator.render(Codes(torch.from_numpy(z), "z")).numpy(), truth, atol=1e-5)


def nvidia_as_built(variables: Mapping[str, Any], options: Mapping[str, Any], z: Array) -> Array:
    """Section 4.6 without fused layers, as the options of the network say; z holds the label behind the latent."""
    s = doubles(variables)

    def activated(x: Array) -> Array:
        x = lrelu(x, 0.2 if options.get("use_leakyrelu", True) else 0.0)
        return norm(x) if options.get("use_pixelnorm", True) else x

    def layer(x: Array, name: str, padding: int = 1, gain: float = 2**0.5) -> Array:
        weight = s[f"{name}/weight"].transpose(3, 2, 0, 1)
        weight = he(weight, gain) if options.get("use_wscale", True) else weight
        return conv(x, weight, padding) + s[f"{name}/bias"][:, None, None]

    x, dense = norm(z) if options.get("normalize_latents", True) else z, s["4x4/Dense/weight"]
    x = x @ (dense * (np.sqrt(2) / 4 / np.sqrt(len(dense)) if options.get("use_wscale", True) else 1.0))
    x = activated(x.reshape(len(x), -1, 4, 4) + s["4x4/Dense/bias"][:, None, None])
    x = activated(layer(x, "4x4/Conv"))
    for r in (4 * 2**level for level in range(1, LAST + 1)):
        x = activated(layer(activated(layer(up(x), f"{r}x{r}/Conv0")), f"{r}x{r}/Conv1"))
    return layer(x, "ToRGB_lod0", 0, 1.0)


@pytest.mark.parametrize(
    "options",
    [
        {"use_pixelnorm": False, "normalize_latents": False},
        {"use_pixelnorm": False, "use_leakyrelu": False},
        {"use_wscale": False, "normalize_latents": False},
        {"label_size": 2, "pixelnorm_epsilon": 1e-8},
    ],
    ids=str,
)
def test_nvidia_files_say_how_their_network_was_built(options: dict[str, Any], tmp_path: Path) -> None:
    variables = writers.nvidia(fused=False)
    shrunk = {name: value if options.get("use_pixelnorm", True) else value * 0.6 for name, value in variables.items()}
    path = writers.save_nvidia(tmp_path / "w.pkl", shrunk, fused_scale=False, resolution=32, **options)
    z = np.random.default_rng(3).standard_normal((2, 7)).astype(np.float32)
    tensors, facts = convert(path)
    save_weights(tmp_path / "w.safetensors", tensors, facts)
    generator = load(tmp_path / "w.safetensors", Params(), torch.device("cpu"))
    labels = options.get("label_size", 0)
    assert generator.dim("z") == 7 - labels
    codes = Codes(torch.from_numpy(z[:, : 7 - labels]), "z", torch.from_numpy(z[:, 7 - labels :]) if labels else None)
    wanted = nvidia_as_built(shrunk, options, z.astype(np.float64))
    np.testing.assert_allclose(generator.render(codes).numpy(), wanted, atol=1e-4 * np.ptp(wanted))


def test_another_epsilon_of_pixel_norm_is_refused(tmp_path: Path) -> None:
    path = writers.save_nvidia(tmp_path / "w.pkl", writers.nvidia(), pixelnorm_epsilon=1e-4)
    with pytest.raises(UsageError, match="pixelnorm_epsilon"):
        convert(path)
