"""Two nodes of Ray in this machine, one of which is taken away while it works; no disk is shared with the cells.

``python tests/engines/test_ray_cluster.py`` writes what happened to results/engines/ray.txt.
"""

from __future__ import annotations

import importlib.util
import os
import platform
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(Path(__file__).parent))

from waits import SLOW, SUITE  # noqa: E402

TRANSCRIPT = ROOT / "results" / "engines" / "ray.txt"
PATIENCE = 400.0


@contextmanager
def cluster() -> Iterator[Any]:
    """A head with one CPU; nodes are added by the trial."""
    os.environ.update(RAY_raylet_start_wait_time_s="150")
    import ray
    from ray.cluster_utils import Cluster

    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    made = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
    ray.init(address=made.address, log_to_driver=False, logging_level=40)
    try:
        yield made
    finally:
        ray.shutdown()
        made.shutdown()


def trial(made: Any, folder: Path) -> list[str]:
    """Six cells on two nodes, one of which goes; the lines that tell what happened."""
    import ray

    from gdbench.context import SILENT
    from gdbench.engines import EngineSetup
    from gdbench.params import build
    from gdbench.registry import load_registry
    from gdbench.runs.bench import Bench
    from gdbench.runs.planning import plan_all
    from gdbench.runs.store import find_runs, read_records
    from gdbench.runs.suite import read_suite
    from gdbench.specs import resolve

    lines = [f"Ray {ray.__version__}, Python {platform.python_version()}, a head and a node of one CPU each", ""]
    node = made.add_node(num_cpus=1, object_store_memory=100_000_000)
    suite, plugin, go = folder / "suite.yaml", folder / "waits.py", folder / "go"
    suite.write_text(SUITE.replace("memory: 900MB, ", ""))
    plugin.write_text(SLOW)
    registry, asked = load_registry([plugin]), read_suite(suite)
    outcomes = {}
    for name in ("ray", "local"):
        spec = registry.engine(name).spec
        environment = {"GDBENCH_TEST_GO": str(go)}
        given = {"environment": environment} if name == "ray" else {}
        engine = resolve(spec.start)(build(spec.params, given, where=name), EngineSetup(folder / name, SILENT, None))
        requests = [replace(request, out=folder / name / "runs", threads=1) for request in asked.requests]
        plans = plan_all(sorted(requests, key=lambda request: request.method != "waits"), registry)
        needs = dict(zip((plan.id for plan in plans), asked.resources, strict=True))
        bench = Bench(engine, (plugin,), needs)
        os.environ.update(environment)
        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(lambda: list(bench.run(plans, SILENT)))  # noqa: B023
            if name == "ray":
                _take_away(made, node, go, lines)
        outcomes[name] = running.result()
        statuses = Counter(outcome.status for outcome in outcomes[name])
        lines.append(f"{name}: {len(plans)} cells, {', '.join(f'{n} {status}' for status, n in statuses.items())}")
        assert set(statuses) == {"done"}, [outcome.reason for outcome in outcomes[name]]
    found = []
    for name in ("ray", "local"):
        records, problems = read_records(find_runs(folder / name))
        assert problems == []
        files = [
            {file: digest for file, digest in one.files.items() if file[:4] in ("dire", "cali")} for one in records
        ]
        found.append([(one.id, one.status, one.scores, kept) for one, kept in zip(records, files, strict=True)])
    assert found[0] == found[1]
    lines += ["", f"scores, directions and calibrations of {len(found[0])} runs: equal to those of this machine alone"]
    return lines


def _take_away(made: Any, node: Any, go: Path, lines: list[str]) -> None:
    """Wait until two cells wait on two nodes; take one node away; wait until its cell runs again; let all go."""
    import ray

    markers = [go.with_name(f"{go.name}.{seed}") for seed in range(3)]
    _until(lambda: sum(marker.exists() for marker in markers) == 2)
    running = {marker: marker.read_text() for marker in markers if marker.exists()}
    lines.append("two cells run; the node of one of them is taken away")
    made.remove_node(node, allow_graceful=False)
    made.add_node(num_cpus=2, object_store_memory=100_000_000)  # room for it, though another cell waits there too
    _until(lambda: any(marker.read_text() not in ("", number) for marker, number in running.items()))
    lines.append(f"its cell runs again elsewhere; nodes alive: {sum(one['Alive'] for one in ray.nodes())}")
    go.touch()


def _until(happened: Any) -> None:
    end = time.monotonic() + PATIENCE
    while not happened():
        if time.monotonic() > end:
            raise TimeoutError
        time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
@pytest.mark.skipif(importlib.util.find_spec("ray") is None, reason="Ray is not installed here: pip install ray")
def test_a_node_that_goes_loses_nothing(tmp_path: Path) -> None:
    with cluster() as made:
        trial(made, tmp_path)


def test_what_is_committed_says_all_of_it() -> None:
    text = TRANSCRIPT.read_text()
    for word in ("taken away", "runs again elsewhere", "ray: 6 cells, 6 done", "equal to those of this machine alone"):
        assert word in text


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as place, cluster() as head:
        story = trial(head, Path(place))
        TRANSCRIPT.parent.mkdir(exist_ok=True)
        TRANSCRIPT.write_text("\n".join(story) + "\n")
        print("\n".join(story))
