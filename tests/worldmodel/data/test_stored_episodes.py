import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from worldmodel.data.stored_episodes import stored_episodes

STATE = spaces.Box(-np.inf, np.inf, (3,), np.float32)
SENSORS = spaces.Dict({"position": spaces.Box(-1.0, 1.0, (2,), np.float64), "force": spaces.Box(-1, 1, (1,), np.int8)})


def dataset(path, space, infos):
    """A Minari dataset of two episodes of random values."""
    path.mkdir()
    storage = MinariStorage.new(path, space, spaces.Box(-2.0, 2.0, (1,), np.float32), data_format="hdf5")
    storage.update_metadata({"dataset_id": "test-v0", "minari_version": minari.__version__})
    space.seed(0)
    rng = np.random.default_rng(0)
    for steps in (4, 2):
        seen = [space.sample() for _ in range(steps + 1)]
        joined = {name: np.stack([each[name] for each in seen]) for name in space} if infos else np.stack(seen)
        ends = np.arange(steps) == steps - 1
        state = {"state": rng.normal(size=(steps + 1, 5)), "other": np.zeros(steps + 1)} if infos else None
        buffer = EpisodeBuffer(
            observations=joined,
            actions=rng.normal(size=(steps, 1)).astype(np.float32),
            rewards=rng.normal(size=steps),
            terminations=ends,
            truncations=~ends,
            infos=state,
        )
        storage.update_episodes([buffer])
    return minari.MinariDataset(str(path))


@pytest.mark.parametrize(("space", "infos"), [(STATE, False), (SENSORS, True)])
def test_episodes_equal_those_of_minari(tmp_path, space, infos):
    stored = dataset(tmp_path / "d", space, infos)
    pairs = list(zip(stored_episodes(stored, rewards=True), stored, strict=True))
    assert [ours.id for ours, _ in pairs] == [0, 1]
    for ours, theirs in pairs:
        for name in ("actions", "rewards", "terminations"):
            np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name), strict=True)
        if not infos:
            np.testing.assert_array_equal(ours.observations, theirs.observations, strict=True)
            assert ours.infos is None and not theirs.infos
            continue
        assert ours.observations.keys() == theirs.observations.keys() == {"position", "force"}
        for name, values in theirs.observations.items():
            np.testing.assert_array_equal(ours.observations[name], values, strict=True)
        np.testing.assert_array_equal(ours.infos["state"], theirs.infos["state"], strict=True)


def test_rewards_are_read_only_where_they_are_requested(tmp_path):
    stored = dataset(tmp_path / "d", STATE, infos=False)
    assert all(each.rewards is None and each.terminations is None for each in stored_episodes(stored, rewards=False))
