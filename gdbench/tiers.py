"""Facts of the tiers: how many images discovery may render, and how many codes evaluation looks at.

PROTOCOL, "Budgets": a tier is a race of its own at its own budget, and evaluation is the same in all tiers that are
compared. ``smoke`` is for tests: with it everything finishes in seconds, and nothing it gives is shown as a result.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

Tier = Literal["quick", "standard", "paper", "smoke"]

TIERS = ("quick", "standard", "paper")
"""The tiers for which a method or metric may declare parameters; ``smoke`` has a field of its own."""

CAPS: Mapping[str, int] = MappingProxyType({"quick": 100_000, "standard": 1_000_000})
"""Tier -> the most images that its discovery may render; a tier that is not named has no cap."""

CALIBRATION_CODES: Mapping[str, int] = MappingProxyType({"smoke": 8, "quick": 64, "standard": 64, "paper": 64})
"""Tier -> codes on which each direction and sign is calibrated."""

EDIT_CODES: Mapping[str, int] = MappingProxyType({"smoke": 16, "quick": 128, "standard": 128, "paper": 128})
"""Tier -> codes that are edited along each direction and sign, for all metrics."""
