"""The tasks and their sensors, as rows. The facts of our own stand here, so that listing them does not start MuJoCo."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from ..shell.folders import CHECKPOINTS
from ..shell.plugins import plugins
from . import files

CUSTOM = "custom"  # the choice of `task` without a simulator


@dataclass(frozen=True)
class Facts:
    """A task: seconds between two actions, environment steps to reach a goal, and what it can be observed by."""

    control_period: float
    budget: int
    sensors: tuple[str, ...]  # by default
    others: tuple[str, ...] = ()
    cameras: tuple[str, ...] = ("top",)


_HANDLED = ("gripper", "gripper_velocity", "object", "object_velocity", "object_yaw", "object_from_gripper")
OWN = {
    "two_room": Facts(0.05, 80, ("state",), ("proprio",)),
    "two_room_sensors": Facts(0.05, 80, ("position", "velocity"), ("proprio",)),
    "two_room_roofed": Facts(0.05, 80, ("state",), ("proprio",)),
    "umaze": Facts(0.05, 60, ("state",), ("proprio",)),
    "medium_maze": Facts(0.05, 100, ("state",), ("proprio",)),
    "giant_maze": Facts(0.05, 300, ("state",), ("proprio",)),
    "reacher": Facts(0.04, 100, ("state",), ("proprio", "tip")),
    "reacher_tip": Facts(0.04, 100, ("state", "tip"), ("proprio",)),
    "fetch_reach": Facts(0.04, 25, ("state",), ("proprio",), ("top", "side")),
    "push_t": Facts(0.1, 50, ("pusher", "block", "pusher_velocity", "pusher_in_block"), ("contact", "proprio")),
    "fetch_push": Facts(0.04, 50, _HANDLED, ("contact", "proprio"), ("top", "side")),
    "fetch_pick_and_place": Facts(0.04, 50, (*_HANDLED, "fingers"), ("contact", "proprio"), ("top", "side")),
    "cube_single": Facts(
        0.05,
        200,
        (
            "effector",
            "effector_yaw",
            "joint_velocities",
            "gripper",
            "block",
            "block_velocity",
            "block_yaw",
            "block_from_effector",
        ),
        ("joints", "proprio"),
        ("front", "top"),
    ),
    "stirred_tank": Facts(3.0, 80, ("temperature", "composition", "coolant"), cameras=()),
}


def rows() -> list[dict[str, Any]]:
    """Every task: our own, those of installed packages, and the kinds of environment that others bring."""
    titles = {each.name: each.first_sentence for each in files.choices("task")}
    found = [_row(name, titles[name], OWN[name]) for name in OWN]
    known = plugins("task").found()
    for name in plugins("task").names():
        found.append(_row(name, f"a task of {known[name][0].package}", None))
    found.append(_row("goal/ID", "any goal environment of Gymnasium, such as goal/FetchPush-v4", None))
    found.append(
        _row("dmc/DOMAIN-TASK", "a task of dm_control with a reward, such as dmc/walker-walk; method=td", None)
    )
    found.append(_row("gym/ID", "an environment of Gymnasium with a reward, such as gym/Ant-v5; method=td", None))
    found.append(_row(CUSTOM, titles[CUSTOM][0].lower() + titles[CUSTOM][1:] + ": data=FOLDER", None))
    return found


def published(task: str) -> list[str]:
    """What the models of a task that ship with jepa-mpc see: `state`, or names of sensors."""
    stems = sorted(path.stem for path in CHECKPOINTS.glob("*.safetensors"))
    return [stem.partition("-")[2] or "state" for stem in stems if stem.partition("-")[0] == task]


def pictures(facts: Facts) -> list[str]:
    """Names of the pictures that a task offers."""
    return [f"pixels_{camera}" if place else "pixels" for place, camera in enumerate(facts.cameras)]


def sensors(task: str | None) -> list[dict[str, Any]]:
    """What a task can be observed by; without a task, what each of our own can be.

    Raises:
      ValueError: an unknown task, or one without a simulator.
    """
    if task is None:
        return [row for name, facts in OWN.items() for row in _own_sensors(name, facts)]
    if task == CUSTOM:
        raise ValueError("task=custom is observed by what its data have: see docs/own_logs.md")
    return _made_sensors(task)


def _row(name: str, what: str, facts: Facts | None) -> dict[str, Any]:
    return {
        "task": name,
        "what": what,
        "control_period_s": None if facts is None else facts.control_period,
        "budget_steps": None if facts is None else facts.budget,
        "sensors": [] if facts is None else [*facts.sensors, *facts.others, *pictures(facts)],
        "published": published(name),
    }


def _own_sensors(task: str, facts: Facts) -> list[dict[str, Any]]:
    names = [*facts.sensors, *facts.others, *pictures(facts)]
    return [{"task": task, "sensor": name, "default": name in facts.sensors} for name in names]


def _made_sensors(task: str) -> list[dict[str, Any]]:
    """The sensors of one task, from the task itself."""
    import envs
    from envs.mujoco_task import MujocoTask
    from envs.reward_task import RewardTask

    made: Any = envs.make(task)
    used = {each.name: each.optional for each in made.sensors}  # `see` makes every sensor optional
    if isinstance(made, MujocoTask):
        made.see(made.offered)
    elif isinstance(made, RewardTask):
        with suppress(ValueError):  # without a MuJoCo model it has its own vector alone
            made.see(["state", "proprio", "pixels"])
    found = [
        {
            "task": task,
            "sensor": each.name,
            "default": each.name in used,
            "shape": list(each.shape),
            "dtype": each.dtype,
            "units": list(each.units),
            "optional": used.get(each.name, False),
        }
        for each in made.sensors
    ]
    made.close()
    return found
