"""Landmarks: spread over the data, with the ways that episodes took between them and no others."""

from __future__ import annotations

from dataclasses import replace

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.data.windows import WindowSampler
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import create
from worldmodel.nets.landmarks import NEIGHBOURS, NO_WAY
from worldmodel.training.encoded import encoded
from worldmodel.training.fit import fit
from worldmodel.training.landmarks import SEEN, learn_landmarks, shortest_ways, ways_taken
from worldmodel.training.settings import TrainingConfig

from ..small import SMALL, episodes

COUNT, LENGTH = 30, 40
CONFIG = replace(SMALL, landmarks=COUNT)
EPISODES = 40
DATA = episodes([LENGTH] * EPISODES)


def moments_of(model):
    return encoded(WindowSampler.of(DATA, SMALL.history, SMALL.train_blocks, SMALL.action_block), model)


def corridors():
    """Places along two corridors, each episode in one of them, with a wall between that is wider than its landmarks."""
    along = np.tile(np.linspace(0.0, 1.0, LENGTH + 1), EPISODES)
    lower = np.repeat(np.arange(EPISODES) % 2, LENGTH + 1)
    places = np.zeros((len(along), SMALL.latent_size), np.float32)
    places[:, 0], places[:, 1] = along, np.where(lower, -0.1, 0.1)
    return jnp.asarray(places)


@pytest.fixture(scope="module")
def measured():
    model = create(CONFIG, 0)
    before = nnx.to_pure_dict(nnx.state(model))
    learn_landmarks(model, moments_of(model), corridors(), seed=0)
    return model, before


def test_no_way_leads_through_a_wall_nor_where_no_episode_went(measured):
    graph = measured[0].landmarks()
    places, there = np.asarray(graph.latents), np.asarray(graph.steps) < NO_WAY
    start, end = places[:, None], places[np.asarray(graph.neighbours)]
    assert there.any(axis=1).sum() > COUNT - 4, "all but the ends of the corridors lead somewhere"
    assert (start[..., 1] == end[..., 1])[there].all(), "nobody went through the wall"
    assert (end[..., 0] > start[..., 0])[there].all(), "nobody walked to the left"
    assert np.diff(np.unique(places[:, 0])).max() < 0.1, "spread over the whole corridors"


def test_ways_are_as_long_as_the_critic_says_and_nothing_else_changes(measured):
    model, before = measured
    graph = model.landmarks()
    there = np.asarray(graph.steps) < NO_WAY
    said = model.distance(jnp.repeat(graph.latents[:, None], NEIGHBOURS, axis=1), graph.latents[graph.neighbours])
    np.testing.assert_allclose(np.asarray(graph.steps)[there], np.maximum(np.asarray(said), 1.0)[there], rtol=1e-5)
    after = nnx.to_pure_dict(nnx.state(model))
    for part in before.keys() - {"landmarks"}:
        for name, value in nnx.traversals.flatten_mapping({part: before[part]}).items():
            np.testing.assert_array_equal(nnx.traversals.flatten_mapping({part: after[part]})[name], value)


def test_the_seed_chooses_and_the_file_keeps_them(measured, tmp_path):
    model, _ = measured
    again, other = create(CONFIG, 0), create(CONFIG, 0)
    learn_landmarks(again, moments_of(again), corridors(), seed=0)
    learn_landmarks(other, moments_of(other), corridors(), seed=1)
    np.testing.assert_array_equal(again.landmarks().latents, model.landmarks().latents)
    assert not np.array_equal(other.landmarks().latents, model.landmarks().latents)
    save_model(tmp_path / "m.safetensors", freeze(model, CONFIG), metadata={})
    kept = load_model(tmp_path / "m.safetensors").model
    for was, now in zip(model.landmarks(), kept.heads.landmarks(kept.params), strict=True):
        np.testing.assert_array_equal(now, was)
        assert now.dtype == was.dtype


def test_a_way_was_taken_often_within_an_episode_and_not_across_its_end():
    visits = [0, 1, 1, 2, 3]
    nearest = np.asarray(visits * SEEN + [3, 0] + [0, 3], np.int32)
    last = np.concatenate([np.repeat(np.arange(SEEN) * 5 + 4, 5), [5 * SEEN + 1] * 2, [5 * SEEN + 3] * 2])
    start, end = ways_taken(nearest, last, within=2)
    assert set(zip(start.tolist(), end.tolist(), strict=True)) == {(0, 1), (1, 2), (1, 3), (2, 3)}


def test_the_nearest_neighbours_are_kept():
    count = NEIGHBOURS + 5
    start, end = np.zeros(count - 1, np.int32), np.arange(1, count, dtype=np.int32)
    steps = np.random.default_rng(0).permutation(count - 1).astype(np.float32)
    neighbours, lengths = shortest_ways(start, end, steps, count)
    np.testing.assert_array_equal(lengths[0], np.arange(NEIGHBOURS))
    np.testing.assert_array_equal(neighbours[0], end[np.argsort(steps)][:NEIGHBOURS])
    assert (lengths[1:] == NO_WAY).all() and (neighbours[1:] == np.arange(1, count)[:, None]).all()


def test_more_landmarks_than_moments_are_refused_before_anything_is_learned():
    with pytest.raises(ValueError, match=f"model.landmarks must be at most {DATA.rows}, as many moments of the data"):
        fit(DATA, replace(CONFIG, probe_size=0, landmarks=DATA.rows + 1))


def test_moments_that_are_all_alike_leave_no_way():
    model = create(CONFIG, 0)
    learn_landmarks(model, moments_of(model), jnp.zeros((DATA.rows, SMALL.latent_size), jnp.float32), seed=0)
    assert (np.asarray(model.landmarks().steps) == NO_WAY).all()


def test_fit_measures_them_and_a_model_has_them_only_where_asked():
    few = TrainingConfig(
        updates=20, frozen_updates=20, critic_updates=20, policy_updates=0, batch=64, updates_per_call=20
    )
    model = fit(DATA, replace(CONFIG, probe_size=0), training=few)
    graph = model.heads.landmarks(model.params)
    assert len(np.unique(np.asarray(graph.latents), axis=0)) == COUNT and (np.asarray(graph.steps) < NO_WAY).any()
    plain = create(SMALL, 0)
    assert plain.landmarks is None and freeze(plain, SMALL).heads.landmarks is None
