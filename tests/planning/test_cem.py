from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import CEM, Evaluation

from .toys import box

SMALL = CEM(horizon=4, num_samples=16, num_elites=4, iterations=2, num_keep=2, num_best=3)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"horizon": 0}, "horizon must be at least 1; got 0"),
        ({"iterations": 0}, "iterations must be at least 1"),
        ({"num_elites": 17}, r"num_elites \(17\) cannot exceed num_samples \(16\)"),
        ({"num_best": 17}, r"num_best \(17\) cannot exceed"),
        ({"num_keep": 4}, r"num_keep must lie between 0 and num_best \(3\); got 4"),
        ({"num_samples": 3, "num_elites": 2}, "leaves no draw .* set at least 4"),
        ({"init_std": 0.0}, r"init_std must lie in \(0, inf\); got 0"),
        ({"init_std": float("nan")}, "init_std must lie in"),
        ({"min_std": -0.1}, r"min_std must lie in \[0, inf\); got -0.1"),
        ({"momentum": 1.0}, r"momentum must lie in \[0, 1\); got 1"),
        ({"noise_beta": -1.0}, "noise_beta must lie in"),
    ],
)
def test_a_configuration_that_cannot_plan_is_refused(key, change, words):
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **change).init(box(), key)


def test_the_mean_and_the_best_are_candidates(key):
    state = SMALL.init(box(), key)
    first = SMALL.propose(state, box())
    np.testing.assert_array_equal(first[0], np.zeros((4, 2)))
    assert len(np.unique(np.asarray(first), axis=0)) == 16  # nothing is known yet: every other candidate is a draw
    state = SMALL.update(state, first, Evaluation(jnp.arange(16.0)[::-1]))
    second = SMALL.propose(state, box())
    np.testing.assert_array_equal(second[0], state.mean)
    np.testing.assert_array_equal(second[1:3], first[-1:-3:-1])


def test_the_gaussian_is_fitted_to_the_clipped_elites(key):
    planner = replace(SMALL, init_std=5.0, momentum=0.25)
    state = planner.init(box(), key)
    candidates = planner.propose(state, box())
    assert jnp.mean(jnp.abs(candidates) == 1.0) > 0.5
    after = planner.update(state, candidates, Evaluation(jnp.arange(16.0)))
    elites = np.asarray(candidates[:4])
    np.testing.assert_allclose(after.mean, 0.75 * elites.mean(0), atol=1e-6)
    np.testing.assert_allclose(after.std, 0.25 * 5.0 + 0.75 * elites.std(0), atol=1e-5)


def test_fewer_finite_candidates_than_elites_fit_to_those(key):
    planner = replace(SMALL, momentum=0.0)
    state = planner.init(box(), key)
    candidates = planner.propose(state, box())
    cost = jnp.full(16, jnp.nan).at[jnp.array([5, 9])].set(jnp.array([2.0, 1.0]))
    after = planner.update(state, candidates, Evaluation(cost))
    np.testing.assert_allclose(after.mean, (candidates[5] + candidates[9]) / 2, atol=1e-6)
    np.testing.assert_array_equal(after.best.sequences[:2], candidates[jnp.array([9, 5])])
    assert after.best.known.tolist() == [True, True, False]
    # A sequence without a finite cost is not worth another look.
    assert not np.array_equal(replace(planner, num_keep=3).propose(after, box())[3], after.best.sequences[2])


def test_all_candidates_may_be_elites(key):
    planner = replace(SMALL, num_elites=16, momentum=0.0)
    candidates = planner.propose(planner.init(box(), key), box())
    after = planner.update(planner.init(box(), key), candidates, Evaluation(jnp.arange(16.0)))
    np.testing.assert_allclose(after.mean, candidates.mean(0), atol=1e-6)


def test_draws_never_get_narrower_than_the_floor(key):
    planner = replace(SMALL, num_samples=512, min_std=0.2, noise_beta=0.0)
    state = replace(planner.init(box(bound=3.0), key), std=jnp.zeros((4, 2)))
    assert float(planner.propose(state, box(bound=3.0)).std()) == pytest.approx(0.6, rel=0.1)


def test_a_warm_start_shifts_by_environment_steps_and_holds_the_last(key):
    mean = jnp.arange(8.0).reshape(4, 2) / 8
    state = replace(SMALL.init(box(), key), mean=mean, std=jnp.zeros((4, 2)))
    shifted = jax.jit(SMALL.warm_start)
    for steps, rows in [(0, [0, 1, 2, 3]), (1, [1, 2, 3, 3]), (3, [3, 3, 3, 3]), (9, [3, 3, 3, 3])]:
        after = shifted(state, box(), steps)
        np.testing.assert_array_equal(after.mean, mean[jnp.array(rows)])
        np.testing.assert_allclose(after.std, np.full((4, 2), 0.7), atol=1e-6)
    assert shifted._cache_size() == 1


def test_a_sequence_evaluated_again_counts_once_with_its_new_cost(key):
    state = SMALL.init(box(), key)
    first = SMALL.propose(state, box())
    state = SMALL.update(state, first, Evaluation(jnp.arange(16.0)))
    second = SMALL.propose(state, box())
    state = SMALL.update(state, second, Evaluation(jnp.full(16, 9.0).at[1].set(5.0)))
    # Of the first three, two were proposed again: they now cost 5 and 9. The third keeps its 2.
    np.testing.assert_array_equal(state.best.evaluation.cost, [2.0, 5.0, 9.0])
    np.testing.assert_array_equal(state.best.sequences[:2], first[jnp.array([2, 0])])
