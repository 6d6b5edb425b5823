"""Plans of a model for rewards, whose file was written when a latent still carried reward and continuation."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from planning import (
    CEM,
    ActionSpec,
    Agent,
    Given,
    LatentModel,
    LatentObjective,
    PolicyPrior,
    Return,
    Reward,
    Value,
    imagine,
)
from worldmodel.models.checkpoint import load_reward_model
from worldmodel.models.freeze import freeze_reward_model

FILE = Path(__file__).parents[2] / "data" / "rewards" / "episodic.safetensors"
OBSERVATION = jnp.array([[0.5, -2.0, 0.1]])
ACTIONS = jnp.asarray(np.linspace(-1, 1, 24).reshape(4, 3, 2), jnp.float32)
SPEC = ActionSpec.of([-2.0, -1.0], [2.0, 1.0], 0.1)
# By the code that wrote the file.
RETURN = [5.51469612121582, 11.081648826599121, 7.5703206062316895, 0.8086155652999878]
VALUE = [-0.6491535902023315, -0.4479852616786957, -0.12063056975603104, -0.1544385403394699]
POLICY = [-0.5756040215492249, -0.07397457212209702]
ACTION, COST = [1.524785041809082, -0.30545344948768616], -6.765499114990234


@pytest.fixture(scope="module")
def model():
    return load_reward_model(FILE).model


@pytest.fixture(scope="module")
def root(model):
    return model.encode(model.params, OBSERVATION)


def test_costs_and_policy_are_those_of_before(model, root):
    costs = {"return": Return(0.9), "value": Value(0.9)}
    terms = LatentObjective(model, costs, {"return": 1.0, "value": 1.0}, root, root, SPEC)(ACTIONS).terms
    np.testing.assert_allclose(terms["return"], RETURN, rtol=1e-5)
    np.testing.assert_allclose(terms["value"], VALUE, rtol=1e-5)
    np.testing.assert_allclose(model.heads.policy(model.params, root, root)[0], POLICY, rtol=1e-5)


def test_a_plan_is_that_of_before(model):
    planner = CEM(horizon=3, num_samples=32, num_elites=4, iterations=2, proposals=(Given(4),))
    proposals = (PolicyPrior(4, 0.3),)
    agent = Agent(model, planner, {"return": Return(0.9)}, {"return": 1.0}, SPEC, proposals=proposals)
    state = agent.reset(agent.init(jax.random.key(3)), OBSERVATION[0], jax.random.key(5), 2)
    action, plan, _ = jax.jit(Agent.step)(agent, state, OBSERVATION[0])
    np.testing.assert_allclose(action, ACTION, rtol=1e-4)
    assert float(plan.cost) == pytest.approx(COST, rel=1e-4)


def test_a_return_is_what_the_module_foresees(model, root):
    module, size = model.module(), model.config.representation_size
    assert isinstance(model, LatentModel) and root.shape == (size,) == (model.latent_size,)
    latents, expected, weight = jnp.broadcast_to(root, (4, size)), np.zeros(4), np.ones(4)
    rewards = np.zeros(4)
    for step in range(3):
        latents, reward, end = module.foresee(latents, module.scale.share(ACTIONS[:, step]))
        expected += weight * np.asarray(module.decoded(reward))
        rewards += 0.9**step * np.asarray(module.decoded(reward))
        weight = weight * 0.9 * (1 - np.asarray(jax.nn.sigmoid(end)))
    expected += weight * np.asarray(module.value(latents))
    costs = {"return": Return(0.9), "reward": Reward(0.9)}
    terms = LatentObjective(model, costs, {"return": 1.0, "reward": 1.0}, root, root, SPEC)(ACTIONS).terms
    np.testing.assert_allclose(terms["return"], -expected, rtol=1e-5)
    np.testing.assert_allclose(terms["reward"], -rewards, rtol=1e-5)


def test_a_task_without_ends_foresees_no_continuation(model, root):
    endless = freeze_reward_model(model.params, replace(model.config, episodic=False))
    foreseen = imagine(endless, root, ACTIONS)
    assert foreseen.continuation is None and foreseen.reward.shape == (4, 3) and foreseen.latent.shape == (4, 3, 8)
