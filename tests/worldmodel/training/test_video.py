"""Learning from episodes of which only some actions were recorded."""

from __future__ import annotations

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.data.episodes import EpisodeData
from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.labels import label_agreement
from worldmodel.losses.latent_action import foreseen
from worldmodel.losses.prediction import rollout
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.observation import ObservationSpec, Sensor
from worldmodel.training.augmentation import kept_parts
from worldmodel.training.fit import fit
from worldmodel.training.jepa import JepaConfig
from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer
from worldmodel.training.video import VideoConfig, video_loss

from ..small import SMALL, episodes

SHAPE = dataclasses.replace(SMALL, latent_action=4, probe_size=0, policy=True)
CONFIG = VideoConfig(sigreg_projections=16, sigreg=0.02)
LENGTHS = {"updates": 400, "frozen_updates": 100, "critic_updates": 20, "policy_updates": 20}
TRAINING = TrainingConfig(**LENGTHS, batch=64, critic_batch=16, policy_batch=16, updates_per_call=20)
FALSE = 7  # a labelled episode whose actions are those of another robot


def data(share: float = 0.3) -> EpisodeData:
    """Episodes of a pushed point; a share keeps its actions, and one of them has the opposite ones."""
    whole = episodes([30] * 80)
    known = whole.with_labels(share, seed=0)
    actions = known.actions.copy()
    rows = known.of_episode(FALSE)
    actions[rows] = -whole.actions[rows]
    return dataclasses.replace(known, actions=actions)


@pytest.fixture(scope="module")
def run():
    return Trainer.of(data(), SHAPE, CONFIG, TRAINING)


@pytest.fixture(scope="module")
def trained(run):
    """The state at the end of each stage, by its name."""
    kept = {}

    def keep(state, _):
        kept[run.stage(int(state.update) - 1)] = jax.tree.map(jnp.copy, state)

    run.train(run.init(), keep)
    return kept


def changed(before, after) -> set[str]:
    """The modules whose parameters differ."""
    return {
        name
        for name in before.params
        if any(
            not np.array_equal(a, b)
            for a, b in zip(jax.tree.leaves(before.params[name]), jax.tree.leaves(after.params[name]), strict=True)
        )
    }


def test_whole_episodes_lose_their_actions_the_same_ones_for_a_seed():
    whole = episodes([30] * 40)
    known = whole.with_labels(0.1, seed=3)
    per_episode = [known.labelled[known.of_episode(each)].all() for each in range(40)]
    assert sum(per_episode) == 4 and known.labelled_steps == 120
    assert known.labelled[known.last].all()  # where no action was taken, none is missing
    np.testing.assert_array_equal(known.actions, whole.with_labels(0.1, seed=3).actions)
    assert not np.array_equal(known.labelled, whole.with_labels(0.1, seed=4).labelled)
    assert whole.with_labels(0.001, seed=0).labelled_steps == 30  # one at least
    alone = known.labelled_episodes()
    assert alone.episodes == 4 and alone.steps == 120 and alone.is_labelled
    np.testing.assert_array_equal(alone.readings["state"], whole.readings["state"][np.repeat(per_episode, 31)])
    assert whole.labelled_episodes() is whole
    assert alone.name(0) == "episode 0" and alone.last[0] == 30


def test_windows_with_labels_are_drawn_often_and_last():
    sampler = WindowSampler.of(data(0.1), 2, 3, 2)
    windows = sampler.sample(jax.random.key(0), 400)
    labelled = np.asarray(windows.labelled)
    assert labelled.shape == (400, 3) and labelled[300:].all()
    assert 0.02 < labelled[:300].mean() < 0.25  # as frequent as they are: 0.125 with the one of the wrong actions
    assert np.isfinite(windows.actions).all() and not np.asarray(windows.actions)[~labelled].any()
    assert WindowSampler.of(episodes([30] * 4), 2, 3, 2).sample(jax.random.key(0), 8).labelled is None


def test_actions_that_were_not_recorded_do_not_matter_and_recorded_ones_do(run):
    model, sampler = run.model(run.init()), run.sampler
    model.predictor.members[0].output.kernel[...] += 0.1  # at first it predicts no change, whatever is done
    windows = sampler.sample(jax.random.key(1), 32)
    mask = windows.labelled[..., None, None]
    assert mask.any() and not mask.all()
    loss = jax.jit(lambda each: video_loss(model, model.distance_head, each, jax.random.key(2), CONFIG, 16)[0])
    noise = 10 * jax.random.normal(jax.random.key(3), windows.actions.shape)
    others = windows.replace(actions=jnp.where(mask, windows.actions, noise))
    recorded = windows.replace(actions=jnp.where(mask, noise, windows.actions))
    assert loss(others) == loss(windows) != loss(recorded)


