"""A run request: refused when it is made, the same after a journey as JSON."""

import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gdbench import UsageError
from gdbench.runs.request import RunRequest


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("gan", ""),
        ("method", "a\nb"),
        ("method", None),
        ("checkpoint", ""),
        ("k", 0),
        ("k", 10**9),
        ("k", True),
        ("k", 2.0),
        ("seed", -1),
        ("seed", "1"),
        ("threads", 0),
        ("max_memory", "much"),
        ("max_memory", "2 parsecs"),
        ("max_memory", "-2GB"),
        ("max_memory", "0GB"),
        ("max_memory", 2),
        ("max_memory", True),
        ("max_memory", 2.5),
        ("tier", "quik"),
        ("metrics", [1]),
        ("device", "gpu"),
        ("device", "cuda:x"),
        ("device", None),
    ],
)
def test_out_of_range_is_one_line(field, value):
    with pytest.raises(UsageError, match=field) as caught:
        RunRequest(**{"gan": "g", "method": "m", field: value})
    assert "\n" not in str(caught.value)


def test_nearest_tier():
    with pytest.raises(UsageError, match="did you mean 'quick'"):
        RunRequest("g", "m", tier="quik")


@settings(deadline=None)
@given(
    st.builds(
        RunRequest,
        gan=st.just("g"),
        method=st.just("m"),
        checkpoint=st.none() | st.just("ä b/c.pt"),
        k=st.integers(1, 10_000),
        seed=st.integers(0, 2**63 - 1),
        tier=st.sampled_from(["quick", "standard", "paper", "smoke"]),
        metrics=st.lists(st.sampled_from(["a", "b"])),
        device=st.sampled_from(["auto", "cpu", "cuda", "cuda:3"]),
        threads=st.none() | st.integers(1, 64),
        max_memory=st.sampled_from([None, "2GB", "1.5GiB", 10**9]),
        method_params=st.dictionaries(
            st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False) | st.none()
        ),
        metric_params=st.dictionaries(st.text(max_size=3), st.just({"n": 3})),
        out=st.just(Path("some where/é")),
        fresh=st.booleans(),
    )
)
def test_round_trip(request_):
    assert RunRequest.from_json(request_.to_json()) == request_


@pytest.mark.parametrize(
    ("text", "size"),
    [("2GB", 2 * 10**9), ("1.5GiB", 3 * 2**29), ("500 MB", 5 * 10**8), ("3000000", 3_000_000), (None, None)],
)
def test_sizes_of_memory(text: str | None, size: int | None) -> None:
    assert RunRequest("g", "m", max_memory=text).max_memory == size


@pytest.mark.parametrize("text", ["", "[]", "3", "{}", '{"gan": "g"}', '{"gan": "g", "method": "m", "kk": 1}'])
def test_other_json_is_refused(text):
    with pytest.raises(UsageError):
        RunRequest.from_json(text)


def test_values_that_cannot_travel_are_refused():
    for value in (math.nan, object()):
        with pytest.raises(UsageError, match=r"method_params: got .* expected (finite|text)"):
            RunRequest("g", "m", method_params={"lr": value}).to_json()
