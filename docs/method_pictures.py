"""What each method finds on scenes, as a picture drawn from its committed runs. ``python docs/method_pictures.py``.

Nothing is discovered anew: directions, calibration and tables come from ``results/scenes-quick``. The page of the
method shows the picture and names its runs, between two marks; where there is no run it says so.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    from PIL.Image import Image

    from gdbench import MethodSpec
    from gdbench.record import RunRecord
    from gdbench.runs.api import Run

DOCS = Path(__file__).parent
RUNS = DOCS.parent / "results" / "scenes-quick"
PICTURES = DOCS / "pictures" / "methods"
GENERATORS = ("sngan", "stylegan2")
ROWS, CODES, STEPS, COLOURS = 6, 2, 5, 192
START, END = "<!-- {}: written by docs/method_pictures.py -->", "<!-- end of {} -->"


def page_of(spec: MethodSpec) -> Path:
    """The page of a method; the controls share one."""
    return DOCS / "methods" / f"{'controls' if spec.role == 'control' else spec.name}.md"


def methods() -> dict[str, MethodSpec]:
    """The methods that have a page."""
    from gdbench.registry import load_registry

    specs = {name: offer.spec for name, offer in load_registry().methods.items()}
    return {name: spec for name, spec in specs.items() if page_of(spec).exists()}


def runs(spec: MethodSpec) -> Iterator[Run]:
    """The run of ``spec`` on each of GENERATORS: seed 0, default parameters and space, the weights that are shipped."""
    import gdbench

    families = gdbench.generator_specs()
    for name in GENERATORS:
        shipped = {card.name: card.sha256 for card in families[name].checkpoints if card.shipped}
        for folder in sorted(RUNS.glob(f"{name}-*-{spec.name}-s0-*")):
            run = gdbench.read_run(folder)
            record, cell = run.record, run.record.cell
            made: Any = gdbench.build_params(spec.params, cell.method_params, where=folder.name)
            default: Any = gdbench.build_params(spec.params, spec.tiers.get(cell.tier, {}), where=spec.name)
            if record.status != "done" or cell.method != spec.name or made != default:
                continue
            if record.checkpoint_sha256 != shipped.get(cell.checkpoint):
                print(f"{folder.name}: not drawn, made with other weights than are shipped")
                continue
            yield run
            break


def effects(run: Run) -> pd.DataFrame:
    """A row for each direction: its leading factor ("" for none), and the effect on it in prior standard deviations."""
    import pandas as pd

    import gdbench

    factors = [factor.name for factor in gdbench.load_domain(run.record.domain).factors]
    table = run.per_direction
    rows = []
    for k in range(len(run.directions)):
        row = table["factors"].loc[k] if "factors" in table else {"leading": -1}
        name = factors[int(row["leading"])] if row["leading"] >= 0 else ""
        rows.append((name, float(row[f"R:{name}"]) if name else 0.0))
    return pd.DataFrame(rows, columns=["factor", "effect"])


def telling(found: pd.DataFrame) -> list[int]:
    """ROWS directions: the strongest for each factor first, then the strongest of the others; the dead ones last."""
    ordered = found.sort_values("effect", ascending=False, kind="stable")
    repeated = ordered["factor"].duplicated() | (ordered["factor"] == "")
    return [*ordered.index[~repeated], *ordered.index[repeated]][:ROWS]


def draw(run: Run) -> Image:
    """Rows of images of the most telling directions of a run."""
    import gdbench
    from gdbench import Stream
    from gdbench.evaluation import pictures
    from gdbench.protocols import Bindable

    cell, found = run.record.cell, effects(run)
    generator = gdbench.load_generator(cell.generator, cell.checkpoint, **cell.generator_params)
    directions = run.directions
    return pictures.direction_grid(
        generator,
        directions.bound(generator) if isinstance(directions, Bindable) else directions,
        gdbench.Calibration.load(run.folder),
        generator.sample(CODES, cell.space, Stream(0, "pictures").at()),
        steps=STEPS,
        rows=telling(found),
        names={k: f"{name} {effect:.1f}" for k, name, effect in found.itertuples() if name},
        title=run.record.id,
    )


def stacked(images: list[Image]) -> Image:
    """The images below one another, in few colours."""
    from PIL import Image

    size = max(image.width for image in images), sum(image.height for image in images)
    canvas = Image.new("RGB", size, (255, 255, 255))
    y = 0
    for image in images:
        canvas.paste(image, (0, y))
        y += image.height
    return canvas.quantize(COLOURS, dither=Image.Dither.NONE)


def section(spec: MethodSpec, found: list[RunRecord]) -> str:
    """What stands between the marks of a method."""
    picture = f"../pictures/methods/{spec.name}.png"
    if not found:
        return f"`{spec.name}`: no picture, `results/scenes-quick` holds no run of it on the shipped generators."
    drawn = " and ".join(f"`{record.id}`" for record in found)
    seconds = " and ".join(f"{record.costs['discover'].cpu_seconds:.3g}" for record in found)
    return f"""![{spec.name}: six directions for each generator, -t to +t on two latents]({picture})

`{spec.name}`, drawn from {drawn} in `results/scenes-quick`, -t to +t at a visible change of 0.45.
Six directions, chosen, not typical: for each factor the one that moves it most, then the strongest of the others.
Beside each stands the factor that it moves most, and by how many standard deviations at a change of 0.30.
Discovery took {seconds} CPU seconds, on a busy machine."""


def write(spec: MethodSpec, text: str) -> None:
    """Put ``text`` between the method's marks, at the end of its page where it has none."""
    page, start, end = page_of(spec), START.format(spec.name), END.format(spec.name)
    block, old = f"{start}\n\n{text}\n\n{end}", page.read_text(encoding="utf-8")
    pattern = re.compile(f"{re.escape(start)}.*?{re.escape(end)}", re.DOTALL)
    if pattern.search(old):
        new = pattern.sub(lambda _: block, old)
    else:
        heading = "" if "## On scenes, as a picture" in old else "## On scenes, as a picture\n\n"
        new = f"{old.rstrip()}\n\n{heading}{block}\n"
    page.write_text(new, encoding="utf-8")


def main(names: list[str]) -> None:
    """Draw the pictures of the methods ``names``, or of all, and write them into their pages."""
    from gdbench.evaluation import pictures

    PICTURES.mkdir(parents=True, exist_ok=True)
    for name, spec in methods().items():
        if names and name not in names:
            continue
        found = list(runs(spec))
        write(spec, section(spec, [run.record for run in found]))
        if not found:
            print(f"{name}: skipped, no run in {RUNS.name}")
            continue
        path = PICTURES / f"{name}.png"
        pictures.save(stacked([draw(run) for run in found]), path)
        print(f"{name}: {path.stat().st_size:,} bytes, from {', '.join(run.record.id for run in found)}")


if __name__ == "__main__":
    main(sys.argv[1:])
