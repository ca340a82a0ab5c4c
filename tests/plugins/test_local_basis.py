"""The method `local-basis` against exact Jacobians by reverse mode, finite differences, and a linear mapping."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_jacobian.local import LocalDirections, basis, discover
from gdbench_jacobian.params import LocalParams
from torch import Tensor

from gdbench import Codes, PluginError, Stream, load_generator, normal
from gdbench.directions import load_directions
from tests.plugins.methods_generators import CPU, context

DIM, WIDE = 6, 9
FEW = LocalParams(codes=5)


@dataclass
class Mapping:
    """z of 6 dimensions, w of 9: w = C tanh(B z), or C B z, in float64, shifted by the class."""

    linear: bool = False
    tells: bool = True
    spaces: tuple[str, ...] = ("w", "z")
    image_shape: tuple[int, int, int] = (1, 4, 4)
    domain: str = "test"
    device: torch.device = CPU
    mapped: int = 0

    def __post_init__(self) -> None:
        rng = Stream(0, "test/mapping").at()
        self.b = normal(rng, DIM, DIM).double() * torch.linspace(1.0, 0.3, DIM).double()
        self.c = normal(rng, WIDE, DIM).double()

    def dim(self, space: str) -> int:
        return DIM if space == "z" else WIDE

    def sample(self, n: int, space: str, rng: np.random.Generator) -> Codes:
        codes = Codes(normal(rng, n, DIM).double(), "z", torch.from_numpy(rng.integers(2, size=n)))
        return codes if space == "z" else self.map(codes)

    def map(self, codes: Codes) -> Codes:
        self.mapped += len(codes)
        assert codes.labels is not None
        hidden = codes.latents @ self.b.T + codes.labels[:, None]
        w = (hidden if self.linear else hidden.tanh()) @ self.c.T
        return Codes(w, "w", codes.labels, codes.latents if self.tells else None)

    def render(self, codes: Codes) -> Tensor:
        raise AssertionError("local-basis renders nothing")


def codes_in_w(n: int = 8) -> Codes:
    return Mapping().sample(n, "w", Stream(1, "test").at())


def exact(generator: Mapping, code: Codes) -> Tensor:
    """(9, 6), by reverse mode."""
    assert code.origin is not None
    return torch.autograd.functional.jacobian(
        lambda z: generator.map(Codes(z[None], "z", code.labels)).latents[0], code.origin[0]
    )


def moved(directions: LocalDirections, codes: Codes, k: int, magnitude: float) -> Tensor:
    n = len(codes)
    return directions.displace(codes, torch.full((n,), k), torch.full((n,), magnitude)).latents - codes.latents


def test_displacements_run_along_the_left_singular_vectors_of_the_exact_jacobian() -> None:
    generator, codes = Mapping(), codes_in_w()
    directions = discover(generator, FEW, context(DIM, "w"))
    for i, code in enumerate(codes.chunks(1)):
        left, values, _ = torch.linalg.svd(exact(generator, code))
        assert (-values.diff()).min() > 1e-4  # else they are not unique
        for k in range(DIM):
            delta = moved(directions, codes, k, 2.5)[i]
            assert float(delta.norm()) == pytest.approx(2.5, rel=1e-5)
            assert abs(float(delta @ left[:, k])) == pytest.approx(2.5, rel=1e-5)


def test_singular_values_are_how_far_a_small_step_in_z_moves_w() -> None:
    generator = Mapping()
    code = codes_in_w(1)
    rows, values = basis(generator, Codes(code.origin, "z", code.labels))  # type: ignore[arg-type]
    right = torch.linalg.svd(exact(generator, code)).Vh
    step = 1e-5
    for k in range(DIM):
        plus, minus = (
            generator.map(Codes(code.origin + sign * step * right[k], "z", code.labels)).latents for sign in (1, -1)
        )
        slope = ((plus - minus) / (2 * step))[0]
        assert float(slope.norm()) == pytest.approx(float(values[k]), rel=1e-6)
        assert abs(float(slope @ rows[k])) == pytest.approx(float(values[k]), rel=1e-6)


def test_a_linear_mapping_has_the_same_directions_everywhere_with_the_same_sign() -> None:
    generator = Mapping(linear=True)
    directions = discover(generator, FEW, context(DIM, "w"))
    codes = generator.sample(8, "w", Stream(1, "test").at())
    values = torch.linalg.svdvals(generator.c @ generator.b)
    torch.testing.assert_close(directions.unit, values.float())
    for k in range(DIM):
        delta = moved(directions, codes, k, 1.0)
        torch.testing.assert_close(delta, directions.reference[k].double().expand_as(delta), atol=1e-6, rtol=0)


def test_directions_depend_on_the_code_and_on_nothing_beside_it() -> None:
    directions, codes = discover(Mapping(), FEW, context(3, "w")), codes_in_w()
    together = moved(directions, codes, 0, 1.0)
    assert float((together - together[:1]).abs().max()) > 0.1
    alone = moved(discover(Mapping(), FEW, context(3, "w")), codes[5:6], 0, 1.0)
    assert torch.equal(alone, together[5:6])
    torch.testing.assert_close(moved(directions, codes, 0, -1.0), -together)


def test_a_code_that_was_displaced_keeps_its_basis() -> None:
    directions, codes = discover(Mapping(), FEW, context(3, "w")), codes_in_w()
    first = directions.displace(codes, torch.zeros(8, dtype=torch.long), torch.ones(8))
    torch.testing.assert_close(moved(directions, first, 0, 1.0), moved(directions, codes, 0, 1.0))


def test_bases_are_computed_once_and_forgotten_when_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    generator = Mapping()
    directions, codes = discover(generator, FEW, context(3, "w")), codes_in_w()
    generator.mapped = 0
    once = moved(directions, codes.repeated(4), 1, 1.0)
    assert generator.mapped == 8 * DIM
    monkeypatch.setattr("gdbench_jacobian.local.KEPT", 2 * 3 * WIDE * 4)
    assert torch.equal(moved(directions, codes.repeated(4), 1, 1.0), once)
    assert len(directions._kept) <= 8


def test_the_seed_changes_nothing() -> None:
    a, b = (discover(Mapping(), FEW, context(3, "w", seed)) for seed in (0, 1))
    assert torch.equal(a.reference, b.reference)
    assert torch.equal(a.unit, b.unit)


def test_saved_directions_move_once_they_are_bound(tmp_path: Path) -> None:
    directions, codes = discover(Mapping(), FEW, context(3, "w")), codes_in_w()
    directions.save(tmp_path)
    packages = frozenset({"gdbench_jacobian"})
    bound = load_directions(tmp_path, packages, Mapping())
    assert isinstance(bound, LocalDirections)
    assert torch.equal(moved(bound, codes, 2, 1.0), moved(directions, codes, 2, 1.0))
    alone = load_directions(tmp_path, packages)
    assert len(alone) == 3
    with pytest.raises(PluginError, match=r"bound\(generator\)"):
        alone.displace(codes, torch.zeros(8, dtype=torch.long), torch.ones(8))


def test_what_cannot_be_found_is_said() -> None:
    with pytest.raises(PluginError, match="live in w, not in 'z'"):
        discover(Mapping(), FEW, context(2, "z"))
    for k in (7, 10):  # z has 6 dimensions, w has 9
        with pytest.raises(PluginError, match=f"K = {k} directions were asked for, but the mapping has a rank of 6"):
            discover(Mapping(), FEW, context(k, "w"))
    with pytest.raises(PluginError, match="do not say from which z"):
        discover(Mapping(tells=False), FEW, context(2, "w"))
    codes = Mapping(tells=False).sample(2, "w", Stream(0, "test").at())
    with pytest.raises(PluginError, match=r"Codes\.origin"):
        moved(discover(Mapping(), FEW, context(2, "w")), codes, 0, 1.0)


def test_codes_of_the_shipped_style_generator_say_their_z() -> None:
    generator = load_generator("stylegan2")
    codes = generator.sample(3, "w", Stream(0, "test").at())
    assert codes.origin is not None
    assert torch.equal(generator.map(Codes(codes.origin, "z")).latents, codes.latents)  # type: ignore[attr-defined]
