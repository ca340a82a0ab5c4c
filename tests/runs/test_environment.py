"""The facts of a run: true, JSON-able, and without anything that says whose machine it was."""

import json
import platform
import socket
import subprocess
from pathlib import Path

import numpy
import torch

from gdbench.runs.environment import describe, git_state


def test_facts_are_true():
    facts = describe()
    assert facts["python"] == platform.python_version()
    assert facts["numpy"] == numpy.__version__
    assert facts["threads"] == torch.get_num_threads()
    assert len(facts["devices"]) == torch.cuda.device_count()
    assert facts["cpu"]


def test_no_user_host_or_path_is_named():
    text = json.dumps(describe(), allow_nan=False)
    for private in (socket.gethostname(), str(Path.home()), str(Path.cwd())):
        assert private not in text
    assert "/home" not in text


def git(folder, *arguments):
    identity = ["-c", "user.name=t", "-c", "user.email=t@example.org", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", *identity, *arguments], cwd=folder, check=True, capture_output=True)


def test_git_state(tmp_path):
    assert git_state(tmp_path) == {}
    git(tmp_path, "init", "-q")
    (tmp_path / "a").write_text("1")
    git(tmp_path, "add", "a")
    git(tmp_path, "commit", "-q", "-m", "first")
    clean = git_state(tmp_path)
    assert len(clean["commit"]) == 40
    assert clean["changed"] is False
    (tmp_path / "results").mkdir()
    (tmp_path / "results" / "board.md").write_text("1")
    git(tmp_path, "add", "results")
    git(tmp_path, "commit", "-q", "-m", "second")
    clean = git_state(tmp_path)
    (tmp_path / "results" / "board.md").write_text("2")  # as every bench does, while its next runs are made
    assert git_state(tmp_path) == clean
    (tmp_path / "a").write_text("2")
    assert git_state(tmp_path) == {**clean, "changed": True}
    (tmp_path / "site-packages").mkdir()
    assert git_state(tmp_path / "site-packages") == {}
    assert git_state(tmp_path / "missing") == {}
