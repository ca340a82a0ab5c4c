"""Leaves the program at import."""

raise SystemExit(3)
