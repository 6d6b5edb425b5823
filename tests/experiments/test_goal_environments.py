"""A goal environment of a user's own, which has no view from above, no script and no walls, through every command."""

from __future__ import annotations

import json

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

import envs
from envs.task import HasReadout, HasScript, PlanarView
from experiments.build.checkpoints import controller
from experiments.cli import main
from experiments.commands import demo, diagnose, drive, export, plan
from experiments.commands.data import collect
from experiments.evaluation.goals.protocols import honest
from worldmodel.models.checkpoint import load_model

from .recipe import TINY, settings

BOX = spaces.Box(-np.inf, np.inf, (2,))
NAME = "goal/OwnPoint-v0"


class OwnPoint(gymnasium.Env):
    """A point in the plane that follows its velocity command."""

    metadata = {"render_modes": [], "render_fps": 10}
    observation_space = spaces.Dict(observation=BOX, achieved_goal=BOX, desired_goal=BOX)
    action_space = spaces.Box(-1.0, 1.0, (2,))

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.x, self.goal = self.np_random.uniform(-1, 1, (2, 2))
        return self.seen(), {}

    def step(self, action):
        self.x = self.x + 0.1 * action
        return self.seen(), self.compute_reward(self.x, self.goal, {}), False, False, {}

    def seen(self):
        return {"observation": self.x, "achieved_goal": self.x, "desired_goal": self.goal}

    def compute_reward(self, achieved_goal, desired_goal, info):
        return -float(np.linalg.norm(achieved_goal - desired_goal) > 0.05)


class NoJudge(OwnPoint):
    compute_reward = None

    def step(self, action):
        raise NotImplementedError


class Buttons(OwnPoint):
    action_space = spaces.Discrete(4)


@pytest.fixture(scope="module", autouse=True)
def registered():
    names = {f"{kind.__name__}-v0": kind for kind in (OwnPoint, NoJudge, Buttons)}
    before = {name: gymnasium.registry.pop(name, None) for name in names}  # those of other tests in this process
    for name, kind in names.items():
        gymnasium.register(name, kind, max_episode_steps=20)
    yield
    for name, spec in before.items():
        del gymnasium.registry[name]
        if spec is not None:
            gymnasium.registry[name] = spec


@pytest.fixture(scope="module")
def runs(registered, tmp_path_factory):
    """A finished demo, which the other tests go on from."""
    folder = tmp_path_factory.mktemp("own")
    demo.run(settings("demo", folder, f"task={NAME}", "policies=[model,random]", "model.ensemble=1"))
    return folder


@pytest.fixture(scope="module")
def checkpoint(runs):
    return runs / "goal-OwnPoint-v0-seed0.safetensors"


def test_it_has_nothing_that_is_optional():
    task = envs.make(NAME)
    assert not isinstance(task, PlanarView) and not isinstance(task, HasScript) and not isinstance(task, HasReadout)


def test_demo_leaves_a_page_with_curves_towards_the_goals(runs, checkpoint):
    page = (runs / "report.html").read_text()
    assert [row["policy"] for row in json.loads((runs / "results.json").read_text())["rows"]] == [
        "model",
        "random",
    ]
    assert "has no view from above" in page and "dashed: the goal" in page and "<video" not in page
    assert "What the training data covered" not in page
    assert f"task={NAME}" in page
    metadata = load_model(checkpoint).metadata
    assert metadata["task"]["task"] == NAME and metadata["recipe"]["model"]["latent_size"] == 8
    assert load_model(checkpoint).model.heads.probe is None


def test_collect_tells_the_ranges_in_place_of_a_picture(tmp_path, capsys):
    cfg = settings("collect", tmp_path, f"task={NAME}", "collection.episodes=2", f"out='{tmp_path}/data'")
    collect.run(cfg)
    assert "without a view from above: state " in capsys.readouterr().out
    assert [each.name for each in tmp_path.iterdir()] == ["data"]


def test_plan_from_the_checkpoint_and_from_its_place(runs, checkpoint, tmp_path):
    rows = plan.run(settings("plan", tmp_path, f"task={NAME}", f"checkpoint='{checkpoint}'", "policies=[model]"))
    again = plan.run(settings("plan", runs, f"task={NAME}", "policies=[model]", "model.ensemble=1"))
    assert rows[0].task == NAME and rows[0].successes == again[0].successes
    assert (tmp_path / "goal-OwnPoint-v0-plan.json").exists()


def test_diagnose_judges_what_can_be_judged(runs, checkpoint, tmp_path):
    found = diagnose.run(
        settings("diagnose", tmp_path, f"task={NAME}", f"checkpoint='{checkpoint}'", "episodes=2", "held_out=4")
    )
    assert found.scene is None and "path_error" not in found.values and found.episodes == 2
    assert found.reach is not None and "episodes of the data" in found.reach.source
    assert {file.suffix for file in tmp_path.iterdir()} == {".json", ".png", ".html"}


def test_export_needs_no_simulator_and_the_controller_acts(checkpoint, tmp_path):
    bundle = export.run(
        settings("export", tmp_path, f"task={NAME}", f"checkpoint='{checkpoint}'", f"out='{tmp_path}/own.bundle'")
    )
    assert bundle.contract.task == NAME and bundle.contract.action_size == 2
    task = envs.make(NAME)
    pairs = honest(task, 1, 0)
    acting = controller(checkpoint, *TINY)
    acting.warmup()
    goal = np.where(task.goal_mask, task.goal_observation(pairs.goals[0]), np.nan)
    acting.reset(goal=goal)
    assert task.action_space.contains(acting.act(task.observe(pairs.states[0])))


def test_drive_says_that_mujoco_does_not_step_it(checkpoint, tmp_path):
    with pytest.raises(ValueError, match="steps MuJoCo itself.*goal/OwnPoint-v0 is not such a task: measure with"):
        drive.run(settings("drive", tmp_path, f"task={NAME}", "timing=ideal"))
    assert not list(tmp_path.iterdir())  # nothing was collected or trained before


@pytest.mark.parametrize(
    ("word", "sentence"),
    [
        ("task=goal/NoJudge-v0", "goal/NoJudge-v0 has no compute_reward(achieved_goal, desired_goal, info)"),
        ("task=goal/Buttons-v0", "the actions of goal/Buttons-v0 are Discrete(4), but planning needs a Box"),
        ("task=goal/Nowhere-v0", "Gymnasium has no environment 'Nowhere-v0' here"),
        ("task=goal/Pendulum-v1", "goal/Pendulum-v1 has no compute_reward"),
        ("task=goal/OwnPoint-v0,dmc/walker-walk", "mixes goal/OwnPoint-v0, a task with goals, with tasks that have"),
    ],
)
@pytest.mark.parametrize("command", ["collect", "train", "plan"])
def test_an_environment_that_is_none_gets_one_sentence(command, word, sentence, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main([command, word, "budget=smoke"]) == 2
    said = capsys.readouterr().err
    assert sentence in said and said.count("\n") == 1 and not list(tmp_path.iterdir()), said


@pytest.mark.slow
def test_a_fetch_robot_is_collected_trained_planned_and_exported(tmp_path, monkeypatch):
    """As a user does it, on MuJoCo."""
    monkeypatch.chdir(tmp_path)
    words = ["task=goal/FetchReach-v4", *TINY]
    for command in ("collect", "train", "plan"):
        assert main([command, *words]) == 0
    assert main(["export", *words, "checkpoint=runs/goal-FetchReach-v4-seed0.safetensors"]) == 0
    assert (tmp_path / "runs" / "goal-FetchReach-v4-seed0.bundle").exists()
