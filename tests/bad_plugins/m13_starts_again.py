"""Breaks M13: the state is saved, but never taken up again."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    with context.reporter.task("discover", 10) as task:
        for step in range(10):
            rows = rows.roll(1, 1)
            context.resume.save({"step": step, "rows": rows})
            task.advance()
    return LinearDirections(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover, learned=True)
