"""Limits on the change of actions hold over what a loop sends, from plan to plan."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from planning import AccelerationLimit, Knots
from planning.control import LiveEngine, Loop, Source

from ..loops import PERIOD, Rig, make_engine

LIMIT = 30.0  # half ranges / s²


@pytest.mark.parametrize("delay", [0, 2])
def test_what_is_sent_keeps_an_acceleration_limit(delay):
    agent = make_engine(constraints={"smooth": AccelerationLimit(LIMIT)}).agent
    planner = replace(agent.planner, num_samples=64, iterations=4, parameterization=Knots(count=3))
    rig = Rig(LiveEngine(replace(agent, planner=planner)), Loop(actuation_delay=delay * PERIOD), delay=delay)
    commands = [rig.step() for _ in range(25)]
    assert all(command.source == Source.PLAN for command in commands[3:])
    sent = np.stack([np.zeros(2), np.zeros(2), *(command.action for command in commands)]).astype(np.float64)
    assert np.abs(np.diff(sent, n=2, axis=0)).max() / PERIOD**2 <= LIMIT * (1 + 1e-3)
    assert np.ptp(sent) > 0.2, "it moves"
