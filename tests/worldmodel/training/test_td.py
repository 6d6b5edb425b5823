"""Replay, two-hot values, the reward model and its updates."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.data.replay import Replay, add, begin, of_episodes, sample, take_back
from worldmodel.data.rewards import RewardEpisode
from worldmodel.losses.value import two_hot_loss
from worldmodel.models.freeze import freeze_reward_model
from worldmodel.models.reward_model import RewardModelConfig
from worldmodel.nets.bins import decoded, symexp, symlog, two_hot
from worldmodel.observation import vector
from worldmodel.training.lanes import Lanes
from worldmodel.training.td import TdConfig
from worldmodel.training.td_trainer import TdTrainer, TdTrainingConfig

HORIZON = 3


def test_two_hot_weights_stand_for_the_number_they_were_made_of():
    values = jnp.array([-900.0, -3.2, 0.0, 0.4, 17.0, 1000.0])
    weights = two_hot(values, 51, 7.0)
    np.testing.assert_allclose(weights.sum(axis=-1), 1.0, rtol=1e-5)
    assert ((weights > 0).sum(axis=-1) <= 2).all()
    np.testing.assert_allclose(decoded(jnp.log(weights + 1e-30), 7.0), values, rtol=2e-3, atol=1e-4)
    np.testing.assert_allclose(symexp(symlog(values)), values, rtol=1e-4)
    np.testing.assert_allclose(two_hot(jnp.array([1e9]), 5, 7.0), [[0, 0, 0, 0, 1]])


def test_the_two_hot_loss_is_least_at_the_weights_themselves(key):
    values = jnp.array([0.3, 5.0])
    best = two_hot_loss(jnp.log(two_hot(values, 21, 7.0) + 1e-9), values, 7.0)
    for other in jax.random.normal(key, (20, 2, 21)):
        assert (two_hot_loss(other, values, 7.0) > best).all()


def lived(episodes, slots, environments=1):
    """A buffer in which the observation is (environment, episode, step), and the reward is the step's number."""
    replay = Replay.empty(environments, slots, 3, 1)
    envs = np.arange(environments, dtype=np.float32)

    def seen(episode, step):
        return jnp.asarray(np.stack([envs, 0 * envs + episode, 0 * envs + step], axis=-1))

    for episode, length in enumerate(episodes):
        replay = begin(replay, seen(episode, 0), jnp.ones(environments, bool))
        for step in range(length):
            ends = jnp.full(environments, step == length - 1)
            now = jnp.full(environments, float(step))
            replay = add(replay, now[:, None], now, ends, seen(episode, step + 1))
    return replay


@pytest.mark.parametrize("slots", [14, 1000])
def test_windows_never_cross_an_episode_or_the_head_of_the_ring(slots, key):
    replay = lived([5, 7, 4], slots, environments=2)
    batch = jax.jit(sample, static_argnums=(2, 3))(replay, key, 512, HORIZON)
    observations, valid = np.asarray(batch.observations), np.asarray(batch.valid)
    steps = observations[:, :-1, 2]
    assert valid.any(axis=0).all() and (np.diff(valid.astype(int), axis=1) <= 0).all()
    np.testing.assert_array_equal(np.asarray(batch.rewards)[valid], steps[valid])
    np.testing.assert_array_equal(np.asarray(batch.actions)[valid][:, 0], steps[valid])
    following = observations[:, 1:][valid]
    np.testing.assert_array_equal(following[:, :2], observations[:, :-1][valid][:, :2])  # the same episode
    np.testing.assert_array_equal(following[:, 2], steps[valid] + 1)
    lengths = np.array([5, 7, 4])[observations[:, :-1, 1].astype(int)]
    np.testing.assert_array_equal(np.asarray(batch.terminated)[valid], (steps == lengths - 1)[valid])
    drawn = {tuple(each) for each in observations[:, 0].astype(int)}
    newest = {(e, 2, step) for e in range(2) for step in range(2)}
    assert newest <= drawn and (slots == 14) == ((0, 0, 0) not in drawn)


