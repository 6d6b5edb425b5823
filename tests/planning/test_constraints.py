from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    Agent,
    Custom,
    GoalDistance,
    Imagined,
    KeepOut,
    LatentObjective,
    Penalty,
    RateLimit,
    SpeedLimit,
    Status,
    WorkspaceBox,
)

from .toys import PERIOD, box, point_mass

ROOT = jnp.zeros(4)
SEEING = point_mass(eye=True)


def test_the_fastest_change_of_a_trajectory_is_its_margin():
    actions = jnp.array([[[0.0, 0.0], [0.2, -0.5]], [[0.0, 0.0], [0.0, 0.0]]])
    imagined = Imagined(ROOT, jnp.zeros((2, 2, 4)), ROOT, actions)
    np.testing.assert_allclose(RateLimit(3.0)(SEEING, imagined, box()), [0.5 / PERIOD - 3, -3], rtol=1e-6)
    before = replace(imagined, previous=jnp.array([0.9, 0.0]))
    np.testing.assert_allclose(RateLimit(3.0)(SEEING, before, box()), [9 - 3, 9 - 3], rtol=1e-6)


def test_the_furthest_point_of_a_trajectory_is_its_margin():
    latents = jnp.zeros((2, 3, 4)).at[0, 1, 0].set(2.0).at[1, 2, 1].set(-1.0)
    imagined = Imagined(ROOT, latents, ROOT, jnp.zeros((2, 3, 2)))
    margin = WorkspaceBox(low=(-0.5, -0.5), high=(1.5, 1.5))(SEEING, imagined, box())
    np.testing.assert_allclose(margin, [0.5, 0.5])
    free = WorkspaceBox(low=(-np.inf, -np.inf), high=(np.inf, np.inf))
    objective = LatentObjective(SEEING, {"goal": GoalDistance()}, {"goal": 1.0}, ROOT, ROOT, box(), {"box": free})
    np.testing.assert_array_equal(objective(jnp.zeros((2, 3, 2))).violation(), [0.0, 0.0])


def test_bounds_that_do_not_fit_the_probe_are_refused():
    imagined = Imagined(ROOT, jnp.zeros((1, 3, 4)), ROOT, jnp.zeros((1, 3, 2)))
    with pytest.raises(ValueError, match="probe gives 2 positions"):
        WorkspaceBox(low=(0.0,), high=(1.0,))(SEEING, imagined, box())
    with pytest.raises(ValueError, match="WorkspaceBox needs a model with a probe head"):
        WorkspaceBox(low=(0.0, 0.0), high=(1.0, 1.0))(point_mass(), imagined, box())


def speed(model, imagined, spec, limit):
    return jnp.max(jnp.abs(imagined.latents[:, :, 2]), axis=1) - limit


def make(limit, wall):
    constraints = {
        "speed": Custom(speed, {"limit": limit}),
        "wall": WorkspaceBox(low=(-9.0, -9.0), high=(wall, 9.0)),
        "rate": RateLimit(15.0),
    }
    planner = CEM(horizon=10, num_samples=48, num_elites=8, iterations=3, num_keep=3, num_best=4)
    goal = {"goal": GoalDistance()}, {"goal": 1.0}
    agent = Agent(SEEING, planner, *goal, box(), constraints=constraints)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)


@jax.jit
def begin(agent, key):
    return agent.reset(agent.init(key), jnp.array([1.0, 0.0]), key, 0)


step = jax.jit(Agent.step)


def test_the_closed_loop_stays_within_its_limits_and_new_limits_never_compile_anew(key):
    compiled = []
    for wall in (0.3, 0.5):  # the goal lies beyond the wall
        agent = make(limit=0.25, wall=wall)
        state, position, velocity, previous = begin(agent, key), np.zeros(2), np.zeros(2), np.zeros(2)
        for _ in range(40):
            action, plan, state = step(agent, state, jnp.asarray(position, jnp.float32))
            assert plan.status == Status.OK and max(plan.margins.values()) <= 0
            assert np.abs(np.asarray(action) - previous).max() / PERIOD <= 15 + 1e-4
            previous = np.asarray(action)
            velocity = velocity + PERIOD * previous
            position = position + PERIOD * velocity
            assert velocity[0] <= 0.25 + 1e-3 and position[0] <= wall + 1e-3
        assert wall - 0.1 < position[0]
        compiled.append(step._cache_size())
    assert compiled[0] == compiled[1]


def test_where_nothing_is_feasible_the_least_violation_is_executed(key):
    agent = make(limit=-0.05, wall=9.0)  # nothing is slower than this
    action, plan, _ = step(agent, begin(agent, key), jnp.zeros(2))
    assert plan.status == Status.INFEASIBLE and plan.margins["speed"] > 0
    assert np.abs(plan.actions).max() < 0.5  # to stand still violates least, however far the goal


def seen_at(path):
    """Imagined futures [N, H, 2] of the point mass from rest at the origin."""
    path = jnp.asarray(path, jnp.float32)
    return Imagined(ROOT, jnp.concatenate([path, jnp.zeros_like(path)], axis=-1), ROOT, jnp.zeros((len(path), 6, 2)))


def test_a_disc_is_kept_clear_of_between_the_steps_too():
    through, around = [[1.0, 0.0], [2.0, 0.0], [3.0, 0.0]], [[0.0, 1.0], [3.0, 1.0], [3.0, 0.0]]
    margin = KeepOut(center=(1.5, 0.1), radius=0.3)(SEEING, seen_at([through, around]), box())
    np.testing.assert_allclose(margin, [0.3 - 0.1, 0.3 - 0.9], rtol=1e-5)
    at_once = KeepOut(center=(0.0, 0.0), radius=0.3)(SEEING, seen_at([around]), box())
    np.testing.assert_allclose(at_once, [0.3])  # one is inside already
    tiny = KeepOut(center=(1.5e-7, 1e-8), radius=3e-8)(SEEING, seen_at(1e-7 * np.array([through, around])), box())
    np.testing.assert_allclose(tiny, 1e-7 * np.asarray(margin), atol=1e-11)  # the probe's unit may be any
    still = KeepOut(center=(0.0, 0.5), radius=0.3)(SEEING, seen_at(np.zeros((1, 3, 2))), box())
    np.testing.assert_allclose(still, [0.3 - 0.5], rtol=1e-5)


def test_the_fastest_step_is_the_margin_of_a_speed_limit():
    imagined = seen_at([[[0.1, 0.0], [0.1, 0.3], [0.1, 0.3]], [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    seconds = SEEING.action_block * PERIOD
    np.testing.assert_allclose(SpeedLimit(2.0)(SEEING, imagined, box()), [0.3 / seconds - 2, -2], rtol=1e-5)


def test_points_that_the_probe_does_not_see_are_refused():
    with pytest.raises(ValueError, match="KeepOut watches point 1, and the model's probe decodes 1"):
        KeepOut(center=(0.0, 0.0), radius=1.0, point=1)(SEEING, seen_at(np.zeros((1, 3, 2))), box())
    with pytest.raises(ValueError, match="SpeedLimit needs a model with a probe head"):
        SpeedLimit(1.0)(point_mass(), seen_at(np.zeros((1, 3, 2))), box())


def test_a_penalty_counts_a_violation_and_nothing_else():
    imagined = seen_at([[[0.1, 0.0], [0.1, 0.3], [0.1, 0.3]], [[0.0, 0.0], [0.0, 0.0], [0.0, 0.0]]])
    limit = SpeedLimit(2.0)
    np.testing.assert_allclose(Penalty(limit)(SEEING, imagined, box()), [limit(SEEING, imagined, box())[0], 0.0])
