"""What the plain controller does when planning fails, goals change in motion, or several threads call."""

import threading
from dataclasses import replace

import jax
import numpy as np
import pytest

from planning import CEM, ActionRate, ActionSpec, Agent, GoalDistance, RateLimit
from planning.control import Controller, LiveEngine, Reason, Source

from .toys import PERIOD, box, point_mass

PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
GOAL = [0.3, 0.1]
RATE = 5.0


def make_agent(spec=None, **options):
    model = point_mass(action_block=2, eye=True)
    return Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, spec or box(), **options)


def driven(control, steps, position=None, velocity=None):
    position, velocity = np.zeros(2) if position is None else position, np.zeros(2) if velocity is None else velocity
    actions = []
    for _ in range(steps):
        actions.append(control.act(position))
        velocity = velocity + PERIOD * actions[-1]
        position = position + PERIOD * velocity
    return position, velocity, actions


def blind(agent):
    """The same agent with a model that gives NaN."""
    return replace(
        agent, model=replace(agent.model, params=jax.tree.map(lambda leaf: leaf * np.nan, agent.model.params))
    )


@pytest.mark.parametrize("change", ["redirect", "reset"])
def test_the_last_action_survives_another_goal_in_motion(change):
    control = Controller(make_agent(constraints={"rate": RateLimit(RATE)}))
    control.reset(goal=GOAL, seed=0)
    for goal in ([-0.3, 0.2], [0.5, -0.5], [-0.6, 0.0]):
        position, velocity, actions = driven(control, 4)
        getattr(control, change)(goal)
        (action,) = driven(control, 1, position, velocity)[2]
        assert (np.abs(action - actions[-1]) <= RATE * PERIOD + 1e-5).all()


def test_an_episode_starts_from_what_the_actuators_do_and_from_rest_with_a_seed():
    agent = make_agent()
    costs = {**agent.costs, "rate": ActionRate()}
    planner = replace(PLANNER, num_samples=256, num_elites=8, iterations=5)
    weights = {"goal": 1.0, "rate": 1e6}  # change nothing, if you can
    control = Controller(replace(agent, costs=costs, weights=weights, planner=planner))
    control.reset(goal=GOAL, previous=[-0.8, 0.8])
    np.testing.assert_allclose(control.act([0, 0]), [-0.8, 0.8], atol=0.4)
    control.reset(seed=1)
    np.testing.assert_allclose(control.act([0, 0]), [0.0, 0.0], atol=0.4)
    for bad in ([np.nan, 0.0], [0.0], "left"):
        with pytest.raises(ValueError, match="previous must be 2 finite numbers"):
            control.reset(previous=bad)


def test_while_planning_fails_the_last_plan_runs_out_and_then_the_rest_action_is_sent(caplog):
    agent = make_agent(ActionSpec.of([-1.0, -1.0], [1.0, 1.0], PERIOD, rest=[0.25, -0.25]))
    control = Controller(agent)
    control.reset(goal=GOAL)
    driven(control, 3)
    assert (control.source, control.reason) == (Source.PLAN, Reason.OK) and not caplog.records
    control.agent = blind(agent)
    sources, actions = [], []
    for _ in range(12):
        actions.append(control.act([0.1, 0.0]))
        sources.append(control.source)
    assert control.reason == Reason.NONFINITE_PLAN
    assert sources == [Source.PREVIOUS_PLAN] * 7 + [Source.BRAKE] * 5  # a horizon of 8, of which one had been taken
    np.testing.assert_array_equal(actions[7:], np.tile(np.float32([0.25, -0.25]), (5, 1)))
    assert len(caplog.records) == 1  # not one a step
    control.agent = agent
    control.act([0.1, 0.0])
    assert (control.source, control.reason) == (Source.PLAN, Reason.OK)


def test_a_controller_that_never_had_a_plan_rests(caplog):
    control = Controller(blind(make_agent(ActionSpec.of([0.0, 0.0], [100.0, 100.0], PERIOD))))
    control.reset(goal=GOAL)
    for _ in range(3):
        np.testing.assert_array_equal(control.act([0.0, 0.0]), [0.0, 0.0])  # and not the middle, 50
    assert control.source == Source.BRAKE and len(caplog.records) == 1


def test_an_action_that_is_no_number_becomes_the_rest_action(monkeypatch):
    engine = LiveEngine(make_agent())
    control = Controller(engine)
    control.reset(goal=GOAL)
    sick = lambda self, state, _: (np.array([np.nan, 7.0], np.float32), state)  # noqa: E731
    monkeypatch.setattr(type(engine), "step", sick)
    np.testing.assert_array_equal(control.act([0.0, 0.0]), [0.0, 0.0])
    assert control.source == Source.BRAKE
    monkeypatch.undo()
    control.act([0.0, 0.0])
    assert control.source == Source.PLAN


def test_a_reading_or_goal_far_outside_the_training_data_is_refused():
    engine = LiveEngine(make_agent(), sensor_low=(-1.0, -1.0), sensor_high=(1.0, 1.0), sensors=("x", "y"))
    control = Controller(engine)
    for bad in ([1e10, 0.0], [3.1, 0.0]):
        with pytest.raises(ValueError, match=r"the goal is implausible: element 0 \(x\) is"):
            control.reset(goal=bad)
    control.reset(goal=[2.9, 0.0])  # a little outside of what was seen is no reason
    with pytest.raises(ValueError, match=r"the observation is implausible: element 1 \(y\) is -1e\+10"):
        control.act([0.0, -1e10])
    wide = Controller(engine, observation_low=-50.0, observation_high=[50.0, 50.0])
    wide.reset(goal=[40.0, 0.0])
    with pytest.raises(ValueError, match="observation_low must be one number, or one for each of 2 sensors"):
        Controller(engine, observation_low=[1.0, 2.0, 3.0])


def test_a_second_thread_is_refused_and_harms_nothing(monkeypatch):
    engine = LiveEngine(make_agent())
    control = Controller(engine)
    control.reset(goal=GOAL)
    inside, leave = threading.Event(), threading.Event()
    step = type(engine).step

    def slow(self, state, observation):
        inside.set()
        assert leave.wait(60)
        return step(self, state, observation)

    monkeypatch.setattr(type(engine), "step", slow)
    worker = threading.Thread(target=control.act, args=([0.0, 0.0],))
    worker.start()
    assert inside.wait(60)
    calls = (
        lambda: control.act([0, 0]),
        control.reset,
        lambda: control.redirect(GOAL),
        lambda: control.predict([0, 0]),
    )
    for call in calls:
        with pytest.raises(RuntimeError, match="use one thread at a time, or RealtimeController"):
            call()
    leave.set()
    worker.join()
    assert np.isfinite(control.act([0.0, 0.0])).all()