@pytest.mark.parametrize("slots", [14, 1000])
def test_moments_before_a_window_are_those_of_its_episode_or_its_first(slots, key):
    replay = lived([5, 7, 4], slots, environments=2)
    batch = jax.jit(sample, static_argnums=(2, 3, 4))(replay, key, 512, HORIZON, 3)
    observations = np.asarray(batch.observations)
    assert observations.shape == (512, 3 + HORIZON, 3)
    first = observations[:, 2]
    plain = sample(replay, key, 512, HORIZON)  # the same windows
    np.testing.assert_array_equal(observations[:, 2:], plain.observations)
    oldest = {episode: first[first[:, 1] == episode, 2].min() for episode in np.unique(first[:, 1])}  # that is kept
    assert (oldest.get(0.0) == 0) == (slots == 1000)
    for back in (1, 2):
        before = observations[:, 2 - back]
        np.testing.assert_array_equal(before[:, :2], first[:, :2])  # the same environment and episode
        least = np.array([oldest[episode] for episode in first[:, 1]])
        np.testing.assert_array_equal(before[:, 2], np.maximum(first[:, 2] - back, least))


def test_steps_are_taken_back_with_the_observation_that_they_began_at(key):
    replay = lived([5, 7], 100)
    back = take_back(replay, jnp.array([7]))
    assert int(back.filled[0]) == 6
    batch = sample(back, key, 256, HORIZON)
    assert set(np.unique(np.asarray(batch.observations)[..., 1])) == {0.0}
    again = add(begin(back, jnp.array([[0.0, 9.0, 0.0]]), jnp.array([True])), *(jnp.zeros((1, 1)), jnp.zeros(1)),
                jnp.array([False]), jnp.array([[0.0, 9.0, 1.0]]))  # fmt: skip
    assert int(again.filled[0]) == 8
    batch = sample(again, key, 256, HORIZON)
    told, valid = np.asarray(batch.observations)[..., 1], np.asarray(batch.valid)
    assert {0.0, 9.0} == set(np.unique(told)) and (told[:, 1:] == told[:, :-1])[valid].all()
    assert take_back(replay, jnp.array([0])).filled == replay.filled


CONFIG = RewardModelConfig(
    vector(3), 1, representation_size=16, width=32, encoder_width=32, critic_width=32, policy_width=16
)


def test_windows_of_a_model_with_memory_reach_back_to_its_oldest_moment(key):
    model = replace(CONFIG, history=2, memory=2, memory_stride=3).create(0)  # moments 7, 4, 1 and 0 steps back
    trainer = TdTrainer(model, TdConfig(horizon=2), TdTrainingConfig(batch=8))
    replay = lived([15, 17], 100)
    assert trainer.draw(trainer.init(), replay, 1).slots.shape == (1, 8, 8 + 2)
    state, metrics = trainer.updates(trainer.init(), replay, 1)
    assert np.isfinite(float(metrics["loss"]))
    before, after = (trainer.model(each).encoder.memory.layer.kernel[...] for each in (trainer.init(), state))
    assert np.abs(np.asarray(after) - np.asarray(before)).max() > 0, "the layer of the older moments learns"


@pytest.fixture(scope="module")
def trained():
    """Half of the actions earn 1, and an episode is two steps long: the return of the better action is 1 + 0.5."""
    config = replace(CONFIG, episodic=True)
    rng, replay = np.random.default_rng(0), Replay.empty(1, 900, 3, 1)
    step, start = jax.jit(add), jax.jit(begin)
    for _ in range(250):
        replay = start(replay, jnp.zeros((1, 3)), jnp.array([True]))
        for last in (False, True):
            action = rng.uniform(-2, 2, (1, 1)).astype(np.float32)
            reward, ends = jnp.asarray((action[:, 0] > 0).astype(np.float32)), jnp.array([last])
            replay = step(replay, jnp.asarray(action), reward, ends, jnp.full((1, 3), 1.0 + last))
    model = config.create(0)
    model.scale.fit(np.float32([-2]), np.float32([2]))
    trainer = TdTrainer(model, TdConfig(discount=0.5, horizon=2), TdTrainingConfig(batch=64, target_rate=0.05))
    state = trainer.init()
    first = None
    for _ in range(8):
        state, metrics = trainer.updates(state, replay, 100)
        first = metrics if first is None else first
    return config, trainer, state, replay, first, metrics


