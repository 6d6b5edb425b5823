import math

import numpy as np
import pytest

from planning.control import Planning, Reason, Source, Surprise
from planning.control.worker.surprise import SurpriseMonitor, calibrate, predictions, threshold

from ...toys import PERIOD
from ..loops import Rig, make_engine


def test_the_threshold_is_exceeded_as_often_as_was_asked_for():
    rng = np.random.default_rng(0)
    rates = []
    for _ in range(400):
        scores = rng.exponential(size=99)
        rates.append(np.exp(-threshold(scores, 0.1)))  # the chance that one more exceeds it
    assert np.mean(rates) == pytest.approx(0.1, abs=0.01)
    assert threshold(range(1, 100), 0.1) == 90.0
    assert threshold([1.0, 2.0], 0.1) == math.inf
    with pytest.raises(ValueError, match="false_alarm_rate"):
        threshold([1.0], 0.0)
    with pytest.raises(ValueError, match="finite"):
        threshold([np.nan], 0.5)


def episode(rng, steps=40, gain=1.0, leap_at=None):
    """A noisy point mass under random forces; as the model is told, but for `gain` and a leap."""
    actions = rng.uniform(-1, 1, (steps, 2)).astype(np.float32)
    position, velocity, seen = rng.uniform(-1, 1, 2), np.zeros(2), []
    for step in range(steps + 1):
        if step == leap_at:
            position = position + 0.5
        seen.append(position + rng.normal(scale=1e-3, size=2))
        if step < steps:
            velocity = velocity + PERIOD * gain * actions[step]
            position = position + PERIOD * velocity
    return np.asarray(seen, np.float32), actions


@pytest.fixture(scope="module")
def engine():
    return make_engine()


@pytest.fixture(scope="module")
def surprise(engine):
    rng = np.random.default_rng(1)
    return calibrate(engine, [episode(rng) for _ in range(60)], false_alarm_rate=0.01)


def scores(engine, surprise, observations, actions):
    monitor = SurpriseMonitor(surprise)
    return np.asarray([monitor.add(each) for each in predictions(engine, observations, actions)])


def test_false_alarms_are_as_rare_as_was_asked_for_and_a_leap_is_seen_at_once(engine, surprise):
    rng = np.random.default_rng(2)
    calm = np.concatenate([scores(engine, surprise, *episode(rng)) for _ in range(40)])
    assert np.mean(calm > surprise.threshold) < 0.03
    leap = scores(engine, surprise, *episode(rng, leap_at=20))
    assert leap[20 - 2] > surprise.threshold and (leap[: 20 - 2] <= surprise.threshold).all()


def test_a_calibration_survives_its_way_through_json_and_rubbish_is_refused(surprise):
    again = Surprise.from_json(surprise.to_json())
    for name, value in vars(surprise).items():
        np.testing.assert_array_equal(getattr(again, name), value)
    values = surprise.to_json()
    for name, bad in {"mean": [1.0], "usual": [], "threshold": "x", "scales": [0, 0, 0], "whiten": None}.items():
        with pytest.raises(ValueError, match="surprise calibration"):
            Surprise.from_json({**values, name: bad})
    with pytest.raises(ValueError, match="must have the fields"):
        Surprise.from_json({"mean": [1.0]})


def test_too_few_held_out_data_are_told(engine, caplog):
    rng = np.random.default_rng(3)
    few = calibrate(engine, [episode(rng, steps=10) for _ in range(8)], false_alarm_rate=1e-4)
    assert "too few for a false-alarm rate" in caplog.text and math.isfinite(few.threshold)
    with pytest.raises(ValueError, match="at least 8 held-out episodes"):
        calibrate(engine, [episode(rng)], false_alarm_rate=0.1)


def test_a_teleport_stops_the_plan_and_calm_brings_it_back(engine, surprise):
    rig = Rig(engine, planning=Planning(surprise=surprise))
    for _ in range(8):
        command = rig.step()
    assert command.source == Source.PLAN and np.isfinite(command.plan.record["surprise"])
    rig.position = rig.position + 0.5
    command = rig.step()
    assert command.reason == Reason.SURPRISED and command.source == Source.HOLD
    for _ in range(6):
        command = rig.step()
    assert command.source == Source.PLAN
