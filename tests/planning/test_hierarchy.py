"""Two levels: the upper one finds the way, the lower one walks it, and neither follows what is doubtful."""

from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, ActionSpec, Agent, GoalDistance, Heads, Hierarchy, LatentObjective, Prediction
from planning.observation import vector
from planning.types import Planner, Status
from tests.planning.toys import Formula, box, point_mass

STEP, LEAP, STEPS = 0.1, 0.5, 5  # metres a step and a leap, steps of a leap
WALL = 1.0  # height of the wall at x = 0
UPPER = CEM(horizon=6, num_samples=64, num_elites=8, iterations=4, noise_beta=0.0)
PLANNER = Hierarchy(horizon=4, upper=UPPER, leap_size=2, renew=3)
SPEC = ActionSpec.of([-1.0, -1.0], [1.0, 1.0], 0.1)


@dataclass(frozen=True)
class Leaps:
    size: int = 2
    steps: int = STEPS
    far: float = 1.0

    def __call__(self, params, latent, choice):
        return moved(latent, self.far * LEAP * choice / 2.0)


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["leaps", "critic"])
@dataclass(frozen=True)
class Walled:
    """A point in the plane that a wall stops: the way over it leads past (0, WALL)."""

    params: object
    leaps: Leaps | None = Leaps()
    critic: bool = True

    observation = vector(2)
    history = action_block = ensemble = 1
    embedding_size = action_size = latent_size = 2

    @property
    def heads(self):
        return Heads(distance=steps_between if self.critic else None, leap=self.leaps)

    def embed(self, params, observation):
        return observation["state"]

    def encode(self, params, moments):
        return moments[..., -1, :]

    def predict(self, params, latent, block):
        return Prediction(moved(latent, STEP * block[..., 0, :]))


def moved(latent, by):
    after = latent + by
    stopped = (latent[..., :1] * after[..., :1] <= 0) & (jnp.minimum(latent, after)[..., 1:] < WALL)
    return jnp.where(stopped, latent, after)


def steps_between(params, latent, goal):
    """Shortest path in steps."""
    corner = jnp.asarray([0.0, WALL + 0.05], latent.dtype)
    straight = length(goal - latent)
    around = length(corner - latent) + length(goal - corner)
    return jnp.where(latent[..., 0] * goal[..., 0] < 0, around, straight) / STEP


def length(vector):
    return jnp.sqrt(jnp.sum(vector**2, axis=-1) + 1e-9)


def world(**options):
    return Walled({"nothing": jnp.zeros(())}, **options)


def objective(model, root, goal):
    return LatentObjective(model, {"goal": GoalDistance()}, {"goal": 1.0}, jnp.asarray(root), jnp.asarray(goal), SPEC)


def aimed(planner, model, root, goal, steps=0):
    state = planner.init(SPEC, jax.random.key(0))
    _, state = planner.plan(objective(model, root, goal), state, SPEC)
    return planner.warm_start(state, SPEC, steps)


def arrival(planner, steps=60):
    """Steps until the goal behind the wall is reached by an agent, or None."""
    agent = Agent(world(), planner, {"goal": GoalDistance()}, {"goal": 1.0}, SPEC)
    act = jax.jit(agent.step)
    goal, place = jnp.asarray([0.4, 0.2]), jnp.asarray([-0.4, 0.2])
    state = agent.reset(agent.init(jax.random.key(0)), goal, jax.random.key(1), 0)
    for step in range(steps):
        action, _, state = act(state, place)
        place = moved(place, STEP * action)
        if float(length(place - goal)) < 0.1:
            return step
    return None


def test_two_levels_find_the_way_round_that_one_does_not():
    assert isinstance(PLANNER, Planner)
    assert arrival(CEM(horizon=4)) is None, "a straight line ends at the wall"
    reached = arrival(PLANNER)
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

    with pytest.raises(ValueError, match="has no slower dynamics: train with model.leap=2"):
        plan(world(leaps=None))
    with pytest.raises(ValueError, match="has no such head"):
        plan(world(critic=False))
    with pytest.raises(ValueError, match="planner.leap_size is 2, and the model was trained with leaps of 3 numbers"):
        plan(world(leaps=Leaps(size=3)))
    with pytest.raises(ValueError, match="imagines no latents"):
        PLANNER.plan(Formula(0.0, lambda data, actions: jnp.sum(actions, axis=(1, 2))), state, SPEC)
    with pytest.raises(ValueError, match="has no slower dynamics"):
        Agent(point_mass(critic=True), PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box()).step(
            *_started(point_mass(critic=True))
        )
    for wrong, message in (
        (replace(PLANNER, renew=0), "renew and leap_size"),
        (replace(PLANNER, spread=0.0), "spread"),
    ):
        with pytest.raises(ValueError, match=message):
            wrong.init(SPEC, jax.random.key(0))


def _started(model):
    agent = Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, box())
    state = agent.reset(agent.init(jax.random.key(0)), jnp.ones(2), jax.random.key(1), 0)
    return state, jnp.zeros(2)
