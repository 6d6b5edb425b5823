"""The loop in real time at 100 Hz: a planner process, a process with a busy simulator, and an idle timer.

An action is late if it is returned more than half a period after its tick. The idle timer is a process that only sleeps
from tick to tick, at the same time, on the same machine and core and with the same priority: the machine causes its
misses.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import DictConfig

import envs
from planning.control import LiveEngine, Loop, Planning, RealtimeController, Recipe, Source, real_time
from planning.control.worker.mailbox import Mailbox, mapped, shared_file
from worldmodel.models.checkpoint import load_model

from ... import build
from ...evaluation.moments import goal_for, spec_of, true_rows
from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values

logger = logging.getLogger(__name__)

RATE_HZ = 100.0
LATE = 0.5 / RATE_HZ  # seconds
SIMULATOR = (
    "from experiments.bench.robot.real_time import simulate; import sys; simulate(sys.argv[1], *map(int, sys.argv[2:]))"
)
IDLE = (
    "from experiments.bench.robot.real_time import idle; import sys; idle(float(sys.argv[1]), *map(int, sys.argv[2:]))"
)


def engine(checkpoint: str, task: str, overrides: tuple[str, ...] = ()) -> LiveEngine:
    """The engine of a trained model with the settings of `jepa-mpc plan`, for a planner process."""
    cfg = build.compose("plan", f"task={task}", *overrides)
    return LiveEngine(build.agent(cfg, load_model(checkpoint).model, envs.make(task)), task)


def simulate(task_name: str, states_file: int, actions_file: int, seed: int) -> None:
    """Simulate the task in real time and keep the core busy with further physics in between.

    Writes observation and time stamp, and applies the newest action. Runs until it or its parent is killed.
    """
    task = envs.make(task_name)
    observations, actions = _mailboxes(task, (states_file, actions_file))
    rng = np.random.default_rng(seed)
    state, goal = task.sample_pair(rng)
    action = np.zeros(task.action_space.shape, np.float64)
    other = np.repeat(state[None], 16, axis=0)
    moment = time.monotonic()
    next_control, parent = moment, os.getppid()
    while os.getppid() == parent:
        if (message := actions.read()) is not None:
            action = np.frombuffer(message, np.float32).astype(np.float64)
        now = time.monotonic()
        if now >= next_control:
            state = task.simulate(state[None], action[None, None])[0, 0]
            next_control += task.control_period
        if now >= moment:
            observation = true_rows(task, state)
            observations.write(np.float64(time.monotonic()).tobytes() + observation.tobytes())
            moment += 1 / RATE_HZ
        task.simulate(other[:1], np.zeros((1, 4, action.size)))  # keeps the core busy


def idle(seconds: float, priority: int, *cores: int) -> None:
    """Sleep from tick to tick, and print the number of ticks and of late ones as JSON."""
    real_time(priority, cores)
    ticks, late, moment = 0, 0, time.monotonic()
    end, parent = moment + seconds, os.getppid()
    while moment < end and os.getppid() == parent:
        moment += 1 / RATE_HZ
        time.sleep(max(0.0, moment - time.monotonic()))
        ticks, late = ticks + 1, late + (time.monotonic() - moment > LATE)
        moment = max(moment, time.monotonic() - 1 / RATE_HZ)
    sys.stdout.write(json.dumps({"ticks": ticks, "late": late}))


def run(cfg: DictConfig) -> Counter[str]:
    """Run the loop for `cfg.suite.seconds`; writes rows `loop_*` if `cfg.results` is set.

    Raises:
      ValueError: there is no checkpoint.
      SystemExit: with code 1, if one of the suite's promises is broken.
    """
    suite = cfg.suite
    if not suite.checkpoint or not Path(suite.checkpoint).is_file():
        raise ValueError(f"suite.checkpoint={suite.checkpoint} is not a file: give a trained model of {suite.task}")
    task = envs.make(suite.task)
    overrides = tuple(suite.overrides)
    recipe = Recipe.factory(
        "experiments.bench.robot.real_time:engine",
        checkpoint=str(suite.checkpoint),
        task=suite.task,
        overrides=overrides,
    )
    files = [shared_file(Mailbox.room(size)) for size in _sizes(task)]
    observations, actions = _mailboxes(task, files)
    rng, seconds = np.random.default_rng(int(cfg.seed)), float(suite.seconds)
    margin = Loop(replan_period=1 / RATE_HZ, max_observation_age=0.1, late_after=0.1)
    priority, planner = map(int, suite.priorities)
    cores, planner_cores = (tuple(map(int, each)) for each in suite.cores)
    planning = Planning(deadline=1 / RATE_HZ, priority=planner, cores=planner_cores)
    controller = RealtimeController(recipe, margin, planning, worker="process")
    simulator = subprocess.Popen(
        [sys.executable, "-c", SIMULATOR, suite.task, *map(str, files), str(cfg.seed)], pass_fds=files
    )
    all_cores = os.sched_getaffinity(0)
    try:
        with controller:
            goal = goal_for(task, task.sample_goal(rng))
            controller.reset(goal=goal)
            while not controller.ready:
                if controller.failed:
                    raise ValueError(str(controller.failure))
                time.sleep(0.05)
            timer = subprocess.Popen(
                [sys.executable, "-c", IDLE, str(seconds), *map(str, (priority, *cores))], stdout=subprocess.PIPE
            )
            controller.get_action()  # the first call is slow
            real_time(priority, cores)
            counts, late, elapsed = _run_loop(controller, task, observations, actions, rng, seconds)
            idle_counts = json.loads(timer.communicate()[0])
    finally:
        real_time(0, all_cores)
        simulator.kill()
        simulator.wait()
    plans, ticks = max(counts["plans"], 1), len(late)
    late_share, idle_share = 100 * float(np.mean(late)), 100 * idle_counts["late"] / max(idle_counts["ticks"], 1)
    name = "loop_100hz" if priority else "loop_100hz_ordinary"
    values = [
        Value(f"{name}_plan_misses", 100 * counts["missed"] / plans, "%"),
        Value(f"{name}_late_actions", late_share, "%"),
        Value(f"{name}_idle_late", idle_share, "%"),
        Value(
            f"{name}_late_beyond_idle", max(0.0, late_share - idle_share), "%"
        ),  # the machine causes the idle timer's share
        Value(f"{name}_ticks", ticks, "count"),
        Value(f"{name}_plans", counts["plans"], "count"),
        Value(f"{name}_get_action_ms_p99", 1e3 * float(np.quantile(elapsed, 0.99)), "ms"),
        Value(f"{name}_latency_ms_p95", 1e3 * controller.latency, "ms"),
        Value(f"{name}_fallback_actions", 100 * counts["fallback"] / ticks, "%"),
        Value(f"{name}_undeclared", counts["undeclared"], "count"),
        Value(f"{name}_unsafe", counts["unsafe"], "count"),
    ]
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    for each in values:
        logger.info("%s %.4g %s", each.case, each.value, each.unit)
    require(suite, values)
    return counts


def _run_loop(
    controller: RealtimeController,
    task: envs.Task,
    observations: Mailbox,
    actions: Mailbox,
    rng: np.random.Generator,
    seconds: float,
) -> tuple[Counter[str], list[bool], list[float]]:
    """Run the loop with a new goal every few seconds; return counts and, per tick, whether it was late and its seconds.

    There is no progress bar: its thread would compete with the loop for the interpreter lock.
    """
    counts, late, elapsed, space = Counter[str](), [], [], task.action_space
    seen, moment = -1, time.monotonic()
    end, new_goal = moment + seconds, moment
    while moment < end:
        moment += 1 / RATE_HZ
        time.sleep(max(0.0, moment - time.monotonic()))
        woke = time.monotonic()
        if (message := observations.read()) is not None:
            controller.notify_observation(
                np.frombuffer(message, np.float32, offset=8), float(np.frombuffer(message[:8])[0])
            )
        action = controller.get_action()
        actions.write(action.tobytes())
        done = time.monotonic()
        late.append(done - moment > LATE)
        elapsed.append(done - woke)
        counts["unsafe"] += not (np.isfinite(action).all() and space.contains(action))
        _count(controller, counts, seen)
        seen = -1 if controller.plan is None else controller.plan.sequence
        if moment - new_goal > 4.0:
            controller.redirect(goal_for(task, task.sample_goal(rng)))
            new_goal = moment
        counts["skipped"] += int(max(0.0, time.monotonic() - moment) * RATE_HZ)
        moment = max(moment, time.monotonic() - 1 / RATE_HZ)
    return counts, late, elapsed


def _count(controller: RealtimeController, counts: Counter[str], seen: int) -> None:
    command, plan = controller.command, controller.plan
    assert command is not None
    counts["fallback"] += command.source != Source.PLAN
    counts["undeclared"] += command.source != Source.PLAN and not command.wrong
    if plan is not None and plan.sequence != seen:
        counts["plans"] += 1
        counts["missed"] += int(plan.record["missed"])


def _sizes(task: envs.Task) -> tuple[int, int]:
    size: Any = task.action_space.shape[0]
    return 8 + 4 * spec_of(task).size, 4 * size


def _mailboxes(task: envs.Task, files: Any) -> tuple[Mailbox, Mailbox]:
    boxes = [Mailbox(mapped(file, Mailbox.room(size)), size) for file, size in zip(files, _sizes(task), strict=True)]
    return boxes[0], boxes[1]
