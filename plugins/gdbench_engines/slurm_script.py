"""The batch script of an array: each task runs its cells one after another and writes how each ended."""

from __future__ import annotations

import math
import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gdbench import Job
from gdbench_engines.params import SlurmParams

TIMEOUT = "timeout"
"""What a script writes of a cell that it ended since the job's time was nearly over."""
WARNING = 60
"""Seconds before the limit at which SLURM warns."""

BODY = """
stopped= child=
stop() {{ stopped=1; [ -n "$child" ] && kill -TERM "$child" 2>/dev/null; }}
trap stop TERM USR1
ended() {{ printf %s "$2" > ended/".$1.$$" && mv ended/".$1.$$" "ended/$1"; }}
cell() {{  # its name, its log, its command
    [ -n "$stopped" ] && return
    [ "$(cat "ended/$1" 2>/dev/null)" -lt 128 ] 2>/dev/null && return  # a requeued task repeats what was killed only
    ( cd {cwd} && exec "${{@:3}}" ) < "input/$1.json" >> "$2" 2>&1 &
    child=$!
    wait "$child"; code=$?
    while kill -0 "$child" 2>/dev/null; do wait "$child"; code=$?; done
    if [ -z "$stopped" ]; then ended "$1" "$code"
    elif [ "$code" = 0 ]; then ended "$1" 0
    elif [ -n "{limit}" ] && [ "$SECONDS" -ge "{limit}" ]; then ended "$1" {timeout}
    fi
}}
case "$SLURM_ARRAY_TASK_ID" in
{tasks}
esac
[ -z "$stopped" ] || exit 143
"""


def script(bundles: Sequence[Sequence[Job]], params: SlurmParams, folder: Path, at_once: int | None) -> str:
    """The script of an array with a task for each bundle of jobs, which all need the same.

    folder: absolute; holds ``input/NAME.json``, and ``ended/NAME`` once a cell ended.
    """
    job = bundles[0][0]
    minutes = _minutes(job, max(map(len, bundles)))
    limit = "" if minutes is None else str(60 * minutes - 2 * WARNING)
    tasks = "\n".join(f"{number}) {_cells(bundle)} ;;" for number, bundle in enumerate(bundles))
    body = BODY.format(cwd=shlex.quote(os.getcwd()), tasks=tasks, limit=limit, timeout=TIMEOUT)
    head = ["#!/bin/bash", *_options(bundles, params, folder, at_once, minutes), *params.before]
    return "\n".join([*head, f"cd {shlex.quote(str(folder))} || exit 1"]) + body


def _cells(bundle: Sequence[Job]) -> str:
    return "; ".join(f"cell {shlex.join([job.name, str(job.log.absolute()), *job.command])}" for job in bundle)


def _minutes(job: Job, cells: int) -> int | None:
    """The limit of a task of so many cells: their time, and the minute of the warning."""
    return None if job.resources.seconds is None else math.ceil(cells * job.resources.seconds / 60) + 1


def _options(
    bundles: Sequence[Sequence[Job]], params: SlurmParams, folder: Path, at_once: int | None, minutes: int | None
) -> list[str]:
    """Lines of #SBATCH. Whatever the suite says under ``options`` goes last, so that it wins."""
    needs = bundles[0][0].resources
    options: dict[str, Any] = {
        "job-name": "gdbench",
        "array": f"0-{len(bundles) - 1}" + (f"%{at_once}" if at_once else ""),
        "cpus-per-task": needs.cpus,
        "gres": f"gpu:{needs.gpus}" if needs.gpus else None,
        "mem": None if needs.bytes is None else f"{math.ceil(needs.bytes / 2**20)}M",
        "time": minutes,
        "requeue": True,
        "signal": f"B:TERM@{WARNING}",
        "open-mode": "append",
        "output": f"{folder}/tasks/%A_%a.log",
        "partition": params.partition,
        "account": params.account,
        "qos": params.qos,
    }
    chosen: Mapping[str, Any] = {**options, **params.options}
    return [
        f"#SBATCH --{name}" if value is True else f"#SBATCH --{name}={value}"
        for name, value in chosen.items()
        if value is not None and value is not False
    ]
