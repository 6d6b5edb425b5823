"""What a command cannot do it says in one sentence, and what can be done instead; that then works."""

from __future__ import annotations

import json
import shlex

import numpy as np
import pytest

from experiments import build
from experiments.cli import main
from experiments.commands import demo, diagnose, drive, export, plan, train
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from .recipe import TINY, save_random_models, settings

ROBOT = {
    "task": "fetch_slide",  # of somebody's Minari dataset: there is no task of ours of that name
    "control_period": 0.1,
    "action_low": [-1.0, 0.0],
    "action_high": [1.0, 2.0],
    "observation_size": 4,
    "action_size": 2,
}


def save_own(path, **robot):
    """A random model that says that it learned from data of no task of ours."""
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8)
    save_model(path, create(config, 0), config, {"task": {**ROBOT, **robot}, "objective": {"distance": 1.0}})
    return path


@pytest.mark.parametrize("name", ["fetch_slide", "custom"])
@pytest.mark.parametrize("task", ["custom", "two_room"])
@pytest.mark.parametrize("command", [plan, drive])
def test_a_model_of_own_data_says_what_can_be_done_with_it(tmp_path, name, task, command):
    path = save_own(tmp_path / "own (1).safetensors", task=name)
    with pytest.raises(ValueError, match=f"learned from data of {name}, which no simulator here steps") as caught:
        command.run(settings(command.__name__.rpartition(".")[2], tmp_path, f"task={task}", f"checkpoint='{path}'"))
    told = str(caught.value)
    commands = [shlex.split(part) for part in told.split("`")[1::2] if "checkpoint=" in part]
    assert [words[1] for words in commands] == ["export", "diagnose"]
    assert "experiments.build.controller(" in told
    export.run(build.compose(*commands[0][1:], *TINY))  # the first way out works as it is written
    assert path.with_suffix(".bundle").is_file()


@pytest.mark.parametrize("name", ["fetch_slide", "custom"])
def test_a_controller_needs_no_task(tmp_path, name):
    path = save_own(tmp_path / "own.safetensors", task=name)
    controller = build.controller(path, *TINY[5:], "planner.num_samples=16", "planner.num_elites=4")
    controller.reset(np.zeros(4, np.float32))
    action = controller.act(np.ones(4, np.float32))
    assert action.shape == (2,) and (action >= [-1, 0]).all() and (action <= [1, 2]).all()
    assert controller.agent.spec.control_period == pytest.approx(0.1)


@pytest.mark.parametrize("command", [plan, train, demo, drive, diagnose])
def test_a_task_with_rewards_names_the_method_that_learns_from_them(tmp_path, command):
    name = command.__name__.rpartition(".")[2]
    cfg = settings(name, tmp_path, "task=reward", "task.name=dmc/walker-walk")
    with pytest.raises((ValueError, FileNotFoundError), match="`jepa-mpc train method=td task=dmc/walker-walk`"):
        command.run(cfg)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("command", [plan, demo, drive])
def test_a_task_without_simulator_is_refused_before_it_is_trained(tmp_path, command):
    with pytest.raises(ValueError, match="task=custom has no simulator, which `jepa-mpc"):
        command.run(settings(command.__name__.rpartition(".")[2], tmp_path, "task=custom", f"data='{tmp_path}'"))


def test_a_bundle_is_not_driven_as_another_task(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")
    save_own(tmp_path / "m.safetensors", task="two_room")
    bundle = tmp_path / "m.bundle"
    export.run(settings("export", tmp_path, f"checkpoint='{tmp_path / 'm.safetensors'}'", "planner.horizon=9"))
    assert main(["drive", f"bundle={bundle}", "task=reacher"]) == 2
    assert f"{bundle} was made for the task two_room: leave task=reacher out" in capsys.readouterr().err
    assert main(["drive", f"bundle={bundle}", "planner.horizon=3"]) == 2
    assert f"{bundle} brings its own planner.horizon along: leave it out" in capsys.readouterr().err


def test_what_is_trained_first_is_said_first(tmp_path, caplog):
    save_random_models(tmp_path, 1)
    cfg = build.compose("plan", "task=two_room", "seeds=[0,1,2]", f"runs='{tmp_path}'")
    with caplog.at_level("INFO", logger="experiments.commands.plan"):
        plan.log_missing(cfg, [0, 1, 2])
    assert "has no model of seed 0, 2: trained first, which takes some minutes for each" in caplog.text


@pytest.mark.parametrize(
    ("command", "word"),
    [
        ("plan", "runs={}/x"),
        ("demo", "runs={}"),
        ("collect", "out={}/x"),
        ("train", "out={}/x.safetensors"),
        ("plan", "results={}/x.csv"),
        ("drive", "telemetry={}/log.jsonl"),
        ("compare", "out={}/x/y"),
    ],
)
def test_a_place_that_cannot_be_written_is_found_at_the_start(tmp_path, capsys, monkeypatch, command, word):
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text(json.dumps({}))
    assert main([command, word.format("file")]) == 2
    told = capsys.readouterr().err
    key = word.partition("=")[0]
    assert told.startswith(f"jepa-mpc: {key}: cannot write in file") and told.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize(
    "words", [["plan", "results=rows"], ["train", "method=td", "task=gym/Pendulum-v1", "online.curves=rows.txt"]]
)
def test_a_table_that_is_no_csv_file_is_refused_before_anything_is_trained(tmp_path, monkeypatch, capsys, words):
    monkeypatch.chdir(tmp_path)
    assert main(words) == 2
    assert "must be a .csv file; got rows" in capsys.readouterr().err and not list(tmp_path.iterdir())
