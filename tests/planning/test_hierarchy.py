"""Two levels: the upper one finds the way, the lower one walks it, and neither follows what is doubtful."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance, Hierarchy
from planning.types import Planner, Status
from tests.planning.toys import Formula, box, point_mass
from tests.planning.walled import SPEC, STEPS, Leaps, aimed, arrival, objective, steps_between, world

UPPER = CEM(horizon=6, num_samples=64, num_elites=8, iterations=4, noise_beta=0.0)
PLANNER = Hierarchy(horizon=4, upper=UPPER, leap_size=2, renew=3)


def test_two_levels_find_the_way_round_that_one_does_not():
    assert isinstance(PLANNER, Planner)
    assert arrival(CEM(horizon=4), world()) is None, "a straight line ends at the wall"
    reached = arrival(PLANNER, world())
    assert reached is not None and reached < 45


def test_the_lower_level_plans_to_the_end_of_the_first_leap():
    state = aimed(PLANNER, world(), (-0.4, 0.0), (0.4, 0.0))
    assert not state.direct
    assert state.aim[1] > 0.2 and steps_between(None, jnp.asarray([-0.4, 0.0]), state.aim) <= 2 * STEPS
    plan, _ = PLANNER.plan(objective(world(), (-0.4, 0.0), (0.4, 0.0)), state, SPEC)
    assert plan.status == Status.OK and plan.actions[0, 1] > 0.3, "up, along the wall"


@pytest.mark.parametrize(
    ("planner", "model", "root", "goal"),
    [
        (PLANNER, world(), (-0.4, 0.0), (-0.3, 0.2)),  # nearer than a leap
        (PLANNER, world(leaps=Leaps(far=9.0)), (0.4, 0.0), (9.0, 2.0)),  # leaps that take much longer than they say
        (PLANNER, world(leaps=Leaps(far=0.0)), (-0.4, 0.0), (0.4, 0.0)),  # which bring nobody nearer
        (PLANNER, world(leaps=Leaps(far=np.nan)), (-0.4, 0.0), (0.4, 0.0)),  # none of which leads anywhere
        (replace(PLANNER, near=10.0), world(), (-0.4, 0.0), (0.4, 0.0)),
    ],
)
def test_a_near_goal_or_a_doubtful_leap_is_planned_to_directly(planner, model, root, goal):
    state = aimed(planner, model, root, goal)
    assert state.direct
    np.testing.assert_allclose(state.aim, np.asarray(goal, np.float32))


def test_a_sub_goal_is_kept_until_it_is_renewed():
    state = aimed(PLANNER, world(), (-0.4, 0.0), (0.4, 0.0), steps=2)
    later = objective(world(), (-0.4, 0.3), (0.4, 0.0))
    _, kept = PLANNER.plan(later, state, SPEC)
    np.testing.assert_array_equal(kept.aim, state.aim)
    _, renewed = PLANNER.plan(later, PLANNER.warm_start(kept, SPEC, 1), SPEC)
    assert not np.array_equal(renewed.aim, state.aim)
    assert renewed.age == 0


def test_iterations_one_by_one_make_the_same_plan():
    goal = objective(world(), (-0.4, 0.0), (0.4, 0.0))
    state = PLANNER.init(SPEC, jax.random.key(0))
    plan, _ = PLANNER.plan(goal, state, SPEC)
    shapes = jax.eval_shape(goal, jnp.zeros((1, 4, 2), jnp.float32))
    state = PLANNER.prepare(state, shapes)
    refine = jax.jit(PLANNER.refine)
    for _ in range(PLANNER.iterations):
        state = refine(goal, state, SPEC)
    np.testing.assert_allclose(PLANNER.result(state, SPEC).actions, plan.actions, atol=1e-6)
    assert refine._cache_size() == 1


def test_what_does_not_fit_is_named():
    state = PLANNER.init(SPEC, jax.random.key(0))

    def plan(model, planner=PLANNER):
        return planner.plan(objective(model, (-0.4, 0.0), (0.4, 0.0)), state, SPEC)

    with pytest.raises(ValueError, match="with slower dynamics, and this one has none: train with model.leap=2"):
        plan(world(leaps=None))
    with pytest.raises(ValueError, match="with a temporal-distance head, and this one has none"):
        plan(world(distance=None))
    with pytest.raises(ValueError, match="planner.leap_size is 2, and the model was trained with leaps of 3 numbers"):
        plan(world(leaps=Leaps(size=3)))
    with pytest.raises(ValueError, match="imagines no latents"):
        PLANNER.plan(Formula(0.0, lambda data, actions: jnp.sum(actions, axis=(1, 2))), state, SPEC)
    with pytest.raises(ValueError, match="with slower dynamics"):
        Agent(point_mass(critic=True), PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box()).step(
            *_started(point_mass(critic=True))
        )
    for wrong, message in (
        (replace(PLANNER, renew=0), "renew must be"),
        (replace(PLANNER, leap_size=0), "leap_size must be"),
        (replace(PLANNER, spread=0.0), "spread"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong.init(SPEC, jax.random.key(0))


def _started(model):
    agent = Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box())
    state = agent.reset(agent.init(jax.random.key(0)), jnp.ones(2), jax.random.key(1), 0)
    return state, jnp.zeros(2)
