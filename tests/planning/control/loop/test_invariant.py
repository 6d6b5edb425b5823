"""The output invariant of the whole loop: whatever happened before, what leaves is finite, in bounds and in rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.control import Fallback, Loop, Reason, Source
from planning.control.loop.limiter import Limiter

from ..loops import PERIOD, Rig, make_engine


@pytest.fixture(scope="module")
def engine():
    return make_engine()


@pytest.mark.parametrize("rate", [np.inf, (np.inf, 3.0)])
def test_an_infinite_rate_limit_sends_numbers_at_one_instant_and_when_the_clock_steps_back(engine, rate):
    rig = Rig(engine, Loop(rate_limit=rate))
    rig.step()
    for advance in (0.0, 0.0, -0.05, PERIOD, PERIOD):
        assert np.isfinite(rig.step(advance=advance).action).all()
    assert rig.control.command.source == Source.PLAN


@pytest.mark.parametrize("kind", ["nan", "beyond the bounds", "a jump", "raises"])
def test_a_broken_limiter_is_caught_by_the_guard_behind_it(engine, monkeypatch, kind):
    rig = Rig(engine, Loop(rate_limit=3.0))
    for _ in range(3):
        rig.step()
    before = rig.control.command.action

    def broken(self, action, elapsed):
        if kind == "raises":
            raise FloatingPointError("a defect")
        value = {"nan": np.nan, "beyond the bounds": 7.0, "a jump": -0.9}[kind]
        return np.full(2, value, np.float32), ()

    monkeypatch.setattr(Limiter, "limit", broken)
    command = rig.step()
    assert command.source == Source.BRAKE and Reason.UNSAFE_OUTPUT in command.wrong
    assert (Reason.LOOP_ERROR in command.wrong) == (kind == "raises")
    np.testing.assert_allclose(command.action, np.clip(0.0, before - 3 * PERIOD, before + 3 * PERIOD), atol=1e-6)
    monkeypatch.undo()
    for _ in range(8):
        command = rig.step()
    assert command.source == Source.PLAN


@pytest.mark.parametrize("kind", ["nan", "raises"])
def test_a_defect_is_answered_by_a_brake_that_is_a_function(engine, monkeypatch, kind):
    rig = Rig(engine, fallback=Fallback(brake=lambda observation: [0.5, -0.5]))
    for _ in range(3):
        rig.step()

    def broken(self, action, elapsed):
        if kind == "raises":
            raise FloatingPointError("a defect")
        return np.full(2, np.nan, np.float32), ()

    monkeypatch.setattr(Limiter, "limit", broken)
    np.testing.assert_array_equal(rig.step().action, np.float32([0.5, -0.5]))


@pytest.mark.parametrize("clock", [float("nan"), None, "noon", RuntimeError])
def test_a_clock_that_fails_ends_at_the_brake(engine, clock):
    rig = Rig(engine, fallback=Fallback(hold_seconds=2.5 * PERIOD))
    for _ in range(4):
        rig.step()

    def broken():
        if clock is RuntimeError:
            raise RuntimeError("no time")
        return clock

    rig.control._clock = broken
    commands = [rig.step() for _ in range(6)]
    assert [command.source for command in commands] == [Source.HOLD] * 2 + [Source.BRAKE] * 4
    assert all(Reason.CLOCK_BACKWARDS in command.wrong for command in commands)
    np.testing.assert_array_equal(commands[-1].action, [0.0, 0.0])


def test_a_clock_that_stands_still_ends_at_the_brake(engine):
    rig = Rig(engine, Loop(rate_limit=100.0))
    for _ in range(4):
        rig.step()
    for _ in range(300):
        command = rig.step(None, advance=0.0)
    assert Reason.CLOCK_STOPPED in command.wrong and command.source == Source.BRAKE
    np.testing.assert_array_equal(command.action, [0.0, 0.0])
    assert rig.step().source == Source.PLAN


KINDS = ("fine", "nan", "huge", "words", "dropped", "reset", "redirect", "again", "back", "leap", "nan clock", "dead")


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(KINDS), min_size=1, max_size=30),
    st.sampled_from([None, np.inf, 4.0, (np.inf, 4.0), (2.0, 4.0)]),
    st.integers(0, 3),
)
def test_no_order_of_faults_breaks_the_invariant(engine, kinds, rate, delay):
    rig = Rig(engine, Loop(rate_limit=rate, latency=delay * PERIOD))
    before = rig.control.contract.rest_action
    limit = np.broadcast_to(np.inf if rate is None else rate, (2,)) * PERIOD
    send = rig.control.worker.send
    for kind in kinds:
        rig.control.worker.send = (lambda message, now: None) if kind == "dead" else send
        observation = {"nan": [np.nan, 0.0], "huge": [1e10, 0.0], "words": "left", "dropped": None}.get(kind, ...)
        if kind in ("reset", "redirect"):
            getattr(rig.control, kind)(goal=[-0.3, 0.2])
        advance = {"again": 0.0, "back": -0.005, "leap": 7.0, "nan clock": np.nan}.get(kind, PERIOD)
        now = rig.now
        action = rig.step(observation, advance=advance).action
        rig.now = now if np.isnan(rig.now) else rig.now
        assert action.dtype == np.float32 and np.isfinite(action).all() and (np.abs(action) <= 1).all()
        assert (np.abs(action - before) <= limit + 1e-5).all()
        before = action


def test_before_start_and_after_stop_it_brakes_and_starts_again(engine):
    rig = Rig(engine, Loop(rate_limit=3.0))
    for _ in range(5):
        rig.step()
    rig.control.stop()
    for _ in range(5):
        command = rig.step()
        assert command.source == Source.BRAKE and command.reason == Reason.STOPPED
    np.testing.assert_array_equal(command.action, [0.0, 0.0])
    rig.control.start()
    rig.control.reset()
    assert rig.step().source == Source.PLAN
