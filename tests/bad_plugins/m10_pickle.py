"""Breaks M10: a pickle beside the directions."""

import pickle

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


class Bad(LinearDirections):
    def save(self, folder):
        super().save(folder)
        (folder / "state.pkl").write_bytes(pickle.dumps(self.space))


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return Bad(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