def test_each_stage_trains_its_own_modules_alone(run, trained):
    joint = {"encoder", "predictor", "latent_actions", "inverse", "distance_head"}
    assert changed(run.init(), trained["joint"]) == joint
    assert changed(trained["joint"], trained["frozen"]) == {"predictor", "latent_actions", "goal_head"}
    assert changed(trained["frozen"], trained["critic"]) == {"distance_head"}
    assert changed(trained["critic"], trained["policy"]) == {"policy_head"}


def test_it_foresees_what_actions_do_though_few_were_recorded(run, trained):
    """On other episodes, by the frozen model that a planner gets; shuffled actions foresee less than none."""
    model = freeze(run.model(trained["policy"]), SHAPE)
    windows = WindowSampler.of(episodes([30] * 20, seed=9), 2, 3, 2).sample(jax.random.key(0), 256)
    latents = model.encode(model.params, model.embed(model.params, windows.observations))

    def error(actions):
        predicted = rollout(lambda z, a: model.predict(model.params, z, a), latents[:, 0], actions)
        return float(jnp.mean(jnp.square(predicted[:, -1] - latents[:, -1])))

    unchanged = float(jnp.mean(jnp.square(latents[:, 0] - latents[:, -1])))
    assert error(windows.actions) < 0.65 * unchanged  # with all actions recorded, it is about 0.5
    assert error(jnp.roll(windows.actions, 1, axis=0)) > 1.3 * error(windows.actions)


def test_predictions_follow_recorded_actions_and_inferred_ones_elsewhere(run, trained):
    model = run.model(trained["frozen"])
    windows = run.batches("frozen", trained["frozen"]).sample(jax.random.key(4), 64)
    known = windows.labelled.all(axis=1)
    predicted = foreseen(model, windows)
    by_actions = rollout(model.predict, windows.latents[:, 0], windows.actions)
    np.testing.assert_allclose(predicted[known], by_actions[known], atol=1e-5)
    errors = jnp.mean(jnp.square(predicted - windows.latents[:, 1:]), axis=(1, 2))
    change = jnp.mean(jnp.square(windows.latents[:, :1] - windows.latents[:, 1:]), axis=(1, 2))
    assert errors[~known].sum() < 0.5 * change[~known].sum()


def test_labels_that_contradict_what_is_seen_are_found(run, trained):
    sampler = run.batches("frozen", trained["frozen"])
    found = label_agreement(run.model(trained["frozen"]), sampler.windows, sampler.latents)
    assert found.doubtful == [FALSE] and found.median > 0.3
    assert len(found.episodes) in (24, 25)


def test_half_of_the_patches_are_left_out_of_some_rows():
    spec = ObservationSpec((Sensor("pixels", (16, 16, 3), "uint8", features=64), Sensor("proprio", (2,))))
    kept = np.asarray(kept_parts(spec, {"pixels": 4}, 400, jax.random.key(0), 0.25, 0.0))
    patches = kept[:, :64].reshape(400, 4, 16)
    assert (patches.all(axis=2) | ~patches.any(axis=2)).all() and kept[:, 64:].all()  # whole patches, and no sensor
    rows = ~patches.all(axis=(1, 2))
    assert 0.15 < rows.mean() < 0.35 and 0.3 < patches[rows].mean() < 0.6
    assert kept_parts(spec, {"pixels": 4}, 8, jax.random.key(0), 0.0, 0.2) is None
    assert kept_parts(spec, {}, 8, jax.random.key(0), 0.25, 0.2) is None


def test_what_does_not_fit_is_one_sentence():
    model = create(dataclasses.replace(SHAPE, latent_action=0), 0)
    with pytest.raises(ValueError, match=r"set model.latent_action to 1 or more; got 0"):
        CONFIG.stages(model, TRAINING)
    with pytest.raises(ValueError, match="objective.masked must be a share of the windows below 1; got 1.0"):
        VideoConfig(masked=1.0)
    with pytest.raises(ValueError, match="objective.alignment must be at least 0; got -1"):
        VideoConfig(alignment=-1.0)
    with pytest.raises(ValueError, match="episode 1 has a value that is not finite in the actions at step 3"):
        actions = episodes([30] * 4).actions
        actions[34] = np.nan
        fit(dataclasses.replace(episodes([30] * 4), actions=actions), objective=JepaConfig())
    with pytest.raises(ValueError, match="episode 0 has only a part of the action at step 2: give all"):
        actions = [np.zeros((4, 2)), np.zeros((4, 2))]
        actions[0][2, 1] = np.nan
        EpisodeData.of([np.zeros((5, 4))] * 2, actions, ([-1, -1], [1, 1]))
