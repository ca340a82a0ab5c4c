"""Reading the pickles that NVIDIA published (checkpoint-formats 1.2 and 1.3) without running anything they hold.

A pickle is a program; what it can call is what ``find_class`` hands out. Here that is a fixed table of harmless
replacements: every other name is refused. Not even numpy's or torch's own reconstructors are handed out, because a
forged dtype or storage could make them read foreign memory; arrays are rebuilt from bytes and a checked dtype.
"""

from __future__ import annotations

import math
import pickle
import pickletools
import re
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from io import BytesIO
from types import MappingProxyType
from typing import IO, Any

import numpy as np
import torch
from torch import Tensor

from gdbench.errors import IntegrityError

PLAIN_DTYPE = re.compile(r"[<>|=]?[biuf]\d{1,2}")  # bool, signed, unsigned, float: bytes that mean nothing but numbers


class _Sealed(type):
    """A class whose attributes a pickle cannot set (opcode BUILD would otherwise change it for later files)."""

    def __setattr__(cls, name: str, value: object) -> None:
        raise AttributeError(f"{cls.__name__} is sealed")


class Record(metaclass=_Sealed):
    """What is left of a pickled object: the name of its class and its attributes; no behaviour of that class."""

    class_name: str = ""
    state: Mapping[str, Any] = MappingProxyType({})

    def __init__(self, class_name: str, state: Mapping[str, Any]) -> None:
        self.class_name = class_name
        self.state = state

    def __setstate__(self, state: object) -> None:
        if not isinstance(state, dict):
            raise IntegrityError(f"{self.class_name}: the pickled attributes are a {type(state).__name__}, not a dict")
        self.state = state

    def children(self) -> dict[str, Record]:
        """The sub-modules of a torch module by name."""
        modules: Mapping[str, Any] = self.state.get("_modules", {})
        return {name: module for name, module in modules.items() if isinstance(module, Record)}

    def modules(self) -> dict[str, Record]:
        """This torch module and all below it, by dotted name ("" is itself); IntegrityError for a module met twice."""
        return dict(_walk(self, "", set()))

    def tensors(self) -> dict[str, Tensor]:
        """The state dict of a torch module under its usual dotted names: parameters and buffers."""
        return {
            f"{prefix}.{name}".lstrip("."): tensor
            for prefix, module in self.modules().items()
            for group in ("_parameters", "_buffers")
            for name, tensor in module.state.get(group, {}).items()
            if isinstance(tensor, Tensor)
        }


def _walk(record: Record, prefix: str, seen: set[int]) -> Iterator[tuple[str, Record]]:
    if id(record) in seen:  # cycles, and shared children that would unfold to 2^n modules
        raise IntegrityError(f"module {prefix!r} is contained twice")
    seen.add(id(record))
    yield prefix, record
    for name, child in record.children().items():
        yield from _walk(child, f"{prefix}.{name}".lstrip("."), seen)


class _NetworkOfVersion4(Record):
    class_name = "dnnlib.tflib.network.Network"


class _NetworkOfVersion2(Record):
    class_name = "tfutil.Network"


class EasyDict(dict[str, Any], metaclass=_Sealed):
    """Stands for dnnlib's dict with attribute access."""


class Dtype(metaclass=_Sealed):
    """A numpy dtype in the making: kind and size from the arguments, byte order from the state."""

    def __init__(self, text: object, *_: object) -> None:
        if not isinstance(text, str) or not PLAIN_DTYPE.fullmatch(text):
            raise IntegrityError(f"refused numpy dtype {str(text)[:40]!r}: only numbers are read")
        self.dtype = np.dtype(text)

    def __setstate__(self, state: tuple[Any, ...]) -> None:
        if state[1] in ("<", ">"):
            self.dtype = self.dtype.newbyteorder(state[1])


class Array(np.ndarray[Any, Any], metaclass=_Sealed):
    """A numpy array whose pickled state is checked before numpy sees it."""

    def __setstate__(self, state: Any) -> None:
        _, shape, dtype, fortran, data = state
        shape, data = tuple(map(int, shape)), _as_bytes(data)
        if not isinstance(dtype, Dtype) or min(shape, default=0) < 0:
            raise IntegrityError("refused numpy array: a forged dtype or shape")
        if math.prod(shape) * dtype.dtype.itemsize != len(data):
            raise IntegrityError(f"refused numpy array: shape {shape} does not fit its {len(data)} bytes")
        super().__setstate__((1, shape, dtype.dtype, bool(fortran), data))  # type: ignore[arg-type]


def _as_bytes(data: object) -> bytes:
    """Bytes of a Python 3 pickle, or of a Python 2 one that was decoded as latin-1."""
    if isinstance(data, str):
        return data.encode("latin1")
    if not isinstance(data, bytes | bytearray):
        raise IntegrityError(f"refused numpy data: a {type(data).__name__}, not bytes")
    return bytes(data)


