"""The tests of the third-party distribution run where it is installed: test_third_party.py sees to that."""

collect_ignore = ["gdbench-lab"]
