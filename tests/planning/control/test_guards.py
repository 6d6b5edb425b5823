import logging

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning.control.guards import Events, Limiter, ObservationGuard, Validator, named
from planning.control.status import Reason

LOW, HIGH = np.array([-1.0, -0.5], np.float32), np.array([1.0, 2.0], np.float32)
anything = st.floats(width=32, allow_nan=True, allow_infinity=True)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.tuples(anything, anything, st.floats(-1.0, 1.0)), min_size=1, max_size=12),
    st.floats(0.1, 100.0) | st.none(),
)
def test_whatever_comes_the_limiter_lets_out_only_what_is_finite_within_bounds_and_rate(commands, rate):
    limiter = Limiter(LOW, HIGH, rate, np.zeros(2), longest=0.1)
    previous = limiter.previous
    for first, second, elapsed in commands:
        action, acted = limiter.limit([first, second], elapsed)
        assert np.isfinite(action).all() and (action >= LOW).all() and (action <= HIGH).all()
        assert action.dtype == np.float32
        if rate is not None:
            assert (np.abs(action - previous) <= rate * min(max(elapsed, 0), 0.1) + 1e-6).all()
        if not np.isfinite([first, second]).all():
            assert acted == ("nonfinite",)
            np.testing.assert_array_equal(action, previous)
        if not acted:
            np.testing.assert_array_equal(action, np.array([first, second], np.float32))
        previous = action


@pytest.mark.parametrize("bad", [None, "left", [1.0], [[0.0, 0.0]], {"a": 1}])
def test_the_limiter_holds_where_it_gets_no_action(bad):
    limiter = Limiter(LOW, HIGH, None, np.zeros(2), longest=0.1)
    limiter.limit([0.5, 0.5], 0.1)
    action, acted = limiter.limit(bad if not isinstance(bad, str | dict) else [np.nan, 0], 0.1)
    np.testing.assert_array_equal(action, [0.5, 0.5])
    assert acted == ("nonfinite",)


def test_a_rate_that_is_not_positive_is_refused():
    with pytest.raises(ValueError, match="rate must be positive"):
        Limiter(LOW, HIGH, 0.0, np.zeros(2), longest=0.1)


@pytest.mark.parametrize(
    ("observation", "reason"),
    [
        ([0.0, 1.0], Reason.OK),
        ([0.0, np.nan], Reason.NONFINITE_OBSERVATION),
        ([0.0, 1e300], Reason.NONFINITE_OBSERVATION),
        ([0.0, 9.0], Reason.OUT_OF_RANGE_OBSERVATION),
        ([0.0], Reason.MALFORMED_OBSERVATION),
        ("left", Reason.MALFORMED_OBSERVATION),
        (None, Reason.MALFORMED_OBSERVATION),
        ({"position": 0.0}, Reason.MALFORMED_OBSERVATION),
    ],
)
def test_an_observation_is_refused_for_what_is_wrong_with_it(observation, reason):
    values, found = ObservationGuard(2, low=-5.0, high=5.0).check(observation)
    assert found == reason and (values is None) == (reason != Reason.OK)


def test_equal_observations_in_a_row_are_a_stuck_sensor_until_one_differs():
    guard = ObservationGuard(1, stuck_after=3)
    found = [guard.check([value])[1] for value in (1, 1, 1, 1, 2, 2, 1)]
    stuck, fine = Reason.STUCK_OBSERVATION, Reason.OK
    assert found == [fine, fine, stuck, stuck, fine, fine, fine]


def too_steep(actions):
    return float(np.abs(np.diff(actions, axis=0)).max() - 0.5)


def test_the_first_plan_that_passes_every_check_is_taken_and_the_others_have_a_reason():
    calm, steep = np.zeros((3, 1)), np.array([[0.0], [1.0], [0.0]])
    broken = np.full((3, 1), np.nan)
    validator = Validator((too_steep,))
    margins = {"wall": np.array([0.0, 0.0, 0.1, np.nan, -1.0])}
    rank, objections = validator.first(np.stack([broken, steep, calm, calm, calm]), np.zeros(5), margins)
    assert rank == 4 and objections == ["nonfinite", "too_steep", "wall", "wall"]
    assert validator.first(np.stack([steep]), [0.0], {})[0] is None
    assert validator.first(np.stack([calm]), [np.inf], {})[0] is None


def test_checks_can_be_named():
    assert Validator(("math:fsum",)).resolved().checks[0]([1.0]) == 1.0
    with pytest.raises(ValueError, match="cannot be imported"):
        named("nowhere:nothing")


def test_an_event_is_said_once_when_it_begins_and_once_when_it_ends(caplog):
    events = Events()
    with caplog.at_level(logging.WARNING):
        changes = [events.update(wrong, float(i)) for i, wrong in enumerate([[Reason.LATE]] * 1000 + [[]] * 1000)]
    assert changes[0] == ("+late",) and changes[1000] == ("-late",) and changes.count(()) == 1998
    assert len(caplog.records) == 2 and events.counts == {"late": 1}


def test_two_controllers_count_their_own_events():
    one, other = Events(), Events()
    one.update([Reason.LATE], 0.0)
    assert one.counts["late"] == 1 and other.counts["late"] == 0 and not other.active
