"""NVIDIA-style pickles are read without running them; hostile ones leave nothing but an error line."""

from __future__ import annotations

import io
import os
import pickle
import sys
import types
from collections import OrderedDict
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gdbench import IntegrityError, Record
from gdbench.weights.unpickle import REPLACEMENTS, EasyDict, load_pickle


def read(data: bytes) -> Any:
    return load_pickle(io.BytesIO(data))


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


def torch_bytes(content: Any) -> bytes:
    file = io.BytesIO()
    torch.save(content, file)
    return file.getvalue()


def text_global(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


TOUCH = "touch canary"
EXEC = "open('canary', 'w')"

HOSTILE = {
    "os.system": pickle.dumps(Call(os.system, TOUCH)),
    "exec": pickle.dumps(Call(exec, EXEC)),
    "eval, protocol 0": pickle.dumps(Call(eval, EXEC), 0),
    "open": pickle.dumps(Call(open, "canary", "w")),
    "deep in a dict": pickle.dumps({"G_ema": [1, {"state": Call(os.system, TOUCH)}]}, 4),
    "hand-written": b"cos\nsystem\n(S'touch canary'\ntR.",
    "INST opcode": b"(S'touch canary'\nios\nsystem\n.",
    "OBJ opcode": b"(cos\nsystem\nS'touch canary'\no.",
    "dotted name": b"\x80\x04\x8c\x0bcollections\x8c\x15OrderedDict.__class__\x93.",
    "getattr chain": b"cbuiltins\ngetattr\n(cbuiltins\n__import__\n(S'os'\ntRS'system'\ntR(S'touch canary'\ntR.",
    "__import__": b"c__builtin__\n__import__\n(S'os'\ntR.",
    "import of a pickled module": text_global("torch", "load") + b"(S'x'\ntR.",
    "unrestricted torch.load": text_global("torch.serialization", "load") + b"(S'x'\ntR.",
    "through _load_from_bytes": pickle.dumps(Call(torch.storage._load_from_bytes, torch_bytes(Call(os.system, TOUCH)))),
    "twice through _load_from_bytes": pickle.dumps(
        Call(
            torch.storage._load_from_bytes,
            torch_bytes(Call(torch.storage._load_from_bytes, torch_bytes(Call(os.system, TOUCH)))),
        )
    ),
    "numpy object array": pickle.dumps(np.array([Call(os.system, TOUCH)])),
    "numpy object scalar": text_global("numpy.core.multiarray", "scalar")
    + b"("
    + text_global("numpy", "dtype")
    + b"(S'O8'\nI0\nI1\ntRcos\nsystem\ntR.",
    "numpy loader": text_global("numpy", "load") + b"(S'x'\ntR.",
    "copyreg": b"ccopyreg\n_reconstructor\n(cos\nPathLike\nc__builtin__\nobject\nNtR.",
    "extension code": b"\x80\x02\x82\x01.",
    "persistent id": b"Pcanary\n.",
}


@pytest.mark.parametrize("data", HOSTILE.values(), ids=HOSTILE.keys())
def test_hostile_pickles_do_nothing(data: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises((IntegrityError, pickle.UnpicklingError, ValueError)):
        read(data)
    assert not list(tmp_path.iterdir())


def test_the_refused_global_is_named() -> None:
    with pytest.raises(IntegrityError, match=r"posix\.system|nt\.system"):
        read(HOSTILE["os.system"])
    with pytest.raises(IntegrityError, match=r"builtins\.getattr"):
        read(HOSTILE["getattr chain"])


NUMBER = text_global("numpy", "dtype") + b"(S'f8'\nI0\nI1\ntR"
SCALAR = text_global("numpy.core.multiarray", "scalar")
PERSISTENT = text_global("torch_utils.persistence", "_reconstruct_persistent_obj")
FORGED = {  # calls of allowed names with what no honest file passes -> what is said
    "a scalar of no dtype": (SCALAR + b"(I1\nS'ab'\ntR.", "its dtype is not one"),
    "a scalar of no bytes": (SCALAR + b"(" + NUMBER + b"I7\ntR.", "numpy data: a int, not bytes"),
    "another encoding": (text_global("_codecs", "encode") + b"(S'x'\nS'rot13'\ntR.", "other arguments than text"),
    "an unknown layout": (PERSISTENT + b"(I3\ntR.", "a persistent object of an unknown layout"),
    "a list as attributes": (text_global("tfutil", "Network") + b")\x81(lb.", "attributes are a list, not a dict"),
}


@pytest.mark.parametrize(("data", "said"), FORGED.values(), ids=FORGED.keys())
def test_forged_arguments_of_allowed_names_are_refused_in_words(data: bytes, said: str) -> None:
    with pytest.raises(IntegrityError, match=said):
        read(data)


def state_of_class(module: str, name: str, attribute: str, value: bytes) -> bytes:
    """A pickle that sets an attribute on what a global gives, through the slot state of opcode BUILD."""
    return text_global(module, name) + b"(N(S'" + attribute.encode() + b"'\n" + value + b"dtb."


@pytest.mark.parametrize("name", REPLACEMENTS, ids=".".join)
def test_a_pickle_cannot_change_what_later_ones_get(name: tuple[str, str]) -> None:
    before = dict(vars(REPLACEMENTS[name]))
    for attribute in ("__defaults__", "__kwdefaults__", "__setstate__", "find_class", "poison"):
        try:
            read(state_of_class(*name, attribute, b"N"))
        except Exception:
            continue
    assert dict(vars(REPLACEMENTS[name])) == before


ARRAY = np.arange(6, dtype=np.float32).reshape(2, 3)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize(
    "array",
    [ARRAY, np.asfortranarray(ARRAY), ARRAY.astype(">i2"), ARRAY > 2, np.array(2.5)],
    ids=["c", "fortran", "big-endian", "bool", "0d"],
)
def test_arrays_come_back(array: np.ndarray[Any, Any], protocol: int) -> None:
    found = read(pickle.dumps(array, protocol))
    np.testing.assert_array_equal(found, array, strict=False)
    assert found.dtype == array.dtype.newbyteorder("=")
    assert torch.equal(torch.from_numpy(np.array(found, np.float32)), torch.from_numpy(array.astype(np.float32)))


def test_old_and_new_numpy_names() -> None:
    new = pickle.dumps(ARRAY, 2)
    old = new.replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    assert old != new
    np.testing.assert_array_equal(read(old), ARRAY)
    assert read(pickle.dumps({"gain": np.sqrt(2)}, 4))["gain"] == 2**0.5


def test_python_2_strings() -> None:
    """As Python 2 wrote them: raw data as an 8-bit string."""
    raw = ARRAY.tobytes()
    text = b"(U\x02f4I0\nI1\ntR(I3\nU\x01<NNNI-1\nI-1\nI0\ntb"
    state = b"(I1\n(I2\nI3\nt" + text_global("numpy", "dtype") + text + b"I00\nT" + len(raw).to_bytes(4, "little") + raw
    start = b"\x80\x02" + text_global("numpy.core.multiarray", "_reconstruct")
    data = start + b"(" + text_global("numpy", "ndarray") + b"(I0\ntU\x01btR" + state + b"tb."
    np.testing.assert_array_equal(read(data), ARRAY)


@pytest.mark.parametrize(
    ("shape", "dtype", "raw"),
    [((2, 3), "f4", b"short"), ((-1, -4), "f4", bytes(16)), ((2**62, 4), "f4", bytes(16)), ((1,), "O", bytes(8))],
)
def test_forged_arrays_are_refused(shape: tuple[int, ...], dtype: str, raw: bytes) -> None:
    class Forged:
        def __reduce__(self) -> tuple[Any, ...]:
            return np.zeros(0).__reduce__()[0], (np.ndarray, (0,), b"b"), (1, shape, np.dtype(dtype), False, raw)

    with pytest.raises((IntegrityError, ValueError)):
        read(pickle.dumps(Forged()))


@pytest.mark.parametrize("text", ["O8", "V8", "U4", "S3", "f4,O", "i4,i4", "M8", "(2,)f4"])
def test_only_number_dtypes(text: str) -> None:
    with pytest.raises(IntegrityError, match="dtype"):
        read(text_global("numpy", "dtype") + f"(S'{text}'\nI0\nI1\ntR.".encode())


def test_tensors_and_parameters_come_back() -> None:
    base = torch.arange(6.0).reshape(2, 3)
    found = read(pickle.dumps({"t": base.T, "p": torch.nn.Parameter(base[1:]), "i": torch.tensor(3), "s": {1, 2}}))
    assert torch.equal(found["t"], base.T)
    assert torch.equal(found["p"], base[1:])
    assert not found["p"].requires_grad
    assert found["i"] == 3
    assert found["s"] == {1, 2}


def test_a_tensor_cannot_look_beyond_its_storage() -> None:
    storage = torch.zeros(4).__reduce_ex__(2)[1][0]

    class Forged:
        def __reduce__(self) -> tuple[Any, ...]:
            return torch._utils._rebuild_tensor_v2, (storage, 0, (1000,), (1,), False, OrderedDict())

    with pytest.raises(RuntimeError):
        read(pickle.dumps(Forged()))


def test_a_tensor_needs_a_storage() -> None:
    with pytest.raises(IntegrityError, match="storage"):
        read(pickle.dumps(Call(torch._utils._rebuild_tensor_v2, {}, 0, (1,), (1,), False, OrderedDict())))


def _module(name: str, monkeypatch: pytest.MonkeyPatch, **values: Any) -> types.ModuleType:
    made = types.ModuleType(name)
    for parent in list(accumulate(name.split("."), "{}.{}".format))[:-1]:
        monkeypatch.setitem(sys.modules, parent, types.ModuleType(parent))
    for key, value in values.items():
        value.__module__, value.__qualname__ = name, key
        setattr(made, key, value)
    monkeypatch.setitem(sys.modules, name, made)
    return made


def persistent(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, dict[str, Any]], Call]:
    def reconstruct(meta: object) -> None:
        raise AssertionError("must not run")

    _module("torch_utils.persistence", monkeypatch, _reconstruct_persistent_obj=reconstruct)
    source = "import os\nos.system('touch canary')\n"
    return lambda name, state: Call(
        reconstruct, {"type": "class", "version": 6, "module_src": source, "class_name": name, "state": state}
    )


def test_persistent_modules_become_records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    make = persistent(monkeypatch)
    weight, mean = torch.ones(2), torch.zeros(3)
    child = make("Layer", {"_parameters": {"weight": weight, "bias": None}, "_buffers": {}, "_modules": {}, "lr": 0.01})
    parent = make("Net", {"_parameters": {}, "_buffers": OrderedDict(mean=mean), "_modules": OrderedDict(fc=child)})
    record = read(pickle.dumps(parent))
    assert isinstance(record, Record)
    assert (record.class_name, record.modules()["fc"].class_name) == ("Net", "Layer")
    assert record.tensors().keys() == {"mean", "fc.weight"}
    assert record.modules()["fc"].state["lr"] == 0.01
    assert "os.system" not in repr(vars(record))
    assert not list(tmp_path.iterdir())


def test_modules_that_contain_one_another_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    make = persistent(monkeypatch)
    shared: Any = make("Layer", {})
    for _ in range(40):  # 2^40 modules, were they unfolded
        shared = make("Layer", {"_modules": {"a": shared, "b": shared}})
    record = read(pickle.dumps(shared))
    with pytest.raises(IntegrityError, match="twice"):
        record.modules()


def test_easy_dicts_and_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    easy, network = type("EasyDict", (dict,), {}), type("Network", (), {})
    _module("dnnlib.util", monkeypatch, EasyDict=easy)
    _module("dnnlib.tflib.network", monkeypatch, Network=network)
    made = network()
    made.__dict__.update(version=4, variables=[("lod", ARRAY)])
    options, found = read(pickle.dumps((easy(a=1), made)))
    assert options == {"a": 1}
    assert isinstance(options, EasyDict)
    assert found.class_name == "dnnlib.tflib.network.Network"
    assert found.state["version"] == 4
    np.testing.assert_array_equal(found.state["variables"][0][1], ARRAY)
