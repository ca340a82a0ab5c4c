"""Submitting: runs and their company in one tar, with a proof: hashes, versions, what making them again gave."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gdbench.files import sha256
from gdbench.runs.environment import describe
from gdbench.runs.packing import MORE, files_of, pack
from gdbench.runs.reproducing import Verdict
from gdbench.runs.store import RECORD, RunFolder

PROOF, FORMAT = f"{MORE}/proof.json", 1


def submit(runs: Sequence[tuple[RunFolder, Verdict]], more: Mapping[str, Path], target: Path) -> int:
    """Write the tar of a submission; returns how many files it holds. more: name -> file that goes with the runs.

    Raises IntegrityError for a run with a fault, and UsageError for two files of one name.
    """
    files: dict[str, Path | bytes] = {f"{MORE}/{name}": path for name, path in more.items()}
    for folder, _ in runs:
        files |= files_of(folder)
    proof = {"format": FORMAT, "environment": describe(), "runs": {v.run: _proof(folder, v) for folder, v in runs}}
    return pack({**files, PROOF: json.dumps(proof, indent=1).encode()}, target)


def _proof(folder: RunFolder, verdict: Verdict) -> dict[str, Any]:
    record = folder.read()
    return {
        "record_sha256": sha256(folder.path / RECORD),
        "command": record.command,
        "versions": dict(record.versions),
        "environment": dict(record.environment),
        "verdict": {**asdict(verdict), "said": str(verdict)},
    }
