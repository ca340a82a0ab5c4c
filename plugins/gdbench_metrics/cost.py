"""What the discovery cost: the core counts, this metric reports (PROTOCOL, "Budgets")."""

from __future__ import annotations

from gdbench import Context, NoParams, Scores, Subject


def measure(subject: Subject, params: NoParams, context: Context) -> Scores:
    """The discovery's images, backward passes, seconds and memory."""
    cost = subject.cost
    return Scores(
        {
            "images": float(cost.images),
            "backward": float(cost.backward),
            "cpu_seconds": cost.cpu_seconds,
            "wall_seconds": cost.wall_seconds,
            "peak_memory": cost.peak_memory / 2**20,
        }
    )
