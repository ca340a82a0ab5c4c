"""The explorer in a real browser: it draws what torch draws, sliders act, the address restores, nothing is fetched."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from gdbench_imported.readers import read
from torch import Tensor

import gdbench
from gdbench import LinearDirections, Stream, load_tensors
from gdbench.evaluation.calibration import Calibration
from gdbench.explorer.latents import code_of
from gdbench.explorer.making import explorer_of
from gdbench.registry import Registry, load_registry
from tests.boards.test_exports import NASTY
from tests.browser import CHROMIUM, MISSING, Browser, Page, address, browser
from tests.explorer.made import FACTORS, K, planted, write_inverted, write_run

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason=MISSING)

TOLERANCE = 2e-3
"""1e-3 of the range [-1, 1]."""
SHIPPED = (
    ("sngan", "scenes32", "z"),
    ("sngan", "mnist32", "z"),
    ("sngan", "scenes32-d32", "z"),
    ("sngan", "scenes32-d64", "z"),
    ("stylegan2", "scenes32", "w"),
    ("stylegan2", "scenes32", "z"),
    ("biggan", "scenes32", "z"),
    ("progan", "scenes32", "z"),
)
PIXELS = "Array.from(document.querySelectorAll('.images canvas')[{}].getContext('2d').getImageData(0, 0, 32, 32).data)"
SEEN = "document.documentElement.outerHTML.replace(document.querySelector('#data').outerHTML, '')"
QUIET = "document.querySelector('canvas[data-drawn]') && !document.body.dataset.busy"
SPY = "window.ran = 0; window.alert = () => { window.ran += 1; };"


@pytest.fixture(scope="module")
def registry() -> Registry:
    return load_registry()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as made:
        yield made


@dataclass(frozen=True)
class Written:
    """A page of two methods on one generator, and what it shows."""

    path: Path
    directions: tuple[LinearDirections, LinearDirections]
    calibration: Calibration


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory, registry: Registry) -> Written:
    folder = tmp_path_factory.mktemp("explorer")
    both = planted(128, "z", 0), planted(128, "z", 1)
    folders = [write_run(folder / name, one, method=name) for name, one in zip(("alpha", "beta"), both, strict=True)]
    (folder / "page.html").write_text(explorer_of(folders, registry).text, encoding="utf-8")
    return Written(folder / "page.html", both, Calibration.load(folders[0]))


def opened(chromium: Browser, path: Path, state: str = "", width: int = 1400) -> Page:
    page = chromium.open(address(path) + state, width)
    page.until(QUIET, 90)
    return page


def shown(page: Page, place: int) -> Tensor:
    """The canvas at a place as (3, 32, 32) in [-1, 1]."""
    return torch.tensor(page.run(PIXELS.format(place))).reshape(32, 32, 4)[..., :3].permute(2, 0, 1) / 127.5 - 1


def rendered(number: int, shifts: Mapping[int, float], written: Written, method: int = 0) -> Tensor:
    """What torch renders of a latent moved along directions by signed visible changes."""
    generator = gdbench.load_generator("sngan")
    codes = code_of(generator, generator.program("z"), "z", number)  # type: ignore[attr-defined]
    for k, tau in shifts.items():
        side = torch.tensor([1.0 if tau > 0 else -1.0])
        length = written.calibration.interpolate(torch.tensor([abs(tau)]), torch.tensor([k]), side)
        codes = written.directions[method].displace(codes, torch.tensor([k]), side * length)
    with torch.no_grad():
        return generator.render(codes)[0].clamp(-1, 1)


def slide(page: Page, direction: int, tau: float, side: int = 0) -> None:
    page.run(
        f"(() => {{ const box = document.querySelectorAll('.side')[{side}];"
        f"const slider = box.querySelector('[data-direction=\"{direction}\"] input'); slider.value = {tau};"
        "slider.dispatchEvent(new Event('input', {bubbles: true})); })()"
    )
    page.until(QUIET, 60)


@pytest.mark.parametrize(("gan", "checkpoint", "space"), SHIPPED, ids="-".join)
def test_the_browser_draws_what_torch_draws(
    gan: str, checkpoint: str, space: str, tmp_path: Path, chromium: Browser, registry: Registry
) -> None:
    generator: Any = gdbench.load_generator(gan, checkpoint)
    run = write_run(tmp_path / "a", planted(generator.dim(space), space), gan, checkpoint)
    path = tmp_path / "page.html"
    text = explorer_of([run], registry).text
    path.write_text(text, encoding="utf-8")
    assert len(text.encode()) < 2_500_000
    page = opened(chromium, path)
    codes = generator.sample(8, space, Stream(0, "browser").at())
    with torch.no_grad():
        wanted = generator.render(codes)
    classes = generator.program(space).classes
    labels = torch.nn.functional.one_hot(codes.labels, classes).tolist() if classes else [None] * 8
    for row, code in enumerate(codes.latents.tolist()):
        label = labels[row] or "null"
        drawn = page.run(f"explorer.render({space!r}, {code}, {label})")
        assert float((torch.tensor(drawn).reshape(wanted[row].shape) - wanted[row]).abs().max()) <= TOLERANCE
    own = code_of(generator, generator.program(space), space, 4_000_000_000)
    told = page.run(
        f"(() => {{ const one = explorer.codeOf({space!r}, 4000000000); return [Array.from(one.code), one.which]; }})()"
    )
    assert torch.allclose(torch.tensor(told[0]), own.latents[0], atol=1e-4)
    assert not classes or told[1] == int(own.labels)
    assert page.complaints() == []
    page.close()


def test_a_slider_moves_the_image_as_torch_does(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#n=11&c=2&r=0")
    assert float((shown(page, 0) - rendered(11, {}, written)).abs().max()) < 0.01
    slide(page, 2, 0.3)
    up = rendered(11, {2: 0.3}, written)
    down = rendered(11, {2: -0.3}, written)
    assert float((shown(page, 0) - up).abs().max()) < 0.01
    assert float((shown(page, 0) - down).abs().max()) > 0.1  # so that the other way would be told apart
    slide(page, 0, -0.45)
    assert float((shown(page, 1) - rendered(12, {2: 0.3, 0: -0.45}, written)).abs().max()) < 0.01
    page.run("document.querySelector('#reset').click()")
    page.until(QUIET)
    assert float((shown(page, 1) - rendered(12, {}, written)).abs().max()) < 0.01
    page.close()


def test_what_was_overtaken_is_never_drawn(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#n=11&c=1&r=0")
    before = page.run("explorer.frames.count")
    page.run(
        "(() => { const slider = document.querySelector('[data-direction=\"2\"] input');"
        "for (let i = 0; i <= 100; i++) { slider.value = i / 200; slider.dispatchEvent(new Event('input')); } })()"
    )
    page.until(QUIET, 60)
    assert page.run("explorer.frames.count") - before <= 6  # one for each worker under way, and the last
    assert float((shown(page, 0) - rendered(11, {2: 0.5}, written)).abs().max()) < 0.01
    page.close()


def test_two_methods_stand_side_by_side_on_the_same_latents(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#n=5&c=2&r=0,1&a=1:0.3&b=1:0.3")
    assert page.run("document.querySelectorAll('.side').length") == 2
    for place, method in ((0, 0), (2, 1)):
        assert float((shown(page, place) - rendered(5, {1: 0.3}, written, method)).abs().max()) < 0.01
    page.run("document.querySelector('#next').click()")
    page.until(QUIET)
    assert page.run("document.querySelector('#number').value") == "7"
    assert float((shown(page, 3) - rendered(8, {1: 0.3}, written, 1)).abs().max()) < 0.01
    page.close()


def test_a_page_from_disk_fetches_nothing_and_says_nothing(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path)
    assert page.requests() == []
    assert page.complaints() == []
    assert page.run("explorer.frames.count") > 0
    page.close()


@pytest.mark.parametrize("state", ["", "#r=0,1&a=0:0.3"])
def test_a_phone_sees_the_whole_width(chromium: Browser, written: Written, state: str) -> None:
    page = opened(chromium, written.path, state, width=375)
    assert page.run("[document.documentElement.scrollWidth, innerWidth]") == [375, 375]
    page.close()


def test_the_address_restores_the_page(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#n=40&c=6&r=1,0")
    slide(page, 3, -0.25)
    slide(page, 1, 0.4, side=1)
    page.run("document.querySelectorAll('.side')[1].querySelector('[data-direction=\"0\"] .star').click()")
    name = "a & b = <i>c</i>"
    page.run(
        f"(() => {{ const box = document.querySelector('.name'); box.value = {name!r};"
        "box.dispatchEvent(new Event('input')); })()"
    )
    page.until("location.hash.includes('name=')")
    kept = page.run("location.href")
    before = [shown(page, place) for place in (0, 6)]
    page.close()
    again = chromium.open(kept, 1400)
    again.until(QUIET, 60)
    assert [float((shown(again, place) - image).abs().max()) for place, image in zip((0, 6), before, strict=True)] == [
        0,
        0,
    ]
    state = again.run(
        "[explorer.state.first, explorer.state.count, explorer.state.sides.map((side) => [side.run, side.taus]),"
        "[...explorer.state.stars], [...explorer.state.names.values()]]"
    )
    assert state == [40, 6, [[1, {"3": -0.25}], [0, {"1": 0.4}]], ["0.0"], [name]]
    again.close()


@pytest.mark.parametrize(
    "state", ["#n=x&c=77&r=9,8&a=99:5,1:abc&f=400&star=7.7,z&name=q&blind=-3&label=9", "#r=&a=%F0%9F&n=-5"]
)
def test_an_address_of_nonsense_shows_a_page(chromium: Browser, written: Written, state: str) -> None:
    page = opened(chromium, written.path, state)
    assert page.run("explorer.state.sides.every((side) => Object.keys(side.taus).length === 0)")
    assert page.complaints() == []
    page.close()


def test_a_blind_page_names_no_method(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#r=0,1")
    assert "alpha" in page.run(SEEN)
    page.run("document.querySelector('#blind').click()")
    page.until("location.hash.includes('blind=')")
    seen = page.run(SEEN.replace(".replace(document", ".replace(/<script>[^]*<\\/script>/, '').replace(document"))
    assert "alpha" not in seen
    assert "beta" not in seen
    assert "seed 3" not in seen
    assert "Method A" in seen
    assert "alpha" not in page.run("location.href + document.title")
    assert "alpha" not in page.run(
        "explorer.asJson(explorer.exported('all')) + explorer.asCsv(explorer.exported('all'))"
    )
    page.close()


@pytest.mark.parametrize("text", [NASTY[0], NASTY[1], NASTY[2]], ids=lambda text: repr(text)[:30])
def test_names_of_strangers_run_no_script(text: str, tmp_path: Path, chromium: Browser, registry: Registry) -> None:
    texts = [one for one in NASTY if one]
    directions = planted(128, "z", k=len(texts))
    run = write_run(tmp_path / "a", directions, method=text, factors=(*texts[:6], "size"), plus=texts)
    (tmp_path / "page.html").write_text(explorer_of([run], registry).text, encoding="utf-8")
    page = chromium.open("about:blank", 1400)
    page.send("Page.addScriptToEvaluateOnNewDocument", source=SPY)
    page.go(address(tmp_path / "page.html"))
    page.until(QUIET, 60)
    page.run("document.querySelectorAll('.title').forEach((title) => title.click())")
    page.run("document.querySelector('#next').click()")
    page.until(QUIET, 60)
    assert page.run("window.ran") == 0
    assert page.complaints() == []
    assert page.requests() == []
    assert page.run("document.querySelectorAll('main img, main script, main svg, main a').length") == 0
    page.close()


def test_exported_directions_are_read_back(chromium: Browser, written: Written, tmp_path: Path) -> None:
    page = opened(chromium, written.path, "#r=1&star=1.3,1.0&a=2:0.3,1:-0.15")
    assert exported(page, "starred", tmp_path).vectors.equal(written.directions[1].vectors[[3, 0]])
    assert exported(page, "all", tmp_path).vectors.equal(written.directions[1].vectors)
    mix = exported(page, "mix", tmp_path).vectors
    t = [float(written.calibration.interpolate(torch.tensor([tau]), torch.tensor([k]), torch.tensor([sign])))
         for k, tau, sign in ((2, 0.3, 1.0), (1, 0.15, -1.0))]  # fmt: skip
    wanted = LinearDirections(
        (t[0] * written.directions[1].vectors[2] - t[1] * written.directions[1].vectors[1])[None], "z"
    )
    assert torch.allclose(mix, wanted.vectors, atol=1e-6)
    lines = page.run("explorer.asCsv(explorer.exported('all'))").splitlines()
    assert lines[0].startswith("name,method,direction,space,factor,share,v0,v1")
    assert len(lines) == K + 1
    told = page.run(
        "JSON.parse(explorer.asJson(explorer.exported('moved'))).directions"
        ".map((one) => [one.direction, one.visible_change])"
    )
    assert told == [[1, -0.15], [2, 0.3]]
    page.close()


def exported(page: Page, what: str, folder: Path) -> LinearDirections:
    data = page.run(
        f"explorer.asSafetensors(explorer.exported({what!r})).arrayBuffer()"
        ".then((all) => btoa(Array.from(new Uint8Array(all), (byte) => String.fromCharCode(byte)).join('')))"
    )
    path = folder / "directions.safetensors"
    path.write_bytes(base64.b64decode(data))
    tensors = load_tensors(path)
    found = read(path)  # as import-directions reads it
    assert found.kind == "gdbench export"
    assert found.tensors["vectors"].equal(tensors["vectors"])
    (folder / "directions.json").write_text(page.run(f"explorer.asJson(explorer.exported({what!r}))"))
    assert read(folder / "directions.json").tensors["vectors"].equal(tensors["vectors"])
    return LinearDirections(tensors["vectors"], "z", tensors["unit"])


def test_what_is_not_straight_is_shown_in_frames_and_said(
    tmp_path: Path, chromium: Browser, registry: Registry
) -> None:
    run = write_run(tmp_path / "a", planted(64, "z"), "toy", "none")
    (tmp_path / "page.html").write_text(explorer_of([run], registry, latents=3).text, encoding="utf-8")
    page = opened(chromium, tmp_path / "page.html", "#r=0&n=1&c=4")
    assert "Pre-rendered" in page.run("document.body.innerText")
    assert page.run("document.querySelectorAll('.images canvas').length") == 3
    before = shown(page, 0)
    slide(page, 2, 0.45)
    page.until("explorer.state.sides[0].taus[2] === 0.45")
    generator = gdbench.load_generator("toy")
    code = code_of(generator, None, "z", 1).shifted(0.45**0.5 * 4 * planted(64, "z").vectors[2])
    wanted = generator.render(code)[0].clamp(-1, 1)
    page.until("new Promise((done) => setTimeout(() => done(true), 300))")
    assert float((shown(page, 0) - wanted).abs().mean()) < 0.06
    assert float((before - wanted).abs().mean()) > 0.06
    slide(page, 1, 0.3)  # one direction at a time
    assert page.run("Object.keys(explorer.state.sides[0].taus)") == ["1"]
    assert [
        one for one in page.complaints() if "willReadFrequently" not in one
    ] == []  # which this test is to blame for
    page.close()


def test_shares_and_what_plus_does_stand_beside_the_image(chromium: Browser, written: Written) -> None:
    page = opened(chromium, written.path, "#r=0&f=2")
    seen = page.run("document.querySelector('.focus').innerText")
    assert "does a thing" in page.run("document.querySelector('.name').placeholder")
    assert all(factor in seen for factor in FACTORS)
    assert "+ 2.19, − 1.10" in seen  # 4 sqrt(.3), and half of it
    assert page.run("document.querySelectorAll('.dead .row').length") == 1
    page.close()


@pytest.mark.parametrize(("gan", "space"), [("sngan", "z"), ("biggan", "z"), ("stylegan2", "w")])
def test_pictures_of_ones_own_come_before_random_latents(
    gan: str, space: str, tmp_path: Path, chromium: Browser, registry: Registry
) -> None:
    """They and their edits are what torch renders of these codes; biggan has a class with each."""
    generator: Any = gdbench.load_generator(gan)
    codes = generator.sample(2, space, Stream(77, "mine").at())
    run = write_run(tmp_path / "a", planted(generator.dim(space), space), gan)
    mine = write_inverted(tmp_path / "mine", codes, weights="")  # as in the record
    path = tmp_path / "page.html"
    path.write_text(explorer_of([run], registry, inverted=mine).text, encoding="utf-8")
    page = opened(chromium, path)
    assert page.run("[...document.querySelectorAll('.images figcaption')].map((one) => one.textContent)") == [
        "30.0 dB, mine 0.png",
        "31.0 dB, mine 1.png",
    ]
    slide(page, 1, 0.3)
    directions = planted(generator.dim(space), space)
    with torch.no_grad():
        moved = directions.displace(codes, torch.tensor([1, 1]), torch.full((2,), 4 * 0.3**0.5))
        wanted = generator.render(moved).clamp(-1, 1)
        third = generator.render(code_of(generator, generator.program(space), space, 2))[0].clamp(-1, 1)
    for place in (0, 1):
        assert float((shown(page, place) - wanted[place]).abs().max()) < 0.01
    page.run("document.querySelector('#reset').click()")
    page.run("document.querySelector('#next').click()")
    page.until(QUIET, 60)
    assert float((shown(page, 0) - third).abs().max()) < 0.01  # latent 2 is what it is in any page
    assert page.complaints() == []
    page.close()
