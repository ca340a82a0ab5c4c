"""How the C library keeps the memory of tensors."""

from __future__ import annotations

import ctypes
import os
import sys

KEPT = 2**30
"""Bytes: tensors up to this size come from the heap, and so much of what is freed stays there."""

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Numbers of glibc's options (malloc.h)."""


def keep_freed_memory() -> bool:
    """Have glibc keep freed memory for the next tensor, in this process from now on; whether it does.

    By itself it maps each tensor of more than 32 MB anew and gives it back at once, and the kernel clears its pages
    every time: up to two fifths of the CPU time of a step (``benchmarks/speed/heap.py``). No number changes. With
    another C library, or where the environment sets glibc's options already (GLIBC_TUNABLES, MALLOC_...), nothing is
    done.
    """
    if sys.platform != "linux" or any(name == "GLIBC_TUNABLES" or name.startswith("MALLOC_") for name in os.environ):
        return False
    try:
        options = ctypes.CDLL(None).mallopt
        return all(options(option, KEPT) == 1 for option in (MMAP_THRESHOLD, TRIM_THRESHOLD))
    except (AttributeError, OSError):  # not glibc
        return False
