"""What numbers were made on: versions, processor, device, checkout. Records are public: no user, host or path."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from gdbench.version import __version__

PACKAGES = ("torch", "numpy", "scipy", "scikit-learn", "pandas")


CODE = (":(top)", ":(top,exclude)results", ":(top,exclude)docs")
"""What of a checkout can change a number."""


def describe() -> dict[str, Any]:
    """JSON-able facts: versions, system, processor and its vector instructions, threads, CUDA devices, git commit, and
    whether it was changed.

    What is unknown here is left out or None. Never holds the name of a user or a host, or a path.
    """

    facts: dict[str, Any] = {
        "gdbench": __version__,
        "python": platform.python_version(),
        **{name: _version(name) for name in PACKAGES},
        "system": f"{platform.system()} {platform.machine()}",
        "cpu": cpu_model(),
        "instructions": torch.backends.cpu.get_cpu_capability(),
        "cpus": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "cuda": torch.version.cuda if torch.cuda.is_available() else None,
        "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
    }
    return {**facts, **git_state(Path(__file__).parent)}


def cpu_model() -> str:
    """The processor's name as the system tells it, or its architecture."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace")
    except OSError:
        text = ""
    found = re.search(r"^model name\s*:\s*(.+)$", text, re.MULTILINE)
    return " ".join((found.group(1) if found else platform.machine()).split())


def git_state(folder: Path) -> dict[str, Any]:
    """``{"commit": sha, "changed": bool}`` of the checkout that ``folder`` is tracked in; empty where there is none.

    changed: whether a tracked file differs, but for results and docs, which the code writes itself and never reads.
    """
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit or not _git(folder, "ls-files", "."):  # an installed copy inside somebody's own repository
        return {}
    return {"commit": commit.strip(), "changed": bool(_git(folder, "status", "--porcelain", "-uno", "--", *CODE))}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, timeout=5, check=False)
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
