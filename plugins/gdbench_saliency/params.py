"""The parameters of the metric, where declaring them costs no import of torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class SaliencyParams:
    """Masks, segmenter and test set. The defaults finish on a CPU; the tier ``paper`` has the paper's numbers."""

    data: str = field(default="", metadata={"help": "folder of images and masks; empty is the domain's held-out set"})
    mask: Literal["intensity", "difference"] = field(
        default="intensity", metadata={"help": "darker than the threshold after the shift, or changed least by it"}
    )
    threshold: float = field(default=0.95, metadata={"help": "of mean RGB in [0, 1]: the object is below"})
    difference: float = field(default=0.6, metadata={"help": "of the min-max scaled difference: the object is below"})
    taus: tuple[float, ...] = field(
        default=(0.3, 0.45, 0.9), metadata={"help": "visible changes among which that of the shift is chosen"}
    )
    paper_shift: bool = field(default=False, metadata={"help": "also train at the paper's shift of 26 steps"})
    codes: int = field(default=24, metadata={"help": "codes on which directions are compared automatically"})
    pool: int = field(default=1536, metadata={"help": "pairs of image and mask that are drawn at once"})
    reuse: int = field(default=8, metadata={"help": "how often each pair is seen before new ones are drawn"})
    attempts: int = field(default=100, metadata={"help": "times 128 images that are drawn for a pool at most"})
    widths: tuple[int, ...] = field(default=(12, 24, 48, 48), metadata={"help": "channels of the U-Net's levels"})
    steps: int = field(default=300, metadata={"help": "training steps of the U-Net"})
    batch: int = field(default=32, metadata={"help": "pairs in a training step"})
    rate: float = field(default=0.005, metadata={"help": "learning rate of Adam"})
    decay: int = field(default=120, metadata={"help": "steps after which the rate falls to a fifth"})
    temperature: float = field(default=1.0, metadata={"help": "by which logits are divided before the softmax"})
    test: int = field(default=500, metadata={"help": "images drawn from the domain's held-out set"})
