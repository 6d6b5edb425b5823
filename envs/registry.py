"""Tasks by name. Outside suites are imported only when one of their tasks is made."""

from __future__ import annotations

import difflib
import logging
import math
from importlib import import_module
from typing import Any, Literal, TypeAlias, overload

import gymnasium

from .plugins import Plugins
from .reward_task import RewardTask, WrongInterface
from .task import Task

logger = logging.getLogger(__name__)

GoalName: TypeAlias = Literal[
    "two_room",
    "two_room_sensors",
    "two_room_roofed",
    "umaze",
    "medium_maze",
    "giant_maze",
    "reacher",
    "reacher_tip",
    "fetch_reach",
    "fetch_push",
    "fetch_pick_and_place",
    "stirred_tank",
    "push_t",
    "cube_single",
]

_CLASSES: dict[str, tuple[str, str]] = {  # module within this package, class
    "two_room": (".two_room", "TwoRoom"),
    "two_room_sensors": (".two_room", "TwoRoomSensors"),
    "two_room_roofed": (".two_room_roofed", "TwoRoomRoofed"),
    "umaze": (".suites.point_maze", "UMaze"),
    "medium_maze": (".suites.point_maze", "MediumMaze"),
    "giant_maze": (".suites.point_maze", "GiantMaze"),
    "reacher": (".suites.dm_reacher", "Reacher"),
    "reacher_tip": (".suites.reacher_tip", "ReacherTip"),
    "fetch_reach": (".suites.fetch.reach", "FetchReach"),
    "fetch_push": (".suites.fetch.push", "FetchPush"),
    "fetch_pick_and_place": (".suites.fetch.pick_and_place", "FetchPickAndPlace"),
    "stirred_tank": (".stirred_tank", "StirredTank"),
    "push_t": (".push_t", "PushT"),
    "cube_single": (".suites.cube_single", "CubeSingle"),
}
TASKS = tuple(_CLASSES)
INSTALLED = Plugins("task", TASKS)  # tasks of other packages

_REPEATS = {"cartpole": 8, "finger": 2, "walker": 2, "humanoid": 2, "dog": 2}


@overload
def make(name: GoalName, render_mode: str | None = None) -> Task: ...


@overload
def make(
    name: str, render_mode: None = None, *, action_repeat: int, control_period: float | None = None
) -> RewardTask: ...


@overload
def make(name: str, render_mode: str | None = None) -> Any: ...


def make(
    name: str,
    render_mode: str | None = None,
    *,
    action_repeat: int | None = None,
    control_period: float | None = None,
) -> Task | RewardTask:
    """Return the task called `name`: a goal-reaching `Task`, or a `RewardTask` for a name with a suite prefix.

    Args:
      name: one of `TASKS`, a name that an installed package registers, `goal/<id>` for a Gymnasium goal environment, or
        `dmc/<domain>-<task>` or `gym/<id>` for a task with a reward.
      render_mode: "rgb_array" for a goal-reaching task that can draw itself.
      action_repeat: of a reward task: control steps that an action is held for; 1 where it is not given.
      control_period: of a reward task: see `make_reward_task`.

    Raises:
      ValueError: an unknown name, or a setting that a task of this kind does not have.
      ImportError: the task's package is not installed.
    """
    if name.startswith(("dmc/", "gym/")):
        if render_mode is not None:
            raise ValueError(f"render_mode is {render_mode!r}, but {name} is a reward task and draws nothing here")
        return make_reward_task(name, 1 if action_repeat is None else action_repeat, control_period)
    if name.startswith("goal/") and action_repeat is None and control_period is None:
        from .suites import goal_task

        return goal_task.make(name.removeprefix("goal/"), render_mode)
    if action_repeat is not None or control_period is not None:
        raise ValueError(f"{name} has goals and no reward: it takes neither action_repeat nor control_period")
    if name in _CLASSES:
        module, kind = _CLASSES[name]
        made: Task = getattr(import_module(module, __package__), kind)(render_mode)
        return made
    names = task_names()
    if name in names:
        return _installed(name, render_mode)
    close = difflib.get_close_matches(name, names, n=1)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise ValueError(
        f"there is no task {name!r}{hint}: the tasks are {', '.join(names)}, 'goal/<id>' for a Gymnasium goal "
        "environment, and with a reward 'dmc/<domain>-<task>' and 'gym/<id>'"
    )


