from dataclasses import dataclass, replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    ActionRate,
    Custom,
    Imagined,
    LatentObjective,
    Prediction,
    ProbeDistance,
    ProbeGoalDistance,
    Reward,
    Value,
    imagine,
)

from .toys import PointMass, box, point_mass

ROOT = jnp.array([1.0, 0.0, 0.0, 0.0])


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["history", "action_block", "critic", "eye", "reflexes"],
)
@dataclass(frozen=True)
class Rewarding(PointMass):
    """Earns its first coordinate, plus ten times the block's first force; what lies ahead is worth the second one."""

    def predict(self, params, latent, block):
        return Prediction(super().predict(params, latent, block).latent, latent[..., 0] + 10 * block[..., 0, 0])

    def value(self, params, latent):
        return latent[..., 1]


def imagined(actions, latents=None, previous=None):
    actions = jnp.asarray(actions, jnp.float32)
    latents = jnp.zeros((len(actions), actions.shape[1], 4)) if latents is None else latents
    return Imagined(ROOT, latents, ROOT, actions, previous)


def test_the_rate_counts_the_change_from_the_action_taken_before():
    actions = [[[0.5, 0.0], [1.0, 0.0]], [[0.0, 0.0], [0.0, 0.0]]]
    spec = box(bound=0.5)  # half a range is 0.5
    cost = ActionRate()(point_mass(), imagined(actions), spec)
    np.testing.assert_allclose(cost, [1.0 / 4, 0.0])
    cost = ActionRate()(point_mass(), imagined(actions, previous=jnp.array([0.0, 0.25])), spec)
    np.testing.assert_allclose(cost, [(1.0 + 1.0 + 0.25) / 4, 0.25 / 4])


def test_the_rate_of_a_locked_action_is_free_of_division_by_zero():
    spec = replace(box(), low=jnp.array([-1.0, 0.3]), high=jnp.array([1.0, 0.3]))
    cost = ActionRate()(point_mass(), imagined([[[0.0, 0.3], [0.0, 0.3]]]), spec)
    np.testing.assert_array_equal(cost, [0.0])


def test_rewards_are_those_of_the_state_before_each_block():
    model = Rewarding(params={"mass": jnp.float32(1.0)}, action_block=2)
    actions = jnp.zeros((1, 6, 2)).at[0, :, 0].set(jnp.arange(6.0))  # blocks begin with 0, 2 and 4
    objective = LatentObjective(model, {"reward": Reward(discount=0.5)}, {"reward": 1.0}, ROOT, ROOT, box())
    places = np.asarray(imagine(model, ROOT, actions).latent)[0, :, 0]
    expected = 1.0 + 0.5 * (places[0] + 20.0) + 0.25 * (places[1] + 40.0)
    np.testing.assert_allclose(objective(actions).cost, [-expected], rtol=1e-6)


def test_the_value_is_that_of_the_last_latent_discounted():
    model = Rewarding(params={"mass": jnp.float32(1.0)})
    latents = jnp.zeros((1, 3, 4)).at[0, :, 1].set(jnp.array([1.0, 2.0, 4.0]))
    np.testing.assert_allclose(Value(discount=0.5)(model, imagined(jnp.zeros((1, 3, 2)), latents), box()), [-0.5])


@pytest.mark.parametrize(("cost", "word"), [(Reward(), "reward"), (Value(), "value")])
def test_a_model_without_the_head_is_refused(cost, word):
    with pytest.raises(ValueError, match=f"needs a model with a {word} head, and this one has none"):
        cost(point_mass(), imagined(jnp.zeros((1, 3, 2))), box())


def away_from(model, imagined, spec, place):
    return -jnp.sum((imagined.latents[:, -1, :2] - place[None]) ** 2, axis=-1)


def test_a_function_of_ones_own_is_a_cost_whose_data_may_change():
    evaluate = jax.jit(lambda objective, actions: objective(actions))
    actions = jnp.zeros((2, 3, 2))
    costs = {"away": Custom(away_from, {"place": jnp.zeros(2)})}
    objective = LatentObjective(point_mass(), costs, {"away": jnp.float32(2.0)}, ROOT, ROOT, box())
    np.testing.assert_allclose(evaluate(objective, actions).terms["away"], [-2.0, -2.0])
    moved = replace(objective, costs={"away": Custom(away_from, {"place": jnp.array([0.0, 3.0])})})
    np.testing.assert_allclose(evaluate(moved, actions).cost, [-20.0, -20.0])
    assert evaluate._cache_size() == 1


def test_a_cost_of_the_wrong_shape_is_named():
    objective = LatentObjective(
        point_mass(), {"odd": Custom(lambda *_: jnp.zeros(()))}, {"odd": 1.0}, ROOT, ROOT, box()
    )
    with pytest.raises(ValueError, match=r"the cost odd must give one number for each of 2 candidates; got shape \(\)"):
        objective(jnp.zeros((2, 3, 2)))


def test_a_goal_in_the_probes_words_counts_what_is_told_alone():
    latents = jnp.array([[[1.0, 5.0, 0.0, 0.0], [3.0, 5.0, 0.0, 0.0]]])  # the eye sees the first two
    model, path = point_mass(eye=True), imagined(jnp.zeros((1, 2, 2)), latents)
    np.testing.assert_allclose(ProbeDistance((1.0, 1.0))(model, path, box()), [16.0 + 20.0])
    np.testing.assert_allclose(ProbeDistance((1.0, float("nan")))(model, path, box()), [0.0 + 4.0])
    np.testing.assert_allclose(ProbeDistance((1.0, 1.0), running=0.0, terminal=2.0)(model, path, box()), [40.0])
    with pytest.raises(ValueError, match=r"ProbeDistance has \(3,\) numbers, and the model's probe gives 2"):
        ProbeDistance((1.0, 1.0, 1.0))(model, path, box())
    with pytest.raises(ValueError, match="ProbeDistance needs a model with a probe head"):
        ProbeDistance((1.0, 1.0))(point_mass(), path, box())


def test_a_set_point_is_what_the_probe_says_of_the_goal():
    latents = jnp.array([[[1.0, 5.0, 0.0, 0.0], [3.0, 5.0, 0.0, 0.0]]])
    model, path = point_mass(eye=True), imagined(jnp.zeros((1, 2, 2)), latents)
    path = replace(path, goal=jnp.array([1.0, 1.0, 7.0, 7.0]))  # what the eye does not see does not count
    np.testing.assert_allclose(ProbeGoalDistance((1.0, 0.0))(model, path, box()), [0.0 + 4.0])
    np.testing.assert_allclose(ProbeGoalDistance((0.5, 1.0))(model, path, box()), [16.0 + 18.0])
    np.testing.assert_allclose(ProbeGoalDistance((1.0, 0.0), 0.0, 2.0)(model, path, box()), [8.0])
    with pytest.raises(ValueError, match=r"ProbeGoalDistance has \(3,\) weights, and the model's probe gives 2"):
        ProbeGoalDistance((1.0, 1.0, 1.0))(model, path, box())
    with pytest.raises(ValueError, match="ProbeGoalDistance needs a model with a probe head"):
        ProbeGoalDistance((1.0, 1.0))(point_mass(), path, box())
