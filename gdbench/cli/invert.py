"""``gdbench invert``: pictures of one's own as codes of a generator, edited by the directions of a run."""

from __future__ import annotations

from pathlib import Path

import typer

from gdbench.cli import options
from gdbench.console import say
from gdbench.registry import Registry


def add(app: typer.Typer, registry: Registry) -> None:
    """Add ``invert``."""

    @app.command()
    def invert(
        images: list[Path] = typer.Argument(..., help="Pictures; their middle is taken in the generator's size."),
        gan: str = typer.Option(..., help="Generator.", autocompletion=options.completer(registry.generators)),
        checkpoint: str = typer.Option(None, help="Name of its weights; the default is the shipped one."),
        run: Path = typer.Option(None, help="A run whose directions edit them.", autocompletion=options.run_folders),
        space: str = typer.Option(None, help="Where their codes lie; the default is that of the run, or the first."),
        domain: str = typer.Option(None, help="Whose distance counts; the default is what the weights' card says."),
        steps: int = typer.Option(500, min=1, help="Steps of the optimisation."),
        seed: int = typer.Option(0, min=0, help="Seed of the samples from which it starts."),
        device: str = options.DEVICE,
        out: Path = typer.Option(Path("inverted"), help="Folder for codes and pictures."),
        parameter: list[str] = options.PARAMETER,
        plugin: list[Path] = options.PLUGIN,
    ) -> None:
        """Find the codes of pictures, and edit them by the directions of a run. The same command resumes."""
        from gdbench.own import with_own
        from gdbench.progress import reporter
        from gdbench.runs.inverting import InvertRequest, run_inversion

        offers = with_own(options.registry_with(registry, plugin), gan)
        params = options.split_assignments(parameter, offers.metrics)["generator_params"]
        request = InvertRequest(
            tuple(images), gan, checkpoint, space, domain, run, steps, seed, device, out, generator_params=params
        )
        _show(run_inversion(request, offers, reporter()))


def _show(made: object) -> None:
    from gdbench.runs.inverting import Inversion

    assert isinstance(made, Inversion)
    for name, apart, psnr in zip(made.names, made.result.distance.tolist(), made.result.psnr.tolist(), strict=True):
        say(f"{name}: {apart:.3f} of the distance of two independent images, PSNR {psnr:.1f} dB")
    if made.transfer is not None:
        moved = f"correlation {made.transfer.correlation:.2f}, size {made.transfer.size:.2f}"
        say(f"edits of these pictures move factors as edits of samples do: {moved}")
    for path in (made.folder / "inverted.png", made.strips, made.folder / "codes.safetensors"):
        if path is not None:
            say(f"wrote {path}")
