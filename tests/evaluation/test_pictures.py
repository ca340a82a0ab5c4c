"""Pictures, pixel by pixel, of a generator whose images are known: flat tiles as bright as the first latent."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch
from PIL import Image

from gdbench import Codes, IntegrityError, LinearDirections, Stream, normal
from gdbench.evaluation.calibration import Calibration
from gdbench.evaluation.pictures import (
    GAP,
    GREY,
    LABEL,
    LARGEST,
    LARGEST_ATLAS,
    SMALLEST,
    Atlas,
    compose,
    direction_grid,
    read_atlas,
    save,
    save_atlas,
    sheet,
    strip,
    to_pixels,
)


@dataclass
class Flat:
    """Images of one value: the first latent over 10."""

    side: int = 8
    channels: int = 3

    def render(self, codes):
        return (codes.latents[:, :1, None, None] / 10).expand(-1, self.channels, self.side, self.side)


def calibration(k, dead=()):
    """Directions change by 1 at magnitude 10 on the + side and 20 on the - side, except the sides in ``dead``."""
    change = torch.tensor([0.0, 1.0]).repeat(k, 2, 1)
    for index, side in dead:
        change[index, side, 1] = 0.1
    magnitudes = torch.tensor([[0.0, 10.0], [0.0, 20.0]]).repeat(k, 1, 1)
    flat = torch.full((k, 2), 10.0)
    return Calibration(magnitudes, change, flat, torch.zeros(k, 2), flat, 1.0)


def grid(dead=(), **options):
    """Directions: +1 and -1 times the latent that makes brightness, one that does nothing."""
    directions = LinearDirections(torch.tensor([[1.0, 0.0], [0.0, 1.0]]), "z")
    codes = Codes(torch.tensor([[0.0, 0.0], [5.0, 0.0]]), "z")
    picture = direction_grid(Flat(), directions, calibration(2, dead), codes, steps=3, tau=0.25, **options)
    return np.asarray(picture)


def tiles(picture, rows=2, blocks=2, steps=3, left=LABEL):
    """The central pixel of every tile: (rows, blocks, steps, 3)."""
    down = (picture.shape[0] - 19) // rows
    block = steps * (64 + GAP) + 10
    return np.array(
        [
            [
                [picture[19 + r * down + 32, left + b * block + s * (64 + GAP) + 32] for s in range(steps)]
                for b in range(blocks)
            ]
            for r in range(rows)
        ]
    )


def level(value):
    return round((min(max(value, -1), 1) + 1) * 127.5)


def test_rows_sweep_from_minus_t_to_plus_t_at_the_calibrated_magnitude():
    """sqrt(.25) of magnitude 10 is 5, of 20 is 10: brightness rises by half and falls by one."""
    found = tiles(grid())[..., 0]
    assert found[0].tolist() == [[level(-1), level(0), level(0.5)], [level(-0.5), level(0.5), level(1)]]
    assert found[1].tolist() == [[level(0)] * 3, [level(0.5)] * 3]


def test_a_dead_side_is_white_and_its_middle_stays():
    found = tiles(grid(dead=[(0, 1), (1, 0), (1, 1)]))[..., 0]
    assert found[0].tolist() == [[255, level(0), level(0.5)], [255, level(0.5), level(1)]]
    assert found[1].tolist() == [[255, level(0), 255], [255, level(0.5), 255]]


def test_rows_can_be_chosen_and_labels_change_only_the_margin():
    bare, named = grid(rows=[1]), grid(rows=[1], names={1: "hue\n" + "x" * 500})
    assert bare.shape[0] < grid().shape[0]
    assert (bare[:, LABEL:] == named[:, LABEL:]).all()
    assert (bare[:, :LABEL] != named[:, :LABEL]).any()


def test_a_note_tells_a_dead_direction_from_a_living_one():
    assert (grid(dead=[(0, 0), (0, 1)])[:, :LABEL] != grid()[:, :LABEL]).any()


@pytest.mark.parametrize(("side", "tile"), [(8, 64), (32, 64), (48, 96), (64, 64), (100, 100), (256, 128), (300, 128)])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiles_are_legible(side, tile, channels):
    pixels = to_pixels(torch.zeros(2, channels, side, side))
    assert pixels.shape == (2, tile, tile, 3)
    assert SMALLEST <= tile <= LARGEST
    assert (pixels == 128).all()


def test_wide_images_keep_their_form():
    assert to_pixels(torch.zeros(1, 3, 128, 512)).shape == (1, 32, 128, 3)


def test_enlarging_repeats_pixels_and_values_are_clamped():
    image = torch.tensor([[-5.0, 5.0], [0.0, float("nan")]]).repeat_interleave(16, 0).repeat_interleave(16, 1)
    pixels = to_pixels(image[None, None])[0, ..., 0]
    corners = pixels[0, 0], pixels[0, -1], pixels[-1, 0], pixels[-1, -1]
    assert corners == (0, 255, 128, 0)
    assert set(np.unique(pixels)) == {0, 128, 255}


def test_other_shapes_are_refused():
    for shape in ((3, 8, 8), (1, 5, 8, 8)):
        with pytest.raises(ValueError, match="images must be"):
            to_pixels(torch.zeros(shape))


def test_sheet_fills_its_last_row_with_white():
    picture = np.asarray(sheet(torch.full((3, 3, 64, 64), -1.0), columns=2))
    assert picture.shape[1] == 2 * (64 + GAP) + GAP
    assert tuple(picture[4 + GAP + 32, GAP + 32]) == (0, 0, 0)
    assert tuple(picture[-20, -20]) == (255, 255, 255)
    assert tuple(picture[-1, -1]) == GREY


def test_saved_png_is_the_same_picture(tmp_path):
    picture = sheet(torch.rand(4, 1, 16, 16) * 2 - 1, title="a title")
    save(picture, tmp_path / "a.png")
    assert (np.asarray(Image.open(tmp_path / "a.png")) == np.asarray(picture)).all()
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


@dataclass
class Smooth:
    """Images of a slope from the first latent to the second, over 10, in three channels of different brightness."""

    side: int = 32

    def render(self, codes):
        ramp = torch.linspace(0, 1, self.side)
        row = codes.latents[:, :1] * (1 - ramp) + codes.latents[:, 1:] * ramp
        bright = torch.tensor([1.0, 0.5, -0.5])[None, :, None, None]
        return row[:, None, None, :].expand(-1, 3, self.side, -1) / 10 * bright


def atlas_of(path, k=3, side=32, dead=(), generator=None):
    directions = LinearDirections(torch.eye(2)[torch.arange(k) % 2], "z")
    codes = Codes(torch.tensor([[0.0, 0.0], [4.0, -4.0]]), "z")
    generator = generator or Smooth(side)
    geometry = save_atlas(generator, directions, calibration(k, dead), codes, path)
    return geometry, directions, codes, generator


@pytest.mark.parametrize(("side", "tile"), [(32, 32), (64, 64), (256, 64)])
def test_a_strip_shows_five_magnitudes_of_two_codes(tmp_path, side, tile):
    """Within what lossy compression leaves; at the headline 0.3, sqrt(.3) of magnitudes 10 (+) and 20 (-)."""
    path = tmp_path / "strips.webp"
    geometry, directions, codes, generator = atlas_of(path, side=side)
    assert read_atlas(path) == geometry == Atlas(3, 2, 5, tile, tile)
    assert path.stat().st_size <= LARGEST_ATLAS
    high, low = 0.3**0.5 * 10, 0.3**0.5 * 20
    for row in range(3):
        found = strip(path, row, lines=("named",))
        assert found.lines == ("named",)
        assert found.tiles.shape == (2, 5, tile, tile, 3)
        for step, magnitude in enumerate((-low, -low / 2, 0, high / 2, high)):
            moved = directions.displace(codes, torch.tensor([row] * 2), torch.full((2,), magnitude))
            wanted = generator.render(moved).clamp(-1, 1).add(1).mul(127.5)
            wanted = torch.nn.functional.adaptive_avg_pool2d(wanted, tile).permute(0, 2, 3, 1).numpy()
            assert np.abs(found.tiles[:, step].astype(float) - wanted).mean() < 8
    with pytest.raises(IndexError, match="strip 3 of an atlas of 3"):
        strip(path, 3)


def test_a_dead_sign_is_drawn_at_its_limit(tmp_path):
    path = tmp_path / "strips.webp"
    _, directions, codes, generator = atlas_of(path, dead=[(0, 1)])
    moved = directions.displace(codes, torch.tensor([0, 0]), torch.full((2,), -10.0))  # the limit of calibration()
    wanted = generator.render(moved).clamp(-1, 1).add(1).mul(127.5).permute(0, 2, 3, 1).numpy()
    assert np.abs(strip(path, 0).tiles[:, 0].astype(float) - wanted).mean() < 8


class Noise:
    """What compresses worst."""

    def render(self, codes):
        return normal(Stream(0, "noise").at(), len(codes), 3 * 64 * 64).reshape(-1, 3, 64, 64)


def test_an_atlas_is_small_whatever_it_shows_and_holds_the_first_directions(tmp_path):
    path = tmp_path / "strips.webp"
    geometry, *_ = atlas_of(path, k=300, generator=Noise())
    assert path.stat().st_size <= LARGEST_ATLAS
    assert geometry.rows == 250
    assert 8 <= geometry.width < 64
    assert strip(path, 249).tiles.shape == (2, 5, geometry.height, geometry.width, 3)


def test_strips_of_two_runs_make_one_picture(tmp_path):
    for name in ("a", "b"):
        atlas_of(tmp_path / name)
    picture = compose([strip(tmp_path / "a", 0, ("first",)), strip(tmp_path / "b", 1)], "two runs")
    assert picture.width == LABEL + 2 * (5 * (64 + GAP) + 10) - 10 + GAP


@pytest.mark.parametrize("content", [b"", b"RIFF", b"a line of text"])
def test_other_files_are_no_atlas(tmp_path, content):
    (tmp_path / "strips.webp").write_bytes(content)
    with pytest.raises(IntegrityError, match=r"strips\.webp: no atlas of strips"):
        strip(tmp_path / "strips.webp", 0)
    Image.new("RGB", (8, 8)).save(tmp_path / "plain.webp")
    with pytest.raises(IntegrityError, match="no atlas"):
        read_atlas(tmp_path / "plain.webp")
