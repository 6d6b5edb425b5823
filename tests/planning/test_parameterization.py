from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning import CEM, Blocks, Knots, Steps
from planning.best import shift

from .toys import PERIOD, box

EVERY = [Steps(), Blocks(3), Blocks(12), Knots(5, "zero"), Knots(12, "zero"), Knots(2, "linear"), Knots(5, "linear")]
EVERY += [Knots(12, "linear"), Knots(2, "cubic"), Knots(5, "cubic"), Knots(12, "cubic")]
HORIZON = 12


def some(parameterization, *leading):
    rng = np.random.default_rng(0)
    return rng.uniform(-1, 1, (*leading, parameterization.num(HORIZON), 2)).astype(np.float32)


@pytest.mark.parametrize("parameterization", EVERY, ids=str)
def test_what_is_executed_is_what_was_planned(parameterization):
    """A spline that was planned as cubic and executed as zero order, or stretched in time, is another plan."""
    params = some(parameterization)
    planned = np.asarray(parameterization.expand(jnp.asarray(params), HORIZON))
    instants = np.float32(PERIOD) * np.arange(HORIZON, dtype=np.float32)
    executed = parameterization.evaluate(params, instants, PERIOD, HORIZON)
    assert isinstance(executed, np.ndarray)  # a control loop compiles nothing
    for rounding in (-3e-6, 3e-6):  # of a clock
        rounded = parameterization.evaluate(params, instants + np.float32(rounding), PERIOD, HORIZON)
        np.testing.assert_allclose(rounded, planned, atol=1e-3)
    np.testing.assert_allclose(executed, planned, atol=1e-6)
    traced = jax.jit(lambda seconds: parameterization.evaluate(jnp.asarray(params), seconds, PERIOD, HORIZON))
    between = instants[:-1] + 0.03
    np.testing.assert_allclose(
        traced(jnp.asarray(between)), parameterization.evaluate(params, between, PERIOD, HORIZON), atol=1e-5
    )
    for seconds, step in ((-1.0, 0), (99.0, HORIZON - 1)):
        np.testing.assert_allclose(
            parameterization.evaluate(params, seconds, PERIOD, HORIZON), planned[step], atol=1e-6
        )


@pytest.mark.parametrize("parameterization", EVERY, ids=str)
def test_any_plan_plays_back_exactly_at_the_control_instants(parameterization):
    actions = np.random.default_rng(1).uniform(-1, 1, (HORIZON, 2)).astype(np.float32)
    instants = np.float32(PERIOD) * np.arange(HORIZON, dtype=np.float32)
    np.testing.assert_allclose(parameterization.play(actions, instants, PERIOD), actions, atol=1e-5)
    between = {"linear": actions[3:5].mean(0), "cubic": np.float32([-1, 9, 9, -1]) / 16 @ actions[2:6]}
    expected = between.get(getattr(parameterization, "order", "zero"), actions[3])
    np.testing.assert_allclose(parameterization.play(actions, 3.5 * PERIOD, PERIOD), expected, atol=1e-5)


@pytest.mark.parametrize("parameterization", EVERY, ids=str)
def test_fitting_an_expanded_plan_gives_its_parameters_back(parameterization):
    params = jnp.asarray(some(parameterization, 4))
    sequences = parameterization.expand(params, HORIZON)
    assert sequences.shape == (4, HORIZON, 2)
    np.testing.assert_allclose(parameterization.fit(sequences), params, atol=1e-5)


@pytest.mark.parametrize("parameterization", EVERY, ids=str)
def test_a_constant_is_expressed_and_shifted_exactly(parameterization):
    params = jnp.full((parameterization.num(HORIZON), 2), 0.7)
    sequence = parameterization.expand(params, HORIZON)
    np.testing.assert_allclose(sequence, np.full((HORIZON, 2), 0.7), atol=1e-6)
    np.testing.assert_allclose(parameterization.fit(shift(sequence, jnp.int32(5))), params, atol=1e-5)


@settings(max_examples=30, deadline=None)
@given(horizon=st.integers(2, 20), count=st.integers(2, 20), order=st.sampled_from(["zero", "linear", "cubic"]))
def test_weights_sum_to_one_everywhere(horizon, count, order):
    knots = Knots(min(count, horizon), order)
    weights = knots.weights(np.linspace(-1, horizon + 1, 57, dtype=np.float32), horizon)
    np.testing.assert_allclose(weights.sum(-1), 1.0, atol=1e-5)
    if order != "cubic":
        assert (weights >= 0).all()


def test_knots_lie_where_they_are_said_to():
    knots = np.float32([[0.0], [1.0], [4.0]])
    for order, expected in (
        ("zero", [0, 0, 1, 1, 4, 4]),
        ("linear", [0, 0.4, 0.8, 1.6, 2.8, 4]),
    ):
        np.testing.assert_allclose(np.asarray(Knots(3, order).expand(jnp.asarray(knots), 6))[:, 0], expected, atol=1e-6)
    cubic = np.asarray(Knots(3, "cubic").expand(jnp.asarray(knots), 5))[:, 0]  # knots at 0, 2, 4
    np.testing.assert_allclose(cubic, [0, 0.375, 1, 2.375, 4], atol=1e-6)
    blocks = np.asarray(Blocks(2).expand(jnp.asarray(knots), 6))[:, 0]
    np.testing.assert_array_equal(blocks, [0, 0, 1, 1, 4, 4])


@pytest.mark.parametrize("parameterization", [Steps(), Blocks(3), Knots(5, "linear"), Knots(5, "cubic")], ids=str)
def test_a_planner_shifts_its_plan_by_any_number_of_steps(key, parameterization):
    planner = CEM(horizon=HORIZON, parameterization=parameterization)
    line = jnp.linspace(-0.9, 0.9, parameterization.num(HORIZON))[:, None] * jnp.ones((1, 2))
    state = replace(planner.init(box(), key), mean=line)
    later = planner.expand(planner.warm_start(state, box(), 2).mean, box())
    planned = planner.expand(line, box())
    wanted = np.asarray(shift(planned, jnp.int32(2)))
    nearest = np.asarray(parameterization.expand(parameterization.fit(jnp.asarray(wanted)), HORIZON))
    np.testing.assert_allclose(later, nearest, atol=1e-5)
    assert np.abs(np.asarray(later) - wanted).mean() < 0.8 * np.abs(np.asarray(planned) - wanted).mean()


@pytest.mark.parametrize(
    ("parameterization", "words"),
    [
        (Blocks(5), "blocks of 5 steps cannot make a horizon of 12"),
        (Blocks(0), "blocks of 0 steps"),
        (Knots(13), r"linear knots must number between 2 and the horizon \(12\); got 13"),
        (Knots(1, "cubic"), "cubic knots must number between 2"),
        (Knots(0, "zero"), "zero knots must number between 1"),
        (Knots(3, "quintic"), "order must be one of zero, linear, cubic; got 'quintic'"),
    ],
)
def test_a_horizon_that_cannot_be_expressed_is_refused(key, parameterization, words):
    with pytest.raises(ValueError, match=words):
        CEM(horizon=12, parameterization=parameterization).init(box(), key)


def test_a_cubics_overshoot_stays_within_the_bounds(key):
    planner = CEM(horizon=HORIZON, parameterization=Knots(4, "cubic"), init_std=5.0)
    candidates = planner.propose(planner.init(box(), key), box())
    assert float(jnp.abs(candidates).max()) <= 1.0
