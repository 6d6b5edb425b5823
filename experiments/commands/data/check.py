"""`jepa-mpc check`: what is right and wrong with an environment or with recorded data, before an hour is spent."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
from omegaconf import DictConfig

import envs
from envs.behaviours import Behaviour
from envs.registry import make_reward_task, usual_action_repeat
from worldmodel.data.episodes import EpisodeData

from ...build import compose, goal_tasks, make
from ...build.recipes import CUSTOM
from ...checks import environment, goals, rewards
from ...checks.finding import Finding, attempted, has_faults, judged, show
from ...checks.recording import recording
from ...checks.signals import Signals
from ...records.document import rows_of
from ...shell.overrides import override
from ...training.data_checks import description
from ...training.given_data import load_to_check

_OF_RECORDED = ("constant", "angles", "unbounded", "offset", "outliers", "rest", "speed", "saturation", "delay")
_LONGEST = 200_000  # steps of data whose simulator states are looked at


def run(cfg: DictConfig) -> list[Finding]:
    """Print what each check found, and return it.

    Raises:
      ValueError: neither a task nor data to check.
      FileNotFoundError: no dataset there.
    """
    name = str(cfg.task.name)
    if name == CUSTOM and cfg.data is None:
        raise ValueError("nothing to check: add task=NAME (such as task=goal/my_arm:ReachArm-v0) or data=FOLDER")
    found = list[Finding]()
    if cfg.data is None:
        found += of_reward_task(cfg) if goal_tasks.has_rewards(name) else of_goal_task(cfg)
    else:
        found += of_data(cfg)
    show(found, _checked(cfg))
    return found


def document(cfg: DictConfig, found: list[Finding]) -> dict[str, Any]:
    """Content of the JSON document: what was checked, and a row for each finding."""
    return {"checked": _checked(cfg), "rows": rows_of(found)}


def _checked(cfg: DictConfig) -> str:
    return str(cfg.task.name if cfg.data is None else cfg.data)


def exit_code(found: list[Finding]) -> int:
    """Exit code: 1 with a fault."""
    return int(has_faults(found))


def of_goal_task(cfg: DictConfig) -> list[Finding]:
    """Check a task with goals: its environment, its goals, and what its behaviour records."""
    name, found = str(cfg.task.name), list[Finding]()
    if name.startswith(goal_tasks.GYMNASIUM):
        with contextlib.ExitStack() as stack:
            env = environment.made("goal", name.removeprefix(goal_tasks.GYMNASIUM))
            stack.callback(env.close)
            found += environment.interface(env)
            found += attempted("episodes", lambda: environment.episodes(env, goals=True), _RUNS)
    else:
        with contextlib.closing(envs.make(name)) as plain:
            found += environment.interface(plain)
    if found[0].state == "fault" and "compute_reward" in found[0].found:
        return found
    try:
        task = goal_tasks.of(cfg)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return [*found, Finding("task", "fault", " ".join(str(error).split()), "see docs/tutorial_environment.md")]
    with contextlib.closing(task):
        found.append(Finding("task", "pass", _described(task)))
        if isinstance(task, envs.GoalTask):
            found += environment.time_of(task.env, task.control_period, task.time_limit)
            judgement = attempted("judge", lambda: goals.judge(task.env), _RUNS)
            found += judgement
            if any(each.name == "begins at the goal" and each.state == "fault" for each in judgement):
                return found
        found += attempted("states", lambda: goals.exactness(task), _RUNS)
        found += attempted("goals", lambda: goals.easy(task), _RUNS)
        found += attempted("recording", lambda: _recorded(cfg, task), _RUNS)
    return found


_RUNS = "have the environment run without errors: reset and step it in a loop first"


def _recorded(cfg: DictConfig, task: Any) -> Iterator[Finding]:
    """Findings about a sample of what `jepa-mpc collect` records."""
    behaviour: Behaviour = make(cfg.behaviour, "behaviour")
    steps = int(cfg.collection.steps)
    sample = goals.Recorded(task, behaviour, int(cfg.sample), steps)
    rows = sample.states.reshape(-1, sample.states.shape[-1])
    yield from goals.reach(task, rows, f"a sample of {int(cfg.sample)} episodes")
    yield from goals.walls(task, sample.states)
    yield from (each for each in recording(sample.data, task.control_period) if each.name in _OF_RECORDED)
    signals = Signals.of(sample.data)
    if len(signals.spread):
        moving = signals.spread[~signals.still & (signals.spread > 0)]
        ratio = float(moving.max() / moving.min()) if len(moving) else 1.0
        yield judged(
            "scales",
            ratio < 1e6,
            f"the columns' spreads lie within a factor of {ratio:.3g} (they are normalised)",
            "use other units: beyond a factor of a million rounding hides the small ones",
            value=ratio,
        )
    wanted = int(cfg.collection.episodes) * steps
    seconds = wanted / sample.rate
    yield judged(
        "speed",
        seconds < 600,
        f"{sample.rate:,.0f} steps a second in batches: {wanted:,} steps of data take {seconds:,.0f} s",
        "make a step cheaper, or record less: collection.episodes=...",
        value=sample.rate,
    )


def _described(task: envs.Task) -> str:
    sensors = ", ".join(f"{sensor.name} {list(sensor.shape)}" for sensor in task.sensors)
    low, high = task.action_space.low, task.action_space.high
    ends = f"[{low.min():g}, {high.max():g}]"
    return f"sensors {sensors}; {len(low)} actions in {ends}; goals of {task.goal_size} numbers"


def of_reward_task(cfg: DictConfig) -> list[Finding]:
    """Check a task with a reward: its environment, and what random decisions earn."""
    name, found = str(cfg.task.name), list[Finding]()
    if name.startswith("gym/"):
        env = environment.made("gym", name.removeprefix("gym/"))
        with contextlib.closing(env):
            found += environment.interface(env)
            found += attempted("episodes", lambda: environment.episodes(env, goals=False), _RUNS)
    try:
        task = make_reward_task(name, usual_action_repeat(name), cfg.control_period)
    except (ValueError, TypeError, AttributeError, KeyError) as error:
        return [*found, Finding("task", "fault", " ".join(str(error).split()), "see docs/rewards.md")]
    with contextlib.closing(task):
        ends = f"[{task.low.min():g}, {task.high.max():g}]"
        found.append(Finding("task", "pass", f"{task.observation_size} values, {task.action_size} actions in {ends}"))
        steps = int(compose("train", "method=td", "task=reward", override("task.name", name)).online.steps)
        return found + attempted("rewards", lambda: rewards.rewards(task, steps), _RUNS)


def of_data(cfg: DictConfig) -> list[Finding]:
    """Check a dataset, with the goals and walls of its task if that is simulated here."""
    try:
        data = load_to_check(cfg, cfg.data)
    except (ValueError, ImportError) as error:
        return [Finding("read", "fault", " ".join(str(error).split()), "see docs/own_logs.md")]
    known = description(data)
    period = cfg.control_period or known.get("control_period")
    found = [Finding("read", "pass", _contents(data)), *recording(data, period)]
    name = str(known.get("task", "")) if cfg.task.name == CUSTOM else str(cfg.task.name)
    if data.states is not None and goal_tasks.is_goal_task(name):
        found += attempted("task", lambda: _of_task(name, data), f"add task={CUSTOM} to leave the task's goals out")
    return found


def _of_task(name: str, data: EpisodeData) -> Iterator[Finding]:
    assert data.states is not None
    with contextlib.closing(envs.make(name)) as task:
        if data.states.shape[1] != task.state_size:
            return
        yield from goals.reach(task, data.states[:_LONGEST], "the data")
        firsts = np.unique(data.first)[:200]
        rows = [data.states[first : data.last[first] + 1] for first in firsts]
        yield from goals.walls(task, rows)


def _contents(data: EpisodeData) -> str:
    sensors = ", ".join(f"{sensor.name} {list(sensor.shape)}" for sensor in data.spec.sensors)
    acted = f"{data.actions.shape[1]} actuators; nothing missing, all values finite"
    if not data.is_labelled:
        acted = f"the actions of {data.labelled_steps:,} of {data.steps:,} steps; all values finite"
    return f"sensors {sensors}; {acted}"
