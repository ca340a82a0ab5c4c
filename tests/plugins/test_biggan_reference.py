"""BigGAN against the formats page: a float64 numpy renderer that reads the official names directly."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from gdbench import Codes
from tests.plugins import writers_biggan as writers

Array = NDArray[np.float64]


def conv(x: Array, weight: Array, bias: Array | None = None) -> Array:
    k = weight.shape[2]
    padded = np.pad(x, ((0, 0), (0, 0), (k // 2, k // 2), (k // 2, k // 2)))
    h, w = x.shape[2:]
    y = sum(
        np.einsum("nihw,oi->nohw", padded[:, :, a : a + h, b : b + w], weight[:, :, a, b])
        for a in range(k)
        for b in range(k)
    )
    return y if bias is None else y + bias[:, None, None]


def up(x: Array) -> Array:
    return x.repeat(2, 2).repeat(2, 3)


def pool(x: Array) -> Array:
    n, c, h, w = x.shape
    return x.reshape(n, c, h // 2, 2, w // 2, 2).max((3, 5))


def attend(x: Array, theta: Array, phi: Array, g: Array, o: Array, gamma: float) -> Array:
    n, c, h, w = x.shape
    query, key, value = conv(x, theta), pool(conv(x, phi)), pool(conv(x, g))
    out = np.zeros((n, c // 2, h, w))
    for i in range(n):
        for y in range(h):
            for z in range(w):
                score = np.einsum("c,chw->hw", query[i, :, y, z], key[i])
                score = np.exp(score - score.max())
                out[i, :, y, z] = np.einsum("hw,chw->c", score / score.sum(), value[i])
    return gamma * conv(out, o) + x


def relu(x: Array) -> Array:
    return np.maximum(x, 0)


class Ajbrock:
    """Section 2.1."""

    def __init__(self, state: writers.State, bn_eps: float, sn_eps: float) -> None:
        self.s = {k: v.double().numpy() for k, v in state.items()}
        self.bn_eps, self.sn_eps = bn_eps, sn_eps

    def weight(self, name: str) -> Array:
        w = self.s[f"{name}.weight"]
        if f"{name}.u0" not in self.s:
            return w
        matrix = w.reshape(len(w), -1)
        v = self.s[f"{name}.u0"][0] @ matrix
        v = v / max(np.linalg.norm(v), self.sn_eps)
        return w / np.linalg.norm(matrix @ v)

    def norm(self, x: Array, name: str, eps: float) -> Array:
        mean, var = self.s[f"{name}.stored_mean"], self.s[f"{name}.stored_var"]
        return (x - mean[:, None, None]) / np.sqrt(var + eps)[:, None, None]

    def conditional(self, x: Array, name: str, y: Array) -> Array:
        if f"{name}.gain.u0" in self.s:
            gain, bias = y @ self.weight(f"{name}.gain").T, y @ self.weight(f"{name}.bias").T
        else:
            gain, bias = self.s[f"{name}.gain.weight"][y], self.s[f"{name}.bias.weight"][y]
        return self.norm(x, name, self.bn_eps) * (1 + gain)[..., None, None] + bias[..., None, None]

    def conv(self, x: Array, name: str) -> Array:
        return conv(x, self.weight(name), self.s.get(f"{name}.bias"))

    def render(self, z: Array, label: NDArray[np.int64]) -> Array:
        blocks = 1 + max(int(k.split(".")[1]) for k in self.s if k.startswith("blocks."))
        chunk = self.s["linear.weight"].shape[1]
        chunks = [z[:, i : i + chunk] for i in range(0, z.shape[1], chunk)]
        x = chunks[0] @ self.weight("linear").T + self.s["linear.bias"]
        x = x.reshape(len(z), -1, 4, 4)
        for i in range(blocks):
            name = f"blocks.{i}.0"
            y: Array | NDArray[np.int64] = label
            if "shared.weight" in self.s:
                y = self.s["shared.weight"][label]
            if len(chunks) > 1:
                y = np.concatenate([y, chunks[i + 1]], 1)
            h = self.conv(up(relu(self.conditional(x, f"{name}.bn1", y))), f"{name}.conv1")
            h = self.conv(relu(self.conditional(h, f"{name}.bn2", y)), f"{name}.conv2")
            x = h + self.conv(up(x), f"{name}.conv_sc")
            if f"blocks.{i}.1.gamma" in self.s:
                kernels = (self.weight(f"blocks.{i}.1.{part}") for part in ("theta", "phi", "g", "o"))
                x = attend(x, *kernels, float(self.s[f"blocks.{i}.1.gamma"]))
        x = self.norm(x, "output_layer.0", 1e-5)
        x = x * self.s["output_layer.0.gain"][:, None, None] + self.s["output_layer.0.bias"][:, None, None]
        return np.tanh(self.conv(relu(x), "output_layer.2"))


class Deep:
    """Section 2.2."""

    def __init__(
        self, state: writers.State, layers: tuple[tuple[bool, int, int], ...], attention: int, t: float
    ) -> None:
        self.s = {k: v.double().numpy() for k, v in state.items()}
        self.layers, self.attention = layers, attention
        self.fraction, self.row = math.modf(t / (1.0 / 50))

    def weight(self, name: str) -> Array:
        w, u, v = (self.s[f"{name}.weight_{part}"] for part in ("orig", "u", "v"))
        return w / (u @ (w.reshape(len(w), -1) @ v))

    def conv(self, x: Array, name: str) -> Array:
        return conv(x, self.weight(name), self.s.get(f"{name}.bias"))

    def norm(self, x: Array, name: str) -> Array:
        i = int(self.row)
        mean, var = (
            rows[i] if self.fraction == 0 else rows[i] * self.fraction + rows[i + 1] * (1 - self.fraction)
            for rows in (self.s[f"{name}.running_means"], self.s[f"{name}.running_vars"])
        )
        return (x - mean[:, None, None]) / np.sqrt(var + 1e-4)[:, None, None]

    def conditional(self, x: Array, name: str, y: Array) -> Array:
        gain, bias = y @ self.weight(f"{name}.scale").T, y @ self.weight(f"{name}.offset").T
        return self.norm(x, name) * (1 + gain)[..., None, None] + bias[..., None, None]

    def render(self, z: Array, label: NDArray[np.int64]) -> Array:
        y = np.concatenate([z, self.s["embeddings.weight"].T[label]], 1)
        x = y @ self.weight("generator.gen_z").T + self.s["generator.gen_z.bias"]
        x = x.reshape(len(z), 4, 4, -1).transpose(0, 3, 1, 2)
        places = [j for j in range(len(self.layers) + 1) if j != self.attention]
        for j, (doubles, _, _) in zip(places, self.layers, strict=True):
            if j == self.attention + 1:
                name = f"generator.layers.{self.attention}"
                kernels = (self.weight(f"{name}.snconv1x1_{part}") for part in ("theta", "phi", "g", "o_conv"))
                x = attend(x, *kernels, float(self.s[f"{name}.gamma"][0]))
            name = f"generator.layers.{j}"
            h = self.conv(relu(self.conditional(x, f"{name}.bn_0", y)), f"{name}.conv_0")
            h = relu(self.conditional(h, f"{name}.bn_1", y))
            h = self.conv(up(h) if doubles else h, f"{name}.conv_1")
            h = self.conv(relu(self.conditional(h, f"{name}.bn_2", y)), f"{name}.conv_2")
            h = self.conv(relu(self.conditional(h, f"{name}.bn_3", y)), f"{name}.conv_3")
            kept = x[:, : h.shape[1]]
            x = h + (up(kept) if doubles else kept)
        x = self.norm(x, "generator.bn")
        x = x * self.s["generator.bn.weight"][:, None, None] + self.s["generator.bn.bias"][:, None, None]
        return np.tanh(self.conv(relu(x), "generator.conv_to_rgb")[:, :3])


AJBROCK = {
    "trained, attention": {"multiples": (4, 4, 2, 1), "attention": (1,)},
    "from TFHub": {"multiples": (2, 2, 1), "attention": (0,), "trained": False},
    "CIFAR, no shared embedding": {"multiples": (2, 2, 2), "shared": 0, "chunk": 9},
    "shared, not hierarchical": {"multiples": (2, 1), "hierarchical": False, "chunk": 9},
}


@pytest.mark.parametrize("form", AJBROCK)
def test_ajbrock_files_render_as_the_formats_page_says(form: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    state = writers.ajbrock(rng, **AJBROCK[form])  # type: ignore[arg-type]
    torch.save(state, tmp_path / "G_ema.pth")
    generator = writers.load_official(tmp_path / "G_ema.pth")
    z, label = rng.standard_normal((3, generator.dim("z"))).astype(np.float32), np.array([0, 6, 3])
    trained = AJBROCK[form].get("trained", True)
    truth = Ajbrock(state, 1e-5 if trained else 1e-4, 1e-6 if trained else 1e-4).render(z.astype(np.float64), label)
    image = generator.render(Codes(torch.from_numpy(z), "z", torch.from_numpy(label)))
    assert truth.std() > 0.1
    assert np.abs(image.numpy() - truth).max() < 1e-5


LAYERS = ((False, 8, 8), (True, 8, 4), (False, 4, 4), (True, 4, 2))


@pytest.mark.parametrize("truncation", [1.0, 0.5, 0.58, 0.14, 0.43])
def test_deep_folders_render_as_the_formats_page_says(truncation: float, tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    state = writers.deep(rng, LAYERS, cw=4, attention=2)
    generator = writers.load_official(writers.save_folder(tmp_path / "deep", state, LAYERS), truncation=truncation)
    z, label = rng.standard_normal((2, 5)).astype(np.float32), np.array([6, 1])
    truth = Deep(state, LAYERS, 2, truncation).render(z.astype(np.float64), label)
    image = generator.render(Codes(torch.from_numpy(z), "z", torch.from_numpy(label)))
    assert truth.std() > 0.1
    assert np.abs(image.numpy() - truth).max() < 1e-5
