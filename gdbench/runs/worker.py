"""The child process of one cell: reads a request from standard input, runs it, prints plain lines."""

from __future__ import annotations

import sys
from pathlib import Path

from gdbench.console import fail, say
from gdbench.errors import GdbenchError
from gdbench.output import guarded
from gdbench.progress import reporter
from gdbench.registry import load_registry
from gdbench.runs.bench import read_request
from gdbench.runs.pipeline import execute
from gdbench.runs.planning import plan


def main() -> int:
    """Run the request on standard input; the exit code says how it went."""
    with guarded():
        return _exit_code()


def _exit_code() -> int:
    try:
        registry = load_registry([Path(argument) for argument in sys.argv[1:]])
        request = read_request(sys.stdin.read())
        record, _ = execute(plan(request, registry), registry, reporter())
    except GdbenchError as error:
        return fail(error)
    say(f"{record.id}: {record.status} {record.reason}".rstrip())
    return 0 if record.status in ("done", "incompatible") else 1


if __name__ == "__main__":
    sys.exit(main())
