"""The commands on a real task, tiny: what they write, what they use again, and what they refuse."""

from __future__ import annotations

import json
import os
import shutil

import numpy as np
import pytest

import envs
from experiments.cli import main
from experiments.commands import demo, plan, train
from experiments.commands.data import collect
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import GoalEpisodes, run_episodes
from experiments.evaluation.policy import NoopPolicy, RandomPolicy
from experiments.records.results import COLUMNS, read_csv
from experiments.training import offline
from worldmodel.models.checkpoint import load_model

from .recipe import TINY, settings


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A finished demo, which the other tests go on from."""
    folder = tmp_path_factory.mktemp("runs")
    demo.run(settings("demo", folder))
    return folder


def test_demo_leaves_page_rows_model_and_commands(runs):
    page = (runs / "report.html").read_text()
    result = json.loads((runs / "results.json").read_text())
    assert [row["policy"] for row in result["rows"]] == ["model", "oracle", "ceiling", "random", "noop"]
    assert set(result["rows"][0]) == set(COLUMNS)
    assert result["manifest"]["seeds"] == [0] and result["manifest"]["config"]["task"]["name"] == "two_room"
    model = result["rows"][0]
    assert model["plan_ms_p50"] > 0 and model["train_seconds"] > 0 and model["parameters"] > 1000
    assert "<video" in page and "two_room-seed0.safetensors" in page
    assert load_model(runs / "two_room-seed0.safetensors").metadata["env_steps"] == 40 * 60
    assert not list(runs.glob("*.training.safetensors")), "the training state is of no use once the model is there"


def test_second_run_uses_what_is_complete(runs):
    made = [path for path in runs.glob("two_room-seed0*") if path.suffix != ".md"]  # a card takes up new rows
    before = {path: path.stat().st_mtime_ns for path in made}
    train.run(settings("train", runs))
    assert {path: path.stat().st_mtime_ns for path in made} == before


def test_other_recipes_never_overwrite(runs):
    with pytest.raises(ValueError, match="was trained with model=.* give this run another folder with runs=FOLDER"):
        train.run(settings("train", runs, "model.width=48"))
    with pytest.raises(ValueError, match="was collected with total_episodes=40, and this recipe wants 41"):
        train.run(settings("train", runs, "collection.episodes=41", f"out='{runs}/new.safetensors'"))
    with pytest.raises(FileExistsError, match="there is something at"):
        train.run(settings("train", runs, f"out='{runs}/two_room-seed0.safetensors'"))
    with pytest.raises(FileExistsError, match="there is something at"):
        collect.run(settings("collect", runs))


def test_plan_from_a_checkpoint_adds_rows_to_a_table(runs, tmp_path):
    table = tmp_path / "table.csv"
    chosen = (f"checkpoint='{runs}/two_room-seed0.safetensors'", f"results='{table}'", "policies=[model,noop]")
    first = plan.run(settings("plan", tmp_path, *chosen))
    again = plan.run(settings("plan", tmp_path, *chosen))
    assert [row.policy for row in read_csv(table)] == ["model", "noop"]
    assert [row.successes for row in first] == [row.successes for row in again], "equal seeds give equal episodes"
    assert json.loads(table.with_suffix(".manifest.json").read_text())[-1]["manifest"]["versions"]["jax"]


def test_multirun_measures_each_setting_under_its_name(runs, tmp_path, monkeypatch):
    """Through the command line itself, with an interpolated name: two jobs, two rows, two files."""
    monkeypatch.chdir(tmp_path)
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, os.environ.get(name, ""))  # the program sets them; the test's end takes that away
        monkeypatch.delenv(name)
    overrides = [f"checkpoint={runs}/two_room-seed0.safetensors", "policies=[noop]", "results=table.csv"]
    sweep = ["-m", "planner.iterations=1,2", "variant=${planner.iterations}x"]
    assert main(["plan", *TINY, *overrides, *sweep]) == 0
    assert [row.variant for row in read_csv(tmp_path / "table.csv")] == ["1x", "2x"]
    assert {file.name for file in (tmp_path / "runs").glob("*.json")} == {
        "two_room-plan-1x.json",
        "two_room-plan-2x.json",
    }


def test_plan_refuses_what_does_not_fit(runs, tmp_path):
    checkpoint = f"checkpoint='{runs}/two_room-seed0.safetensors'"
    with pytest.raises(
        ValueError, match="trained for the task two_room, and task=umaze was asked for: add task=two_room"
    ):
        plan.run(settings("plan", tmp_path, checkpoint, "task=umaze"))
    with pytest.raises(ValueError, match="policies has no row called 'modle'"):
        plan.run(settings("plan", tmp_path, checkpoint, "policies=[modle]"))
    with pytest.raises(FileNotFoundError, match="there is no checkpoint at"):
        plan.run(settings("plan", tmp_path, "checkpoint=nowhere.safetensors"))


def test_interrupted_training_goes_on(runs, tmp_path, monkeypatch):
    """Stopped after the first compiled call, then started again: the weights are those of a run that never stopped."""
    shutil.copytree(runs / "two_room-seed0-data", tmp_path / "two_room-seed0-data")
    monkeypatch.setattr("experiments.training.offline.CHECKPOINT_SECONDS", -1.0)
    real = offline.save_training

    def save_and_stop(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.training.offline.save_training", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(settings("train", tmp_path))
    assert not (tmp_path / "two_room-seed0.safetensors").exists()
    monkeypatch.setattr("experiments.training.offline.save_training", real)
    resumed = train.run(settings("train", tmp_path))
    whole = load_model(runs / "two_room-seed0.safetensors")
    assert all(np.array_equal(a, b) for a, b in zip(resumed.model.params, whole.model.params, strict=True))
    assert [entry["step"] for entry in resumed.metadata["history"]] == [20, 40, 60, 80, 100, 120]


def test_data_of_another_task_or_size_is_refused(runs, tmp_path):
    data = tmp_path / "data"
    shutil.copytree(runs / "two_room-seed0-data", data)
    with pytest.raises(ValueError, match="is of the task two_room, not of reacher: add task=two_room"):
        train.run(settings("train", tmp_path, "task=reacher", f"data='{data}'"))
    metadata = json.loads((data / "metadata.json").read_text())
    (data / "metadata.json").write_text(json.dumps({k: v for k, v in metadata.items() if k != "task"}))
    with pytest.raises(ValueError, match="has observations of 4 numbers, and reacher has 6"):
        train.run(settings("train", tmp_path, "task=reacher", f"data='{data}'"))


def test_pairs_depend_on_seed_and_number_alone_and_start_unsolved():
    task = envs.make("two_room")
    few, many = honest(task, 5, 3), honest(task, 40, 3)
    np.testing.assert_array_equal(few.states, many.states[:5])
    assert not task.success(many.states, many.goals).any()
    assert not np.array_equal(honest(task, 5, 4).goals, few.goals)


def test_success_is_latched_at_the_first_moment():
    """A script drives there; the record ends where the goal was reached and says so."""
    task = envs.make("two_room")
    pairs = honest(task, 6, 0)

    class Script:
        name = "script"

        def reset(self, episodes: GoalEpisodes) -> None:
            self.episodes = episodes

        def act(self, observations, active):
            return task.script(self.episodes.states, pairs.goals)

    records = run_episodes(task, Script(), pairs)
    assert all(record.success for record in records)
    for record in records:
        reached = task.success(record.states, record.goal)
        assert reached[-1] and not reached[:-1].any()


def test_floors_stay_within_bounds_and_repeat():
    task = envs.make("two_room")
    episodes, random, noop = GoalEpisodes(task, honest(task, 3, 0)), RandomPolicy(0), NoopPolicy()
    seen = episodes.observe()
    random.reset(episodes)
    first = random.act(seen, episodes.active)
    random.reset(episodes)
    np.testing.assert_array_equal(random.act(seen, episodes.active), first)
    assert task.action_space.contains(first[0])
    noop.reset(episodes)
    assert not noop.act(seen, episodes.active).any()
