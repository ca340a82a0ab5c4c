"""The columns that calibration gives every run; declared here, where they cost no import of torch."""

from __future__ import annotations

from gdbench.specs import Column

COLUMNS = (
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
