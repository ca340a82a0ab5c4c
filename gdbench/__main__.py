"""``python -m gdbench``."""

from gdbench.cli import main

main()
