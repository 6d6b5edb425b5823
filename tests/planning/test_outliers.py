"""How bad the bad candidates are must not matter: a property of every planner, and of MPPI's weights."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from planning import Evaluation, SamplingPlanner
from planning.mppi import better_half, relative_cost, softmin

from .test_planners import HORIZON, PLANNERS, as_arrays
from .toys import Formula, box

SAMPLING = [name for name, planner in PLANNERS.items() if isinstance(planner, SamplingPlanner)]
TEMPERATURE = 0.1


@jax.jit
def weights(cost):
    above, spread = relative_cost(cost, jnp.sort(cost))
    return softmin(above, 1.0 / (TEMPERATURE * spread))


@jax.jit
def update(planner, state, candidates, cost):
    state = planner.update(state, candidates, Evaluation(cost))
    return state.mean, state.std, state.effective


def draws(seed, count=128):
    return np.random.default_rng(seed).normal(size=count).astype(np.float32)


def with_outliers(cost, seed, share, value):
    """The costs with up to a tenth of them, at random places, at `value` above the rest."""
    bad = np.random.default_rng(seed).permutation(len(cost))[: max(1, int(share * len(cost)))]
    changed = cost.copy()
    changed[bad] = max(np.float32(value), cost.max())
    return changed, bad


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(0.0, 0.1), st.floats(5.0, 3e38))
@example(0, 0.0, 1e3)
@example(0, 0.1, 3e38)
def test_weights_of_the_others_do_not_follow_an_outlier(seed, share, value):
    changed, bad = with_outliers(draws(seed), seed, share, value)
    left_out = changed.copy()
    left_out[bad] = np.inf
    others = np.delete(np.arange(128), bad)
    with_them, without = np.asarray(weights(changed)), np.asarray(weights(left_out))
    np.testing.assert_allclose(with_them[others], without[others], rtol=0.01, atol=1e-12)
    assert with_them[bad].max() < 1e-6
    assert 1 / np.sum(with_them**2) == pytest.approx(1 / np.sum(without**2), rel=0.01)


def test_one_outlier_in_the_place_of_any_other_candidate_changes_little():
    """Against the weights as they were, where the place of one candidate of average cost is taken."""
    for seed in range(20):
        cost = draws(seed)
        middle = np.argsort(cost)[64:]
        before, changed = np.asarray(weights(cost)), cost.copy()
        changed[middle[seed]] = 1e3
        np.testing.assert_allclose(np.asarray(weights(changed)), before, atol=0.01)


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 2**31), st.floats(1e-20, 1e20), st.floats(-100.0, 100.0), st.sampled_from([2, 3, 5, 16, 128]))
def test_weights_depend_neither_on_the_scale_nor_on_a_constant(seed, scale, constant, count):
    cost = np.round(draws(seed, count), 3)  # so that the constant rounds no two of them together
    plain = weights(cost)
    np.testing.assert_allclose(weights(cost * np.float32(scale)), plain, rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(weights(cost + np.float32(constant)), plain, atol=0.01)


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        ([2.0] * 6, [1 / 6] * 6),
        ([1.0] * 5 + [2.0], [0.2] * 5 + [0.0]),
        ([1.0] * 3 + [1e38] * 3, [1 / 3] * 3 + [0.0] * 3),
        ([0.0] + [1.0] * 5, [1.0] + [0.0] * 5),
        ([-3e38, 3e38, 3e38, 3e38], [1.0, 0.0, 0.0, 0.0]),
        ([5.0, np.inf, np.inf], [1.0, 0.0, 0.0]),
        ([5.0, 5.0, np.inf, np.inf], [0.5, 0.5, 0.0, 0.0]),
        ([np.inf] * 4, [0.0] * 4),
        ([3.0, 7.0], [1.0, 0.0]),
    ],
)
def test_weights_where_costs_say_little(cost, expected):
    np.testing.assert_allclose(weights(jnp.asarray(cost, jnp.float32)), expected, atol=1e-6)


def test_the_spread_is_the_standard_deviation_of_normal_costs():
    cost = 7.0 * draws(0, 20_000)
    above, spread = relative_cost(jnp.asarray(cost), jnp.sort(cost))
    np.testing.assert_allclose(spread * (cost.max() - cost.min()) / np.max(above), 7.0, rtol=0.03)


@pytest.mark.parametrize(
    ("count", "finite", "half"), [(128, 128, 64), (128, 80, 64), (128, 40, 28), (128, 20, 10), (2, 2, 2), (16, 1, 1)]
)
def test_the_better_half_leaves_a_tenth_out(count, finite, half):
    assert int(better_half(jnp.where(jnp.arange(count) < finite, 0.0, jnp.inf))) == half


@pytest.mark.parametrize("name", SAMPLING)
@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 2**31), share=st.floats(0.0, 0.1), value=st.floats(5.0, 3e38))
@example(seed=0, share=0.0, value=1e3)
@example(seed=0, share=0.1, value=3e38)
def test_no_planner_follows_how_bad_the_bad_candidates_are(name, seed, share, value):
    planner, spec = as_arrays(PLANNERS[name]), box()
    state = planner.init(spec, jax.random.key(0))
    candidates = planner.propose(state, spec)
    counted = planner.sizes()[-1]  # iCEM learns from no more than these
    cost, bad = with_outliers(draws(seed, len(candidates)), seed, share * counted / len(candidates), value)
    left_out = cost.copy()
    left_out[bad] = np.inf
    for one, other in zip(
        update(planner, state, candidates, cost), update(planner, state, candidates, left_out), strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=0.01, atol=1e-3)


def dented(data, actions):
    """Square distance from 0.3, and for some of the starts a constant beside it."""
    return jnp.mean((actions - 0.3) ** 2, axis=(1, 2)) + data


@pytest.mark.parametrize("value", [1e3, 1e30])
def test_the_gradient_planners_starts_do_not_see_one_another(value, key):
    planner, spec = replace(as_arrays(PLANNERS["gradient"]), num_starts=10), box()
    outcomes = []
    for bad in (0.0, value):
        constant = jnp.zeros(10).at[7].set(bad)
        outcome, state = planner.plan(Formula(constant, dented), planner.init(spec, key), spec)
        outcomes.append((np.delete(np.asarray(state.params), 7, axis=0), outcome.actions))
    np.testing.assert_allclose(outcomes[0][0], outcomes[1][0], atol=1e-6)
    assert outcomes[1][1].shape == (HORIZON, 2) and float(jnp.abs(outcomes[1][1] - 0.3).max()) < 0.05