def test_it_foresees_what_is_seen_earned_and_ended(trained):
    config, trainer, state, _, first, last = trained
    frozen = freeze_reward_model(trainer.weights(state), config)
    for name in ("consistency", "reward", "value", "termination"):
        assert last[name] < 0.8 * first[name], name
    params = frozen.params
    latent = frozen.encode(params, jnp.zeros((1, 1, 3)))
    assert latent.shape == (1, config.representation_size) == (1, frozen.latent_size)
    good, bad = (frozen.predict(params, latent, jnp.full((1, 1, 1), action)) for action in (1.5, -1.5))
    assert good.reward[0] > 0.8 and bad.reward[0] < 0.2
    assert good.continuation[0] > 0.8
    ended = frozen.predict(params, good.latent, jnp.full((1, 1, 1), 1.5))
    assert ended.continuation[0] < 0.2


def test_its_policy_earns_what_its_critics_say(trained):
    config, trainer, state, _, _, _ = trained
    frozen = freeze_reward_model(trainer.weights(state), config)
    latent = frozen.encode(frozen.params, jnp.zeros((1, 1, 3)))
    action = frozen.heads.policy(frozen.params, latent, latent)
    assert action.shape == (1, 1, 1) and 0.0 < float(action[0, 0, 0]) <= 2.0
    np.testing.assert_allclose(frozen.heads.value(frozen.params, latent), [1.5], atol=0.25)


def test_the_frozen_model_is_the_module(trained):
    config, trainer, state, _, _, _ = trained
    frozen, module = freeze_reward_model(trainer.weights(state), config), trainer.model(state)
    obs = jnp.ones((4, 1, 3))
    np.testing.assert_array_equal(frozen.encode(frozen.params, obs), module.encode(obs))
    assert frozen.latent_size == module.encode(obs).shape[-1]
    assert frozen.parameters == 13086


def test_without_rewards_sigreg_spreads_what_is_nearly_constant():
    rng, replay = np.random.default_rng(0), Replay.empty(1, 400, 3, 1)
    replay = jax.jit(begin)(replay, jnp.zeros((1, 3)), jnp.array([True]))
    step, position = jax.jit(add), np.zeros(3, np.float32)
    for _ in range(300):
        action = rng.uniform(-1, 1, (1, 1)).astype(np.float32)
        position = 0.9 * position + np.concatenate([action[0], rng.normal(size=2)]).astype(np.float32)
        replay = step(replay, jnp.asarray(action), jnp.zeros(1), jnp.array([False]), jnp.asarray(position[None]))
    spreads = []
    for weight in (0.0, 0.1):
        model = CONFIG.create(0)
        output = model.encoder.output.kernel
        output[...] = 0.05 * output[...]  # nearly one and the same representation for everything
        objective = TdConfig(reward=0.0, value=0.0, sigreg=weight)
        trainer = TdTrainer(model, objective, TdTrainingConfig(batch=64, learning_rate=3e-3))
        state, _ = trainer.updates(trainer.init(), replay, 300)
        spreads.append(float(jnp.std(trainer.model(state).encode(replay.observations[0, :300, None]), axis=0).mean()))
    assert spreads[1] > 1.5 * spreads[0], spreads


def test_as_many_updates_in_pieces_are_the_same_bit_for_bit(trained):
    _, trainer, _, replay, _, _ = trained
    whole, _ = trainer.updates(trainer.init(), replay, 100)
    once, _ = trainer.updates(trainer.init(), replay, 50)
    twice, _ = trainer.updates(once, replay, 50)
    jax.tree.map(np.testing.assert_array_equal, jax.tree.leaves(whole), jax.tree.leaves(twice))


