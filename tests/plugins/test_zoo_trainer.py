"""The trainer: a resumed run is the same run, global random state is left alone, budgets end it."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
import torch
from gdbench_biggan.recipe import Recipe as BigGAN
from gdbench_progan.recipe import Recipe as ProGAN
from gdbench_sngan.recipe import Recipe as SNGAN
from gdbench_stylegan2.recipe import Recipe as StyleGAN2
from gdbench_stylegan3.recipe import Recipe as StyleGAN3
from gdbench_zoo.families import recipe as default_recipe
from gdbench_zoo.trainer import Budget, Draw, Recipe, channels, drawer, follow, new_players, save_grid, train, with_data
from PIL import Image
from torch import Tensor, nn

from gdbench import Factor, MissingFile, UsageError, integers, load_domain, uniform

RECIPES: dict[str, Recipe] = {
    "sngan": SNGAN(latent_dim=8, widths=(8, 8, 4), discriminator_widths=(4, 6, 8), batch=4, settle_batches=1),
    "stylegan2": StyleGAN2(
        resolution=16,
        latent_dim=8,
        widths=(8, 8, 4),
        discriminator_widths=(4, 6, 8),
        mapping_layers=2,
        batch=4,
        r1_every=3,
        path_every=2,
        path_batch=2,
    ),
    "stylegan3": StyleGAN3(
        resolution=16,
        latent_dim=8,
        layers=3,
        channel_base=24,
        channel_max=6,
        discriminator_widths=(4, 6, 8),
        batch=4,
        r1_every=3,
    ),
    "biggan": BigGAN(
        classes=3,
        class_dim=4,
        latent_dim=9,
        widths=(8, 8, 4),
        discriminator_widths=(4, 6, 8),
        batch=4,
        settle_batches=1,
    ),
    "progan": ProGAN(latent_dim=8, widths=(8, 8, 4), batch=4, phase=1),
}


def images(n: int, rng: np.random.Generator) -> Tensor:
    return uniform(rng, -1, 1, n, 3, 16, 16)


class Noise:
    """A domain of noise: colours are drawn anew, classes go with them."""

    factors = (Factor("tint", "class"),)

    def images(self, n: int, rng: np.random.Generator) -> Tensor:
        return images(n, rng)

    def truth(self, n: int, rng: np.random.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        return images(n, rng), {"tint": integers(rng, 3, n)}


class KeptBack(Noise):
    """A domain that trains on other images than it measures with."""

    def training_images(self, n: int, rng: np.random.Generator) -> Tensor:
        return images(n, rng) * 0 + 1


def draw(recipe: Recipe) -> Draw:
    return drawer(Noise(), recipe.label and "tint")  # type: ignore[arg-type]


def test_training_draws_what_the_domain_keeps_for_it_and_labels_where_the_family_has_classes() -> None:
    reals = drawer(KeptBack(), None)(5, np.random.default_rng(0))  # type: ignore[arg-type]
    assert (reals == 1).all()
    reals, labels = drawer(Noise(), "tint")(5, np.random.default_rng(0))  # type: ignore[arg-type]
    truth = Noise().truth(5, np.random.default_rng(0))
    assert torch.equal(reals, truth[0])
    assert torch.equal(labels, truth[1]["tint"])
    assert channels(Noise()) == 3  # type: ignore[arg-type]


def test_only_a_domain_that_reads_files_takes_a_folder_of_them(tmp_path: Path) -> None:
    scenes, mnist = load_domain("scenes"), load_domain("mnist")
    assert with_data(scenes, None) is scenes
    with pytest.raises(UsageError, match="domain scenes makes its training images"):
        with_data(scenes, tmp_path)
    with pytest.raises(MissingFile, match=re.escape(str(tmp_path))):
        drawer(with_data(mnist, tmp_path), None)(1, np.random.default_rng(0))


def test_a_recipe_takes_the_channels_of_the_domain_or_says_that_it_cannot() -> None:
    grey = default_recipe("sngan", channels=1)
    assert grey.generator()(torch.zeros(2, 128)).shape == (2, 1, 32, 32)
    with pytest.raises(UsageError, match="colour"):
        default_recipe("stylegan2", channels=1)
    assert default_recipe("sngan", values={"latent_dim": 32}).generator()(torch.zeros(2, 32)).shape == (2, 3, 32, 32)
    with pytest.raises(UsageError, match="latent_dims"):
        default_recipe("sngan", values={"latent_dims": 32})


def tensors(folder: Path) -> dict[str, Tensor]:
    """Every tensor of a saved training, by its place in the state."""
    found: dict[str, Tensor] = {}

    def walk(prefix: str, value: object) -> None:
        if isinstance(value, Tensor):
            found[prefix] = value
        elif isinstance(value, dict | list):
            for key, inner in value.items() if isinstance(value, dict) else enumerate(value):
                walk(f"{prefix}/{key}", inner)

    walk("", torch.load(folder / "state.pt", weights_only=True))
    return found


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_a_resumed_training_equals_an_uninterrupted_one(recipe: Recipe, tmp_path: Path) -> None:
    # the schedule follows the share of the budget: both runs must have the same total, so the first is killed
    def failing(n: int, rng: np.random.Generator) -> Tensor:
        if (tmp_path / "killed" / "state.pt").exists():
            raise KeyboardInterrupt
        reals: Tensor = draw(recipe)(n, rng)
        return reals

    train(recipe, draw(recipe), tmp_path / "whole", Budget(steps=9), seed=1)
    with pytest.raises(KeyboardInterrupt):
        train(recipe, failing, tmp_path / "killed", Budget(steps=9), seed=1, save_every=0)
    assert 0 < torch.load(tmp_path / "killed" / "state.pt", weights_only=True)["step"] < 9
    train(recipe, draw(recipe), tmp_path / "killed", Budget(steps=9), seed=1)
    whole, resumed = tensors(tmp_path / "whole"), tensors(tmp_path / "killed")
    assert whole.keys() == resumed.keys()
    assert len(whole) > 50
    assert not any(name.endswith("/exp_avg") for name in whole)  # 0 for beta1: never read
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_training_leaves_global_random_state_alone_and_ignores_it(recipe: Recipe, tmp_path: Path) -> None:
    before = torch.get_rng_state(), repr(np.random.get_state())  # noqa: NPY002
    train(recipe, draw(recipe), tmp_path / "a", Budget(steps=4), seed=1)
    assert torch.equal(before[0], torch.get_rng_state())
    assert before[1] == repr(np.random.get_state())  # noqa: NPY002
    with torch.random.fork_rng():
        torch.rand(7)
        train(recipe, draw(recipe), tmp_path / "b", Budget(steps=4), seed=1)
    a, b = tensors(tmp_path / "a"), tensors(tmp_path / "b")
    assert all(torch.equal(a[name], b[name]) for name in a)


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES.keys())
def test_both_players_and_the_average_move(recipe: Recipe, tmp_path: Path) -> None:
    fresh = new_players(recipe, seed=1)
    players = train(recipe, draw(recipe), tmp_path, Budget(steps=7), seed=1)
    for before, after in ((fresh.generator, players.generator), (fresh.discriminator, players.discriminator)):
        moved = [not torch.equal(a, b) for a, b in zip(before.parameters(), after.parameters(), strict=True)]
        assert sum(moved) > 0.9 * len(moved)
    pairs = zip(players.average.parameters(), players.generator.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in pairs)


def test_seeds_differ_and_a_folder_keeps_its_seed(tmp_path: Path) -> None:
    recipe = RECIPES["sngan"]
    train(recipe, images, tmp_path, Budget(steps=1), seed=1)
    with pytest.raises(UsageError, match="seed 1"):
        train(recipe, images, tmp_path, Budget(steps=2), seed=2)
    with pytest.raises(UsageError, match="batch=4, not 5"):
        train(dataclasses.replace(recipe, batch=5), images, tmp_path, Budget(steps=2), seed=1)  # type: ignore[type-var]
    one, two = (next(new_players(recipe, seed).generator.parameters()) for seed in (1, 2))
    assert not torch.equal(one, two)


def test_a_larger_budget_goes_on(tmp_path: Path) -> None:
    recipe = RECIPES["sngan"]
    train(recipe, images, tmp_path, Budget(steps=2), seed=1)
    train(recipe, images, tmp_path, Budget(steps=5), seed=1)
    assert torch.load(tmp_path / "state.pt", weights_only=True)["step"] == 5


def test_cpu_seconds_end_a_training(tmp_path: Path) -> None:
    train(RECIPES["sngan"], images, tmp_path, Budget(cpu_seconds=0.5), seed=1)
    state = torch.load(tmp_path / "state.pt", weights_only=True)
    assert state["cpu_seconds"] >= 0.5
    assert state["step"] >= 1


def test_the_log_has_one_line_per_hundred_steps(tmp_path: Path) -> None:
    train(RECIPES["sngan"], images, tmp_path, Budget(steps=200), seed=1)
    rows = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [100, 200]
    assert {"cpu_seconds", "steps_per_cpu_second", "d"} <= rows[0].keys()


def test_average_follows_with_the_given_weight() -> None:
    average, generator = nn.Linear(1, 1, bias=False), nn.Linear(1, 1, bias=False)
    for step, decay in ((0, 0.1), (10**6, 0.999)):
        average.weight.data.fill_(0)
        generator.weight.data.fill_(1)
        follow(average, generator, 0.999, step)
        assert float(average.weight.detach()) == pytest.approx(1 - decay)


def test_grid_shows_images_row_by_row(tmp_path: Path) -> None:
    shown = torch.tensor([-1.0, 1.0, 0.0, 5.0])[:, None, None, None].expand(4, 3, 2, 2)
    save_grid(shown, tmp_path / "grid.png", side=2, zoom=3)
    pixels = np.asarray(Image.open(tmp_path / "grid.png"))
    assert pixels.shape == (12, 12, 3)
    assert [int(pixels[y, x, 0]) for y, x in ((0, 0), (0, 11), (11, 0), (11, 11))] == [0, 255, 128, 255]


def test_rates_fall_to_their_end() -> None:
    sngan, stylegan2 = SNGAN(), StyleGAN2()
    assert [sngan.rate(p) for p in (0, 0.5, 0.75, 1)] == [1, 1, 0.5, 0]
    assert [stylegan2.rate(p) for p in (0, 0.8, 0.9, 1)] == pytest.approx([1, 1, 0.5, 0.1])
