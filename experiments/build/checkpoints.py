"""From a model file to a controller."""

from __future__ import annotations

from pathlib import Path

import envs
from planning import ActionSpec
from planning.control import Controller
from worldmodel.models.checkpoint import REWARD_MODEL, kind_of, load_model

from . import agents
from .goal_tasks import is_goal_task
from .published import PUBLISHED, checkpoint_file, tasks
from .recipes import CUSTOM
from .sensor_ranges import contract_words
from .settings import compose


def controller(checkpoint: str | Path, *overrides: str, task: str | None = None) -> Controller:
    """A controller on a trained model, for the task it was trained for, with the settings of `jepa-mpc plan`.

    `controller("published", task="reacher")` loads a model that jepa-mpc ships;
    `controller("runs/demo/two_room-seed0.safetensors", "planner.num_samples=64")` one of your own. Call `warmup` and
    `reset` next. A model that learned from rewards plans with the planner it learned with, and its `reset` takes no
    goal.

    Args:
      checkpoint: a model file, or "published".
      overrides: settings of `jepa-mpc plan`, as on the command line.
      task: required with "published"; with a file, the task that it must have been trained for.

    Raises:
      FileNotFoundError: no checkpoint there.
      ValueError: the file is no model, was trained for another task, or the settings do not fit it.
    """
    if str(checkpoint) == PUBLISHED and task is None:
        raise ValueError(f'"{PUBLISHED}" needs a task: add task="{tasks()[0]}", or another of {", ".join(tasks())}')
    path = checkpoint_file(checkpoint, task or "")
    if kind_of(path) == REWARD_MODEL:
        from .learned import learned  # which imports MuJoCo, which a robot may not have

        wanted = [] if task is None else ["task=reward", f"task.name={task}"]
        known = learned(path, *wanted, *overrides)
        return Controller(known.agent(needs_period=True), words=contract_words(known.checkpoint))
    loaded = load_model(path)
    robot, words = loaded.metadata["task"], contract_words(loaded)
    trained_for = str(robot["task"])
    if task not in (None, trained_for):
        raise ValueError(f'{path} was trained for the task {trained_for}, not {task}: pass task="{trained_for}"')
    if trained_for in envs.TASKS:
        made = agents.agent(compose("plan", f"task={trained_for}", *overrides), loaded.model, envs.make(trained_for))
    else:  # whatever it learned from, its file says what an agent needs: a robot may not have the simulator
        spec = ActionSpec.of(robot["action_low"], robot["action_high"], robot["control_period"])
        chosen = trained_for if is_goal_task(trained_for) else CUSTOM
        made = agents.agent_for(compose("plan", f"task={chosen}", *overrides), loaded.model, spec)
    return Controller(made, words=words)
