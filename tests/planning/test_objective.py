from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import Effort, GoalDistance, Imagined, LatentObjective, TemporalDistance, imagine, score

from .toys import PERIOD, PointMass, box, point_mass

ROOT = jnp.array([0.0, 0.0, 0.5, 0.0])
GOAL = jnp.array([1.0, 0.0, 0.0, 0.0])


def rollout(actions, mass=1.0):
    """The point mass step by step, [T, 4]."""
    position, velocity, states = np.zeros(2), np.array([0.5, 0.0]), []
    for action in np.asarray(actions):
        velocity = velocity + PERIOD * action / mass
        position = position + PERIOD * velocity
        states.append(np.concatenate([position, velocity]))
    return np.array(states)


@pytest.fixture
def actions(key):
    return jax.random.uniform(key, (3, 6, 2), minval=-1.0, maxval=1.0)


@pytest.mark.parametrize("block", [1, 2, 3, 6])
def test_imagining_folds_actions_into_blocks_in_order(actions, block):
    latents = imagine(point_mass(action_block=block), ROOT, actions).latent
    for i in range(3):
        np.testing.assert_allclose(latents[i], rollout(actions[i])[block - 1 :: block], atol=1e-5)


def test_a_horizon_that_blocks_do_not_divide_is_refused(actions):
    with pytest.raises(ValueError, match="horizon is 6 .* block of 4 .* take 4"):
        imagine(point_mass(action_block=4), ROOT, actions)
    with pytest.raises(ValueError, match="1 dimensions"):
        imagine(point_mass(), ROOT, actions[:, :, :1])


def test_goal_distance_sums_over_steps_and_weighs_the_last(actions):
    latents = imagine(point_mass(), ROOT, actions).latent
    cost = GoalDistance(running=0.5, terminal=3.0)(point_mass(), Imagined(ROOT, latents, GOAL, actions), box())
    squared = ((np.asarray(latents) - np.asarray(GOAL)) ** 2).sum(-1)
    np.testing.assert_allclose(cost, 0.5 * squared.sum(1) + 3.0 * squared[:, -1], rtol=1e-5)


def test_temporal_distance_asks_the_model(actions):
    model = point_mass(critic=True)
    latents = imagine(model, ROOT, actions).latent
    imagined = Imagined(ROOT, latents, GOAL, actions)
    steps = np.sqrt(((np.asarray(latents) - np.asarray(GOAL)) ** 2).sum(-1) + 1e-6)
    cost = TemporalDistance(running=1.0, terminal=2.0)(model, imagined, box())
    np.testing.assert_allclose(cost, steps.sum(1) + 2.0 * steps[:, -1], rtol=1e-5)
    with pytest.raises(ValueError, match="has none"):
        TemporalDistance()(point_mass(), imagined, box())


@pytest.mark.parametrize("rest", [None, [1.0, 2.0]])
def test_effort_is_counted_from_the_rest_action_in_half_ranges(rest):
    spec = replace(
        box(), low=jnp.array([0.0, 2.0]), high=jnp.array([4.0, 2.0]), rest=None if rest is None else jnp.array(rest)
    )
    at_rest = 0.0 if rest is None else 1.0
    for action, expected in [([at_rest, 2.0], 0.0), ([4.0, 2.0], (4 - at_rest) ** 2 / 8)]:
        actions = jnp.broadcast_to(jnp.array(action)[None, None], (1, 5, 2))
        cost = Effort()(point_mass(), Imagined(ROOT, jnp.zeros((1, 5, 4)), GOAL, actions), spec)
        np.testing.assert_allclose(cost, [expected], atol=1e-6)


def test_terms_are_weighted_named_and_summed_in_float32(actions):
    latents = imagine(point_mass(), ROOT, actions).latent.astype(jnp.bfloat16)
    imagined = Imagined(ROOT, latents, GOAL, actions)
    costs = {"goal": GoalDistance(), "effort": Effort()}
    weights = {"goal": jnp.float32(2.0), "effort": jnp.float32(0.1)}
    evaluation = score(point_mass(), costs, weights, imagined, box())
    assert evaluation.cost.dtype == jnp.float32 and set(evaluation.terms) == {"goal", "effort"}
    np.testing.assert_allclose(evaluation.cost, sum(evaluation.terms.values()), rtol=1e-6)
    plain = score(point_mass(), costs, {"goal": 1.0, "effort": 1.0}, imagined, box())
    np.testing.assert_allclose(evaluation.terms["goal"], 2 * plain.terms["goal"], rtol=1e-6)
    np.testing.assert_allclose(evaluation.terms["effort"], 0.1 * plain.terms["effort"], rtol=1e-6)


def test_costs_and_weights_must_have_the_same_names(actions):
    imagined = Imagined(ROOT, jnp.zeros((3, 6, 4)), GOAL, actions)
    with pytest.raises(ValueError, match="one weight for each cost"):
        score(point_mass(), {"goal": GoalDistance()}, {"gaol": 1.0}, imagined, box())
    with pytest.raises(ValueError, match="nothing to minimise"):
        score(point_mass(), {}, {}, imagined, box())


def test_new_numbers_never_compile_anew(actions):
    evaluate = jax.jit(lambda objective, actions: objective(actions))
    costs = {"goal": GoalDistance(jnp.float32(1.0), jnp.float32(0.0))}
    objective = LatentObjective(point_mass(), costs, {"goal": jnp.float32(1.0)}, ROOT, GOAL, box())
    first = evaluate(objective, actions).cost
    heavy = replace(objective.model, params={"mass": jnp.asarray(2.0)})
    others = [
        replace(objective, model=heavy),
        replace(objective, weights={"goal": jnp.float32(3.0)}),
        replace(objective, root=ROOT + 1.0),
        replace(objective, goal=GOAL + 1.0),
        replace(objective, costs={"goal": GoalDistance(jnp.float32(1.0), jnp.float32(2.0))}),
        replace(objective, spec=box(bound=2.0)),
    ]
    changed = [not np.allclose(evaluate(other, actions).cost, first) for other in others]
    assert changed == [True, True, True, True, True, False]  # this cost does not look at the bounds
    assert evaluate._cache_size() == 1


def test_a_model_that_returns_a_bare_latent_is_refused(actions):
    class Bare(PointMass):
        def predict(self, params, latent, block):
            return super().predict(params, latent, block).latent

    with pytest.raises(TypeError, match=r"predict must return a planning.Prediction\(latent, reward, continuation\)"):
        imagine(Bare({"mass": jnp.float32(1.0)}), ROOT, actions)
