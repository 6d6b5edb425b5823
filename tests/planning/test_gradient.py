from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from planning import Evaluation, Gradient
from planning.gradient import Moments

from .toys import Formula, box

SMALL = Gradient(horizon=4, num_starts=3, iterations=5)


def bowl(target, actions):
    return jnp.sum((actions - target) ** 2, axis=(1, 2))


def cliff(target, actions):
    """Without a gradient that could be used on the far side, though its value is fine: the slope of sqrt at 0."""
    mean = jnp.mean(actions, axis=(1, 2))
    return bowl(target, actions) + jnp.sqrt(jnp.where(mean > 0.2, 0.0 * mean, 1.0))


refine = jax.jit(Gradient.refine)


def first(planner, formula, key, target=0.3):
    objective = Formula(jnp.float32(target), formula)
    state = planner.init(box(), key)
    return objective, planner.prepare(state, objective(jnp.zeros((1, 4, 2))))


def test_the_first_start_is_the_previous_plan_and_the_others_lie_around_it(key):
    state = SMALL.init(box(), key)
    np.testing.assert_array_equal(state.params[0], np.zeros((4, 2)))
    assert len(np.unique(np.asarray(state.params), axis=0)) == 3
    state = replace(state, best=replace(state.best, sequences=state.best.sequences + 0.4))
    later = SMALL.warm_start(state, box(), 1)
    np.testing.assert_allclose(later.params[0], np.full((4, 2), 0.4), atol=1e-6)


def test_what_is_kept_of_a_start_was_evaluated_before_it_moved(key):
    objective, state = first(SMALL, bowl, key)
    after = refine(SMALL, objective, state, box())
    np.testing.assert_allclose(after.best.sequences, state.params, atol=1e-6)
    np.testing.assert_allclose(after.best.evaluation.cost, objective(state.params).cost, rtol=1e-5)
    # Adam's first step has the size of the learning rate, against the sign of the slope.
    np.testing.assert_allclose(after.params[0], np.full((4, 2), 0.1), atol=1e-4)


def test_steps_are_shares_of_the_half_range_and_end_at_the_bounds(key):
    spec = replace(box(), low=jnp.array([-10.0, 0.0]), high=jnp.array([10.0, 1.0]))
    objective = Formula(jnp.float32(99.0), bowl)
    state = SMALL.init(spec, key)
    plan, after = jax.jit(replace(SMALL, iterations=30).plan)(objective, state, spec)
    np.testing.assert_array_equal(plan.actions, np.tile([10.0, 1.0], (4, 1)))
    np.testing.assert_array_equal(after.params, np.ones((3, 4, 2)))


def test_a_start_without_a_finite_gradient_stays_and_the_others_go_on(key):
    objective, state = first(SMALL, cliff, key)
    state = replace(state, params=state.params.at[1].set(0.5))
    after = refine(SMALL, objective, state, box())
    np.testing.assert_array_equal(after.params[1], state.params[1])
    assert np.isfinite(after.params).all() and not np.array_equal(after.params[0], state.params[0])
    assert np.isfinite(after.best.evaluation.cost).all()
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves(after.moments))  # nothing is remembered of it


def test_each_start_keeps_its_best_feasible_first(key):
    cost = jnp.array([1.0, 2.0, 3.0])
    wall = jnp.array([-1.0, 0.5, 0.5])
    costs, walls = [cost, cost - 1], [wall, jnp.array([0.1, 0.2, 0.9])]
    state = SMALL.prepare(SMALL.init(box(), key), Evaluation(cost, {"wall": wall}))
    for cost, wall in zip(costs, walls, strict=True):
        state = SMALL.refine(lambda _, cost=cost, wall=wall: Evaluation(cost, {"wall": wall}), state, box())
    np.testing.assert_array_equal(state.best.evaluation.cost, [1.0, 1.0, 3.0])
    np.testing.assert_array_equal(SMALL.result(state, box()).costs, [1.0, 1.0, 3.0])
    np.testing.assert_allclose(state.best.evaluation.margins["wall"], [-1.0, 0.2, 0.5])


def test_the_steps_are_adams(key):
    adam, moments = optax.scale_by_adam(), Moments.none(jnp.zeros((2, 3, 1)))
    theirs = adam.init(jnp.zeros((2, 3, 1)))
    for each in jax.random.split(key, 12):
        slope = jax.random.normal(each, (2, 3, 1)) * 3.0
        step, moments = moments.after(slope)
        with jax.numpy_dtype_promotion("standard"):
            expected, theirs = adam.update(slope, theirs)
        np.testing.assert_allclose(step, expected, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"num_starts": 0}, "num_starts must be at least 1; got 0"),
        ({"learning_rate": 0.0}, r"learning_rate must lie in \(0, inf\); got 0"),
        ({"penalty": -1.0}, "penalty must lie in"),
    ],
)
def test_a_configuration_that_cannot_plan_is_refused(key, change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change).init(box(), key)
