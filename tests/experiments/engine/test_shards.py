"""A dataset collected in shards: by steps in this process, in processes of their own, and after a kill."""

import sys
from pathlib import Path

import h5py
import pytest
from omegaconf import OmegaConf

from envs.dataset_folder import DATA_FILE
from envs.vision.camera import available
from experiments.engine import durations
from experiments.training import ensure

sys.path.insert(0, str(Path(__file__).parent))
import collecting  # noqa: E402

HERE, ROOT = Path(__file__).parent, Path(__file__).parents[3]
STATE = ["collection.episodes=7", "collection.steps=20"]
PICTURES = ["observation=pixels", "observation.size=16", *STATE]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", f"{HERE}:{ROOT}")
    monkeypatch.chdir(tmp_path)

    def of(shards, recipe=STATE, workers=1, dry_run=False, runs="runs"):
        engine = {"name": "local", "workers": workers, "apart": False, "cores": 1, "retries": 0}
        return OmegaConf.create(
            {
                "engine": {**engine, "collection_shards": shards, "evaluation_shards": 1},
                "suite": {"name": "collecting", "recipe": recipe},
                "runs": runs,
                "results": "bench",
                "dry_run": dry_run,
            }
        )

    return of


def arrays(path):
    """Every array of a dataset, by its place."""
    found = {}
    with h5py.File(path / DATA_FILE, "r") as file:
        file.visititems(
            lambda name, each: found.update({name: each[()].tobytes()}) if isinstance(each, h5py.Dataset) else None
        )
    return found


def steps_that_ran(folder):
    return {
        each.step: each.kind for each in durations.table_file.read(folder / "engine" / "steps.csv", durations.Duration)
    }


@pytest.mark.parametrize("recipe", [STATE, PICTURES])
def test_shards_are_joined_to_what_one_step_collects(settings, tmp_path, recipe):
    if recipe is PICTURES and (reason := available()) is not None:
        pytest.skip(reason)
    whole = collecting.run(settings(1, recipe, runs="whole"))
    parts = collecting.run(settings(3, recipe))
    assert arrays(parts) == arrays(whole) and arrays(whole)
    name = collecting.NAME
    assert steps_that_ran(tmp_path / "whole") == {name: "data"}
    assert steps_that_ran(tmp_path / "runs") == {
        f"{name}, episodes 0 to 1": "data, 1 of 3 shards",
        f"{name}, episodes 2 to 3": "data, 1 of 3 shards",
        f"{name}, episodes 4 to 6": "data, 1 of 3 shards",
        name: "data, 3 shards joined",
    }
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["engine", parts.name]


def test_processes_of_one_core_each_collect_the_same(settings, tmp_path):
    whole, parts = collecting.run(settings(1, runs="whole")), collecting.run(settings(2, workers=2))
    assert arrays(parts) == arrays(whole)
    assert sorted(each.name for each in (tmp_path / "runs").iterdir()) == ["engine", parts.name]


def test_a_killed_run_goes_on_with_the_shards_that_are_left(settings, tmp_path, monkeypatch, capsys):
    real, collected, killed_at = ensure.collect, [], [4]

    def noted(*arguments, first, **sizes):
        if first in killed_at:
            raise KeyboardInterrupt
        collected.append(first)
        return real(*arguments, first=first, **sizes)

    monkeypatch.setattr(ensure, "collect", noted)
    with pytest.raises(KeyboardInterrupt):
        collecting.run(settings(3))
    killed_at.clear()
    collecting.run(settings(3, dry_run=True))
    printed = capsys.readouterr().out
    assert "episodes 4 to 6" in printed and "episodes 0 to 1" not in printed and "2 steps" in printed
    parts = collecting.run(settings(3))
    assert collected == [0, 2, 4]
    assert arrays(parts) == arrays(collecting.run(settings(1, runs="whole")))


def test_a_shard_of_another_recipe_is_named(settings, tmp_path, caplog):
    made = collecting.build.compose("plan", "task=two_room", *STATE, "collection.steps=30", "runs=runs")
    shard, numbers = next(iter(ensure.data_shards(made, 0, 3).items()))
    ensure.ensure_episodes(made, 0, shard, numbers)
    with pytest.raises(SystemExit):
        collecting.run(settings(3))
    assert "was collected with total_steps=60, and this recipe wants 40: remove it" in caplog.text


def test_more_shards_than_episodes_are_one_each():
    made = collecting.build.compose("plan", "task=two_room", "collection.episodes=3")
    assert list(ensure.data_shards(made, 0, 8).values()) == [range(0, 1), range(1, 2), range(2, 3)]
    made.collection.episodes = 1000
    found = list(ensure.data_shards(made, 0, 7).values())
    assert [each for part in found for each in part] == list(range(1000)) and len(found) == 7
