"""A model that looks far back: a whole history is taken in at once, by the live engine, a bundle and a replay alike."""

from __future__ import annotations

import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance
from planning.control import Bundle, BundleEngine, Controller, LiveEngine, Loop, Planning
from planning.control.engine.interface import take_in
from planning.control.loop.telemetry import read_lines
from planning.control.loop.window import KEPT, Observed
from planning.control.worker.plan_log import replay
from planning.observation import vector

from ...toys import PERIOD, box, point_mass
from ..loops import Rig

HISTORY = 20


def agent(history=HISTORY):
    planner = CEM(horizon=8, num_samples=16, num_elites=4, iterations=1, num_keep=2, num_best=2)
    model = point_mass(history=history, action_block=2)
    return Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, box())


@pytest.fixture(scope="module", params=["live", "bundle"])
def engine(request):
    live = LiveEngine(agent())
    return live if request.param == "live" else BundleEngine(Bundle.of(live.agent))


def history_of(engine, state):
    return np.asarray(state.history if isinstance(engine, LiveEngine) else state[engine._at["history"]])


def test_a_short_history_has_no_further_program():
    contract = LiveEngine(agent(2)).contract
    assert not contract.recalls and LiveEngine(agent()).contract.recalls


@pytest.mark.parametrize("count", [1, 5, HISTORY])
def test_taking_in_at_once_is_observing_in_turn(engine, count):
    rows = np.random.default_rng(0).normal(size=(count, 2)).astype(np.float32)
    start = one = engine.begin(np.zeros(2, np.float32), 0, 0)
    for row in rows:
        one = engine.observe(one, row)
    both = one, take_in(engine, start, rows)
    more = np.random.default_rng(1).normal(size=(HISTORY, 2)).astype(np.float32)
    both = *both, take_in(engine, one, more)  # later, the whole of it
    np.testing.assert_array_equal(history_of(engine, both[0]), history_of(engine, both[1]))
    np.testing.assert_array_equal(history_of(engine, both[2]), more)
    np.testing.assert_allclose(engine.root(both[0]), engine.root(both[1]), atol=1e-6)
    assert [engine.observed(state) for state in both] == [count, count, count + HISTORY]


def test_a_loop_that_misses_observations_is_replayed_bit_for_bit(engine, tmp_path):
    rng = np.random.default_rng(0)
    rig = Rig(engine, Loop(max_observation_age=1e9), Planning(log=True), telemetry=tmp_path / "run.jsonl")
    for step in range(40):
        rig.step(*[None] * int(rng.uniform() < 0.2))
        if step == 30:
            rig.control.redirect(goal=[0.0, -0.2])
    rig.control.stop()
    lines = [line for line in read_lines(tmp_path / "run.jsonl") if line["kind"] == "plan"]
    taken = [len(line["observations"]) for line in lines]
    assert taken.count(1) > 10 and taken.count(HISTORY) > 3, "moments in turn, and whole histories"
    starts = [index for index, line in enumerate(lines) if "begin" in line]
    assert len(starts) == 2
    for first, end in zip(starts, [*starts[1:], len(lines)], strict=True):
        actions, different = replay(engine, lines[first:end])
        assert different == []
        np.testing.assert_array_equal(actions, np.float32(lines[end - 1]["actions"]))


def test_a_new_goal_keeps_the_past(engine):
    controller = Controller(engine)
    controller.reset(goal=[0.3, 0.1], seed=0)
    path = np.cumsum(np.full((HISTORY + 5, 2), 0.01, np.float32), axis=0)
    for place in path:
        controller.act(place)
    controller.redirect([0.0, 0.2])
    controller.act(path[-1] + 0.01)
    seen = history_of(engine, controller._state)
    np.testing.assert_allclose(seen, np.concatenate([path[-HISTORY + 1 :], path[-1:] + 0.01]), atol=1e-6)


def test_the_loop_keeps_as_many_observations_as_the_window_needs():
    rows = KEPT + 30
    observed = Observed(PERIOD, vector(1), rows)
    for step in range(4 * rows):  # twice as often as the loop
        observed.add(0.5 * PERIOD * step, np.array([0.5 * step], np.float32))
    window, known = observed.window(rows)
    assert known == rows
    np.testing.assert_allclose(np.diff(window[:, 0]), 1.0, atol=1e-4)
