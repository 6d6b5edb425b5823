from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import MPPI, EliteMPPI, Evaluation, NoOp
from planning.mppi import feasible_cost, softmin

from .toys import box

SMALL = MPPI(horizon=4, num_samples=16, num_best=3)
ELITE = EliteMPPI(horizon=4, num_samples=16, num_elites=4, num_best=3, init_std=0.7, temperature=2.0)


@pytest.fixture(scope="module")
def asked():
    """A state, and candidates that were clipped."""
    state = replace(SMALL, init_std=3.0).init(box(), jax.random.key(0))
    return state, SMALL.propose(state, box())


def test_the_mean_is_the_average_of_what_was_evaluated(asked):
    """Of the clipped candidates: the noise that the bounds cut off was never tried."""
    state, candidates = asked
    assert float(jnp.mean(jnp.abs(candidates) == 1.0)) > 0.5
    cost = np.linspace(0.0, 3.0, 16, dtype=np.float32)
    after = SMALL.update(state, candidates, Evaluation(jnp.asarray(cost)))
    spread = np.sqrt(np.pi / 2) * np.mean(cost[7] - cost[:8])  # of the better half
    weights = np.exp(-cost / (0.1 * spread))
    weights /= weights.sum()
    np.testing.assert_allclose(after.mean, np.einsum("n,nta->ta", weights, np.asarray(candidates)), atol=1e-5)
    np.testing.assert_allclose(after.std, 0.7 * np.asarray(state.std), atol=1e-6)
    np.testing.assert_allclose(after.effective, 1 / np.sum(weights**2), rtol=1e-4)


@pytest.mark.parametrize(("scale", "constant"), [(1e-6, 0.0), (1e6, 0.0), (1e30, 0.0), (-0.0 + 1.0, 100.0)])
def test_neither_scale_nor_constant_of_the_cost_matters(asked, scale, constant):
    state, candidates = asked
    cost = jnp.linspace(0.0, 3.0, 16)
    plain = SMALL.update(state, candidates, Evaluation(cost)).mean
    scaled = SMALL.update(state, candidates, Evaluation(cost * scale + constant)).mean
    np.testing.assert_allclose(scaled, plain, atol=1e-3)


@pytest.mark.parametrize("planner", [SMALL, ELITE], ids=["mppi", "elite_mppi"])
def test_a_cost_that_is_no_number_does_not_poison_the_weights(asked, planner):
    state, candidates = asked
    cost = jnp.full(16, jnp.nan).at[3].set(5.0).at[4].set(-jnp.inf)
    after = planner.update(state, candidates, Evaluation(cost))
    np.testing.assert_allclose(after.mean, candidates[3], atol=1e-6)  # 0 for a NaN would beat an honest 5
    assert after.effective == 1 and after.best.known.tolist() == [True, False, False]


@pytest.mark.parametrize("planner", [SMALL, ELITE], ids=["mppi", "elite_mppi"])
def test_equal_costs_weigh_equally(asked, planner):
    state, candidates = asked
    after = planner.update(state, candidates, Evaluation(jnp.full(16, 2.0)))
    assert float(after.effective) == pytest.approx(getattr(planner, "num_elites", 16), rel=1e-5)


def test_only_feasible_candidates_pull(asked):
    state, candidates = asked
    cost, wall = jnp.arange(16.0), jnp.where(jnp.arange(16) < 14, 1.0, -1.0)
    evaluation = Evaluation(cost, {"wall": wall})
    np.testing.assert_array_equal(feasible_cost(evaluation), [np.inf] * 14 + [14.0, 15.0])
    after = SMALL.update(SMALL.prepare(state, evaluation), candidates, evaluation)
    assert float(after.effective) < 2.01
    nothing_safe = Evaluation(cost, {"wall": 1.0 + cost[::-1]})
    np.testing.assert_array_equal(feasible_cost(nothing_safe), 1.0 + cost[::-1])
    unknown = Evaluation(cost, {"wall": jnp.full(16, jnp.nan)})
    np.testing.assert_array_equal(feasible_cost(unknown), cost)


def test_elites_are_weighted_as_in_td_mpc2(asked):
    state, candidates = asked
    cost = np.linspace(0.0, 3.0, 16, dtype=np.float32)[::-1].copy()
    after = ELITE.update(state, candidates, Evaluation(jnp.asarray(cost)))
    best = np.asarray(candidates)[:-5:-1]
    weights = np.exp(-2.0 * (cost[:-5:-1] - cost.min()))
    weights /= weights.sum()
    mean = np.einsum("n,nta->ta", weights, best)
    np.testing.assert_allclose(after.mean, mean, atol=1e-5)
    np.testing.assert_allclose(after.std, np.sqrt(np.einsum("n,nta->ta", weights, (best - mean) ** 2)), atol=1e-5)


def test_elites_widths_stay_between_their_bounds(key):
    state = ELITE.init(box(bound=3.0), key)
    for std, width in ((0.0, 0.15), (1.0, 1.0), (99.0, 6.0)):
        drawn = ELITE.width(replace(state, std=jnp.full((4, 2), std)), box(bound=3.0))
        np.testing.assert_allclose(drawn, np.full((4, 2), width), rtol=1e-6)


def test_weights_are_those_of_the_formula():
    cost = jnp.array([1.0, 2.0, jnp.inf, 4.0])
    weights = np.exp([0.0, -0.5, -np.inf, -1.5])
    np.testing.assert_allclose(softmin(cost, 0.5), weights / weights.sum(), rtol=1e-6)
    np.testing.assert_array_equal(softmin(jnp.full(3, jnp.inf), 0.5), np.zeros(3))
    np.testing.assert_array_equal(softmin(jnp.array([-3e38, 3e38]), 0.0), [0.5, 0.5])


@pytest.mark.parametrize(
    ("planner", "words"),
    [
        (replace(SMALL, temperature=0.0), r"temperature must lie in \(0, inf\); got 0"),
        (replace(SMALL, std_decay=1.5), "std_decay must lie in"),
        (replace(SMALL, num_keep=4), "num_keep must lie between"),
        (replace(ELITE, num_elites=17), r"num_elites must lie between 1 and num_samples \(16\); got 17"),
        (replace(ELITE, max_std=0.01), r"max_std \(0.01\) cannot be below min_std \(0.05\)"),
        (replace(ELITE, num_samples=2, num_elites=1, num_best=1, proposals=(NoOp(),)), "and 1 proposals; set at le"),
    ],
)
def test_a_configuration_that_cannot_plan_is_refused(key, planner, words):
    with pytest.raises(ValueError, match=words):
        planner.init(box(), key)
