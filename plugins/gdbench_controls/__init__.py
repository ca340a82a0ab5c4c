"""The controls: directions that no method had a hand in, which every method and every metric is held against."""

from __future__ import annotations

from collections.abc import Iterable

from gdbench import MethodSpec, NoParams, hookimpl
from gdbench_controls.params import ControlParams


@hookimpl
def gdbench_methods() -> Iterable[MethodSpec]:
    """Offer random, coordinate, duplicated and dead directions."""
    raw = {"paper": {"whiten": False}}  # as the methods there
    for name, summary, params, tiers in (
        ("random", "orthonormal directions drawn by the seed, in whitened coordinates outside z", ControlParams, raw),
        ("coordinate", "axes of the space drawn by the seed", NoParams, {}),
        ("duplicated", "one random direction, K times", ControlParams, raw),
        ("dead", "K zero vectors: directions that do nothing", NoParams, {}),
    ):
        yield MethodSpec(
            name=name,
            summary=summary,
            discover=f"gdbench_controls.discover:{name}",
            params=params,
            tiers=tiers,
            role="control",
            baseline=name == "random",
            deterministic=name == "dead",
        )
