"""The forms of A: each maps (direction, shift) to a displacement in whitened coordinates (section 3.1 of the paper).

All start at the same random orthonormal columns, so that a difference between forms is one of form.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gdbench import PluginError, Stream, initialised, normal
from gdbench import orthonormal as orthonormal_rows
from gdbench_voynov.params import Form

HIDDEN = 1024


def orthonormal(free: Tensor) -> Tensor:
    """The columns (dim, k) of ``free`` made orthonormal in order."""
    return orthonormal_rows(free.T).T


def rotated(rotation: Tensor, k: int, free: Tensor) -> Tensor:
    """The first ``k`` columns of rotation · exp(free - freeᵀ), all (dim, dim).

    In float64: in float32 torch's exponential is orthonormal to 4e-5 only at dim = 512.
    """
    turned = torch.matrix_exp((free - free.T).double())
    return (rotation.double() @ turned[:, :k]).to(free)


def unit(free: Tensor) -> Tensor:
    """Columns of length one."""
    return F.normalize(free, dim=0)


def unconstrained(free: Tensor) -> Tensor:
    """The columns themselves."""
    return free


class Columns(nn.Module):
    """Straight directions: the columns of ``matrix()``, a constrained function of a free parameter."""

    def __init__(self, free: Tensor, constrain: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.free = nn.Parameter(free)
        self._constrain = constrain

    def matrix(self) -> Tensor:
        """A: (dim, k)."""
        return self._constrain(self.free)

    def forward(self, index: Tensor, shift: Tensor) -> Tensor:
        return self.matrix().T[index] * shift[:, None]


class Projective(nn.Module):
    """An affine map whose output is rescaled to the length of the shift: |e| (e a_k + b) / |e a_k + b|.

    With b = 0 this is `unit`; with b the path bends, and +e and -e are not opposite.
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(bias)

    def forward(self, index: Tensor, shift: Tensor) -> Tensor:
        moved = self.weight.T[index] * shift[:, None] + self.bias
        return F.normalize(moved, dim=1) * shift.abs()[:, None]


class Perceptron(nn.Module):
    """e a_k + F(e 1_k) - F(0), F four layers with batch norm, ELU and skip connections; the last starts at zero.

    The official form adds the padded input and not -F(0), so that there a shift of zero moves the code.
    """

    start: Tensor

    def __init__(self, start: Tensor) -> None:
        super().__init__()
        dim, k = start.shape
        self.register_buffer("start", start)
        self.layers = nn.ModuleList(nn.Linear(width, HIDDEN) for width in (k, HIDDEN, HIDDEN))
        self.norms = nn.ModuleList(nn.BatchNorm1d(HIDDEN) for _ in range(3))
        self.last = nn.Linear(HIDDEN, dim)
        for part in self.last.parameters():
            nn.init.zeros_(part)

    def forward(self, index: Tensor, shift: Tensor) -> Tensor:
        x = F.one_hot(index, self.start.shape[1]) * shift[:, None]
        # the zero row goes through with the batch, so that both see the same batch statistics
        out = self._network(torch.cat([x, torch.zeros_like(x[:1])]))
        return x @ self.start.T + out[:-1] - out[-1]

    def _network(self, x: Tensor) -> Tensor:
        skip = torch.zeros(HIDDEN, device=x.device)
        for layer, norm in zip(self.layers, self.norms, strict=True):
            skip = skip + layer(x)
            x = F.elu(norm(skip))
        moved: Tensor = self.last(x)
        return moved


def start(stream: Stream, k: int, dim: int) -> Tensor:
    """The random orthonormal columns (dim, k) of a stream, the same that the control `random` takes.

    Where there are more columns than dimensions, blocks of ``dim`` orthonormal ones follow one another.
    """
    drawn = stream.of("orthonormal")
    widths = [min(dim, k - first) for first in range(0, k, dim)]
    blocks = [orthonormal(normal(drawn.at(i), width, dim).T) for i, width in enumerate(widths)]
    return blocks[0] if len(blocks) == 1 else torch.cat(blocks, 1)  # as it is: norms of another layout round otherwise


def build(form: Form, stream: Stream, k: int, dim: int) -> nn.Module:
    """The form, at its start. Raises PluginError where it is orthonormal and ``k`` exceeds the dimension."""
    if k > dim and form in ("ortho", "ortho-exp"):
        raise PluginError(
            f"K = {k} directions were asked for, but {dim} dimensions hold {dim} orthonormal ones: "
            "take form=unit, linear, projective or fc"
        )
    columns = start(stream, k, dim)
    if form == "ortho-exp":
        rotation = orthonormal(normal(stream.of("orthonormal").at(), dim, dim).T)
        return Columns(torch.zeros(dim, dim), partial(rotated, rotation, k))
    if form == "projective":
        return Projective(columns, torch.zeros(dim))
    if form == "fc":
        return initialised(stream.of("fc").at(), partial(Perceptron, columns))
    return Columns(columns, {"ortho": orthonormal, "unit": unit, "linear": unconstrained}[form])


def restore(form: str, state: Mapping[str, Tensor]) -> nn.Module:
    """A curved form with the tensors of ``state``; nothing is drawn."""
    if form == "projective":
        return Projective(state["weight"], state["bias"])
    with torch.device("meta"):
        empty = Perceptron(torch.empty(state["start"].shape))
    empty.load_state_dict(state, assign=True)
    return empty
