import json

import h5py
import numpy as np
import pytest

import envs
from envs import dataset_folder
from envs.behaviours import ColouredNoise, Mixture
from envs.collect import collect
from envs.dataset_folder import DATA_FILE
from envs.join import join
from envs.vision.camera import available

TASKS = ("two_room", "stirred_tank", "two_room from pictures")
EPISODES = 11


@pytest.fixture(params=TASKS)
def task(request):
    """Perfect sensors, noisy ones, and a camera with a distractor in each picture."""
    name, _, pictures = request.param.partition(" from ")
    task = envs.make(name)
    if pictures:
        if (reason := available()) is not None:
            pytest.skip(reason)
        task.see(["pixels"], 16, "mild_texture")
    yield task
    task.close()


def part(task, path, first=0, episodes=EPISODES, seed=0, behaviour=None):
    behaviour = behaviour or (Mixture() if task.name == "two_room" else ColouredNoise())
    collect(task, behaviour, episodes=episodes, steps=9, seed=seed, path=path, batch=4, first=first)
    return path


def content(path):
    """Everything in a dataset's file: names in their order, attributes, and each array with how it is stored."""
    found = []

    def note(name, each):
        stored = (each[()].tobytes(), each.dtype, each.chunks, each.maxshape, each.compression) if each.shape else ()
        found.append((name, sorted(each.attrs.items()), stored))

    with h5py.File(path / DATA_FILE, "r", track_order=True) as file:
        for episode, group in file.items():
            found.append((episode, sorted(group.attrs.items())))
            group.visititems(lambda name, each: note(name, each) if isinstance(each, h5py.Dataset) else None)
    return found


def metadata(path):
    known = json.loads((path / "metadata.json").read_text())
    assert known.pop("dataset_size") > 0
    return known


def test_parts_joined_are_the_whole_collection_bit_for_bit(task, tmp_path):
    whole = part(task, tmp_path / "whole")
    parts = [part(task, tmp_path / f"{first}", first, count) for first, count in ((0, 5), (5, 1), (6, 5))]
    join(parts, tmp_path / "joined")
    assert content(tmp_path / "joined") == content(whole)
    assert metadata(tmp_path / "joined") == metadata(whole)
    assert (tmp_path / "joined").stat().st_mode == whole.stat().st_mode


def test_a_joined_dataset_is_one_of_minari(tmp_path):
    import minari

    task = envs.make("two_room")
    join([part(task, tmp_path / "a", 0, 4), part(task, tmp_path / "b", 4, 3)], tmp_path / "joined")
    dataset = minari.MinariDataset(tmp_path / "joined")
    assert (dataset.total_episodes, dataset.total_steps) == (7, 63)
    assert [each.id for each in dataset.iterate_episodes()] == list(range(7))
    starts = [each.infos["state"][0] for each in dataset.iterate_episodes()]
    assert len(np.unique(starts, axis=0)) == 7


def test_parts_of_other_recipes_are_named(tmp_path):
    task = envs.make("two_room")
    first = part(task, tmp_path / "first", 0, 2)
    seed = part(task, tmp_path / "seed", 2, 2, seed=1)
    noise = part(task, tmp_path / "noise", 2, 2, behaviour=ColouredNoise(scale=0.1))
    with pytest.raises(ValueError, match=r"seed and .*first differ in seed: only datasets of one recipe"):
        join([first, seed], tmp_path / "joined")
    with pytest.raises(ValueError, match=r"differ in algorithm_name, behaviour"):
        join([first, noise], tmp_path / "joined")
    with pytest.raises(ValueError, match="no datasets to join"):
        join([], tmp_path / "joined")
    assert not (tmp_path / "joined").exists()


def test_an_existing_path_and_a_full_disk_are_refused(tmp_path, monkeypatch):
    parts = [part(envs.make("two_room"), tmp_path / "a", 0, 2)]
    with pytest.raises(FileExistsError, match="there is something at .*a already"):
        join(parts, tmp_path / "a")
    usage = dataset_folder.shutil.disk_usage(tmp_path)
    monkeypatch.setattr(dataset_folder.shutil, "disk_usage", lambda path: usage._replace(free=1000))
    with pytest.raises(OSError, match="the disk is full"):
        join(parts, tmp_path / "joined")
    assert [each.name for each in tmp_path.iterdir()] == ["a"]


def test_a_join_that_is_interrupted_leaves_nothing(tmp_path):
    task = envs.make("two_room")
    parts = [part(task, tmp_path / "a", 0, 2), part(task, tmp_path / "b", 2, 2)]
    (tmp_path / "b" / DATA_FILE).write_bytes(b"no HDF5")
    with pytest.raises(OSError):
        join(parts, tmp_path / "joined")
    assert sorted(each.name for each in tmp_path.iterdir()) == ["a", "b"]