def test_a_policys_probability_is_that_of_its_draws(key):
    model = CONFIG.create(0)
    model.actor.output.bias[...] = jnp.array([0.3, 0.9])  # a mean, and a wide Gaussian
    representation = jnp.zeros((1, 16))
    drawn, log_prob = jax.vmap(lambda key: model.act(representation, key))(jax.random.split(key, 40000))
    drawn, prob = np.asarray(drawn)[:, 0, 0], np.exp(np.asarray(log_prob)[:, 0])
    counts, edges = np.histogram(drawn, bins=np.linspace(-0.9, 0.9, 10))
    for count, low, high in zip(counts, edges, edges[1:], strict=False):
        inside = (drawn >= low) & (drawn < high)
        np.testing.assert_allclose(count / len(drawn), prob[inside].mean() * (high - low), rtol=0.12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"simplex": 5}, r"model.simplex \(5\) must divide model.representation_size \(16\)"),
        ({"critics": 1}, "model.critics must be a whole number from 2 to 32; got 1"),
        ({"bin_limit": 0.0}, "model.bin_limit must be a positive number; got 0.0"),
    ],
)
def test_an_architecture_that_cannot_be_is_refused(change, words):
    with pytest.raises(ValueError, match=words):
        replace(CONFIG, **change)


def test_a_run_alone_writes_its_buffer_in_place():
    """An axis for a single lane made XLA copy the buffer at every decision."""

    def remember(replay, first, begins, *step):
        return add(begin(replay, first, begins), *step)

    replay = Replay.empty(1, 10_000, 8, 2)
    step = jnp.zeros((1, 2)), jnp.zeros(1), jnp.zeros(1, bool), jnp.zeros((1, 8))
    alone = jax.jit(Lanes(1).over(remember), donate_argnums=0)
    compiled = alone.lower(replay, jnp.zeros((1, 8)), jnp.zeros(1, bool), *step).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < replay.observations.nbytes / 10


def test_recorded_episodes_are_dealt_out_as_if_they_had_been_lived_through(key):
    rng = np.random.default_rng(0)
    episodes = [
        RewardEpisode(
            actions=np.full((length, 1), number, np.float32),
            observations=np.stack([np.full(length + 1, number), np.arange(length + 1), rng.normal(size=length + 1)], -1)
            .astype(np.float32),
            rewards=np.arange(length, dtype=np.float32),
            terminated=np.arange(length) == length - 1,
        )
        for number, length in enumerate([5, 7, 4])
    ]  # fmt: skip
    recorded = of_episodes(episodes, 2, 40, 3, 1)
    lived = Replay.empty(2, 40, 3, 1)
    pair = episodes[:2]
    lived = begin(lived, jnp.stack([each.observations[0] for each in pair]), jnp.ones(2, bool))
    for step in range(5):
        told = [
            jnp.stack([getattr(each, name)[step] for each in pair]) for name in ("actions", "rewards", "terminated")
        ]
        lived = add(lived, *told, jnp.stack([each.observations[step + 1] for each in pair]))
    for name in ("observations", "actions", "rewards", "terminated", "last"):
        np.testing.assert_array_equal(getattr(recorded, name)[0, :5], getattr(lived, name)[0, :5], err_msg=name)
    np.testing.assert_array_equal(recorded.filled, [6 + 5, 8])
    np.testing.assert_array_equal(recorded.head, [10, 7])
    batch = sample(recorded, key, 256, HORIZON)
    told, valid = np.asarray(batch.observations), np.asarray(batch.valid)
    assert set(np.unique(told[..., 0])) == {0.0, 1.0, 2.0}
    assert (told[:, 1:, :1] == told[:, :-1, :1])[..., 0][valid].all()
    np.testing.assert_array_equal(np.asarray(batch.rewards)[valid], told[:, :-1, 1][valid])
    for slots, count, words in [(10, 2, "raise online.slots"), (40, 4, "cannot be dealt to 4 environments")]:
        with pytest.raises(ValueError, match=words):
            of_episodes(episodes, count, slots, 3, 1)
    with pytest.raises(ValueError, match="3 sensor values and 1 actions do not fit a task with 4 and 1"):
        of_episodes(episodes, 2, 40, 4, 1)
