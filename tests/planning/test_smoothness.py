"""Limits on how actions change, over what was executed, and limits on joints."""

from __future__ import annotations

import itertools
from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from planning import (
    CEM,
    AccelerationLimit,
    ActionSpec,
    Agent,
    GoalDistance,
    Imagined,
    JerkLimit,
    JointLimits,
    Knots,
    RateLimit,
    Steps,
)

from .toys import PERIOD, PointMass, box, point_mass

ROOT = jnp.zeros(4)
LIMITS = {1: RateLimit, 2: AccelerationLimit, 3: JerkLimit}
ACTIONS = arrays(np.float32, (8, 2), elements=st.floats(-1, 1, width=32))


def differences(actions, order, half=1.0):
    """Of [T, A] actions, in half ranges and seconds."""
    return np.diff(np.asarray(actions, np.float64), n=order, axis=0) / half / PERIOD**order


@pytest.mark.parametrize("order", [1, 2, 3])
@settings(max_examples=30, deadline=None)
@given(taken=ACTIONS)
def test_a_margin_is_the_largest_difference_and_goes_on_from_what_was_taken(order, taken):
    """The first three were taken already."""
    spec = ActionSpec.of([-1.0, -3.0], [1.0, 1.0], PERIOD)
    known = jnp.asarray(taken)
    imagined = Imagined(ROOT, jnp.zeros((1, 5, 4)), ROOT, known[None, 3:], previous=known[2], earlier=known[:2])
    expected = np.abs(differences(taken[3 - order :], order, half=np.array([1.0, 2.0]))).max() - 2.0
    np.testing.assert_allclose(
        LIMITS[order](2.0)(SEER, imagined, spec), [expected], rtol=1e-4, atol=2e-6 / PERIOD**order
    )


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("known", [0, 1])
def test_what_is_not_known_is_taken_for_rest(order, known):
    actions = np.array([[0.5, 0.0], [0.5, 0.0], [0.9, 0.0]], np.float32)
    before = np.array([[0.5 if known == 0 else 0.2, 0.0]] * order, np.float32)
    previous = None if known == 0 else jnp.asarray(before[-1])
    imagined = Imagined(ROOT, jnp.zeros((1, 3, 4)), ROOT, jnp.asarray(actions)[None], previous)
    expected = np.abs(differences(np.concatenate([before, actions]), order)).max()
    np.testing.assert_allclose(LIMITS[order](0.0)(SEER, imagined, box()), [expected], rtol=1e-4)


def agent_with(constraint, replan_every=1, spec=None, horizon=8):
    planner = CEM(
        horizon=horizon, num_samples=64, num_elites=8, iterations=4, num_keep=4, parameterization=Knots(count=3)
    )
    costs = {"goal": GoalDistance()}
    made = Agent(
        point_mass(), planner, costs, {"goal": 1.0}, spec or box(), replan_every, constraints={"smooth": constraint}
    )
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), made)


@jax.jit
def begin(agent, key):
    return agent.reset(agent.init(key), jnp.array([1.0, 0.0]), key, 0)


step = jax.jit(Agent.step)
observe, commit, freeze, refine = map(jax.jit, (Agent.observe, Agent.commit, Agent.freeze, Agent.refine))
margins = jax.jit(lambda agent, state, sequences: agent.objective(state)(sequences).margins["smooth"])


def drive(agent, state, steps):
    """What is executed in closed loop, and whether each plan kept its margins."""
    executed, kept, position, velocity = [], [], np.zeros(2), np.zeros(2)
    for _ in range(steps):
        action, plan, state = step(agent, state, jnp.asarray(position, jnp.float32))
        executed.append(np.asarray(action))
        kept.append(float(plan.margins["smooth"]) <= 0)
        velocity = velocity + PERIOD * executed[-1]
        position = position + PERIOD * velocity
    return np.stack(executed), np.array(kept), position


@pytest.mark.parametrize("replan_every", [1, 3])
@pytest.mark.parametrize(("order", "limit"), [(2, 30.0), (3, 600.0)])
def test_what_is_executed_keeps_the_limit_from_plan_to_plan(order, limit, replan_every, key):
    agent = agent_with(LIMITS[order](limit), replan_every)
    executed, kept, position = drive(agent, begin(agent, key), 30)
    assert kept.all()
    executed = np.concatenate([np.zeros((order, 2)), executed])  # it began at rest
    assert np.abs(differences(executed, order)).max() <= limit * (1 + 1e-4)
    assert np.abs(differences(executed, 1)).max() > 0.8, "it moves"
    assert position[0] > 0.5


def test_an_episode_begins_at_the_declared_rest_action(key):
    spec = ActionSpec.of([0.0, 0.0], [2.0, 2.0], PERIOD, rest=[1.0, 1.0])
    agent = agent_with(AccelerationLimit(30.0), spec=spec)
    executed, kept, _ = drive(agent, begin(agent, key), 6)
    executed = np.concatenate([np.ones((2, 2)), executed])
    assert kept.all() and np.abs(differences(executed, 2)).max() <= 30.0 * (1 + 1e-4)


