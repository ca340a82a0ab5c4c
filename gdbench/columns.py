"""What scores are called: the columns of the calibration, and those of all metrics in the order of tables."""

from __future__ import annotations

from collections.abc import Sequence

from gdbench.registry import Registry
from gdbench.specs import Column

CALIBRATION = (
    Column(
        "alive_share",
        "directions that reach a visible change of 0.30; one dead sign is half a failure",
        range=(0, 1),
        brief=True,
    ),
    Column("magnitude", "median magnitude at 0.30", better="neither", unit="latent length"),
    Column("deviations", "median magnitude at 0.30 in prior standard deviations", better="neither", unit="s.d."),
    Column(
        "outside_prior",
        "share of edited codes outside the prior's shell (0.1 to 99.9 % of radii)",
        better="neither",
        range=(0, 1),
    ),
)


def columns_of(registry: Registry) -> dict[str, Sequence[Column]]:
    """What every metric, and the calibration, declares; metrics by which methods are ranked come first."""
    declared = {name: offer.spec.columns for name, offer in registry.metrics.items()}
    unranked_last = sorted(declared, key=lambda name: not any(column.ranked for column in declared[name]))
    return {**{name: declared[name] for name in unranked_last}, "calibration": CALIBRATION}
