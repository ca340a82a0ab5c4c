"""Parameters of `voynov`, and their values in each tier. The defaults are the quick tier."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

Form = Literal["ortho", "ortho-exp", "unit", "linear", "projective", "fc"]


@dataclass(frozen=True)
class VoynovParams:
    """What can be chosen; shifts are in units of prior standard deviations (whitened) or of latent length (raw)."""

    form: Form = field(
        default="ortho",
        metadata={
            "help": "form of A: orthonormal by QR or by the matrix exponential, unit-norm columns, unconstrained; "
            "curved: affine of rescaled length, perceptron"
        },
    )
    reconstructor: Literal["lenet", "resnet18", "auto"] = field(
        default="lenet",
        metadata={"help": "network that reads the direction off two images; auto: lenet up to 64 px, else resnet18"},
    )
    resize: int | None = field(
        default=None,
        metadata={"help": "side length to which images are resized (nearest) for the reconstructor; lenet needs 32"},
    )
    steps: int = field(default=2_500, metadata={"help": "training steps"})
    batch: int = field(default=32, metadata={"help": "image pairs per step"})
    lr: float = field(default=1e-3, metadata={"help": "learning rate of Adam, for A and the reconstructor"})
    decay: float = field(
        default=0.2, metadata={"help": "last share of the steps over which the learning rate falls linearly to zero"}
    )
    law: Literal["uniform", "normal"] = field(default="uniform", metadata={"help": "law of the shift before its clamp"})
    shift_max: float = field(
        default=6.0, metadata={"help": "bound of the uniform law, standard deviation of the normal one"}
    )
    shift_min: float = field(default=0.5, metadata={"help": "shorter shifts are set to this length"})
    shift_weight: float = field(default=0.25, metadata={"help": "weight of the shift error in the loss (lambda)"})
    whiten: bool = field(
        default=True,
        metadata={"help": "outside z: measure shifts in prior standard deviations, S^(1/2) A e instead of A e"},
    )
    reuse: int = field(
        default=5, metadata={"help": "in how many pairs each base image serves; 1 is the published algorithm"}
    )
    precision: Literal["fp32", "bf16", "fp16"] = field(
        default="fp32",
        metadata={
            "help": "of generator and reconstructor; A and the loss are fp32 always; fp16 on CUDA only",
            "added": True,
        },
    )
    compile: bool = field(
        default=False, metadata={"help": "compile generator and reconstructor (torch.compile)", "added": True}
    )
    micro_batch: int = field(
        default=0,
        metadata={
            "help": "render so many images at a time, again in the backward pass: less memory; 0 is all",
            "added": True,
        },
    )
    devices: int = field(default=1, metadata={"help": "processes of this machine that share each batch", "added": True})
    nodes: int = field(default=1, metadata={"help": "machines that do, started by torchrun", "added": True})

    def __post_init__(self) -> None:
        if self.steps < 0 or self.batch < 2 or self.reuse < 1:
            raise ValueError("steps must be >= 0, batch >= 2 (batch norm) and reuse >= 1")
        if not (self.lr > 0 and 0 <= self.decay <= 1 and 0 <= self.shift_min <= self.shift_max and self.shift_max > 0):
            raise ValueError("lr must be > 0, decay in [0, 1], 0 <= shift_min <= shift_max")
        if self.shift_weight < 0 or (self.resize is not None and self.resize < 1):
            raise ValueError("shift_weight must be >= 0 and resize >= 1")
        ranks = self.devices * self.nodes
        if self.micro_batch < 0 or self.devices < 1 or self.nodes < 1 or self.batch % ranks:
            raise ValueError("micro_batch must be >= 0, devices and nodes >= 1, batch a multiple of devices x nodes")
        if self.compile and ranks > 1:
            raise ValueError("compile must be false where several processes share the batch")


SMOKE: Mapping[str, Any] = MappingProxyType({"steps": 30, "batch": 8})

STANDARD: Mapping[str, Any] = MappingProxyType({"steps": 20_000})
"""20,000 x 32 shifted and 129,024 base images: under 10^6."""

PAPER: Mapping[str, Any] = MappingProxyType(
    {
        "form": "ortho-exp",
        "reconstructor": "auto",
        "steps": 100_000,
        "lr": 1e-4,
        "decay": 0.0,
        "whiten": False,
        "reuse": 1,
    }
)
"""Defaults of the official code; its reconstructor goes by data set, LeNet at 32 and 64 px, ResNet-18 above."""
