import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.control.loop.limiter import Limiter, OutputGuard

PERIOD = 0.1
LOW, HIGH = np.float32([-1.0, -2.0]), np.float32([1.0, 0.5])
BRAKE = np.zeros(2, np.float32)

actions = st.lists(st.one_of(st.floats(-1e6, 1e6), st.sampled_from([np.nan, np.inf, -np.inf])), min_size=2, max_size=2)
elapsed = st.one_of(st.floats(0.0, 0.3), st.sampled_from([0.0, -1.0, 1e9, PERIOD]))
limits = st.one_of(st.none(), st.just(np.inf), st.floats(0.1, 50), st.tuples(st.just(np.inf), st.floats(0.1, 50)))


def steps_allowed(rate, seconds):
    rate = np.broadcast_to(np.inf if rate is None else rate, (2,))
    return np.where(np.isinf(rate), np.inf, np.where(np.isinf(rate), 0, rate) * np.clip(seconds, 0, PERIOD))


@settings(max_examples=300, deadline=None)
@given(st.lists(st.tuples(actions, elapsed), min_size=1, max_size=12), limits, limits)
def test_whatever_comes_what_leaves_is_finite_in_bounds_and_in_rate(calls, rate, acceleration):
    limiter = Limiter(LOW, HIGH, rate, BRAKE, PERIOD, acceleration)
    before = limiter.previous
    for action, seconds in calls:
        sent, acted = limiter.limit(action, seconds)
        assert sent.dtype == np.float32 and np.isfinite(sent).all()
        assert (sent >= LOW).all() and (sent <= HIGH).all()
        assert (np.abs(sent.astype(float) - before) <= steps_allowed(rate, seconds) + 1e-5).all()
        if not np.isfinite(np.float32(action)).all():
            assert acted == ("nonfinite",) and (sent == before).all()
        elif not acted:
            np.testing.assert_array_equal(sent, np.float32(action))
        before = sent


@settings(max_examples=200, deadline=None)
@given(st.lists(actions, min_size=1, max_size=30), st.floats(0.5, 20), st.floats(0.5, 50))
def test_the_rate_changes_no_faster_than_the_acceleration_and_bounds_are_reached_at_rest(wanted, rate, acceleration):
    limiter = Limiter(LOW, HIGH, rate, BRAKE, PERIOD, acceleration)
    before, speed = limiter.previous.astype(float), np.zeros(2)
    for action in wanted:
        if not np.isfinite(np.float32(action)).all():
            continue
        sent, _ = limiter.limit(action, PERIOD)
        now = (sent - before) / PERIOD
        assert (np.abs(now - speed) <= acceleration * PERIOD + 1e-4).all()
        before, speed = sent.astype(float), now


def test_a_limit_of_infinity_is_no_limit_at_any_elapsed_time():
    for rate in (np.inf, (np.inf, 5.0)):
        limiter = Limiter(LOW, HIGH, rate, BRAKE, PERIOD)
        for seconds in (0.0, -1.0, PERIOD):
            sent, _ = limiter.limit([0.7, 0.0], seconds)
            np.testing.assert_array_equal(sent, np.float32([0.7, 0.0]))


def test_it_goes_on_from_what_the_actuators_do():
    limiter = Limiter(LOW, HIGH, 5.0, BRAKE, PERIOD)
    limiter.restart([0.9, 0.0])
    np.testing.assert_allclose(limiter.limit([-1.0, 0.0], PERIOD)[0], [0.4, 0.0], atol=1e-6)


@pytest.mark.parametrize("bad", [np.nan, 0.0, -1.0, "fast", (1.0, np.nan), (1.0, 2.0, 3.0)])
def test_limits_that_make_no_sense_are_refused(bad):
    for limits in ((bad, BRAKE, PERIOD), (None, BRAKE, PERIOD, bad)):
        with pytest.raises(ValueError, match="must be positive, one number or one for each of 2 actuators"):
            Limiter(LOW, HIGH, *limits)
    with pytest.raises(ValueError, match="to start from must be 2 finite numbers"):
        Limiter(LOW, HIGH, None, [np.nan, 0.0], PERIOD)


@pytest.mark.parametrize(
    "broken",
    [
        np.float32([np.nan, 0]), np.float32([np.inf, 0]), np.float32([1.01, 0]), np.float32([0.7, 0]), [0.1, 0.0],
        np.zeros(2), np.zeros(3, np.float32), None,
    ],
)  # fmt: skip
def test_the_output_guard_lets_nothing_pass_that_breaks_the_invariant(broken):
    guard = OutputGuard(LOW, HIGH, 5.0, np.float32([0.1, -0.5]), PERIOD)
    sent, safe = guard.check(broken, lambda: BRAKE, PERIOD)
    assert not safe
    np.testing.assert_allclose(sent, [0.0, 0.0], atol=1e-6)  # a step towards the brake
    sent, safe = guard.check(np.float32([0.4, 0.0]), lambda: BRAKE, PERIOD)
    assert safe and sent[0] == np.float32(0.4)


def test_the_output_guard_brakes_no_faster_than_the_rate():
    guard = OutputGuard(LOW, HIGH, 5.0, np.float32([1.0, -2.0]), PERIOD)
    broken = np.full(2, np.nan, np.float32)
    path = [guard.check(broken, lambda: BRAKE, PERIOD)[0].tolist() for _ in range(4)]
    np.testing.assert_allclose(path, [[0.5, -1.5], [0.0, -1.0], [0.0, -0.5], [0.0, 0.0]], atol=1e-6)


@pytest.mark.parametrize("bad", [None, "left", [1.0], [[0.0, 0.0]], {"a": 1}])
def test_the_limiter_holds_where_it_gets_no_action(bad):
    limiter = Limiter(LOW, HIGH, None, BRAKE, PERIOD)
    limiter.limit([0.5, -0.5], 0.1)
    action, acted = limiter.limit(bad if not isinstance(bad, str | dict) else [np.nan, 0], 0.1)
    np.testing.assert_array_equal(action, [0.5, -0.5])
    assert acted == ("nonfinite",)
