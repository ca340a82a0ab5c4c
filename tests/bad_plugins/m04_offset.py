"""Breaks M04: magnitude zero moves a code."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


class Bad(LinearDirections):
    def displace(self, codes, index, magnitude):
        return super().displace(codes, index, magnitude + 0.1)

    def save(self, folder):
        super().save(folder)
        facts = folder / "directions.json"
        facts.write_text(facts.read_text().replace("gdbench.directions:LinearDirections", f"{__name__}:Bad"))


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return Bad(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover, shape="curved")
