"""Symmetry: how evenly the two signs of a direction change the picture at equal calibrated change."""

from gdbench import Scores, Void


def measure(subject, params, context):
    """subject.edits() holds what the oracles read off the edited images, rendered once for all metrics."""
    edits = subject.edits()
    moved = (edits.edited.pooled - edits.base.pooled).norm(dim=-1).mean(-1)  # (k, 2): direction, sign
    symmetry = moved.min(1).values / moved.max(1).values.clamp_min(1e-6)
    if not edits.alive.any():
        return Scores({"symmetry": Void("no direction changes the picture")})
    return Scores({"symmetry": float(symmetry.mean())}, {"symmetry": symmetry.tolist()})
