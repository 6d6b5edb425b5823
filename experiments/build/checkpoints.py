"""Controllers from model files."""

from __future__ import annotations

from pathlib import Path

import envs
from planning import ActionSpec
from planning.control import Controller
from worldmodel.models.checkpoint import REWARD_MODEL, kind_of, load_model

from . import agents
from .embeddings import mean_pictures
from .goal_tasks import is_goal_task
from .published import PUBLISHED, checkpoint_file, tasks
from .recipes import CUSTOM
from .robots import robot_of
from .sensor_ranges import contract_words
from .settings import compose


def controller(checkpoint: str | Path, *overrides: str, task: str | None = None) -> Controller:
    """A controller for a trained model on the task of its training, with the settings of `jepa-mpc plan`.

    `controller("published", task="reacher")` loads a model that jepa-mpc ships, and
    `controller("published", "observation=pixels", task="two_room")` one that sees pictures;
    `controller("runs/demo/two_room-seed0.safetensors", "planner.num_samples=64")` loads your own.
    Call `warmup` and `reset` next. A model that learned from rewards uses the planner of its training, and its `reset`
    takes no goal.

    Args:
      checkpoint: a model file, or "published".
      overrides: settings of `jepa-mpc plan`, as on the command line.
      task: required with "published"; with a file, the task that it is expected to be trained for.

    Raises:
      FileNotFoundError: there is no such checkpoint.
      ValueError: the file is not a model, was trained for another task, or the settings do not fit it.
    """
    if str(checkpoint) == PUBLISHED and task is None:
        raise ValueError(f'"{PUBLISHED}" needs a task: add task="{tasks()[0]}", or another of {", ".join(tasks())}')
    sensors = None
    if str(checkpoint) == PUBLISHED and task in envs.TASKS:
        sensors = compose("plan", f"task={task}", *overrides).observation.sensors
    path = checkpoint_file(checkpoint, task or "", sensors)
    if kind_of(path) == REWARD_MODEL:
        from .learned import learned  # imports MuJoCo, which a robot may not have

        task_words = [] if task is None else ["task=reward", f"task.name={task}"]
        known = learned(path, *task_words, *overrides)
        return Controller(known.agent(needs_period=True), words=contract_words(known.checkpoint))
    loaded = load_model(path)
    robot, words = robot_of(loaded), contract_words(loaded)
    trained_for = str(robot["task"])
    if task not in (None, trained_for):
        raise ValueError(f'{path} was trained for the task {trained_for}, not {task}: pass task="{trained_for}"')
    if trained_for in envs.TASKS:
        made = agents.agent(compose("plan", f"task={trained_for}", *overrides), loaded.model, envs.make(trained_for))
    else:  # its file holds what an agent needs: a robot may not have the simulator
        robot = robot_of(loaded, "action_low", "action_high", "control_period")
        spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"])
        chosen = trained_for if is_goal_task(trained_for) else CUSTOM
        made = agents.agent_for(compose("plan", f"task={chosen}", *overrides), loaded.model, spec)
    return Controller(made, words={**words, "pictures": mean_pictures(loaded.model)})
