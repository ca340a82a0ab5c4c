"""Interrupts the program at import."""

raise KeyboardInterrupt
