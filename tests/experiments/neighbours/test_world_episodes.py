"""Datasets of stable-worldmodel as episodes: rows, pictures and what does not fit."""

import numpy as np
import pytest

from experiments.neighbours import world_episodes

BOUNDS = ([-1, -1], [1, 1])


class Dataset:
    """What stable-worldmodel's readers have in common; a row holds what was seen and the action taken next."""

    def __init__(self, lengths, side=8):
        rng = np.random.default_rng(0)
        self.lengths = np.asarray(lengths)
        self.episodes = [
            {
                "pixels": rng.integers(0, 255, (length, 3, side, side), np.uint8),
                "state": rng.normal(size=(length, 2)).astype(np.float32),
                "distance": rng.random(length),
                "action": np.concatenate([rng.uniform(-1, 1, (length - 1, 2)), [[np.nan, np.nan]]]),
            }
            for length in lengths
        ]

    @property
    def column_names(self):
        return ["pixels", "state", "distance", "action"]

    def load_episode(self, number):
        return self.episodes[number]


def test_rows_are_read_and_the_last_action_is_left_out():
    dataset = Dataset([5, 1, 3])  # an episode of one row has no step
    data = world_episodes(dataset, {"place": "state", "far": "distance"}, BOUNDS)
    np.testing.assert_array_equal(
        data.readings["place"], np.concatenate([dataset.episodes[i]["state"] for i in (0, 2)])
    )
    assert data.readings["far"].shape == (8, 1)
    for begin, episode in ((0, dataset.episodes[0]), (5, dataset.episodes[2])):
        taken = episode["action"][:-1].astype(np.float32)
        np.testing.assert_array_equal(data.actions[begin : begin + len(taken)], taken)
    assert data.names == ("episode 0", "episode 2")
    assert len(world_episodes(dataset, ["state"], BOUNDS, episodes=1).actions) == 5


def test_pictures_come_with_their_channels_last():
    dataset = Dataset([4])
    pictures = world_episodes(dataset, ["pixels"], BOUNDS).readings["pixels"]
    assert pictures.shape == (4, 8, 8, 3) and pictures.dtype == np.uint8
    np.testing.assert_array_equal(pictures[2, 1, 5], dataset.episodes[0]["pixels"][2, :, 1, 5])


def test_what_is_missing_is_named():
    with pytest.raises(ValueError, match="the dataset has no column 'proprio': it has action, distance, pixels, state"):
        world_episodes(Dataset([4]), ["proprio"], BOUNDS)
    with pytest.raises(ValueError, match="no episode of two rows"):
        world_episodes(Dataset([1, 1]), ["state"], BOUNDS)
