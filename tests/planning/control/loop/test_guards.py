import numpy as np
import pytest

from planning.control.loop.guards import ObservationGuard
from planning.control.loop.status import Reason
from planning.control.worker.validator import Validator, named
from planning.observation import vector


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
    plausible = np.full(2, -5, np.float32), np.full(2, 5, np.float32)
    values, found = ObservationGuard(vector(2), plausible).check(observation)
    assert found == reason and (values is None) == (reason != Reason.OK)


def test_equal_observations_in_a_row_are_a_stuck_sensor_until_one_differs():
    guard = ObservationGuard(vector(1), stuck_after=3)
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
