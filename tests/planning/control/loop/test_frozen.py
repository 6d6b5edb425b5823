"""A repeated picture is a fault while the scene moves, and none while it stands still."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planning.control import Loop
from planning.control.engine.contract import Contract
from planning.control.loop.frozen import FrozenPictures
from planning.control.loop.guards import ObservationGuard
from planning.control.loop.status import Reason
from planning.observation import ObservationSpec, Sensor

PERIOD = 0.1
CAMERA = Sensor("pixels", (4, 4, 3), "uint8", interpolates=False, features=2)
SIDE = replace(CAMERA, name="pixels_side", optional=True)
SPEED = Sensor("speed", (2,), low=(-1.0, 0.0), high=(1.0, 0.0), optional=True)
RNG = np.random.default_rng(0)
ONE, OTHER = RNG.integers(0, 255, (2, 4, 4, 3), np.uint8)
DRIVEN, RESTING = np.float32([0.6, 1.0]), np.float32([0.0, 1.0])


def contract(*sensors):
    """Two actuators, of which the second rests at its bound."""
    return Contract(
        ObservationSpec(sensors),
        action_low=(-2.0, 0.0),
        action_high=(2.0, 1.0),
        rest=(0.0, 1.0),
        control_period=PERIOD,
        horizon=2,
        action_block=1,
        history=1,
        latent_size=2,
        iterations=1,
        replan_every=1,
        num_best=1,
        terms=("goal",),
        weights={"goal": 1.0},
    )


class Watch:
    """A guard of one contract, asked once a period."""

    def __init__(self, *sensors, seconds=0.5):
        self.contract = contract(*sensors)
        frozen = FrozenPictures(self.contract, seconds)
        self.guard, self.now = ObservationGuard(self.contract.observation, frozen=frozen), 0.0

    def steps(self, observation, action, count):
        """Reasons of `count` equal observations."""
        found = []
        for _ in range(count):
            self.now += PERIOD
            found.append(self.guard.check(observation, self.now, action)[1])
        return found


def test_commands_say_that_the_scene_moves_where_there_is_nothing_but_the_camera():
    watch = Watch(CAMERA)
    assert watch.steps(ONE, RESTING, 20) == [Reason.OK] * 20  # a still scene
    assert watch.steps(ONE, DRIVEN, 6) == [Reason.OK] * 4 + [Reason.STUCK_OBSERVATION] * 2
    assert (
        "the sensor pixels repeats one picture, bit for bit, for 0.60 s in which the robot is" in watch.guard.sentence
    )
    assert watch.steps(ONE, RESTING, 3) == [Reason.STUCK_OBSERVATION] * 3  # the brake does not end the fault
    assert watch.steps(OTHER, DRIVEN, 5) == [Reason.OK] * 5
    assert watch.steps(ONE, DRIVEN, 1) + watch.steps(OTHER, DRIVEN, 5) == [Reason.OK] * 6
    weak = np.float32([0.4, 1.0])  # a fifth of the way to the bound
    assert Watch(CAMERA).steps(ONE, weak, 20) == [Reason.OK] * 20


def test_vectors_say_it_where_there_are_any():
    watch = Watch(CAMERA, SPEED)
    seen = {"pixels": ONE, "speed": [0.5, 0.0]}
    assert watch.steps(seen, DRIVEN, 20) == [Reason.OK] * 20  # driven against a wall
    noisy = {**seen, "speed": [0.55, 7.0]}  # a fortieth of the range; of the other no range is known
    assert watch.steps(noisy, DRIVEN, 20) == [Reason.OK] * 20
    moved = {**seen, "speed": [0.2, 0.0]}
    assert watch.steps(moved, RESTING, 6) == [Reason.OK] * 4 + [Reason.STUCK_OBSERVATION] * 2
    assert "other sensors have changed" in watch.guard.sentence
    blind = Watch(CAMERA, SPEED)
    assert blind.steps({"pixels": ONE}, DRIVEN, 7)[-1] == Reason.STUCK_OBSERVATION  # no vector at these moments


def test_each_camera_counts_for_itself_and_a_missing_picture_is_none():
    watch = Watch(CAMERA, SIDE)
    found = []
    for step in range(8):
        picture = OTHER if step % 2 else ONE
        found += watch.steps({"pixels": picture, "pixels_side": ONE}, DRIVEN, 1)
    assert found[-1] == Reason.STUCK_OBSERVATION and "the sensor pixels_side" in watch.guard.sentence
    assert watch.steps({"pixels": ONE}, DRIVEN, 1) == [Reason.OK]


def test_time_counts_by_stamps_and_a_gap_counts_little():
    watch = Watch(CAMERA, seconds=1.0)
    watch.steps(ONE, DRIVEN, 2)
    watch.now += 50.0
    assert watch.steps(ONE, DRIVEN, 1) == [Reason.OK]
    watch.now -= 80.0  # a clock that went back
    assert watch.steps(ONE, DRIVEN, 1) == [Reason.OK]
    assert watch.guard.check(ONE, np.nan, DRIVEN)[1] == Reason.OK
    assert watch.steps(ONE, DRIVEN, 7)[-1] == Reason.STUCK_OBSERVATION


@pytest.mark.parametrize("seconds", [0.0, -1.0, np.inf, np.nan])
def test_a_time_that_makes_no_sense_is_refused(seconds):
    with pytest.raises(ValueError, match="frozen_after must be positive, finite seconds, or None"):
        Loop(frozen_after=seconds)
