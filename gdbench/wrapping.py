"""A network of one's own as a generator: ``wrap`` puts a module or a function behind the protocol, and looks at it."""

from __future__ import annotations

import copy
import hashlib
import inspect
import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gdbench.codes import Codes
from gdbench.errors import UsageError
from gdbench.streams import Stream, normal

Network = Callable[[Tensor], Tensor]

TRIED = 4  # codes by which a network is looked at
CHANNELS = 4  # of an image, at most
MARGIN = 0.15  # of the range: how far values may lie outside it
OUTSIDE = 0.01  # share of values that may lie farther
TOLERANCE = 2e-3  # in [-1, 1]: largest difference of a pixel between rendering alone and in a batch


@dataclass(frozen=True, eq=False)
class Wrapped:
    """A network of one's own behind the protocol ``Generator``. Its only space is z, whose codes are standard normal.

    shape: what the network takes, without the batch: (dim,), or (dim, 1, 1). low, high: the values of black and white
    in what it gives. sha256: of its weights and code, as far as they can be told from outside.
    """

    network: Network
    name: str
    shape: tuple[int, ...]
    image_shape: tuple[int, int, int]
    low: float
    high: float
    domain: str
    device: torch.device
    sha256: str
    spaces: tuple[str, ...] = ("z",)

    def dim(self, space: str) -> int:
        """The dimension of a code in z."""
        self._check(space)
        return math.prod(self.shape)

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        """``n`` standard normal codes."""
        return Codes(normal(rng, n, self.dim(space)).to(self.device), space)

    def render(self, codes: Codes) -> Tensor:
        """Images (n, channels, height, width) in [-1, 1], as far as the network keeps to its range."""
        self._check(codes.space)
        return _images(self.network, codes.latents, self.shape, self.low, self.high)

    def on(self, device: torch.device) -> Wrapped:
        """The same on another device; a function computes where its codes are, or fails there."""
        if device == self.device:
            return self
        network = self.network
        if isinstance(network, nn.Module):
            network = copy.deepcopy(network).to(device)
        return Wrapped(**{**vars(self), "network": network, "device": device})

    def _check(self, space: str) -> None:
        if space not in self.spaces:
            raise UsageError(f"{self.name} has no space {space!r}; it has z")


def wrap(
    network: Network,
    dim: int | Sequence[int],
    image_range: tuple[float, float] = (-1.0, 1.0),
    *,
    name: str = "",
    domain: str = "plain",
    differentiable: bool = True,
) -> Wrapped:
    """A generator of a network of one's own: what ``run(gan=...)`` and all that renders take.

    network: a module or function from latents (n, dim) to images (n, channels, height, width), 1 to 4 channels. A
    module is copied, frozen and put in evaluation mode. dim: the dimension of its standard normal latents, or the whole
    shape that it takes, as (512, 1, 1). image_range: its values of black and white. name: what records call it; by
    default that of its class or function. domain: what its images show. differentiable: False takes a network through
    which no gradient flows, with which fewer methods work.

    It is looked at on 4 codes. Raises UsageError, one line, where it raises, gives no images, images that are not
    finite, lie outside the range, differ when they are rendered again or in another batch, or have no gradient.
    """
    name = name or _name_of(network)
    shape = (dim,) if isinstance(dim, int) else tuple(dim)
    if not shape or any(not isinstance(size, int) or size < 1 for size in shape):
        raise UsageError(f"{name}: dim must be a positive whole number or a shape as (512, 1, 1), got {dim!r}")
    low, high = (float(value) for value in image_range)
    if not low < high:
        raise UsageError(f"{name}: image_range is (value of black, value of white), got {image_range!r}")
    digest = weights_digest(network)
    if isinstance(network, nn.Module):
        network = copy.deepcopy(network).eval().requires_grad_(False)
    device = _device(network)
    image_shape = _looked_at(network, name, shape, low, high, device, differentiable)
    return Wrapped(network, name, shape, image_shape, low, high, domain, device, digest)


def _images(network: Network, latents: Tensor, shape: Sequence[int], low: float, high: float) -> Tensor:
    """The network's images in [-1, 1]; its own parameters get no gradient where the latents ask for none."""
    with torch.set_grad_enabled(torch.is_grad_enabled() and latents.requires_grad):
        images = network(latents.reshape(len(latents), *shape))
        return images if (low, high) == (-1.0, 1.0) else (images - low) * (2 / (high - low)) - 1


def _looked_at(
    network: Network,
    name: str,
    shape: tuple[int, ...],
    low: float,
    high: float,
    device: torch.device,
    differentiable: bool,
) -> tuple[int, int, int]:
    """The shape of its images. Raises UsageError at the first thing that is not as it should be."""
    latents = normal(Stream(0, "wrap").at(), TRIED, math.prod(shape)).to(device)
    with torch.no_grad():
        images = _tried(network, name, latents, shape)
        if complaint := _wrong_form(images) or _wrong_values(images, low, high):
            raise UsageError(f"{name}: {complaint}")
        again = _tried(network, name, latents, shape)
        alone = torch.cat([_tried(network, name, latents[i : i + 1], shape) for i in range(TRIED)])
    if complaint := _wrong_repeats(images, again, alone, (high - low) / 2):
        raise UsageError(f"{name}: {complaint}")
    if differentiable and (complaint := _wrong_gradient(network, latents, shape)):
        raise UsageError(f"{name}: {complaint}")
    return images.shape[1], images.shape[2], images.shape[3]