def scalar(dtype: object, data: object) -> object:
    """A numpy number of a checked dtype, as Python's own."""
    if not isinstance(dtype, Dtype):
        raise IntegrityError("refused numpy scalar: its dtype is not one")
    return np.frombuffer(_as_bytes(data), dtype.dtype, count=1)[0].item()


def _array(*_: object) -> Array:
    return Array(0)


def _array_of_bytes(data: object, dtype: object, shape: object, order: object) -> Array:
    """How numpy writes arrays at protocol 5."""
    array = Array(0)
    array.__setstate__((1, shape, dtype, order == "F", data))
    return array


def _encode(text: object, encoding: object) -> bytes:
    """How Python 3 writes bytes at protocol 2."""
    if not isinstance(text, str) or encoding != "latin1":
        raise IntegrityError("refused _codecs.encode with other arguments than text and 'latin1'")
    return text.encode("latin1")


def _persistent(meta: object) -> Record:
    """NVIDIA's torch_utils.persistence: keeps class name and attributes; the source text in the file is dropped."""
    if not isinstance(meta, dict) or not isinstance(meta.get("state"), dict):
        raise IntegrityError("a persistent object of an unknown layout")
    return Record(str(meta.get("class_name")), meta["state"])


def _storage(data: object) -> object:
    """torch's own function of this name loads without restrictions: the trap of section 1.4."""
    return torch.load(BytesIO(_as_bytes(data)), map_location="cpu", weights_only=True)


def _tensor(storage: object, offset: int, size: tuple[int, ...], stride: tuple[int, ...], *_: object) -> Tensor:
    if not isinstance(storage, torch.storage.TypedStorage):
        raise IntegrityError(f"refused tensor: its storage is a {type(storage).__name__}")
    empty: Tensor = torch._utils._rebuild_tensor_v2(storage, 0, (0,), (1,), False, OrderedDict())  # type: ignore[no-untyped-call]
    # checks the bounds, where torch's own function would enlarge the storage
    return empty.as_strided(size, stride, offset).detach()


def _parameter(data: object, *_: object) -> object:
    return data


REPLACEMENTS: Mapping[tuple[str, str], Callable[..., Any]] = MappingProxyType(
    {
        ("torch_utils.persistence", "_reconstruct_persistent_obj"): _persistent,
        ("dnnlib.util", "EasyDict"): EasyDict,
        ("dnnlib.tflib.network", "Network"): _NetworkOfVersion4,
        ("tfutil", "Network"): _NetworkOfVersion2,
        ("collections", "OrderedDict"): OrderedDict,
        ("builtins", "set"): set,
        ("__builtin__", "set"): set,  # its name at protocol 2
        ("_codecs", "encode"): _encode,
        ("torch._utils", "_rebuild_parameter"): _parameter,
        ("torch._utils", "_rebuild_tensor_v2"): _tensor,
        ("torch.storage", "_load_from_bytes"): _storage,
        ("numpy", "dtype"): Dtype,
        ("numpy", "ndarray"): Array,
        ("numpy.core.multiarray", "scalar"): scalar,
        ("numpy._core.multiarray", "scalar"): scalar,
        ("numpy.core.multiarray", "_reconstruct"): _array,
        ("numpy._core.multiarray", "_reconstruct"): _array,
        ("numpy.core.numeric", "_frombuffer"): _array_of_bytes,
        ("numpy._core.numeric", "_frombuffer"): _array_of_bytes,
    }
)


class _AllowList(pickle.Unpickler):
    def find_class(self, module: str, name: str, /) -> Any:
        """The harmless replacement of a global; IntegrityError names any other."""
        replacement = REPLACEMENTS.get((module, name))
        if replacement is None:
            raise IntegrityError(
                f"refused pickle: it asks for {f'{module}.{name}'[:120]}, which no known checkpoint needs"
            )
        if isinstance(replacement, type):
            return replacement
        # a fresh wrapper: function attributes such as __defaults__ could be set by opcode BUILD
        return lambda *args: replacement(*args)


def _check_memo(file: IO[bytes]) -> None:
    """Read the opcodes without obeying them; the unpickler would allocate as many slots as an index names."""
    for opcode, argument, position in pickletools.genops(file):
        if opcode.name in ("PUT", "BINPUT", "LONG_BINPUT") and int(argument or 0) > max(position or 0, 255):
            raise IntegrityError(f"refused pickle: its memo has {position} bytes but an index {argument}")


def load_pickle(file: IO[bytes]) -> object:
    """The content of an NVIDIA pickle: dicts, tuples, numbers, arrays, tensors and Records.

    Raises IntegrityError naming the first refused global, and whatever damaged bytes make ``pickle`` raise.
    """
    _check_memo(file)
    file.seek(0)
    return _AllowList(file, encoding="latin1").load()
