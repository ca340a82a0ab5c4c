"""Names of spaces with layers, and where the codes of some layers belong."""

from __future__ import annotations

import pytest
import torch

from gdbench import LayeredSpace, UsageError

BASES = ("w", "z", "w+", "s")


def space(name: str, count: int = 5) -> LayeredSpace:
    return LayeredSpace.of(name, count, "mine", BASES)


@pytest.mark.parametrize(
    ("name", "base", "layers"),
    [
        ("w", "w", (0, 1, 2, 3, 4)),
        ("w+:0-2", "w+", (0, 1, 2)),
        ("s:3,0", "s", (0, 3)),
        ("w: 1-2, 4 ,2", "w", (1, 2, 4)),
    ],
)
def test_a_name_says_which_layers_codes_hold(name: str, base: str, layers: tuple[int, ...]) -> None:
    found = space(name)
    assert (found.base, found.layers, found.partial) == (base, layers, len(layers) < 5)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("v", "mine has no space 'v'; it has w, z, w+, s, and layers as w:0-3"),
        ("z:0", "mine has no space 'z:0'"),
        ("w:", "layers '': numbers and ranges, as 0-3,7"),
        ("w:1-", "layers '1-': numbers and ranges"),
        ("w:-1", "layers '-1': numbers and ranges"),
        ("w:3-2", "layers '3-2': this generator has layers 0 to 4"),
        ("w:2-5", "layers '2-5': this generator has layers 0 to 4"),
    ],
)
def test_a_name_that_says_no_layers_is_one_line(name: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        space(name)
    assert str(caught.value).startswith(said)


def test_layers_that_codes_do_not_hold_keep_what_the_sample_has() -> None:
    whole = torch.arange(2 * 5 * 3.0).reshape(2, 5, 3)
    one = -torch.ones(2, 3)
    edited = space("w:1,3").styles(one, whole)
    assert torch.equal(edited[:, [1, 3]], one[:, None].expand(-1, 2, -1))
    assert torch.equal(edited[:, [0, 2, 4]], whole[:, [0, 2, 4]])
    held = space("w+:1,3").styles(whole[:, [1, 3]].flatten(1), torch.zeros(2, 5, 3))
    assert torch.equal(held[:, [1, 3]], whole[:, [1, 3]])
    assert not held[:, [0, 2, 4]].any()
    assert torch.equal(space("w+").styles(whole.flatten(1)), whole)
    assert torch.equal(space("w+").styles(whole), whole)
