"""`jepa-mpc list`: its facts are those of the tasks, models and files themselves."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

import envs
from envs.mujoco_task import MujocoTask
from experiments import cli
from experiments.reference import lists, models, tasks
from experiments.shell.folders import CHECKPOINTS
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import PICTURE_ENCODERS
from worldmodel.observation import vector

LIGHT = """
import sys
from experiments.cli import main
code = main(sys.argv[1:])
heavy = {"jax", "flax", "mujoco", "gymnasium", "dm_control"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else code)
"""


@pytest.mark.parametrize("name", envs.TASKS)
def test_the_facts_of_a_task_are_its_own(name: str) -> None:
    task, facts = envs.make(name), tasks.OWN[name]
    assert (task.control_period, task.budget) == (pytest.approx(facts.control_period), facts.budget)
    assert [sensor.name for sensor in task.sensors] == [*facts.sensors]
    if isinstance(task, MujocoTask):
        assert set(task.offered) - {"pixels"} == {*facts.sensors, *facts.others}
        assert facts.cameras == task.cameras
    else:
        assert not facts.cameras


def test_every_task_and_encoder_is_listed() -> None:
    assert set(tasks.OWN) == set(envs.TASKS)
    assert set(lists.ENCODERS) == set(PICTURE_ENCODERS)
    found = {row["task"]: row for row in tasks.rows()}
    assert {"goal/ID", "dmc/DOMAIN-TASK", "gym/ID", "custom"} < set(found)
    assert found["two_room"]["published"] == ["state", "pixels"] and found["medium_maze"]["published"] == []


@pytest.mark.parametrize("name", ["", *(name for name in lists.LISTS)])
def test_a_list_starts_neither_jax_nor_a_simulator(name: str, tmp_path: Path) -> None:
    words = [*filter(None, ["list", name]), "format=json"]
    done = subprocess.run(
        [sys.executable, "-c", LIGHT, *words], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["rows"]
    assert len(rows) > 2 and all(row.keys() == rows[0].keys() for row in rows)
    (first, *_), shown = rows, done.stderr  # the table
    assert all(str(row[next(iter(first))])[:12] in shown for row in rows[:3])
    assert list(tmp_path.iterdir()) == []


def test_models_under_runs_have_their_success_and_other_files_are_left_out(tmp_path: Path) -> None:
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8)
    runs = tmp_path / "runs"
    for folder, seconds in ((runs, 12.5), (runs / "deep" / "er", 8.0)):
        folder.mkdir(parents=True, exist_ok=True)
        metadata = {"task": {"task": "umaze"}, "train_seconds": seconds}
        save_model(folder / "umaze-seed0.safetensors", create(config, 0), config, metadata)
    (runs / "umaze-seed0.training.safetensors").write_bytes(b"no model")
    (runs / "broken.json").write_text("{")
    row = {"task": "umaze", "policy": "model", "train_seconds": 12.5, "success_rate": 0.25, "episodes": 4}
    other = {**row, "policy": "reflex", "success_rate": 0.75}
    (runs / "umaze-plan.json").write_text(json.dumps({"rows": [row, other]}))
    rows = models.rows(runs)
    assert len(rows) == len(list(CHECKPOINTS.glob("*.safetensors"))) + 2
    found = {each["checkpoint"]: each for each in rows}
    mine = found[str(runs / "umaze-seed0.safetensors")]
    assert (mine["task"], mine["observation"], mine["success_rate"], mine["episodes"]) == ("umaze", "state", 0.25, 4)
    assert mine["parameters"] > 0 and mine["written"]
    assert found[str(runs / "deep" / "er" / "umaze-seed0.safetensors")]["success_rate"] is None


def test_shipped_models_have_the_success_of_the_shipped_rows() -> None:
    shipped = {(row["task"], row["observation"]): row for row in models.rows(Path("nowhere"))}
    assert shipped["umaze", "state"]["success_rate"] > 0.9
    assert ("two_room", "pixels") in shipped


def test_sensors_of_one_task_come_from_the_task() -> None:
    found = {row["sensor"]: row for row in tasks.sensors("fetch_reach")}
    assert set(found) == {"state", "proprio", "pixels", "pixels_side"}
    assert found["state"]["default"] and not found["pixels"]["default"]
    assert found["state"]["units"] == ["m", "m", "m", "m/s", "m/s", "m/s"]
    assert found["pixels_side"]["shape"] == [64, 64, 3]
    (velocity,) = (row for row in tasks.sensors("two_room_sensors") if row["sensor"] == "velocity")
    assert velocity["optional"]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["tsks"], "there is no list 'tsks': choose from tasks, models, planners"),
        (["planners", "task=umaze"], "`jepa-mpc list planners` is the same for every task: leave out task=umaze"),
        (["sensors", "task=umze"], "there is no task 'umze' (did you mean 'umaze'?)"),
        (["sensors", "task=custom"], "task=custom is observed by what its data have: see docs/own_logs.md"),
        (["tasks", "models"], "'models' is not a setting: write key=value"),
    ],
)
def test_a_wrong_list_is_one_sentence(
    words: list[str], sentence: str, capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["list", *words]) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"jepa-mpc: {sentence}") and said.err.count("\n") == 1


def test_planners_say_when_to_use_them() -> None:
    rows = lists.LISTS["planners"].rows(lists.Request())
    assert all(row["what"] and row["when"] for row in rows)
