"""Declarations that make no sense are refused when they are made, each in one sentence that names the setting."""

import numpy as np
import pytest

from planning.control import Fallback, Loop, Reason, Source

from ..loops import Rig, make_engine


@pytest.mark.parametrize(
    "setting",
    [
        dict(actuation_delay=-1.0), dict(actuation_delay=np.inf), dict(actuation_delay=np.nan),
        dict(replan_period=np.inf),
        dict(max_observation_age=np.nan), dict(late_after=-0.1), dict(stuck_after=0), dict(stuck_after=1),
        dict(observation_low=(np.nan, 0.0)),
        dict(observation_low=(1.0,), observation_high=(0.0,)), dict(rate_limit=0.0), dict(rate_limit=np.nan),
        dict(rate_limit=(1.0, -1.0)), dict(acceleration_limit=-2.0), dict(latency=-1.0),
        
    ],
)  # fmt: skip
def test_a_declaration_of_the_loop_that_makes_no_sense_is_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Loop(**setting)


@pytest.mark.parametrize(
    "setting",
    [
        dict(hold_seconds=-1.0), dict(hold_seconds=np.inf), dict(hold_seconds=np.nan),
        dict(reflex_seconds=np.inf),
        dict(reflex="policy"), dict(answers={Reason.STOPPED: Source.PLAN}),
    ],
)  # fmt: skip
def test_a_fallback_that_makes_no_sense_is_refused(setting):
    with pytest.raises(ValueError, match=next(iter(setting))):
        Fallback(**setting)


@pytest.mark.parametrize("brake", [(0.0,), (np.nan, 0.0), (9.0, 0.0)])
def test_a_brake_that_does_not_fit_the_actuators_is_refused(brake):
    with pytest.raises(ValueError, match="brake must be 2 numbers within the action bounds, or a function"):
        Rig(make_engine(), fallback=Fallback(brake=brake))
