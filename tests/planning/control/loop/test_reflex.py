"""The policy that a model brings along, as the link of the fallback chain that answers where there is no plan."""

import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance
from planning.control import Bundle, Fallback, LiveEngine, Loop, RealtimeController, Source

from ...toys import box, point_mass
from ..loops import GOAL, PERIOD, Rig, make_engine

NEVER = Loop(latency=1e9)  # no plan arrives
ASKED = Fallback(reflex="model", hold_seconds=10.0)


def agent():
    planner = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)
    model = point_mass(action_block=2, eye=True, reflexes=True)
    return Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, box())


@pytest.fixture(scope="module")
def engine():
    return LiveEngine(agent())


def expected(engine, before, now, goal):
    """The model's own answer, of which the mean counts, within the bounds."""
    model = engine.agent.model
    latent = model.encode(model.params, jnp.stack([jnp.asarray(before, jnp.float32), jnp.asarray(now, jnp.float32)]))
    goal = model.encode(model.params, jnp.stack([jnp.asarray(goal, jnp.float32)] * 2))
    return np.clip(np.mean(model.policy(model.params, latent, goal), axis=0), -1, 1)


def test_without_a_plan_the_models_policy_acts_on_what_was_seen_towards_the_present_goal(engine):
    rig = Rig(engine, NEVER, fallback=ASKED)
    assert rig.step().source == Source.REFLEX
    before = rig.position.copy()
    command = rig.step(np.float32([0.02, 0.01]))
    assert command.source == Source.REFLEX
    np.testing.assert_allclose(command.action, expected(engine, [0, 0], [0.02, 0.01], GOAL), rtol=1e-4)
    rig.control.redirect([-5.0, 0.02])
    command = rig.step(np.float32([0.02, 0.01]))
    np.testing.assert_allclose(command.action, [-1, 0.03], rtol=1e-4)  # the bound, and three times the gap
    assert not np.array_equal(before, rig.position)


def test_an_old_observation_is_nothing_to_act_on(engine):
    rig = Rig(engine, Loop(latency=1e9, max_observation_age=2.5 * PERIOD), fallback=ASKED)
    assert rig.step().source == Source.REFLEX
    assert [rig.step(None).source for _ in range(3)] == [
        Source.REFLEX,
        Source.REFLEX,
        Source.BRAKE,
    ]  # no plan has acted: nothing may be held


def test_a_bundle_brings_the_policy_along(engine, tmp_path):
    Bundle.of(agent()).save(tmp_path / "point.bundle")
    rigs = [Rig(planner, NEVER, fallback=ASKED) for planner in (engine, tmp_path / "point.bundle")]
    for _ in range(3):
        one, other = (rig.step() for rig in rigs)
        assert other.source == Source.REFLEX
        np.testing.assert_array_equal(one.action, other.action)


def test_a_model_without_a_policy_cannot_be_asked_for_it():
    with pytest.raises(ValueError, match="this model has none: train it with model.policy=true, or pass a function"):
        RealtimeController(make_engine(), worker="inline", fallback=ASKED)
    with pytest.raises(ValueError, match="reflex must be a function of an observation, or \"model\"; got 'modle'"):
        Fallback(reflex="modle")
