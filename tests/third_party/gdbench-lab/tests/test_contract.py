import pytest


@pytest.mark.gdbench_checks("steepest", "disc", "symmetry", "discs")
def test_contract(gdbench_check):
    gdbench_check()
