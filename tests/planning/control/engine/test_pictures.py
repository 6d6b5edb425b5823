"""Blue for red is found by what is always in the picture, and a picture's fault says how to fix it."""

from __future__ import annotations

import numpy as np
import pytest

from planning.control.engine.pictures import ChannelOrder, for_bundle, for_goals, of_bundle, reversed_channels
from planning.control.engine.readings import Fault, read
from planning.observation import ObservationSpec, Sensor

SIDE = 16
RNG = np.random.default_rng(0)
SPEC = ObservationSpec((Sensor("pixels", (SIDE, SIDE, 3), "uint8", interpolates=False, features=4),))


def scene(light=1.0, noise=3.0):
    """A grey floor with a blue wall around it, a red body somewhere, light and sensor noise."""
    picture = np.full((SIDE, SIDE, 3), 200.0)
    picture[:3] = picture[:, :3] = [60.0, 75.0, 95.0]
    row, column = RNG.integers(0, SIDE - 5, 2)
    picture[row : row + 5, column : column + 5] = [230.0, 90.0, 55.0]
    return (light * picture + RNG.normal(scale=noise, size=picture.shape)).clip(0, 255).astype(np.uint8)


MEAN = {"pixels": np.mean([scene() for _ in range(50)], axis=0)}


def test_a_picture_with_reversed_channels_is_found_and_no_other_one():
    for light in (0.7, 1.0, 1.3):
        for _ in range(20):
            picture = scene(light)
            assert reversed_channels({"pixels": picture}, MEAN) is None
            if light == 1.0:
                fault = reversed_channels({"pixels": picture[..., ::-1]}, MEAN)
                assert fault is not None
                assert fault.sentence.startswith("the picture of the sensor pixels fits the training data with its")
                assert "give picture[..., ::-1]" in fault.sentence


def test_what_cannot_be_judged_is_not():
    picture, grey = scene()[..., ::-1], np.repeat(scene().mean(axis=-1, keepdims=True), 3, axis=-1)
    assert reversed_channels({"pixels": picture}, {}) is None
    assert reversed_channels({"pixels": picture}, {"pixels": grey}) is None  # a scene without colours
    assert reversed_channels({"pixels": picture}, {"pixels": MEAN["pixels"][:8]}) is None
    night = RNG.integers(0, 60, (SIDE, SIDE, 3), np.uint8)
    assert reversed_channels({"pixels": night}, MEAN) is None  # another scene fits neither way


def test_each_camera_is_judged_until_it_has_passed_once():
    order = ChannelOrder(MEAN)
    wrong, right = {"pixels": scene()[..., ::-1]}, {"pixels": scene()}
    assert order.fault(wrong) is not None and order.fault(wrong) is not None
    assert order.fault({}) is None and order.fault(wrong) is not None  # a missing picture has not passed
    assert order.fault(right) is None and order.fault(wrong) is None


def test_a_goal_is_judged_each_time_and_means_survive_a_bundle():
    means = of_bundle({**for_bundle(MEAN), "surprise/mean": np.zeros(3)})
    assert list(means) == ["pixels"] and means["pixels"].dtype == np.uint8
    embed = for_goals(lambda others, row: row + 1, means)
    row = np.zeros(4, np.float32)
    for _ in range(2):
        np.testing.assert_array_equal(embed({"pixels": scene()}, row), row + 1)
        with pytest.raises(ValueError, match="with its channels reversed alone"):
            embed({"pixels": scene()[..., ::-1]}, row)


@pytest.mark.parametrize(
    ("picture", "words"),
    [
        (scene() / 255.0, "got float64 [16, 16, 3]: give the camera's own bytes from 0 to 255; values from 0 to 1 are"),
        (scene().astype(np.int64), "got int64 [16, 16, 3]: give the camera's own bytes"),
        (np.moveaxis(scene(), -1, 0), "got uint8 [3, 16, 16]: channels come last, np.moveaxis(picture, 0, -1)"),
        (scene()[None], "got uint8 [1, 16, 16, 3]: give one picture, not a batch, picture[0]"),
        (np.dstack([scene(), scene()[..., :1]]), "got uint8 [16, 16, 4]: leave out the last channel, picture[..., :3]"),
        (scene()[:8], "got uint8 [8, 16, 3]: set the camera to 16 x 16 pixels and 3 channels, or resize its pictures"),
        (scene()[..., 0], "got uint8 [16, 16]: set the camera to 16 x 16 pixels and 3 channels"),
        (b"png", "got bytes"),
    ],
)
def test_a_picture_of_another_kind_names_the_sensor_and_the_fix(picture, words):
    found = read(picture, SPEC, None)
    assert isinstance(found, Fault)
    assert found.sentence.startswith("the observation of the sensor pixels must be an array of uint8 [16, 16, 3]; ")
    assert words in found.sentence
