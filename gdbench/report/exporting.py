"""What a run found, as files for elsewhere: directions as tensors and numbers with a card, strips, films."""

from __future__ import annotations

import io
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gdbench.boards.cells import markdown
from gdbench.directions import FACTS, TENSORS, LinearDirections
from gdbench.errors import GdbenchError, UsageError
from gdbench.evaluation import pictures
from gdbench.evaluation.calibration import Calibration
from gdbench.files import atomic_write, write_text
from gdbench.runs.api import Run, load_generator
from gdbench.runs.store import STRIPS
from gdbench.runs.tables import Finding, findings
from gdbench.streams import Stream
from gdbench.tensors import save_weights

if TYPE_CHECKING:
    from PIL.Image import Image

FRAMES, PER_SECOND = 24, 12
ENCODER = "ffmpeg"
SECONDS = 120


class Exported(NamedTuple):
    """Files that were written, and a line for each that could not be."""

    files: list[Path]
    lacking: list[str]


def export(run: Run, folder: Path, shown: Sequence[int] = (), codes: int = 4, device: str = "cpu") -> Exported:
    """Write the directions of ``run``, their card and strips into ``folder``, and films of the directions ``shown``.

    codes: how many images stand side by side in a film. Raises UsageError for a direction that is not there.
    """
    directions = run.directions
    for index in shown:
        if not 0 <= index < len(directions):
            raise UsageError(f"direction {index}: the run has directions 0 to {len(directions) - 1}")
    folder.mkdir(parents=True, exist_ok=True)
    found = {one.direction: one for one in findings(run.folder)}
    files, lacking = list[Path](), list[str]()
    if isinstance(directions, LinearDirections):
        files += _straight(directions, run, folder)
    else:
        files += _as_kept(run, folder)
        lacking.append("directions.npy and directions.csv: these directions are curved, and no vectors say them")
    write_text(folder / "card.md", card(run, len(directions), found))
    files.append(folder / "card.md")
    for made, why in (_strips(run, folder, found), *(_films(run, folder, shown, codes, device) if shown else ())):
        files += made
        lacking += [why] if why else []
    return Exported(files, lacking)


def _straight(directions: LinearDirections, run: Run, folder: Path) -> list[Path]:
    """The vectors three times; each reads back to the same numbers."""

    cell, vectors = run.record.cell, directions.vectors
    assert directions.unit is not None
    facts = {
        "space": directions.space,
        "generator": cell.generator,
        "checkpoint": cell.checkpoint,
        "run": run.record.id,
    }
    save_weights(folder / "directions.safetensors", {"vectors": vectors, "unit": directions.unit}, facts)
    with atomic_write(folder / "directions.npy") as file:
        np.save(file, vectors.numpy(), allow_pickle=False)
    lines = [",".join(f"{value:.9g}" for value in row) for row in vectors.tolist()]
    write_text(folder / "directions.csv", "\n".join(lines) + "\n")
    return [folder / f"directions.{kind}" for kind in ("safetensors", "npy", "csv")]


def _as_kept(run: Run, folder: Path) -> list[Path]:
    for name in (TENSORS, FACTS):
        shutil.copy(run.folder / name, folder / name)
    return [folder / TENSORS, folder / FACTS]


def card(run: Run, k: int, found: dict[int, Finding]) -> str:
    """What the directions are, where they hold and what each does, as Markdown."""
    record, cell = run.record, run.record.cell
    facts = {
        "generator": f"{cell.generator}, checkpoint {cell.checkpoint}, SHA-256 {record.checkpoint_sha256 or 'unknown'}",
        "space": f"{cell.space}, {k} directions",
        "method": f"{cell.method}, seed {cell.seed}, tier {cell.tier}",
        "parameters": ", ".join(f"{name}={value}" for name, value in sorted(cell.method_params.items())) or "none",
        "run": record.id,
        "made by": record.command or "an unknown command",
    }
    lines = [f"# Directions of {cell.method} in {cell.generator}/{cell.checkpoint}", ""]
    lines += [f"- {name}: {markdown(str(value))}" for name, value in facts.items()]
    lines += ["", "Rows are unit vectors in the latent space; + and - are those of the pictures.", ""]
    lines += ["| direction | what + does | share | magnitude + | magnitude - |", "| --- | --- | --- | --- | --- |"]
    reach = _reach(run)
    for index in range(k):
        one, sides = found.get(index), reach[index] if reach else ("unknown", "unknown")
        what, share = (markdown(one.what), f"{one.share:.2f}") if one else ("", "")
        lines.append(f"| {index} | {what} | {share} | {sides[0]} | {sides[1]} |")
    return "\n".join(lines) + "\n"