def test_the_memory_of_what_was_taken_outlasts_a_freeze(key):
    """The last action is held, so that every difference is one that reaches back to what was taken."""
    agent = agent_with(JerkLimit(0.0))
    state, taken = observe(agent, begin(agent, key), jnp.zeros(2)), [np.zeros(2)] * 3
    for count in (2, 0, 5, 0, 3):
        committed = np.random.default_rng(count).uniform(-1, 1, (8, 2)).astype(np.float32)
        action, state = commit(agent, refine(agent, freeze(agent, state, committed, count)))
        taken.append(np.asarray(action))
        held = np.broadcast_to(taken[-1], (8, 2))
        expected = np.abs(differences(np.concatenate([taken[-3:], held]), 3)).max()
        assert expected > 1
        state = freeze(agent, observe(agent, state, jnp.zeros(2)), held, 3)
        np.testing.assert_allclose(margins(agent, state, held[None]), [0.0], atol=1e-3)  # nothing can be changed there
        state = freeze(agent, state, committed, 0)
        np.testing.assert_allclose(margins(agent, state, held[None]), [expected], rtol=1e-3)


def test_a_state_that_was_changed_from_outside_goes_on_at_rest_or_at_the_rate_of_what_is_committed(key):
    agent = agent_with(JerkLimit(0.0))
    state = observe(agent, begin(agent, key), jnp.zeros(2))
    for _ in range(3):
        _, state = commit(agent, refine(agent, state))
    moved = replace(state, previous=jnp.array([0.5, -0.5]))
    still = np.broadcast_to(np.array([0.5, -0.5], np.float32), (8, 2))
    np.testing.assert_allclose(margins(agent, moved, still[None]), [0.0], atol=1e-3)
    ramp = np.array([0.5, -0.5]) + 0.05 * np.arange(1, 9)[:, None]
    ramp = ramp.astype(np.float32)
    np.testing.assert_allclose(margins(agent, freeze(agent, moved, ramp, 2), ramp[None]), [0.0], atol=2e-3)
    assert margins(agent, moved, ramp[None])[0] > 10


def test_plans_of_one_or_two_steps_have_no_memory_and_still_work(key):
    for horizon in (1, 2):
        agent = agent_with(AccelerationLimit(10.0), horizon=horizon)
        agent = replace(agent, planner=replace(agent.planner, parameterization=Steps()))
        executed, _, _ = drive(agent, begin(agent, key), 4)
        assert np.isfinite(executed).all()


class Eye(PointMass):
    """Latents that are what the probe decodes."""

    probe = property(lambda self: lambda params, latents: latents)


SEER = Eye(params={})


def arc_violation(angle, low, high):
    """How far outside an arc, by looking at all turns of both bounds."""
    if high - low >= 2 * np.pi:
        return 0.0
    turns = 2 * np.pi * np.arange(-4, 5)
    if np.any((low + turns <= angle) & (angle <= high + turns)):
        return 0.0
    return min(np.abs(angle - low - turns).min(), np.abs(angle - high - turns).min())


ANGLE = st.floats(-6, 6, width=32)


@settings(max_examples=30, deadline=None)
@given(angles=arrays(np.float32, (4, 2), elements=ANGLE), low=ANGLE, width=st.floats(0, 8, width=32))
def test_angles_are_kept_on_their_arc_whatever_turn_they_are_on(angles, low, width):
    limits = JointLimits((float(low), -np.inf), (float(low + width), np.inf))
    imagined = Imagined(ROOT, jnp.asarray(angles)[None], ROOT, jnp.zeros((1, 4, 2)))
    expected = max(arc_violation(float(angle), float(low), float(low + width)) for angle in angles[:, 0])
    found = float(limits(SEER, imagined, box())[0])
    np.testing.assert_allclose(max(found, 0.0), expected, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(angles=arrays(np.float64, (5, 2), elements=st.floats(-3, 3)))
def test_the_angles_of_a_chain_are_read_from_its_points(angles):
    root, lengths = np.array([0.3, -0.1]), (0.12, 0.2)
    headings = np.cumsum(angles, axis=1)
    links = np.stack([np.cos(headings), np.sin(headings)], axis=-1) * np.array(lengths)[:, None]
    points = root + np.cumsum(links, axis=1)
    imagined = Imagined(ROOT, jnp.asarray(points.reshape(1, 5, 4), jnp.float32), ROOT, jnp.zeros((1, 5, 2)))
    for joint, other in itertools.permutations(range(2)):
        low, high = [0.0, 0.0], [0.0, 0.0]
        low[joint], high[joint], low[other], high[other] = -1.0, 0.5, -np.inf, np.inf
        found = JointLimits(tuple(low), tuple(high), tuple(root))(SEER, imagined, box())
        expected = max(arc_violation(angle, -1.0, 0.5) for angle in angles[:, joint])
        np.testing.assert_allclose(max(float(found[0]), 0.0), expected, atol=1e-4)


def test_bounds_of_joints_that_make_no_sense_are_refused():
    imagined = Imagined(ROOT, jnp.zeros((1, 3, 4)), ROOT, jnp.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="there are 4 joints"):
        JointLimits((0.0,), (1.0,))(SEER, imagined, box())
    with pytest.raises(ValueError, match="there are 2 joints"):
        JointLimits((0.0,) * 4, (1.0,) * 4, (0.0, 0.0))(SEER, imagined, box())
    for low, high in ((1.0, 0.0), (-np.inf, 1.0), (0.0, np.nan), (np.nan, 1.0), ("-.inf", 1.0)):
        with pytest.raises(ValueError, match="a joint is free from -inf to inf"):
            JointLimits((low,), (high,))
    with pytest.raises(ValueError, match="JointLimits needs a model with a probe head"):
        JointLimits((0.0,), (1.0,))(point_mass(), imagined, box())
