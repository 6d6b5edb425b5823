"""What a camera shows in its data: places, colours, and how much moves; on pictures made by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.pictures.appearance import Appearance

BODY, FLOOR, WALL = (232, 92, 56), (240, 238, 232), (96, 108, 128)


def picture(row, column, body=BODY):
    """A grey wall at the left, and a body of 4 x 4 pixels on a floor of one colour."""
    found = np.full((32, 32, 3), FLOOR, np.uint8)
    found[:, :3] = WALL
    found[row : row + 4, column : column + 4] = body
    return found


@pytest.fixture(scope="module")
def known():
    """The body was in the upper half only."""
    return Appearance.of(np.stack([picture(row, column) for row in range(0, 12, 2) for column in range(4, 28, 3)]))


def test_a_body_at_a_new_place_is_of_the_camera(known):
    assert known.moving == pytest.approx([16 / 1024, 16 / 1024]) and known.limit == pytest.approx(2 * 16 / 1024)
    assert known.fits(picture(24, 20)) and known.strange(picture(24, 20)) == pytest.approx(16 / 1024)
    assert known.strange(picture(4, 10)) == 0


def test_another_place_of_the_camera_is_not(known):
    moved = np.roll(picture(4, 10), 2, axis=1)
    assert known.strange(moved) > known.limit and known.foreign(moved) == 0 and not known.fits(moved)


def test_a_body_of_another_colour_is_not(known):
    """Red and blue of the body are exchanged: no more pixels are strange than at a new place."""
    other = picture(24, 20, BODY[::-1])
    assert known.strange(other) <= known.limit and known.foreign(other) == pytest.approx(16 / 1024)
    assert not known.fits(other)


def test_noise_is_of_the_camera_and_another_size_is_not(known):
    noise = np.random.default_rng(0).integers(-8, 9, (32, 32, 3))
    assert known.fits(np.clip(picture(4, 10) + noise, 0, 255).astype(np.uint8))
    assert not known.fits(picture(4, 10)[:16])
