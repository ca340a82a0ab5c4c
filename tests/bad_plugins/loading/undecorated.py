"""A hook without its decorator, which pluggy would pass over."""


def gdbench_methods():
    return []
