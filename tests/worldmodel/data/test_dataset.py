import json
import os

import h5py
import minari
import numpy as np
import pytest
from gymnasium import spaces
from minari.data_collector import EpisodeBuffer
from minari.dataset.minari_storage import MinariStorage

from worldmodel.data.dataset import load


def write(path, episodes, observation_space=None, infos=None):
    """A real Minari dataset of (observations, actions) pairs."""
    path.mkdir()
    box = observation_space or spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (1,), np.float32)
    storage = MinariStorage.new(path, box, action_space, data_format="hdf5", jpeg_encoding=False)
    storage.update_metadata({"dataset_id": "test-v0", "minari_version": minari.__version__})
    storage.update_episodes(
        EpisodeBuffer(
            observations=observations,
            actions=actions,
            rewards=np.zeros(len(actions)),
            terminations=np.zeros(len(actions), bool),
            truncations=np.arange(len(actions)) == len(actions) - 1,
            infos=None if infos is None else {"state": infos[index]},
        )
        for index, (observations, actions) in enumerate(episodes)
    )
    return path


def episode(steps, start=0.0):
    rows = start + np.arange(3 * (steps + 1), dtype=np.float32).reshape(-1, 3)
    return rows, start + np.arange(steps, dtype=np.float32)[:, None]


def test_reads_what_was_written(tmp_path):
    states = [np.random.default_rng(i).normal(size=(steps + 1, 5)) for i, steps in enumerate((4, 2))]
    data = load(write(tmp_path / "d", [episode(4), episode(2, start=100.0)], infos=states))
    assert (data.episodes, data.steps, len(data.observations)) == (2, 6, 8)
    assert data.first.tolist() == [0] * 5 + [5] * 3
    assert data.last.tolist() == [4] * 5 + [7] * 3
    np.testing.assert_array_equal(data.observations[5:], episode(2, start=100.0)[0])
    np.testing.assert_array_equal(data.actions[:5, 0], [0, 1, 2, 3, 0])
    np.testing.assert_array_equal(data.states, np.concatenate(states))
    assert data.action_high.tolist() == [2.0]


def test_foreign_data_without_states_is_welcome(tmp_path):
    assert load(write(tmp_path / "d", [episode(4)])).states is None


def test_empty_and_one_step_episodes(tmp_path, caplog):
    data = load(write(tmp_path / "d", [episode(1), episode(3)]))
    assert data.steps == 4
    path = write(tmp_path / "with_one", [episode(2), episode(2), episode(3)])
    with h5py.File(path / "main_data.hdf5", "r+") as file:  # Minari itself writes no empty one
        for name, rows in {"observations": 1, "actions": 0, "rewards": 0, "terminations": 0, "truncations": 0}.items():
            values = file["episode_1"][name][:rows]
            del file["episode_1"][name]
            file["episode_1"][name] = values
    with_one = load(path)
    assert with_one.names == ("episode 0", "episode 2")
    assert "episode 1 is empty and was left out" in caplog.text
    with pytest.raises(ValueError, match="it holds no episode with a step"):
        load(write(tmp_path / "e", []))


@pytest.mark.parametrize("which", ["observations", "actions"])
def test_values_that_are_not_finite_are_named_with_their_episode(tmp_path, which):
    observations, actions = episode(4)
    {"observations": observations, "actions": actions}[which][2] = np.inf
    with pytest.raises(ValueError, match=f"episode 1 has a non-finite value in its {which} at step 2"):
        load(write(tmp_path / "d", [episode(3), (observations, actions)]))


def test_a_simulator_state_that_is_not_finite_is_named(tmp_path):
    states = [np.zeros((4, 2)), np.zeros((5, 2))]
    states[1][3, 0] = np.inf
    with pytest.raises(ValueError, match="episode 1 has a non-finite value in its simulator states at step 3"):
        load(write(tmp_path / "d", [episode(3), episode(4)], infos=states))


def test_the_last_episodes_are_data_of_their_own(tmp_path):
    whole = load(write(tmp_path / "d", [episode(2), episode(4), episode(3, start=7.0)]))
    data = whole.last_episodes(2)
    assert (data.episodes, data.steps, data.names) == (2, 7, ("episode 1", "episode 2"))
    assert data.first.tolist() == [0] * 5 + [5] * 4
    np.testing.assert_array_equal(data.observations[5:], episode(3, start=7.0)[0])
    assert whole.last_episodes(9).steps == whole.steps


