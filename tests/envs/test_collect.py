import errno
import json
import subprocess
import sys
import time

import minari
import numpy as np
import pytest
from minari.dataset._storages.hdf5_storage import HDF5Storage

import envs
from envs import dataset_folder
from envs.behaviours import ColouredNoise, Mixture
from envs.collect import collect
from envs.collection_rate import benchmark_collection, benchmark_frames
from envs.vision.camera import available


def small(task, path, **changes):
    options = {"episodes": 7, "steps": 12, "seed": 0} | changes
    return collect(task, Mixture(), path=path, **options)


def read(path):
    dataset = minari.MinariDataset(path)
    return dataset, list(dataset.iterate_episodes())


def test_minari_reads_exactly_what_happened(task, tmp_path):
    summary = small(task, tmp_path / "data")
    dataset, episodes = read(tmp_path / "data")
    assert (summary.episodes, summary.steps, len(episodes), dataset.total_steps) == (7, 84, 7, 84)
    assert summary.simulated_seconds == pytest.approx(84 * task.control_period)
    assert dataset.observation_space == task.observation_space and dataset.action_space == task.action_space
    for episode in episodes:
        states = episode.infos["state"]
        assert (states.dtype, episode.observations.dtype, episode.actions.dtype) == (np.float64, np.float32, np.float32)
        np.testing.assert_array_equal(task.observe(states), episode.observations)
        np.testing.assert_array_equal(task.simulate(states[:1], episode.actions[None])[0], states[1:])
        assert not episode.rewards.any() and not episode.terminations.any()
        assert episode.truncations.tolist() == [False] * 11 + [True]
    metadata = dataset.storage.metadata
    assert json.loads(metadata["task"]) == task.describe()
    assert json.loads(metadata["behaviour"]) == json.loads(json.dumps(Mixture().describe()))
    assert metadata["seed"] == 0 and metadata["dataset_id"] == f"jepa-mpc/{task.name}-v0"


def test_batches_change_nothing_and_seeds_everything(tmp_path):
    task, told = envs.make("two_room"), []
    small(task, tmp_path / "a")
    small(task, tmp_path / "b", batch=3, progress=lambda done, total: told.append((done, total)))
    small(task, tmp_path / "c", seed=1)
    (_, a), (_, b), (_, c) = (read(tmp_path / name) for name in "abc")
    assert told == [(3, 7), (6, 7), (7, 7)]
    for x, y, z in zip(a, b, c, strict=True):
        np.testing.assert_array_equal(x.infos["state"], y.infos["state"])
        np.testing.assert_array_equal(x.actions, y.actions)
        assert not np.array_equal(x.actions, z.actions)


def test_detours_are_counted(tmp_path):
    task = envs.make("two_room")
    summary = small(task, tmp_path / "data", episodes=20, steps=80)
    _, episodes = read(tmp_path / "data")
    crossed = [np.ptp(np.sign(e.observations[:, 0])) > 0 for e in episodes]
    assert 0 < np.mean(crossed) < 1 and summary.detour_share == pytest.approx(np.mean(crossed))


def test_an_existing_path_is_refused_and_kept(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "precious").touch()
    with pytest.raises(FileExistsError, match="there is something at .*data already"):
        small(envs.make("two_room"), tmp_path / "data")
    assert [p.name for p in tmp_path.rglob("*")] == ["data", "precious"]


def test_a_disk_that_fills_up_leaves_nothing(tmp_path, monkeypatch):
    original, calls = HDF5Storage.update_episodes, []

    def fill(self, episodes):
        calls.append(1)
        if len(calls) == 2:
            raise OSError(errno.ENOSPC, "No space left on device")
        original(self, episodes)

    monkeypatch.setattr(HDF5Storage, "update_episodes", fill)
    with pytest.raises(OSError, match=r"^the disk is full, .* MB needed at .*; nothing was written$") as caught:
        small(envs.make("two_room"), tmp_path / "new" / "data", batch=3)
    assert caught.value.errno == errno.ENOSPC
    assert list((tmp_path / "new").iterdir()) == []


def test_a_real_limit_ends_in_one_sentence_and_not_in_a_crash_of_hdf5(tmp_path):
    """Left to itself HDF5 meets a write that fails with a page of errors and often a segmentation fault."""
    code = (
        "import resource, sys, envs\n"
        "from envs.collect import collect\n"
        "from envs.behaviours import ColouredNoise\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))\n"
        "options = {'episodes': 30, 'steps': 10, 'seed': 0, 'path': sys.argv[1], 'batch': 5}\n"
        "try: collect(envs.make('two_room'), ColouredNoise(), **options)\n"
        "except OSError as error: sys.exit(str(error))\n"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "data")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and done.stderr.startswith("the disk is full")
    assert list(tmp_path.iterdir()) == []


def test_a_disk_too_small_is_refused_before_any_work(tmp_path, monkeypatch):
    usage = dataset_folder.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(dataset_folder.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="the disk is full"):
        small(envs.make("two_room"), tmp_path / "data")
    assert list(tmp_path.iterdir()) == []


def test_an_interrupted_run_leaves_nothing(tmp_path):
    def interrupt(done, total):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        small(envs.make("two_room"), tmp_path / "data", progress=interrupt)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("wrong", [{"episodes": 0}, {"steps": 0}, {"batch": 0}, {"seed": -1}, {"first": -1}])
def test_wrong_sizes_are_named(tmp_path, wrong):
    ((name, value),) = wrong.items()
    with pytest.raises(ValueError, match=f"{name}={value}"):
        small(envs.make("two_room"), tmp_path / "data", **wrong)


def test_benchmark_compares_like_with_like(task):
    rates = benchmark_collection(task, ColouredNoise(), episodes=4, steps=50, rounds=1)
    assert rates["ratio"] == pytest.approx(rates["collection"] / rates["raw"])
    assert rates["env_steps"] == pytest.approx(rates["collection"] / task.physics.substeps)


def test_pictures_a_second_are_counted_for_every_camera():
    if (reason := available()) is not None:
        pytest.skip(reason)
    task = envs.make("fetch_reach")
    task.see(["pixels"], size=16)
    drawn, observe = [], task.observe

    def counted(states):
        drawn.append(len(states))
        return observe(states)

    task.observe = counted
    began = time.perf_counter()
    rate = benchmark_frames(task, episodes=2, steps=5, rounds=2)
    seconds = time.perf_counter() - began
    cameras = sum(len(sensor.shape) > 1 for sensor in task.sensors)
    assert drawn == [12, 12, 12] and cameras == 2
    assert rate * seconds > 2 * 12 * cameras  # the clock of the rate has run for less than the whole call
    with pytest.raises(ValueError, match="observed without pictures: choose observation=pixels"):
        benchmark_frames(envs.make("two_room"))
