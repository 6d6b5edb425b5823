import jax.numpy as jnp
import numpy as np
import pytest

from planning import ActionSpec, Evaluation


@pytest.mark.parametrize(
    ("low", "high", "period", "words"),
    [
        ([-1, -1], [1], 0.1, "two vectors of one length"),
        ([], [], 0.1, "two vectors of one length"),
        ([-np.inf], [1], 0.1, "must be finite"),
        ([-1, 1], [1, -1], 0.1, "reversed in dimension 1"),
        ([-1], [1], 0.0, "positive seconds"),
        ([-1], [1], np.nan, "positive seconds"),
    ],
)
def test_bad_bounds_are_refused(low, high, period, words):
    with pytest.raises(ValueError, match=words):
        ActionSpec.of(low, high, period)


def test_order_is_by_cost_and_keeps_ties():
    assert Evaluation(jnp.array([2.0, 1.0, jnp.nan, 1.0, -jnp.inf])).order().tolist() == [1, 3, 0, 2, 4]


def test_feasible_comes_first_and_a_diverged_rollout_last_whatever_its_margins():
    cost = jnp.array([1.0, 5.0, 2.0, jnp.nan, 3.0])
    margins = {"a": jnp.array([0.5, -1.0, 0.1, -1.0, jnp.nan]), "b": jnp.array([-9.0, 0.0, 0.2, -1.0, -1.0])}
    evaluation = Evaluation(cost, margins)
    np.testing.assert_allclose(evaluation.violation(), [0.5, 0.0, 0.3, 0.0, np.inf], atol=1e-6)
    assert evaluation.order().tolist() == [1, 2, 0, 4, 3]
