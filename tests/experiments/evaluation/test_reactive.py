from dataclasses import dataclass
from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from experiments.evaluation.goals import latency
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import GoalEpisodes
from experiments.evaluation.reactive import ReactivePolicy, reflex
from planning import Heads
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector


@partial(jax.tree_util.register_dataclass, data_fields=["params"], meta_fields=["history"])
@dataclass(frozen=True)
class Stub:
    """A model whose latent is its history, and whose policy points from the present to the goal; then it goes mad."""

    params: tuple
    history: int = 2
    action_block = 2
    observation = vector(4)
    embedding_size = 4
    action_size = 2
    latent_size = 8
    ensemble = 1

    def embed(self, params, observation):
        raise NotImplementedError("the reflex sees rows")

    def predict(self, params, latents, block):
        raise NotImplementedError("the reflex imagines nothing")

    def encode(self, params, stacks):
        return stacks.reshape(*stacks.shape[:-2], -1)

    @property
    def heads(self):
        return Heads(policy=self.policy)

    def policy(self, params, latents, goals):
        towards = params[0] * (goals - latents)[..., 4:6]
        block = 0.5 * towards, 1.5 * towards, jnp.full_like(towards, 99.0)  # the last one is of the next block
        return jnp.stack(block, axis=-2)  # [..., M, A]


@pytest.fixture(scope="module")
def task():
    return envs.make("two_room")


def test_the_reflex_takes_the_mean_of_the_block_within_the_bounds(task):
    pairs = honest(task, 6, 0)
    episodes, policy = GoalEpisodes(task, pairs), reflex(Stub((jnp.float32(0.1),)))
    policy.reset(episodes)
    gap = task.goal_observation(pairs.goals)[:, :2] - task.observe(pairs.states)[:, :2]
    np.testing.assert_allclose(policy.act(episodes.observe(), episodes.active), 0.1 * gap, rtol=1e-5)
    hasty = reflex(Stub((jnp.float32(1e6),)))
    hasty.reset(episodes)
    actions = hasty.act(episodes.observe(), episodes.active)
    np.testing.assert_array_equal(np.abs(actions), 1.0)
    assert (policy.name, actions.dtype) == ("reflex", np.float32)


def test_the_reflex_of_a_real_model_is_the_mean_of_what_its_policy_head_gives(task):
    config = ModelConfig(
        observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8, depth=1, policy=True
    )
    model, pairs = freeze(create(config, 0), config), honest(task, 3, 0)
    episodes, policy = GoalEpisodes(task, pairs), reflex(model)
    policy.reset(episodes)
    actions = policy.act(episodes.observe(), episodes.active)
    still = np.repeat(task.observe(pairs.states)[:, None], config.history, axis=1)
    goal = np.repeat(task.goal_observation(pairs.goals)[:, None], config.history, axis=1)
    latent, towards = (model.encode(model.params, jnp.asarray(each)) for each in (still, goal))
    blocks = model.heads.policy(model.params, latent, towards)
    assert blocks.shape == (3, config.action_block, 2)
    np.testing.assert_allclose(actions, np.clip(np.mean(blocks, axis=1), -1, 1), rtol=1e-5)
    assert np.abs(actions - blocks[:, 0]).max() > 1e-3, "the first action alone is another one"


def test_a_model_without_policy_is_told():
    with pytest.raises(ValueError, match="reflex needs a model with a policy head, and this one has none"):
        reflex(SimpleNamespace(heads=Heads()))


def test_it_sees_the_last_observations_and_nothing_of_earlier_episodes(task):
    seen = []
    policy = ReactivePolicy("x", 3, lambda goals: goals, lambda stacks, goals: seen.append(stacks) or goals[:, :2])
    pairs = honest(task, 1, 0)
    for _ in range(2):
        policy.reset(GoalEpisodes(task, pairs))
        for step in range(4):
            policy.act(np.full((1, 4), step), np.ones(1, bool))
    firsts = [stack[0, :, 0].tolist() for stack in seen]
    assert firsts == 2 * [[0, 0, 0], [0, 0, 1], [0, 1, 2], [1, 2, 3]]


def test_its_time_is_taken(task):
    times = latency.measure_reactive(task, reflex(Stub((jnp.float32(0.1),))), honest(task, 2, 0), 30)
    assert times.shape == (30,) and (times > 0).all()
