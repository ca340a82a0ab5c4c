"""``--gan FILE.py:NAME``: a network in a Python file of one's own, offered as an installed generator would be."""

from __future__ import annotations

import hashlib
import importlib.util
import inspect
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from gdbench.errors import GdbenchError, MissingFile, UsageError, unknown
from gdbench.files import sha256
from gdbench.offers import Offer, Provider
from gdbench.places import raised_at
from gdbench.specs import GeneratorSpec, NoParams

if TYPE_CHECKING:
    import torch

    from gdbench.registry import Registry
    from gdbench.wrapping import Wrapped

FORM = re.compile(r"(?P<file>.+\.py):(?P<name>\w*)")
MODULE = "gdbench_own_"
"""How the module name of such a file begins."""
DIMENSIONS = ("dim", "z_dim", "dim_z", "latent_dim", "nz")
"""Attributes by which a network may say the dimension of its latents."""


@dataclass(frozen=True)
class OwnParams:
    """What a network in a file does not say by itself."""

    dim: int | None = field(default=None, metadata={"help": "dimension of its latents, standard normal (n, dim)"})
    low: float = field(default=-1.0, metadata={"help": "the value of black in its images"})
    high: float = field(default=1.0, metadata={"help": "the value of white in its images"})


def with_own(registry: Registry, gan: str | Wrapped) -> Registry:
    """The registry, with ``gan`` among its generators where that is ``FILE.py:NAME`` or a wrapped network.

    Raises UsageError or MissingFile, one line, about the file and what it holds.
    """
    if isinstance(gan, str):
        match = FORM.fullmatch(gan)
        if match is None or gan in registry.generators:
            return registry
        return _extended(registry, gan, _offer_of_file(Path(match["file"]).expanduser(), match["name"]))
    if gan.name in registry.generators:
        raise UsageError(f"a generator {gan.name!r} is installed: wrap yours with another name=")
    return _extended(registry, gan.name, _offer(gan.name, gan, gan.sha256, Provider(gan.name, "this session", "")))


def _extended(registry: Registry, name: str, offer: Offer[GeneratorSpec]) -> Registry:
    return replace(registry, generators={**registry.generators, name: offer})


def _offer(name: str, wrapped: Wrapped, digest: str, provider: Provider) -> Offer[GeneratorSpec]:
    def load(path: None, params: NoParams, device: torch.device) -> Wrapped:
        return wrapped.on(device)

    return Offer(_spec(name, load, NoParams, wrapped.domain, digest), provider)


def _spec(name: str, load: Callable[..., Any], params: type, domain: str, digest: str) -> GeneratorSpec:
    slug = re.sub(r"[^a-z0-9._-]+", "-", name.lower()).strip("._-")[-64:].lstrip("._-") or "own"
    return GeneratorSpec(slug, "a network of one's own", load, params=params, domain=domain, sha256=digest)


def _offer_of_file(path: Path, name: str) -> Offer[GeneratorSpec]:
    from gdbench.wrapping import Wrapped, weights_digest

    shown = f"{path.name}:{name}"
    module = _loaded(path)
    found = _found(module, path, name)
    provider = Provider(shown, str(path), "", module.__name__)
    digest = hashlib.sha256(f"{sha256(path)} {weights_digest(found)}".encode()).hexdigest()
    if isinstance(found, Wrapped):
        return _offer(shown, found, digest, provider)

    def load(_: None, params: OwnParams, device: torch.device) -> Wrapped:
        return _wrapped(found, shown, params).on(device)

    return Offer(_spec(shown, load, OwnParams, "plain", digest), provider)


def _wrapped(network: Any, shown: str, params: OwnParams) -> Wrapped:
    from gdbench.wrapping import wrap

    said = [getattr(network, name) for name in DIMENSIONS if isinstance(getattr(network, name, None), int)]
    dim = params.dim or next(iter(said), None)
    if dim is None:
        raise UsageError(
            f"{shown} does not say the dimension of its latents: -p gan.dim=N, or in the file "
            "gdbench.wrap(network, dim=N)"
        )
    return wrap(network, dim, (params.low, params.high), name=shown)


def _loaded(path: Path) -> ModuleType:
    """The module in a file, run anew; what lies beside it can be imported."""
    if not path.is_file():
        raise MissingFile(f"--gan {path}: no such file")
    name = MODULE + re.sub(r"\W", "_", path.stem)
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    folder = str(path.resolve().parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise UsageError(_fault(error, path.name, name)) from error
    finally:
        sys.path.remove(folder)
    return module


def _fault(error: Exception, what: str, module: str) -> str:
    text = " ".join(str(error).split())[:300]
    if isinstance(error, GdbenchError):
        return f"--gan {what}: {text}"
    place = raised_at(error, module)
    return f"--gan {what}: {type(error).__name__}: {text}{f' ({place})' if place else ''}"


def _found(module: ModuleType, path: Path, name: str) -> Any:
    """What the name means: a wrapped generator, a module, or a function from latents to images.

    A class, and a function that takes nothing, are called for it.
    """
    own = {key: value for key, value in vars(module).items() if callable(value) and not key.startswith("_")}
    own = {key: value for key, value in own.items() if getattr(value, "__module__", "") in (module.__name__, None)}
    if name not in vars(module):
        raise unknown(f"name in {path.name}", name, {**own, **_networks(module)})
    found = getattr(module, name)
    try:
        made = found() if _makes(found) else found
    except Exception as error:
        raise UsageError(_fault(error, f"{path.name}:{name}", module.__name__)) from error
    if not (callable(made) or hasattr(made, "render")):
        kind = type(made).__name__
        raise UsageError(f"{path.name}:{name} is {kind}, expected a module, a function or a wrapped generator")
    return made


def _networks(module: ModuleType) -> dict[str, Any]:
    from torch import nn

    from gdbench.wrapping import Wrapped

    return {key: value for key, value in vars(module).items() if isinstance(value, nn.Module | Wrapped)}


def _makes(value: Any) -> bool:
    """Whether a value is called to get the network: a class, or a function that needs nothing."""
    if inspect.isclass(value):
        return True
    if not inspect.isroutine(value):
        return False
    needed = [p for p in inspect.signature(value).parameters.values() if p.default is p.empty]
    return not [p for p in needed if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)]
