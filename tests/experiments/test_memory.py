"""Memory: what a model learns from and what it plans from are the same latents, moment by moment."""

from __future__ import annotations

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from experiments.baselines import gcbc
from experiments.evaluation.moments import History, stacks
from experiments.shell.folders import CHECKPOINTS
from planning import CEM, ActionSpec, Agent, GoalDistance
from planning.control import Bundle, BundleEngine, LiveEngine
from planning.control.engine.contract import LONG
from planning.control.engine.interface import take_in
from worldmodel.data.frame_windows import FrameWindows
from worldmodel.models.checkpoint import load_model
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.encoders.build import sized
from worldmodel.training.encoded import LatentSampler
from worldmodel.training.settings import TrainingConfig

from ..worldmodel.small import SMALL, pictured

LENGTHS = [30, 4]
PASTS = [(1, 2, 1), (3, 4, 5)]  # history, memory and its stride: consecutive moments, and older ones far apart
ACTIONS = ActionSpec.of([-1.0] * 2, [1.0] * 2, 0.1)
PLANNER = CEM(horizon=4, num_samples=8, num_elites=4, iterations=1, num_keep=2, num_best=2)


@pytest.fixture(scope="module")
def data():
    return pictured(LENGTHS)


@pytest.fixture(scope="module", params=PASTS)
def learned(request, data):
    """An untrained model with the scales of the data, and the latents that its later stages learn from."""
    history, memory, stride = request.param
    config = replace(
        SMALL,
        observation=sized(data.spec, "components", 8),
        pictures="components",
        probe_size=0,
        history=history,
        memory=memory,
        memory_stride=stride,
    )
    module = create(config, 0)
    module.fit_scales(data.readings, data.last, data.actions, data.action_low, data.action_high)
    windows = FrameWindows.of(data, history, 3, 2, older=config.older)
    return freeze(module, config), LatentSampler.of(windows.windows, windows.embeddings(module.embed), module.encode)


def test_training_and_control_encode_every_moment_alike(data, learned):
    model, sampler = learned
    engine = LiveEngine(Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, ACTIONS))
    latents, embeddings = np.asarray(sampler.latents), np.asarray(sampler.embeddings)
    row = 0
    for length in LENGTHS:
        state = engine.begin(embeddings[0], 0, 0)
        for _ in range(length + 1):
            reading = {name: values[row] for name, values in data.readings.items()}
            state = engine.observe(state, engine.embed(reading))
            np.testing.assert_allclose(engine.root(state), latents[row], atol=2e-5)
            row += 1
    assert row == len(latents)


def test_a_goal_is_its_observation_repeated_as_in_training(data, learned):
    model, sampler = learned
    agent = Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, ACTIONS)
    for row in np.unique(data.first):  # where an episode begins, the goal's own last moments are the same one
        found = agent.solutions(sampler.embeddings[row])[0]
        np.testing.assert_allclose(found, sampler.goals[row], atol=2e-5)
    assert np.abs(np.asarray(sampler.goals) - np.asarray(sampler.latents)).max() > 1e-3, "elsewhere it has no past"


def test_stacks_of_episodes_are_those_that_grow_moment_by_moment(learned):
    model, sampler = learned
    rows = np.asarray(sampler.embeddings)[: LENGTHS[0] + 1]
    whole = stacks(rows, model.lags)
    past = History(model.history)
    for index, row in enumerate(rows):
        (grown,) = past.push(row[None])
        np.testing.assert_array_equal(whole[index], grown[model.history - 1 - np.asarray(model.lags)])


@pytest.mark.parametrize("learned", PASTS[-1:], indirect=True)  # the longest: its history is taken in at once
def test_a_bundle_of_a_model_with_memory_plans_the_same(learned, tmp_path):
    model, sampler = learned
    assert model.history > LONG
    live = LiveEngine(Agent(model, PLANNER, {"goal": GoalDistance()}, {"goal": 1.0}, ACTIONS))
    Bundle.of(live.agent).save(tmp_path / "own.bundle")
    bundle = BundleEngine(Bundle.load(tmp_path / "own.bundle"))
    assert bundle.contract.history == model.history == 23 and bundle.contract.recalls
    rows = np.asarray(sampler.embeddings)[: model.history]
    engines = live, bundle
    seen = [engine.root(take_in(engine, engine.begin(rows[0], 0, 0), rows)) for engine in engines]
    np.testing.assert_allclose(*seen, atol=1e-6)


def test_the_shipped_model_encodes_as_it_did_before_there_was_memory():
    model = load_model(CHECKPOINTS / "two_room-pixels.safetensors").model
    assert (model.history, model.lags, model.config.memory) == (3, (2, 1, 0), 0)
    encoder = model.module().encoder
    seen = jax.random.normal(jax.random.key(0), (3, model.embedding_size))
    assert encoder.memory is None
    as_before = jax.jit(lambda seen: encoder.mlp(jnp.concatenate([jnp.zeros(0), encoder.stacks["pixels"](seen)])))
    np.testing.assert_array_equal(jax.jit(model.encode)(model.params, seen), as_before(seen))


def test_cloning_sees_the_older_moments_too(data):
    training = TrainingConfig(updates=2, updates_per_call=2, batch=8)
    config = gcbc.GcbcConfig(width=16, depth=1, features=8, memory=2, memory_stride=5)
    cloner = gcbc.train(data, 2, config, training)
    stack = jax.random.normal(jax.random.key(0), (1, 12, cloner.spec.size))
    goal = stack[:, -1]
    acted = cloner(stack, goal)
    moved = [place for place in range(12) if not np.array_equal(cloner(stack.at[:, place].add(1.0), goal), acted)]
    assert moved == [0, 5, 10, 11]
