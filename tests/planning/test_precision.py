from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Agent, GoalDistance, LatentObjective, TemporalDistance, fastest_precision, imagine
from planning.control import Controller

from .toys import box, point_mass

ROOT = jnp.array([0.1, -0.2, 0.5, 0.0])
GOAL = jnp.array([1.0, 0.0, 0.0, 0.0])
ACTIONS = jax.random.uniform(jax.random.key(0), (16, 6, 2), minval=-1.0, maxval=1.0)
PLANNER = CEM(horizon=8, num_samples=32, num_elites=6, iterations=2, num_keep=2, num_best=3)


def make(precision):
    costs = {"goal": GoalDistance(), "steps": TemporalDistance()}
    agent = Agent(point_mass(critic=True), PLANNER, costs, dict.fromkeys(costs, 1.0), box(), precision=precision)
    return jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), agent)


def test_half_precision_is_near_the_full_one_and_costs_are_summed_in_the_full_one():
    model = replace(point_mass(critic=True), params={"mass": jnp.float32(1.3)})
    full = imagine(model, ROOT, ACTIONS).latent
    half = imagine(model, ROOT, ACTIONS, "bfloat16").latent
    assert half.dtype == jnp.float32 and not np.array_equal(full, half)
    np.testing.assert_allclose(half, full, atol=6 * 2**-8)  # six additions of numbers below one, 8 bits each
    np.testing.assert_array_equal(half, half.astype(jnp.bfloat16).astype(jnp.float32))
    costs = {"goal": GoalDistance(), "steps": TemporalDistance()}
    objective = LatentObjective(model, costs, dict.fromkeys(costs, 1.0), ROOT, GOAL, box())
    cost = objective(ACTIONS)
    rough = replace(objective, precision="bfloat16")(ACTIONS)
    assert rough.cost.dtype == jnp.float32
    np.testing.assert_allclose(rough.cost, cost.cost, rtol=0.03)
    assert not np.array_equal(rough.cost, rough.cost.astype(jnp.bfloat16).astype(jnp.float32))


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


@pytest.mark.parametrize(
    ("half", "chosen"), [(0.5, "bfloat16"), (0.9, "bfloat16"), (0.99, "float32"), (2.0, "float32")]
)
def test_auto_takes_what_is_clearly_faster(half, chosen):
    clock, seen = Clock(), []

    def run(agent):
        seen.append(agent.precision)
        clock.now += {"float32": 1.0, "bfloat16": half}[agent.precision] + (100.0 if len(seen) in (1, 2, 6) else 0.0)

    agent = fastest_precision(make("auto"), run, clock=clock)
    assert agent.precision == chosen
    assert seen[2:6] == ["float32", "bfloat16", "float32", "bfloat16"]  # in turn, and compiled before


def test_what_is_chosen_already_is_not_measured():
    agent = make("bfloat16")
    assert fastest_precision(agent, run=None) is agent


def test_warmup_settles_auto_for_good(monkeypatch):
    control = Controller(make("auto"))
    control.warmup()
    settled = control.agent.precision
    assert settled in ("float32", "bfloat16")
    control.reset(goal=[0.3, 0.1])
    assert np.isfinite(control.act([0, 0])).all()
    control.agent = make("auto")
    assert control.agent.precision == settled
    assert np.isfinite(control.act([0, 0])).all()


def test_other_precisions_are_refused():
    with pytest.raises(ValueError, match="precision must be float32, bfloat16 or auto; got 'float16'"):
        make("float16").validate()
    with pytest.raises(ValueError, match="got 'auto': for auto, use the agent that planning"):
        make("auto").init(jax.random.key(0))
