"""The strict YAML reader: YAML 1.2 scalars, no surprises, and nothing but UsageError for whatever bytes come."""

import json
import re
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench import UsageError
from gdbench.yamlfile import MAX_BYTES, parse_scalar, parse_yaml, read_yaml

SCALARS = {
    "1e-4": 1e-4, "1E5": 1e5, ".5": 0.5, "1.": 1.0, "-3": -3, "+3": 3, "012": 12, "0x1f": 31, "0o17": 15,
    "1_000": "1_000",
    "no": "no", "on": "on", "Yes": "Yes", "y": "y", "true": True, "False": False, "null": None, "~": None,
    "12:30": "12:30", "2020-01-01": "2020-01-01", ".inf": ".inf", ".nan": ".nan", "inf": "inf", "1.10": 1.1, "<<": "<<",
    "v1.2": "v1.2", "1e": "1e", "0b1": "0b1", "1\n": "1\n",
}  # fmt: skip


@pytest.mark.parametrize(("text", "value"), [(text, value) for text, value in SCALARS.items() if "\n" not in text])
def test_scalars_mean_the_same_in_a_file_and_on_the_command_line(text, value):
    for got in (parse_yaml(f"key: {text}", "f")["key"], parse_scalar(text)):
        assert got == value
        assert type(got) is type(value)


def test_command_line_extras():
    assert parse_scalar("") == ""
    assert parse_scalar("1\n") == "1\n"
    assert parse_scalar("[1, 2.5, a]") == [1, 2.5, "a"]
    assert parse_scalar("'012'") == "012"
    assert parse_scalar("a: b") == "a: b"


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("a: 1\nb: 2\na: 3", "3:1", "duplicate key 'a'"),
        ("a: {b: 1, b: 1}", "1:11", "duplicate key 'b'"),
        ("a: !!python/object/apply:os.system [x]", "1:4", "tag"),
        ("a: ! x", "1:4", "tag"),
        ("a: &x 1", "1:4", "anchor"),
        ("b: *x", "1:4", "alias"),
        ("\ta: 1", "1:1", "tab|cannot start"),
        ("a: [1", "1:6", "expected"),
        ("a: 1e999", "1:4", "out of range"),
        ("a: " + "9" * 5000, "1:4", "out of range"),
        ("1: 2", "1:1", "key must be text"),
        ("? [a]\n: 1", "1:3", "key must be text"),
        ("true: 2", "1:1", "key must be text"),
        ("--- 1\n--- 2", "2:1", "another document"),
        ('a: "\\ud800"', "1:4", "not a character"),
        ("a: 1\nb\x00", "2:2", "special characters"),
    ],
)
def test_fault_is_one_line_with_its_place(text, place, problem):
    with pytest.raises(UsageError, match=rf"^f\.yaml:{place}: .*({problem})") as caught:
        parse_yaml(text, "f.yaml")
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 200


def test_an_alias_bomb_is_refused_at_its_first_anchor():
    bomb = "a: &a [x,x,x]\n" + "\n".join(f"{b}: &{b} [*{a},*{a},*{a}]" for a, b in pairwise("abcdefghi"))
    with pytest.raises(UsageError, match=":1:4: anchors"):
        parse_yaml(bomb, "f")


def test_deep_nesting_is_refused():
    with pytest.raises(UsageError, match="nested too deeply"):
        parse_yaml("a: " + "[" * 5000, "f")


def test_files(tmp_path):
    path = tmp_path / "s p ä.yaml"
    path.write_text("\ufeffname: ä\nlist:\n  - 1\n  - {a: no}\n", encoding="utf-8")
    assert read_yaml(path) == {"name": "ä", "list": [1, {"a": "no"}]}
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(UsageError, match=r"ä\.yaml:2:4: not UTF-8"):
        read_yaml(path)
    path.write_bytes(b"#" * (MAX_BYTES + 1))
    with pytest.raises(UsageError, match="larger than"):
        read_yaml(path)
    for missing in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(UsageError, match=re.escape(str(missing))):
            read_yaml(missing)


PIECES = [
    "a", "b", ": ", "\n", "  ", "- ", "[", "]", "{", "}", "&x ", "*x ", "!t ", "!!int ", "'", '"', "|\n", ">", "# ",
    "---\n", "...\n", "%YAML 1.2\n",
    "1e-4", "012", "no", "~", "<<", "=", "\t", "\x07", "\\ud800", "ä", "\U0001f600", "? ",
]  # fmt: skip


def attempt(read):
    """What ``read`` returns, or the UsageError that it raises."""
    try:
        return read()
    except UsageError as error:
        return error


@settings(deadline=None)
@given(st.lists(st.sampled_from(PIECES), max_size=25).map("".join) | st.text(max_size=60))
def test_whatever_the_text_nothing_but_usage_errors(text):
    for data in (attempt(lambda: parse_yaml(text, "f")), attempt(lambda: parse_scalar(text))):
        if isinstance(data, UsageError):
            assert "\n" not in str(data)
        else:
            json.dumps(data, allow_nan=False).encode()


@settings(deadline=None)
@given(st.binary(max_size=80))
def test_whatever_the_bytes_nothing_but_usage_errors(tmp_path_factory, data):
    path = tmp_path_factory.getbasetemp() / "fuzz.yaml"
    path.write_bytes(data)
    attempt(lambda: read_yaml(path))


TEXT = st.text(st.characters(codec="ascii", exclude_characters="\x7f"), max_size=20)
DATA = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | TEXT,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4),
    max_leaves=12,
)


@settings(deadline=None)
@given(DATA)
def test_json_is_read_as_json(data):
    assert parse_yaml(json.dumps(data), "f") == data
