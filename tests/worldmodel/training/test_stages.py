"""The stages of training: the representation, further members and partial goals, the critic, the policy last."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.losses.partial_goal import PartialGoals, goal_loss, goal_probe_loss, partial_goals
from worldmodel.losses.prediction import bootstrap_weights
from worldmodel.models.checkpoint import load_training, save_training
from worldmodel.training.encoded import LatentSampler
from worldmodel.training.jepa import jepa_loss
from worldmodel.training.settings import TrainingConfig

from ..small import trainer

MODULES = ("encoder", "predictor", "distance_head", "goal_head", "policy_head", "inverse", "probe_head")


LENGTHS = {"updates": 20, "frozen_updates": 20, "critic_updates": 20, "policy_updates": 60}
END = sum(LENGTHS.values())


@pytest.fixture(scope="module")
def run():
    return trainer(**LENGTHS)


@pytest.fixture(scope="module")
def states(run):
    """The state after each call, by the updates made, and the metrics."""
    kept, history = {0: run.init()}, []

    def keep(state, metrics):
        kept[int(state.update)] = jax.tree.map(jnp.copy, state)
        history.append(metrics)

    run.train(run.init(), keep)
    return kept, history


def changed(before, after):
    """The modules whose parameters differ."""
    return {
        name
        for name in MODULES
        if any(
            not np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(before.params[name]), jax.tree.leaves(after.params[name]), strict=True)
        )
    }


def test_each_stage_trains_its_own_modules_alone(states):
    kept, _ = states
    assert changed(kept[0], kept[20]) == {*MODULES} - {"policy_head", "goal_head"}
    assert changed(kept[20], kept[40]) == {"predictor", "goal_head"}
    assert changed(kept[40], kept[60]) == {"distance_head"}
    assert changed(kept[60], kept[END]) == {"policy_head"}


def test_the_first_member_learns_with_the_encoder_and_the_others_after_it(states):
    kept, _ = states

    def moved(member, before, after):
        one, other = (kept[update].params["predictor"]["members"][member] for update in (before, after))
        return not all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))

    assert moved(0, 0, 20) and not moved(1, 0, 20)
    assert moved(1, 20, 40) and not moved(0, 20, 40)


@pytest.mark.parametrize(("window", "counts"), [(0, True), (15, True), (16, False), (31, False)])
def test_the_critic_learns_from_the_first_windows_of_the_representation_s_batch(run, states, window, counts):
    model, windows = run.model(states[0][20]), run.sampler.sample(jax.random.key(5), 32)
    elsewhere = {name: values.at[window].add(1.0) for name, values in windows.goals.items()}
    changed = dataclasses.replace(windows, goals=elsewhere)

    def loss(windows):
        key, critic = jax.random.key(6), model.distance_head
        return jepa_loss(model, critic, windows, key, run.objective, run.config.critic_batch)[0]

    assert (loss(windows) != loss(changed)) == counts


def test_the_policy_gets_nearer_to_its_goals(states):
    _, history = states
    assert history[-1]["policy"] < history[6]["policy"] - 0.05


def test_a_run_that_stops_in_any_stage_goes_on_to_the_same_bits(run, states, tmp_path):
    kept, _ = states
    for update in (30, 50, 70):
        save_training(tmp_path / "t.safetensors", kept[update], {}, {})
        state, _ = load_training(tmp_path / "t.safetensors", run.init(), {})
        fresh = trainer(**LENGTHS) if update == 30 else run
        final = fresh.train(state)
        for a, b in zip(jax.tree.leaves(final), jax.tree.leaves(kept[END]), strict=True):
            np.testing.assert_array_equal(a, b)


def test_a_stage_that_is_cut_short_leaves_the_next_ones_as_they_are(run, states):
    kept, _ = states
    assert run.stages == {
        "joint": range(20),
        "frozen": range(20, 40),
        "critic": range(40, 60),
        "policy": range(60, END),
    }
    assert [int(run.skip_stage(kept[update]).update) for update in (0, 20, 30, 50)] == [20, 40, 40, 60]
    seen = []

    def cut(state, metrics):
        seen.append(int(state.update))
        return run.skip_stage(state) if seen[-1] in (30, 50) else None

    final = run.train(jax.tree.map(jnp.copy, run.init()), cut)
    assert seen == [10, 20, 30, 50, 70, 80, 90, 100, 110, END]
    assert changed(kept[30], final) == {"distance_head", "policy_head"}
    counts = {name: int(state[1][0].count) for name, state in final.optimizers.items()}
    assert counts == {"joint": 20, "frozen": 10, "critic": 10, "policy": 60}


def test_cached_windows_are_the_encoded_ones(run, states):
    model, key = run.model(states[0][20]), jax.random.key(3)
    windows = run.sampler.sample(key, 16)
    for rows in (16, 10_000):
        cached = LatentSampler.of(run.sampler, model.embed(run.sampler.observations), model.encode, rows).sample(
            key, 16
        )
        np.testing.assert_allclose(cached.latents, model.encode(windows.observations["state"]), atol=1e-5)
        np.testing.assert_allclose(cached.goals, model.encode(windows.goals["state"]), atol=1e-5)
        np.testing.assert_array_equal(cached.goal_embeddings, windows.goals["state"][:, -1])
        np.testing.assert_array_equal(cached.actions, windows.actions)
        np.testing.assert_array_equal(cached.episode, windows.episode)


def test_members_learn_from_their_own_episodes(states):
    episodes = jnp.arange(2000, dtype=jnp.int32)
    weights = np.asarray(bootstrap_weights(episodes, 3, 0.7))
    assert weights[0].all()
    assert weights[1:].mean(axis=1) == pytest.approx([0.7, 0.7], abs=0.04)
    assert np.mean(weights[1] != weights[2]) > 0.3
    np.testing.assert_array_equal(weights[:, ::-1], bootstrap_weights(episodes[::-1], 3, 0.7))
    members = states[0][20].params["predictor"]["members"]
    assert not np.array_equal(members[0]["output"]["kernel"], members[1]["output"]["kernel"])


def test_the_policy_keeps_to_the_bounds_that_it_was_told(run, states):
    model = run.model(states[0][END])
    model.policy_head.fit(np.array([-2.0, 0.5]), np.array([-1.0, 4.0]))
    latents = 5 * jax.random.normal(jax.random.key(0), (2, 64, 8))
    actions = np.asarray(model.policy(*latents))
    assert actions.shape == (64, 2, 2)
    assert (actions >= [-2.0, 0.5]).all() and (actions <= [-1.0, 4.0]).all()
    assert np.ptp(actions, axis=0).min() > 0.1


def test_a_goal_that_is_told_in_full_is_that_observation_at_rest(run, states):
    model = run.model(states[0][END])
    observation = jnp.array([[0.3, -0.2, 0.1, 0.0], [0.3, -0.2, 7.0, 7.0], [0.3, -0.2, 0.0, 0.0]])
    mask = jnp.array([[True] * 4, [True, True, False, False], [True, True, False, False]])
    goals = model.goal(observation, mask)
    np.testing.assert_allclose(goals[0], model.encode(jnp.repeat(observation[:1], 2, axis=0)), atol=1e-6)
    assert np.isfinite(goals).all() and not np.allclose(goals[0], goals[1])
    np.testing.assert_array_equal(goals[1], goals[2])  # what lies outside of the mask does not matter


def test_what_the_probe_says_of_partial_goals_teaches_them_alone(run, states):
    model = run.model(states[0][END])
    goals = jax.random.normal(jax.random.key(3), (16, 8))
    told = goals + 0.1
    assert goal_probe_loss(model, told, goals) > goal_probe_loss(model, goals, goals) == 0
    slope = nnx.grad(lambda model: goal_probe_loss(model, told, goals))(model)
    assert not any(np.any(leaf) for leaf in jax.tree.leaves(slope))  # neither the probe nor the goals learn
    assert np.any(jax.grad(lambda told: goal_probe_loss(model, told, goals))(told))
    assert not np.any(jax.grad(lambda goals: goal_probe_loss(model, told, goals))(goals))


def test_partial_goals_settle_at_the_mean_of_what_agrees(run, states):
    """With nothing told, the mean of all goals is the best answer, and the loss of it their variance."""
    goals = jax.random.normal(jax.random.key(1), (512, 8))
    mean = jnp.broadcast_to(goals.mean(axis=0), goals.shape)

    def loss(answer, goals):
        return goal_loss(PartialGoals(answer[:, None], jnp.zeros((512, 1))), goals)

    assert loss(mean, goals) < loss(mean + 0.1, goals)
    np.testing.assert_array_equal(jax.grad(lambda goals: loss(mean, goals))(goals), jnp.zeros_like(goals))
    told = partial_goals(run.model(states[0][END]), run.sampler.observations["state"][:64], jax.random.key(2))
    assert told.solutions.shape == (64, 1, 8) and np.isfinite(told.solutions).all()


def test_stages_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="training.frozen_updates must be at least 0; got -100"):
        TrainingConfig(frozen_updates=-100)
    with pytest.raises(ValueError, match="training.critic_updates must be a multiple of updates_per_call; got 50"):
        TrainingConfig(critic_updates=50)
    with pytest.raises(ValueError, match="training.policy_updates must be a multiple of updates_per_call; got 50"):
        TrainingConfig(policy_updates=50)
    run = trainer(updates=10)
    assert run.total == 20
    with_policy = trainer(updates=10, policy_updates=10)
    assert with_policy.total == 30
    assert trainer(updates=10, critic_updates=10).total == 30
    model, none = with_policy.model(with_policy.init()), dataclasses.replace(run.config, policy_updates=0)
    without = dataclasses.replace(run.objective, distance=0.0)
    assert (
        type(run)(model, run.sampler, without, dataclasses.replace(with_policy.config, critic_updates=10)).total == 30
    )
    with pytest.raises(ValueError, match=r"need training.frozen_updates; got 0"):
        trainer(updates=10, frozen_updates=0)
    with pytest.raises(ValueError, match=r"foreign_goals \(4\) must be less than training.critic_batch \(4\)"):
        trainer(critic_batch=4)
    with pytest.raises(ValueError, match="a policy needs training.policy_updates"):
        type(run)(model, run.sampler, run.objective, none)