def _reach(run: Run) -> list[tuple[str, str]]:
    """Magnitudes (+, -) of the headline visible change, in latents; "dead" where a side does not reach it."""
    try:
        solved = Calibration.load(run.folder).magnitude().tolist()
    except (GdbenchError, OSError):
        return []
    return [(_length(plus), _length(minus)) for plus, minus in solved]


def _length(value: float) -> str:
    return f"{value:.3g}" if value < float("inf") else "dead"


def _strips(run: Run, folder: Path, found: dict[int, Finding]) -> tuple[list[Path], str]:
    """The strips of all directions below one another, the purest first, from the atlas that the run keeps."""
    atlas, target = run.folder / STRIPS, folder / "strips.png"
    if not atlas.is_file():
        return [], f"strips.png: the run keeps no {STRIPS}"
    rows = pictures.read_atlas(atlas).rows
    order = sorted(range(rows), key=lambda index: (-found[index].share if index in found else 0.0, index))
    strips = [pictures.strip(atlas, index, _lines(index, found)) for index in order]
    pictures.save(pictures.compose(strips, run.record.id), target)
    return [target], ""


def _lines(index: int, found: dict[int, Finding]) -> list[str]:
    return [f"direction {index}", *([f"{found[index].what} {found[index].share:.2f}"] if index in found else [])]


def _films(run: Run, folder: Path, shown: Sequence[int], codes: int, device: str) -> Iterator[tuple[list[Path], str]]:
    """For each direction a grid of images, a GIF and, where there is an encoder, a film; needs the generator."""
    cell, directions = run.record.cell, run.directions
    generator = load_generator(cell.generator, cell.checkpoint, device, **cell.generator_params)
    calibration = Calibration.load(run.folder)
    drawn = generator.sample(codes, cell.space, Stream(0, "pictures").at())
    for index in shown:
        grid = pictures.direction_grid(generator, directions, calibration, drawn, rows=[index], title=run.record.id)
        pictures.save(grid, folder / f"direction-{index}.png")
        pixels = pictures.frames(generator, directions, calibration, drawn, index, steps=FRAMES)
        there_and_back = [*pixels, *pixels[-2:0:-1]]
        _write_gif(there_and_back, folder / f"direction-{index}.gif")
        yield [folder / f"direction-{index}.{kind}" for kind in ("png", "gif")], ""
        yield _write_film(there_and_back, folder / f"direction-{index}.mp4")


def _write_gif(frames: Sequence[pictures.Pixels], path: Path) -> None:
    images = [_image(frame) for frame in frames]
    buffer = io.BytesIO()
    images[0].save(
        buffer, "GIF", save_all=True, append_images=images[1:], duration=1000 // PER_SECOND, loop=0, optimize=False
    )
    with atomic_write(path) as file:
        file.write(buffer.getvalue())


def _image(frame: pictures.Pixels) -> Image:
    from PIL import Image

    return Image.fromarray(frame).convert("P", palette=Image.Palette.ADAPTIVE, colors=255)


def _write_film(frames: Sequence[pictures.Pixels], path: Path) -> tuple[list[Path], str]:
    """An MP4 of H.264, where the encoder is on the path and knows how."""
    encoder = shutil.which(ENCODER)
    if encoder is None:
        return [], f"{path.name}: no {ENCODER} on the path; the GIF shows the same"
    height, width = frames[0].shape[:2]
    raw = ["-f", "rawvideo", "-pix_fmt", "rgb24", "-s", f"{width}x{height}", "-r", str(PER_SECOND), "-i", "-"]
    made = ["-pix_fmt", "yuv420p", "-movflags", "+faststart", "-f", "mp4"]
    part = path.with_name(f".{path.name}.part")
    command = [encoder, "-loglevel", "error", "-y", *raw, *made, str(part)]
    data = b"".join(frame.tobytes() for frame in frames)
    try:
        done = subprocess.run(command, input=data, capture_output=True, check=False, timeout=SECONDS)
        if done.returncode:
            why = done.stderr.decode(errors="replace").strip().splitlines()[-1:] or ["it gave no reason"]
            return [], f"{path.name}: {ENCODER} failed: {why[0][:200]}"
        part.replace(path)
    except subprocess.TimeoutExpired:
        return [], f"{path.name}: {ENCODER} took more than {SECONDS} s"
    finally:
        part.unlink(missing_ok=True)
    return [path], ""
