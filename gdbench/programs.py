"""Programs: a generator as a short list of operations with their tensors, which pages draw without torch.

A family that offers the capability ``"program"`` writes one with ``ProgramWriter``. ``interpret`` is what the
operations mean; ``gdbench/explorer/templates/interpreter.js`` is the same in JavaScript. Values have no batch: a vector
(d,), or maps (c, h, w).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

CODE, LABEL, NORMAL = "code", "label", "normal"
"""Names of inputs: a code (dim,), a soft class vector (classes,), and standard normal numbers (normals,)."""


@dataclass(frozen=True)
class Op:
    """One operation: ``output`` becomes ``kind`` of earlier values.

    inputs: names of values. tensors: role -> name of a tensor of the program. values: numbers and other plain values.
    """

    kind: str
    output: str
    inputs: tuple[str, ...] = ()
    tensors: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in KINDS:
            raise ValueError(f"no operation {self.kind!r}; operations: {', '.join(sorted(KINDS))}")


@dataclass(frozen=True)
class Program:
    """How codes of one space are drawn, and how an image is rendered of one.

    draw: from ``"normal"`` (and ``"label"``) to a code. render: from ``"code"`` (and ``"label"``) to an image, which is
    nominally in [-1, 1]. Each gives the value of its last operation. normals: how many normal numbers a code takes.
    classes: width of a label, 0 without; labels are drawn uniformly, or all are ``label``.
    """

    draw: tuple[Op, ...]
    render: tuple[Op, ...]
    tensors: Mapping[str, Tensor]
    normals: int
    classes: int = 0
    label: int | None = None

    def image(self, code: Tensor, label: Tensor | None = None) -> Tensor:
        """The image (c, h, w) of a code (dim,), and of a soft class vector (classes,) where there are classes."""
        return interpret(self.render, self.tensors, _inputs(CODE, code, label))

    def code(self, normal: Tensor, label: Tensor | None = None) -> Tensor:
        """The code (dim,) that ``normal`` (normals,) standard normal numbers give."""
        return interpret(self.draw, self.tensors, _inputs(NORMAL, normal, label))


def _inputs(name: str, value: Tensor, label: Tensor | None) -> dict[str, Tensor]:
    return {name: value} if label is None else {name: value, LABEL: label}


class ProgramWriter:
    """Writes operations: each method adds one and returns the name of its value.

    What it wrote so far is taken by ``taken``, so that one writer writes ``draw`` and then ``render``. Parameters of
    methods are those that ``interpret`` documents for each kind.
    """

    def __init__(self) -> None:
        self.tensors: dict[str, Tensor] = {}
        self._ops: list[Op] = []
        self._count = 0

    def taken(self) -> tuple[Op, ...]:
        """The operations since the last call."""
        ops, self._ops = tuple(self._ops), []
        return ops

    def linear(
        self, x: str, weight: Tensor, bias: Tensor | None = None, gain: float = 1.0, bias_gain: float = 1.0
    ) -> str:
        """``gain * weight @ x + bias_gain * bias``."""
        return self._add("linear", (x,), {"weight": weight, "bias": bias}, gain=gain, bias_gain=bias_gain)

    def concat(self, *vectors: str) -> str:
        """Vectors one after another."""
        return self._add("concat", vectors)

    def slice(self, x: str, start: int, stop: int) -> str:
        """A part of a vector."""
        return self._add("slice", (x,), start=start, stop=stop)

    def reshape(self, x: str, shape: tuple[int, int, int]) -> str:
        """A vector as maps (c, h, w)."""
        return self._add("reshape", (x,), shape=list(shape))

    def constant(self, value: Tensor) -> str:
        """A tensor of the program: (d,) or (c, h, w)."""
        return self._add("constant", (), {"value": value})

    def conv(self, x: str, weight: Tensor, bias: Tensor | None = None, up: int = 1) -> str:
        """A convolution of odd size, padded with zeros, of maps whose pixels are repeated ``up`` (1 or 2) times."""
        return self._add("conv", (x,), {"weight": weight, "bias": bias}, up=up)

    def modulated_conv(
        self,
        x: str,
        style: str,
        weight: Tensor,
        bias: Tensor | None = None,
        demodulate: bool = True,
        up: bool = False,
        eps: float = 1e-8,
    ) -> str:
        """Karras et al. 2020, equations 1 to 3; ``up``: a transposed convolution, then the filter [1, 3, 3, 1]."""
        tensors = {"weight": weight, "bias": bias}
        return self._add("modulated_conv", (x, style), tensors, demodulate=demodulate, up=up, eps=eps)

    def norm(
        self,
        x: str,
        mean: Tensor,
        var: Tensor,
        weight: Tensor | None = None,
        bias: Tensor | None = None,
        eps: float = 1e-5,
        gain_and_shift: tuple[str, str] | None = None,
    ) -> str:
        """Batch normalisation with stored statistics; gain and shift are tensors, or vectors computed before."""
        tensors = {"mean": mean, "var": var, "weight": weight, "bias": bias}
        return self._add("norm", (x, *(gain_and_shift or ())), tensors, eps=eps)

    def activate(self, x: str, slope: float = 0.0, gain: float = 1.0, clamp: float | None = None) -> str:
        """``gain * x`` above 0, ``gain * slope * x`` below, clamped to +-``clamp``: ReLU, leaky ReLU, or a scale."""
        return self._add("activate", (x,), slope=slope, gain=gain, clamp=clamp)

    def tanh(self, x: str) -> str:
        """The hyperbolic tangent."""
        return self._add("tanh", (x,))

    def add(self, x: str, y: str) -> str:
        """The sum of two values of one shape."""
        return self._add("add", (x, y))

    def add_map(self, x: str, value: Tensor) -> str:
        """Maps with a tensor (h, w) added to each channel: fixed noise."""
        return self._add("add_map", (x,), {"value": value})

    def upsample(self, x: str, mode: str = "nearest") -> str:
        """Twice the height and width: ``nearest``, ``bilinear`` without aligned corners, or ``fir`` ([1, 3, 3, 1])."""
        return self._add("upsample", (x,), mode=mode)

    def pixel_norm(self, x: str, eps: float = 1e-8) -> str:
        """The channels of each pixel, or a vector, scaled to mean square 1."""
        return self._add("pixel_norm", (x,), eps=eps)

    def lerp(self, x: str, centre: Tensor, weight: float) -> str:
        """``centre + weight * (x - centre)``: truncation."""
        return self._add("lerp", (x,), {"centre": centre}, weight=weight)

    def _add(
        self, kind: str, inputs: tuple[str, ...], tensors: Mapping[str, Tensor | None] | None = None, **values: Any
    ) -> str:
        number, self._count = self._count, self._count + 1
        names = {}
        for role, tensor in (tensors or {}).items():
            if tensor is not None:
                names[role] = f"{number}.{role}"
                self.tensors[names[role]] = tensor.detach().cpu().contiguous()
        output = f"v{number}"
        self._ops.append(
            Op(kind, output, inputs, names, {name: one for name, one in values.items() if one is not None})
        )
        return output


@torch.no_grad()
def interpret(ops: tuple[Op, ...], tensors: Mapping[str, Tensor], inputs: Mapping[str, Tensor]) -> Tensor:
    """The value of the last operation. Raises ValueError where an input or an earlier value is missing."""
    values = dict(inputs)
    last = next(iter(values.values()))
    for op in ops:
        missing = [name for name in op.inputs if name not in values]
        if missing:
            raise ValueError(f"{op.kind}: no value {', '.join(missing)}")
        given = [values[name] for name in op.inputs]
        own = {role: tensors[name].float() for role, name in op.tensors.items()}
        last = values[op.output] = KINDS[op.kind](*given, **own, **op.values)
    return last


def _linear(x: Tensor, weight: Tensor, gain: float, bias_gain: float, bias: Tensor | None = None) -> Tensor:
    y = gain * (weight @ x)
    return y if bias is None else y + bias_gain * bias


def _conv(x: Tensor, weight: Tensor, up: int, bias: Tensor | None = None) -> Tensor:
    x = x[None] if up == 1 else F.interpolate(x[None], scale_factor=up, mode="nearest")
    return F.conv2d(x, weight, bias, padding=weight.shape[2] // 2)[0]


def _modulated_conv(
    x: Tensor, style: Tensor, weight: Tensor, demodulate: bool, up: bool, eps: float, bias: Tensor | None = None
) -> Tensor:
    modulated = weight * style[:, None, None]
    if demodulate:
        modulated = modulated * (modulated.square().sum((1, 2, 3), keepdim=True) + eps).rsqrt()
    if up:
        y = _fir(F.conv_transpose2d(x[None], modulated.transpose(0, 1), stride=2)[0], 1, 4.0)
    else:
        y = F.conv2d(x[None], modulated, padding=weight.shape[2] // 2)[0]
    return y if bias is None else y + bias[:, None, None]


def _fir(x: Tensor, padding: int, gain: float) -> Tensor:
    row = torch.tensor([0.125, 0.375, 0.375, 0.125])
    kernel = (gain * row[:, None] * row).expand(len(x), 1, 4, 4)
    return F.conv2d(x[None], kernel, padding=padding, groups=len(x))[0]


def _norm(
    x: Tensor,
    gain: Tensor | None = None,
    shift: Tensor | None = None,
    *,
    mean: Tensor,
    var: Tensor,
    eps: float,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
) -> Tensor:
    scaled = (x - mean[:, None, None]) * (var + eps).rsqrt()[:, None, None]
    gain, shift = weight if gain is None else gain, bias if shift is None else shift
    scaled = scaled if gain is None else scaled * gain[:, None, None]
    return scaled if shift is None else scaled + shift[:, None, None]


def _activate(x: Tensor, slope: float, gain: float, clamp: float = math.inf) -> Tensor:
    return (gain * torch.where(x < 0, slope * x, x)).clamp(-clamp, clamp)


def _upsample(x: Tensor, mode: str) -> Tensor:
    if mode == "fir":
        spread = x.new_zeros(len(x), 2 * x.shape[1], 2 * x.shape[2])
        spread[:, ::2, ::2] = x
        return _fir(F.pad(spread, (2, 1, 2, 1)), 0, 4.0)
    return F.interpolate(x[None], scale_factor=2, mode=mode, align_corners=None if mode == "nearest" else False)[0]


def _pixel_norm(x: Tensor, eps: float) -> Tensor:
    return x * (x.square().mean(0, keepdim=True) + eps).rsqrt()


KINDS: Mapping[str, Callable[..., Tensor]] = {
    "linear": _linear,
    "concat": lambda *vectors: torch.cat(vectors),
    "slice": lambda x, start, stop: x[start:stop],
    "reshape": lambda x, shape: x.reshape(*shape),
    "constant": lambda value: value,
    "conv": _conv,
    "modulated_conv": _modulated_conv,
    "norm": _norm,
    "activate": _activate,
    "tanh": torch.tanh,
    "add": torch.add,
    "add_map": lambda x, value: x + value,
    "upsample": _upsample,
    "pixel_norm": _pixel_norm,
    "lerp": lambda x, centre, weight: centre + weight * (x - centre),
}
"""Kind -> what it computes: inputs in their order, then tensors and values by their names."""
