"""How a step is computed: precision, compilation, micro-batches, and the processes that share it.

None of it changes what is computed but by rounding, and with the defaults not even by that.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from gdbench import Codes, Generator, UsageError
from gdbench_voynov.parallel import ALONE, Ranks
from gdbench_voynov.params import VoynovParams

DTYPES = {"bf16": torch.bfloat16, "fp16": torch.float16}


@dataclass(frozen=True)
class Calls:
    """The parts of a step as they are to be called.

    form: directions (n,) and shifts (n,) -> displacements (n, dim). render: codes -> images. read: images and shifted
    images -> logits and shifts. add_cost: ``Context.add_cost``, for what forked processes compute. scaler: scales the
    loss of fp16, and does nothing else.
    """

    form: Callable[[Tensor, Tensor], Tensor]
    render: Callable[[Codes], Tensor]
    read: Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
    add_cost: Callable[[int, int], None]
    ranks: Ranks = ALONE
    scaler: torch.amp.GradScaler = field(default_factory=partial(torch.amp.GradScaler, "cpu", enabled=False))

    def base(self, codes: Codes) -> Tensor:
        """The images of a batch of codes, of which each process renders its share."""
        self.add_cost(self.ranks.unreported(len(codes)), 0)
        return self.ranks.whole(self.render(codes[self.ranks.share(len(codes))]))


def arrange(
    form: nn.Module,
    reconstructor: nn.Module,
    generator: Generator,
    params: VoynovParams,
    add_cost: Callable[[int, int], None],
    ranks: Ranks,
) -> Calls:
    """The parts, computed as ``params`` say. Raises UsageError for fp16 on a device that is not CUDA."""
    device = generator.device
    if params.precision == "fp16" and device.type != "cuda":
        raise UsageError(f"precision=fp16 needs a CUDA device; on {device.type} take bf16")
    render: Callable[..., Any] = generator.render
    read: Callable[..., Any] = ranks.joined(reconstructor)
    if params.compile:
        render, read = compiled(render), compiled(read)
    if params.precision != "fp32":
        render, read = (partial(_cast, call, device.type, DTYPES[params.precision]) for call in (render, read))
    if params.micro_batch:
        render = partial(_in_parts, render, params.micro_batch)
    scaler = torch.amp.GradScaler(device.type, enabled=params.precision == "fp16")
    return Calls(ranks.joined(form), render, read, add_cost, ranks, scaler)


def compiled(call: Callable[..., Any]) -> Callable[..., Any]:
    """``call``, compiled at its first use. Raises UsageError there, in one line, where no compiler works."""
    fast = torch.compile(call)

    def attempt(*inputs: Any) -> Any:
        from torch._dynamo.exc import TorchDynamoException

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # while it traces, torch reads attributes that it warns of itself
            try:
                return fast(*inputs)
            except TorchDynamoException as error:
                reason = " ".join(str(error).split("\n\n")[0].split())
                raise UsageError(f"compile=true does not work here, compile=false does: {reason}") from error

    return attempt


def _cast(call: Callable[..., Any], device: str, dtype: torch.dtype, *inputs: Any) -> Any:
    """Compute in ``dtype`` where autocast deems it safe, and return float32."""
    with torch.autocast(device, dtype):
        output = call(*inputs)
    return output.float() if isinstance(output, Tensor) else tuple(part.float() for part in output)


def _in_parts(render: Callable[[Codes], Tensor], size: int, codes: Codes) -> Tensor:
    """Images of which only ``size`` at a time hold their activations: the backward pass renders each part again.

    The reconstructor sees the whole batch, so that its batch norm does not depend on ``size``.
    """
    parts = (checkpoint(render, part, use_reentrant=False, preserve_rng_state=False) for part in codes.chunks(size))
    return torch.cat(list(parts))