def test_pixels_stay_bytes(tmp_path):
    image, frames = spaces.Box(0, 255, (8, 8, 3), np.uint8), np.random.default_rng(0).integers(0, 255, (3, 8, 8, 3))
    path = write(tmp_path / "d", [(frames.astype(np.uint8), np.zeros((2, 1), np.float32))], image)
    data = load(path)
    assert data.readings["pixels"].dtype == np.uint8 and not data.spec.is_vectors
    np.testing.assert_array_equal(data.readings["pixels"], frames)


def test_spaces_that_are_no_sensors_are_refused(tmp_path):
    matrix = spaces.Box(0, 255, (8, 8), np.float32)
    path = write(tmp_path / "d", [(np.zeros((3, 8, 8), np.float32), np.zeros((2, 1), np.float32))], matrix)
    with pytest.raises(ValueError, match="its observation space is .*; expected a one-dimensional Box"):
        load(path)


def put(name, values):
    """Replace an array of a dataset, or take it out."""

    def change(path):
        with h5py.File(path / "main_data.hdf5", "r+") as file:
            del file[name]
            if values is not None:
                file[name] = values

    return change


def cut(size):
    return lambda path: os.truncate(path / "main_data.hdf5", size)


def says_more(path):
    metadata = json.loads((path / "metadata.json").read_text())
    (path / "metadata.json").write_text(json.dumps({**metadata, "total_episodes": 9}))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (cut(0), "is damaged .*: take an intact copy"),
        (cut(20_000), "is damaged .*truncated file.*: take an intact copy"),
        (says_more, "is damaged .*: take an intact copy"),
        (put("episode_1", None), "is damaged .*: take an intact copy"),
        (put("episode_1/actions", None), "is damaged .*: take an intact copy"),
        (put("episode_1/observations", np.zeros((4, 7))), r"episode 1 has observations \(4, 7\) .* numbers, 3 a row"),
        (put("episode_1/observations", np.array([b"a"] * 4)), "episode 1 has observations .* expected numbers"),
        (put("episode_1/actions", np.zeros((3, 1, 1))), r"episode 1 has actions \(3, 1, 1\)"),
        (lambda path: (path / "metadata.json").write_text("[]"), "is not a readable Minari dataset"),
        (lambda path: (path / "metadata.json").write_text(""), "is not a readable Minari dataset"),
    ],
)
def test_a_damaged_dataset_is_one_sentence_with_its_name(tmp_path, change, words):
    path = write(tmp_path / "d", [episode(4), episode(3)])
    change(path)
    with pytest.raises(ValueError, match=words) as raised:
        load(path)
    assert str(path) in str(raised.value) and "\n" not in str(raised.value)


def test_no_dataset_and_no_minari_folder(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is no dataset at"):
        load(tmp_path / "none")
    (tmp_path / "folder").mkdir()
    with pytest.raises(ValueError, match="is not a readable Minari dataset"):
        load(tmp_path / "folder")


def test_sensors_keep_the_order_of_their_task(tmp_path):
    """Minari gives the keys of a space back sorted."""
    space = spaces.Dict([("zeta", spaces.Box(-1, 1, (1,))), ("alpha", spaces.Box(-1, 1, (2,)))])
    rows = {"zeta": np.zeros((3, 1), np.float32), "alpha": np.ones((3, 2), np.float32)}
    path = write(tmp_path / "d", [(rows, np.zeros((2, 1), np.float32))], observation_space=space)
    assert [sensor.name for sensor in load(path).spec.sensors] == ["alpha", "zeta"]  # as nobody says otherwise
    described = [
        {"name": name, "shape": [size], "dtype": "float32", "period": None, "interpolates": True, "optional": False}
        for name, size in (("zeta", 1), ("alpha", 2))
    ]
    MinariStorage.read(path).update_metadata({"task": json.dumps({"observation": described})})
    data = load(path)
    assert [sensor.name for sensor in data.spec.sensors] == ["zeta", "alpha"]
    np.testing.assert_array_equal(data.observations[0], [0, 1, 1])