def _tried(network: Network, name: str, latents: Tensor, shape: tuple[int, ...]) -> Tensor:
    taken = latents.reshape(len(latents), *shape)
    try:
        return network(taken)
    except Exception as error:
        text = " ".join(str(error).split())[:200]
        hint = f"; if it takes maps, say dim=({shape[0]}, 1, 1)" if len(shape) == 1 else ""
        raise UsageError(
            f"{name} raised {type(error).__name__} for latents {tuple(taken.shape)}: {text}{hint}"
        ) from error


def _wrong_form(images: object) -> str:
    if not isinstance(images, Tensor):
        return f"gives {type(images).__name__}, expected a tensor of images (n, channels, height, width) alone"
    if images.dim() != 4 or len(images) != TRIED:
        return f"gives shape {tuple(images.shape)} for {TRIED} codes, expected ({TRIED}, channels, height, width)"
    if not 1 <= images.shape[1] <= CHANNELS:
        last = "; are channels last? permute(0, 3, 1, 2)" if images.shape[3] <= CHANNELS else ""
        return f"gives {images.shape[1]} channels, expected 1 to {CHANNELS}{last}"
    return "" if images.dtype == torch.float32 else f"gives {images.dtype}, expected torch.float32"


def _wrong_values(images: Tensor, low: float, high: float) -> str:
    if not bool(torch.isfinite(images).all()):
        return "gives images that are not finite (NaN or infinite)"
    slack = MARGIN * (high - low)
    least, most = float(images.min()), float(images.max())
    outside = float(((images < low - slack) | (images > high + slack)).float().mean())
    if outside > OUTSIDE:
        return (
            f"{outside:.0%} of values lie outside image_range ({low:g}, {high:g}): they go from {least:.3g} to "
            f"{most:.3g}; say the values of black and white, image_range=(0, 1) or (0, 255)"
        )
    if least > low + 0.45 * (high - low):
        return (
            f"the darkest value is {least:.3g} and image_range is ({low:g}, {high:g}); say the values of black and "
            "white, as image_range=(0, 1)"
        )
    return "" if bool((images != images[:1]).any()) else "gives the same image for every code"


def _wrong_repeats(images: Tensor, again: Tensor, alone: Tensor, half: float) -> str:
    if not torch.equal(images, again):
        return "the same codes give other images the next time: does it draw noise, or drop units? Fix what it draws"
    apart = float((images - alone).abs().max()) / half
    if apart > TOLERANCE:
        return (
            f"an image rendered alone differs by {apart:.3g} from the same one in a batch: does batch normalisation "
            "use the batch? Call eval() on the network"
        )
    return ""


def _wrong_gradient(network: Network, latents: Tensor, shape: tuple[int, ...]) -> str:
    asked = latents.detach().clone().requires_grad_()
    remedy = "differentiable=False takes it as it is, with which fewer methods work"
    none = f"no gradient flows from images to latents: is it under no_grad, or in numpy? {remedy}"
    try:
        with torch.enable_grad():
            images = network(asked.reshape(len(asked), *shape))
    except RuntimeError:  # numpy takes nothing that asks for a gradient
        return none
    if not images.requires_grad:
        return none
    (gradient,) = torch.autograd.grad(images.square().sum(), asked, allow_unused=True)
    if gradient is None or not bool((gradient != 0).any()):
        return f"the gradient from images to latents is zero; {remedy}"
    return "" if bool(torch.isfinite(gradient).all()) else f"the gradient to latents is not finite; {remedy}"


def _name_of(network: Network) -> str:
    """The name of a class or function, in the letters that names have."""
    named = network if inspect.isroutine(network) else type(network)
    text = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in named.__name__.lower())
    return text.strip("._-")[:64] or "network"


def _device(network: Network) -> torch.device:
    found = [tensor.device for module in _modules(network) for tensor in _tensors(module)]
    return found[0] if found else torch.device("cpu")


def _modules(network: Network) -> list[nn.Module]:
    """The module itself; of a function those in its closure, globals or defaults, and what it is bound to."""
    if isinstance(network, nn.Module):
        return [network]
    function = inspect.unwrap(network)
    held = [getattr(function, "__self__", None), getattr(function, "func", None), *getattr(function, "args", ())]
    inner = getattr(function, "__func__", function)
    held += [cell.cell_contents for cell in getattr(inner, "__closure__", None) or () if not _empty(cell)]
    held += getattr(inner, "__defaults__", None) or ()
    code, known = getattr(inner, "__code__", None), getattr(inner, "__globals__", {})
    held += [known[name] for name in (code.co_names if code else ()) if name in known]
    return [value for value in held if isinstance(value, nn.Module)]


def _empty(cell: Any) -> bool:
    try:
        return cell.cell_contents is None
    except ValueError:
        return True


def _tensors(module: nn.Module) -> Iterable[Tensor]:
    return [*module.parameters(), *module.buffers()]


def weights_digest(network: Any) -> str:
    """SHA-256 of the weights of the modules that a network holds, and of its code where it has one to read."""
    if isinstance(network, Wrapped):
        return network.sha256
    digest = hashlib.sha256()
    try:
        named = network if inspect.isroutine(network) else type(network)
        digest.update(inspect.getsource(named).encode())
    except (OSError, TypeError):
        digest.update(type(network).__qualname__.encode())
    for module in _modules(network):
        for name, tensor in sorted(module.state_dict().items()):
            values = tensor.detach().cpu().contiguous()
            digest.update(f"{name} {tuple(values.shape)} {values.dtype}".encode())
            digest.update(values.reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
