from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    Evaluation,
    Given,
    GoalDistance,
    InverseDynamics,
    LatentObjective,
    NoOp,
    PolicyPrior,
    PredictiveSampling,
    given_by,
)

from .toys import PointMass, box, point_mass

HORIZON = 6
SMALL = CEM(horizon=HORIZON, num_samples=16, num_elites=4, num_keep=2, num_best=3, proposals=(NoOp(), Given(3)))


@jax.tree_util.register_pytree_node_class
@dataclass(frozen=True)
class Trained(PointMass):
    """The point mass with what a trained model may offer besides."""

    def policy(self, params, latent, goal):
        """Towards the origin, one block at a time."""
        force = -latent[:, None, :2] - latent[:, None, 2:]
        return jnp.repeat(force, self.action_block, axis=1)

    def inverse(self, params, latent, goal):
        """Two blocks that would bring the position there."""
        force = (goal - latent)[:, None, :2]
        return jnp.repeat(force, 2 * self.action_block, axis=1)

    def tree_flatten(self):
        return (self.params,), (self.history, self.action_block)

    @classmethod
    def tree_unflatten(cls, rest, leaves):
        return cls(leaves[0], *rest)


def objective(model=None):
    root, goal = jnp.array([0.5, -0.5, 0.1, 0.0]), jnp.array([0.2, 0.3, 0.0, 0.0])
    model = model or Trained({"mass": jnp.float32(1.0)}, action_block=2)
    return LatentObjective(model, {"goal": GoalDistance()}, {"goal": 1.0}, root, goal, box())


def rolled(act, blocks, latent):
    """The rollout written out, for one latent and without noise."""
    model, actions = objective().model, []
    for _ in range(blocks):
        answer = np.clip(np.asarray(act(jnp.asarray(latent)[None])), -1, 1)
        for block in np.split(answer, answer.shape[1] // 2, axis=1):
            latent = model.predict(model.params, jnp.asarray(latent)[None], jnp.asarray(block)).latent[0]
        actions.append(answer[0])
    return np.concatenate(actions)[:HORIZON]


def test_candidates_are_mean_kept_proposals_and_draws(key):
    state = SMALL.init(box(), key)
    plain = np.asarray(SMALL.propose(state, box()))
    np.testing.assert_array_equal(plain[3], np.zeros((HORIZON, 2)))  # after the mean and the places of the kept
    assert len(np.unique(plain, axis=0)) == 15  # draws stand in for what is not given; at first the mean rests, too
    given = jnp.stack([jnp.full((HORIZON, 2), 0.5), jnp.full((HORIZON, 2), jnp.nan), jnp.full((HORIZON, 2), 7.0)])
    candidates = np.asarray(SMALL.propose(SMALL.with_given(state, given), box()))
    np.testing.assert_array_equal(candidates[4], given[0])
    np.testing.assert_array_equal(candidates[5], plain[5])  # in place of what is no number
    np.testing.assert_array_equal(candidates[6], np.ones((HORIZON, 2)))  # clipped
    np.testing.assert_array_equal(candidates[7:], plain[7:])


def test_what_was_given_is_forgotten_at_the_next_warm_start(key):
    state = SMALL.with_given(SMALL.init(box(), key), jnp.full((3, HORIZON, 2), 0.5))
    after = SMALL.warm_start(state, box(), 1)
    assert not (np.asarray(SMALL.propose(after, box())) == 0.5).any()


def test_no_op_is_the_bound_nearest_to_zero(key):
    spec = replace(box(), low=jnp.array([0.2, -1.0]), high=jnp.array([1.0, -0.3]))
    candidates = SMALL.propose(SMALL.init(spec, key), spec)
    np.testing.assert_allclose(candidates[3], np.tile([0.2, -0.3], (HORIZON, 1)))


def test_a_planner_without_kept_sequences_takes_them_too(key):
    planner = PredictiveSampling(horizon=HORIZON, num_samples=16, proposals=(NoOp(), Given(2)))
    state = planner.with_given(planner.init(box(), key), jnp.full((2, HORIZON, 2), 0.5))
    candidates = np.asarray(planner.propose(state, box()))
    np.testing.assert_array_equal(candidates[1], np.zeros((HORIZON, 2)))
    np.testing.assert_array_equal(candidates[2:4], np.full((2, HORIZON, 2), 0.5))
    cost = jnp.ones(16).at[2].set(0.0)
    after = planner.update(state, jnp.asarray(candidates), Evaluation(cost))
    np.testing.assert_array_equal(after.best.sequences[0], candidates[2])  # exactly, though knots might not express it


@pytest.mark.parametrize("what", ["policy", "inverse"])
def test_models_proposals_follow_the_model(key, what):
    now = objective()
    model = now.model
    if what == "policy":
        proposal, act, asked = PolicyPrior(4), (lambda z: model.policy(model.params, z, None)), 3
    else:
        proposal, act, asked = InverseDynamics(4), (lambda z: model.inverse(model.params, z, now.goal[None])), 2
    sequences = np.asarray(jax.jit(lambda now, key: proposal(now, HORIZON, key))(now, key))
    assert sequences.shape == (4, HORIZON, 2) and np.abs(sequences).max() <= 1
    np.testing.assert_allclose(sequences[0], rolled(act, asked, now.root), atol=1e-5)  # the first without noise
    assert len(np.unique(sequences, axis=0)) == 4
    assert 0.02 < np.std(sequences[1:] - sequences[:1]) < 0.2  # noise_std is 0.1 of the half range


def test_several_proposals_fill_the_places_of_given(key):
    now = objective()
    sequences = given_by((PolicyPrior(2), InverseDynamics(1)), now, HORIZON, key)
    state = SMALL.with_given(SMALL.init(box(), key), sequences)
    np.testing.assert_array_equal(SMALL.propose(state, box())[4:7], sequences)
    assert given_by((), now, HORIZON, key).shape == (0, HORIZON, 2)


@pytest.mark.parametrize("proposal", [PolicyPrior(2), InverseDynamics(2)])
def test_a_model_without_the_head_is_refused(key, proposal):
    name = "policy" if isinstance(proposal, PolicyPrior) else "inverse"
    with pytest.raises(ValueError, match=f"needs a model with a function `{name}`, and this one has none"):
        proposal(objective(point_mass(action_block=2)), HORIZON, key)


def test_an_answer_that_is_no_whole_block_is_refused(key):
    @jax.tree_util.register_pytree_node_class
    class Wrong(Trained):
        def policy(self, params, latent, goal):
            return jnp.zeros((len(latent), 3, 2))

    wrong = Wrong({"mass": jnp.float32(1.0)}, action_block=2)
    with pytest.raises(ValueError, match=r"return \[2, M, 2\] with M a multiple of its action block of 2; got shape"):
        PolicyPrior(2)(objective(wrong), HORIZON, key)


def test_places_that_do_not_fit_are_refused(key):
    state = SMALL.init(box(), key)
    with pytest.raises(
        ValueError, match=r"places for sequences of shape \(3, 6, 2\), and those given have \(4, 6, 2\)"
    ):
        SMALL.with_given(state, jnp.zeros((4, HORIZON, 2)))
    with pytest.raises(ValueError, match="Given more than once"):
        replace(SMALL, proposals=(Given(1), Given(1))).init(box(), key)
    with pytest.raises(ValueError, match="kept sequences and 14 proposals; set at least 18"):
        replace(SMALL, proposals=(Given(14),)).init(box(), key)
