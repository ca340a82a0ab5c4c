"""Breaks M09: other directions are loaded than were saved."""

from gdbench import LinearDirections, MethodSpec, hookimpl, normal


class Bad(LinearDirections):
    def save(self, folder):
        super().save(folder)
        facts = folder / "directions.json"
        facts.write_text(facts.read_text().replace("gdbench.directions:LinearDirections", f"{__name__}:Bad"))

    @classmethod
    def load(cls, folder):
        saved = LinearDirections.load(folder)
        return LinearDirections(saved.vectors.roll(1, 0), saved.space)


def discover(generator, params, context):
    rows = normal(context.stream("discover").at(), context.k, generator.dim(context.space))
    return Bad(rows, context.space)


@hookimpl
def gdbench_methods():
    yield MethodSpec("bad", "breaks one clause", discover)
