"""Parameters: strict types, later mappings win, one line for every mistake."""

import enum
import math
from dataclasses import FrozenInstanceError, dataclass, field
from pathlib import Path
from typing import Annotated, Literal

import pytest
from annotated_types import Gt
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench import UsageError
from gdbench.params import as_plain, build, describe, parse_assignments


class Mode(enum.Enum):
    FAST = "fast"
    SLOW = "slow"


@dataclass(frozen=True)
class Params:
    steps: int = field(default=100, metadata={"help": "optimiser steps"})
    lr: float = 1e-3
    form: Literal["ortho", "unit"] = "ortho"
    decay: float | None = None
    layers: tuple[int, ...] = (1, 2)
    flag: bool = False
    batch: Annotated[int, Gt(0)] = 3
    path: Path | None = None
    mode: Mode = Mode.FAST

    def __post_init__(self):
        if self.steps > 10**6:
            raise ValueError("steps: more than\na million")


@dataclass(frozen=True)
class Needy:
    name: str
    items: list[int] = field(default_factory=lambda: [1])


def test_later_mappings_win_and_defaults_stay():
    params = build(Params, {"steps": 1, "lr": 2}, {"steps": 7}, {}, where="m")
    assert params == Params(steps=7, lr=2.0)
    assert type(params.lr) is float
    with pytest.raises(FrozenInstanceError):
        params.steps = 1


def test_lists_fill_tuples_and_text_fills_paths_and_enums():
    params = build(Params, {"layers": [3, 4], "path": "a/b", "mode": "slow"}, where="m")
    assert params == Params(layers=(3, 4), path=Path("a/b"), mode=Mode.SLOW)


@pytest.mark.parametrize(
    ("given_", "line"),
    [
        ({"steps": True}, "method m: steps: got True, expected a valid integer"),
        ({"steps": "12"}, "method m: steps: got '12', expected a valid integer"),
        ({"steps": 3.5}, "method m: steps: got 3.5, expected a valid integer"),
        ({"steps": None}, "method m: steps: got None, expected a valid integer"),
        ({"lr": True}, "method m: lr: got True, expected a valid number"),
        ({"lr": "1e-3"}, "method m: lr: got '1e-3', expected a valid number"),
        ({"lr": math.inf}, "method m: lr: got inf, expected finite numbers"),
        ({"lr": math.nan}, "method m: lr: got nan, expected finite numbers"),
        ({"layers": [1, math.inf]}, "method m: layers: got [1, inf], expected finite numbers"),
        ({"layers": [1, "a"]}, "method m: layers[1]: got 'a', expected a valid integer"),
        ({"form": "orto"}, "method m: form: got 'orto', expected 'ortho' or 'unit'"),
        ({"flag": 1}, "method m: flag: got 1, expected a valid boolean"),
        ({"batch": 0}, "method m: batch: got 0, expected greater than 0"),
        ({"decay": {1}}, "method m: decay: got {1}, expected text, numbers, lists or mappings"),
        ({"steps": 10**7}, "method m: steps: more than a million"),
    ],
)
def test_ill_typed_values_are_one_line(given_, line):
    with pytest.raises(UsageError) as caught:
        build(Params, given_, where="method m")
    assert str(caught.value) == line


def test_unknown_and_missing_names():
    with pytest.raises(UsageError, match=r"^method m: unknown parameter 'stps': did you mean 'steps'\? known: batch, "):
        build(Params, {"stps": 1}, where="method m")
    with pytest.raises(UsageError, match=r"^needy: name: a value is required$"):
        build(Needy, where="needy")


@settings(deadline=None)
@given(
    st.fixed_dictionaries(
        {},
        optional={
            "steps": st.integers(0, 10**6),
            "lr": st.floats(allow_nan=False, allow_infinity=False),
            "decay": st.none() | st.floats(0, 1),
            "layers": st.lists(st.integers()),
            "flag": st.booleans(),
            "mode": st.sampled_from(["fast", "slow"]),
        },
    )
)
def test_plain_values_build_an_equal_value(values):
    params = build(Params, values, where="m")
    assert build(Params, as_plain(params), where="m") == params


def test_as_plain_holds_only_json():
    plain = as_plain(Params(path=Path("a")))
    assert plain["layers"] == [1, 2]
    assert plain["path"] == "a"
    assert plain["mode"] == "fast"


def test_a_field_that_was_added_later_is_written_down_only_where_it_is_used():
    @dataclass(frozen=True)
    class Grown:
        steps: int = 5
        speed: int = field(default=1, metadata={"added": True})

    assert as_plain(Grown()) == {"steps": 5}
    assert as_plain(Grown(speed=2)) == {"steps": 5, "speed": 2}
    assert build(Grown, as_plain(Grown(speed=2)), where="m") == Grown(speed=2)


def test_assignments():
    texts = ["lr=1e-3", "form = ortho", "steps=5", "steps=6", "x=", "y=a=b", "layers=[1, 2]", "no=no"]
    expected = {"lr": 1e-3, "form": "ortho", "steps": 6, "x": "", "y": "a=b", "layers": [1, 2], "no": "no"}
    assert parse_assignments(texts) == expected
    for text in ("steps", "=3", "a b=1", "", "-1=2"):
        with pytest.raises(UsageError, match="expected name=value"):
            parse_assignments([text])


def test_description():
    rows = {row.name: row for row in describe(Params)}
    assert rows["steps"] == ("steps", "int", "100", "optimiser steps")
    assert rows["form"].type == "Literal['ortho', 'unit']"
    assert rows["layers"] == ("layers", "tuple[int, ...]", "[1, 2]", "")
    assert rows["batch"].type == "int (Gt(gt=0))"
    assert [row.default for row in describe(Needy)] == ["", "[1]"]


def test_importing_costs_nothing():
    import subprocess
    import sys

    code = "import sys, gdbench.params; print([m for m in ('pydantic', 'yaml', 'torch', 'numpy') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "[]"