def task_names() -> tuple[str, ...]:
    """Names of the tasks with goals: our own, and those of installed packages, which are not imported for it."""
    return (*TASKS, *INSTALLED.names())


def _installed(name: str, render_mode: str | None) -> Task:
    """The task that a package registers: what its entry point returns, under its name.

    Raises:
      ValueError: the entry point cannot be imported or called, or returns no task.
    """
    factory, plugin = INSTALLED.load(name), INSTALLED.found()[name][0]
    try:
        made = factory(render_mode=render_mode)
    except Exception as error:
        raise ValueError(
            f"the task {name} of {plugin.package} cannot be made by {plugin.entry.value} ({type(error).__name__}: "
            f"{error}): it is called with render_mode={render_mode} (docs/plugins.md)"
        ) from error
    if isinstance(made, gymnasium.Env) and not isinstance(made, Task):
        from .suites.goal_task import GoalTask

        made = GoalTask(made)
    if not isinstance(made, Task):
        raise ValueError(
            f"the task {name} of {plugin.package} is {type(made).__name__}: {plugin.entry.value} has to return an "
            "envs.Task or a Gymnasium goal environment (docs/plugins.md)"
        )
    made.name = name  # what data and models are stored under
    return made


def make_reward_task(source: Any, action_repeat: int = 1, control_period: float | None = None) -> RewardTask:
    """Return the reward task `dmc/<domain>-<task>` or `gym/<id>`, or one over your own Gymnasium environment.

    Names of dm_control tasks are the suite's or the short ones of the literature: `dmc/cup-catch`, `dmc/walker-walk`.

    Args:
      source: the name, or a `gymnasium.Env`.
      action_repeat: control steps that an action is held for.
      control_period: seconds between two decisions, for an environment whose period is unknown or wrong.

    Raises:
      ValueError: an unknown name, actions that are not a bounded Box, observations that are not one vector, or a period
        that is not positive seconds.
      WrongInterface: not a Gymnasium environment, or a vectorized one.
      ImportError: the environment's package is not installed.
    """
    task = _reward_task(source, action_repeat)
    if control_period is None:
        return task
    if not 0 < control_period < math.inf:
        task.close()
        raise ValueError(f"control_period must be positive seconds; got {control_period!r}")
    if math.isfinite(task.control_period) and not math.isclose(task.control_period, control_period, rel_tol=1e-6):
        logger.warning(
            "%s says %g ms from one decision to the next, and control_period=%g counts instead; leave it out if the "
            "environment is right",
            task.name,
            1e3 * task.control_period,
            control_period,
        )
    task.control_period = float(control_period)
    return task


def usual_action_repeat(name: str) -> int:
    """TD-MPC's action repeat (Hansen, Wang & Su, 2022) for a dm_control task, by domain: 4 for most; 1 elsewhere."""
    suite, _, task = name.partition("/")
    return _REPEATS.get(task.partition("-")[0], 4) if suite == "dmc" else 1


def _reward_task(source: Any, action_repeat: int) -> RewardTask:
    if isinstance(source, gymnasium.Env):
        from .suites.gymnasium_suite import GymnasiumTask

        return GymnasiumTask(source, action_repeat)
    if not isinstance(source, str):
        raise WrongInterface(_no_environment(source))
    suite, slash, name = source.partition("/")
    if slash and suite == "dmc":
        from .suites import dm_control_suite

        return dm_control_suite.make(name, action_repeat)
    if slash and suite == "gym":
        from .suites import gymnasium_suite

        return gymnasium_suite.make(name, action_repeat)
    raise ValueError(
        f"there is no reward task {source!r}: write 'dmc/<domain>-<task>' for one of dm_control's (dmc/walker-walk) "
        "or 'gym/<id>' for one of Gymnasium's (gym/HalfCheetah-v5)"
    )


def _no_environment(source: Any) -> str:
    """Return the error message for an object that is not a `gymnasium.Env`."""
    kind = type(source).__name__
    if hasattr(source, "num_envs"):
        return f"{kind} is a vector of environments, and planning steps a single one: give that"
    if hasattr(source, "reset") and hasattr(source, "step"):
        return (
            f"{kind} is no gymnasium.Env: derive it from that, or wrap it (the package shimmy has "
            "GymV21CompatibilityV0 for environments of old Gym)"
        )
    return f"a reward task is a name or a gymnasium.Env; got {kind}"
