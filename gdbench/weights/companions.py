"""What people save beside weights in torch files: numbers of numpy, paths, dates, settings. Stand-ins that do nothing.

torch's own restricted reader refuses all of these. Numbers are rebuilt from bytes with the checks of ``unpickle``; of
everything else only a value without behaviour is left, for no network needs a date.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from gdbench.errors import IntegrityError
from gdbench.weights.unpickle import Array, Dtype, scalar

MODULES = ("numpy.core.multiarray", "numpy._core.multiarray")  # before numpy 2, and since


class InertConfig:
    """Stands for pytorch_GAN_zoo's config object: attributes, no behaviour."""


class Aside:
    """Stands for an object that no network needs: a path, a date, a setting. Takes whatever it was made of."""

    def __new__(cls, *_: object, **__: object) -> Aside:
        """An empty value, whatever the arguments."""
        return super().__new__(cls)

    def __init__(self, *_: object, **__: object) -> None:
        pass

    def __setstate__(self, state: object) -> None:
        pass

    def __repr__(self) -> str:
        return "(not read)"


def _mapping(*_: object) -> OrderedDict[Any, Any]:
    """Stands for a dict with a default: its items follow."""
    return OrderedDict()


class _Dtype(Dtype):
    """A dtype of numbers, or of something else, of which nothing is read."""

    numbers = False

    def __init__(self, text: object, *more: object) -> None:
        with suppress(IntegrityError):
            super().__init__(text, *more)
            self.numbers = True

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if self.numbers:
            super().__setstate__(state)


class _Array(Array):
    """An array of numbers; one of anything else stays empty."""

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state[2], _Dtype) or state[2].numbers:
            super().__setstate__(state)


def _array(*_: object) -> _Array:
    return _Array(0)


def _number(dtype: object, data: object = b"") -> object:
    return scalar(dtype, data) if not isinstance(dtype, _Dtype) or dtype.numbers else Aside()


ASIDE = (
    *(f"pathlib.{kind}" for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"pathlib._local.{kind}" for kind in ("Path", "PosixPath", "WindowsPath", "PurePosixPath", "PureWindowsPath")),
    *(f"datetime.{kind}" for kind in ("datetime", "date", "time", "timedelta", "timezone")),
    *(f"builtins.{kind}" for kind in ("list", "dict", "int", "float", "str", "bool", "tuple", "slice", "complex")),
    *(f"__builtin__.{kind}" for kind in ("list", "dict", "int", "float", "str", "unicode", "bool", "tuple")),
    *(f"omegaconf.base.{kind}" for kind in ("ContainerMetadata", "Metadata")),
    *(f"omegaconf.nodes.{kind}" for kind in ("AnyNode", "StringNode", "IntegerNode", "FloatNode", "BooleanNode")),
    *(f"omegaconf.{kind}" for kind in ("dictconfig.DictConfig", "listconfig.ListConfig")),
    "typing.Any",
    "uuid.UUID",
    "uuid.SafeUUID",
    "decimal.Decimal",
    "fractions.Fraction",
    "types.SimpleNamespace",
)
MAPPINGS = (
    "dnnlib.util.EasyDict",
    "easydict.EasyDict",
    "lightning_fabric.utilities.data.AttributeDict",
    "lightning.fabric.utilities.data.AttributeDict",
    "pytorch_lightning.utilities.parsing.AttributeDict",
    "lightning.pytorch.utilities.parsing.AttributeDict",
)


def companions() -> list[Any]:
    """What torch's restricted reader may hand out beside tensors: classes and functions of this module, by name."""
    named: dict[str, Callable[..., Any]] = {
        "models.utils.config.BaseConfig": InertConfig,
        "numpy.dtype": _Dtype,
        "numpy.ndarray": _Array,
        **{f"{module}._reconstruct": _array for module in MODULES},
        **{f"{module}.scalar": _number for module in MODULES},
        **dict.fromkeys(ASIDE, Aside),
        **dict.fromkeys(MAPPINGS, OrderedDict),
        "collections.defaultdict": _mapping,
    }
    return [argparse.Namespace, *((stand_in, name) for name, stand_in in named.items())]
