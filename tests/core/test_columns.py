"""What columns and methods may say of leaderboards, and what is refused when it is declared."""

import pytest

from gdbench import Column, MethodSpec, PluginError


@pytest.mark.parametrize(
    ("declared", "said"),
    [
        ({"range": (1, 0)}, "the least value comes first"),
        ({"range": (0.5, 0.5)}, "the least value comes first"),
        ({"headline": True}, "a headline column ranks"),
        ({"headline": True, "ranked": True, "better": "neither"}, "says what is better"),
    ],
)
def test_columns_that_contradict_themselves_are_refused(declared, said):
    with pytest.raises(PluginError, match=said):
        Column("x", "", **declared)
    assert Column("x", "", range=(0, None)).range == (0, None)


def test_a_baseline_is_a_control():
    with pytest.raises(PluginError, match="a baseline is a control"):
        MethodSpec("m", "", "module:discover", baseline=True)
    assert MethodSpec("m", "", "module:discover", role="control", baseline=True).baseline
