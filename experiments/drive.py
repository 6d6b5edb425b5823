"""`jepa-mpc drive`: the simulator in one process, the controller in another, in ideal, delayed or real time."""

from __future__ import annotations

import itertools
import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy import ndarray
from omegaconf import DictConfig, OmegaConf
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

import envs
from envs import Task
from envs.streams import episode_rng
from planning.control import Fallback, LiveEngine, Loop, Planning, RealtimeController, Recipe
from worldmodel.checkpoint import load_model

from . import build
from .drive_simulator import Seen, Setup, Simulator
from .drive_view import Picture, View
from .plan import chosen_checkpoint
from .stages import Paths
from .statistics import percentiles

TIMINGS = ("ideal", "delay", "wallclock")
DWELL = 1.0  # seconds at a goal that was reached, for those who watch


@dataclass
class Summary:
    """What came of a drive."""

    task: str
    timing: str
    episodes: int = 0  # that ended
    successes: int = 0
    steps: int = 0  # control periods
    seconds: float = 0.0  # of the simulator's time
    answer_ms: list[float] = field(default_factory=list)  # from an observation received to an action sent
    plan_ms: list[float] = field(default_factory=list)  # that a plan took
    late: int = 0  # actions, in real time
    slips: int = 0  # physics steps that the machine began late
    sources: Counter[str] = field(default_factory=Counter)  # of actions
    events: Counter[str] = field(default_factory=Counter)  # what went wrong, by beginnings


def run(cfg: DictConfig) -> Summary:
    """Drive until the episodes or the seconds are used up, or somebody interrupts; the summary is printed either way.

    Raises:
      ValueError: settings that do not fit one another.
      ConnectionError: the simulator or the planner ended.
    """
    if cfg.timing not in TIMINGS:
        raise ValueError(f"timing={cfg.timing} is not known: choose from {', '.join(TIMINGS)}")
    for name in ("delay_ms", "deadline_ms", "seconds", "episodes"):
        if cfg[name] is not None and not cfg[name] >= 0:
            raise ValueError(f"{name} must not be negative; got {cfg[name]}")
    # Whatever the guards answer is counted in the summary, and shown on the page.
    logging.getLogger("planning.control.guards").setLevel(logging.ERROR)
    summary = Summary("", str(cfg.timing))
    with ExitStack() as stack:
        drive = _prepare(cfg, summary, stack)
        try:
            drive.run()
        finally:
            summary.events = drive.controller.events.counts
            show(summary)
    return summary


def show(summary: Summary) -> None:
    """Print what came of it."""
    table = Table(title=f"drive {summary.task}, timing={summary.timing}", box=SIMPLE_HEAD, show_header=False)
    table.add_column(no_wrap=True)
    table.add_column(justify="right")
    actions = sum(summary.sources.values())
    table.add_row("goals reached", f"{summary.successes} of {summary.episodes}")
    table.add_row("control periods", f"{summary.steps} ({summary.seconds:.1f} s of the simulator)")
    for name, times in (("plan ms p50 / p99", summary.plan_ms), ("answer ms p50 / p99", summary.answer_ms)):
        if times:
            p50, _, p99 = percentiles(times)
            table.add_row(name, f"{p50:.2f} / {p99:.2f}")
    if summary.timing == "wallclock":
        table.add_row("late actions", f"{summary.late} of {summary.steps}")
        table.add_row("physics steps begun late", str(summary.slips))
    for source, count in summary.sources.most_common():
        table.add_row(f"actions from {source.lower().replace('_', ' ')}", f"{count / max(actions, 1):.1%}")
    for name, count in sorted(summary.events.items()):
        table.add_row(name.replace("_", " "), f"{count} time{'s' if count > 1 else ''}")
    Console().print(table)


def _prepare(cfg: DictConfig, summary: Summary, stack: ExitStack) -> _Drive:
    """Start everything that is needed; `stack` ends it."""
    planner, task = _planner(cfg)
    summary.task = task.name
    virtual = cfg.timing != "wallclock"
    delay = {"ideal": 0.0, "delay": 0.04, "wallclock": 0.0}[cfg.timing]
    if cfg.delay_ms is not None:
        if cfg.timing == "ideal" and cfg.delay_ms:
            raise ValueError("timing=ideal has no delay: leave delay_ms out, or take timing=delay")
        delay = float(cfg.delay_ms) / 1e3
    deadline = None if cfg.deadline_ms is None else float(cfg.deadline_ms) / 1e3
    fault = None if cfg.fault is None else str(cfg.fault)
    setup = Setup(
        task.name, not virtual, delay, deadline or task.control_period, fault, float(cfg.fault_at), int(cfg.seed)
    )
    simulator = stack.enter_context(Simulator(setup))
    clock = _Virtual() if virtual else time.monotonic
    controller = RealtimeController(
        planner,
        Loop(actuation_delay=delay, compensate=bool(cfg.compensate), rate_limit=_rate(cfg)),
        Planning(
            deadline=deadline,
            surprise=planner.surprise if isinstance(planner, Recipe) else None,
            imagine=bool(cfg.view),
            log=cfg.telemetry is not None,
        ),
        Fallback(hold_seconds=float(cfg.hold_seconds)),
        worker="inline" if virtual else "process",
        seed=int(cfg.seed),
        telemetry=None if cfg.telemetry is None else str(cfg.telemetry),
        clock=clock,
    )
    stack.enter_context(controller)
    _wait_until_ready(controller)
    view = None
    if cfg.view:
        view = stack.enter_context(View(task, controller.weights, setup.deadline, str(cfg.host), int(cfg.port)))
        Console().print(f"watch and steer at {view.address}; Ctrl-C ends", soft_wrap=True)
    return _Drive(cfg, task, simulator, controller, view, summary, clock if isinstance(clock, _Virtual) else None)


def _planner(cfg: DictConfig) -> tuple[LiveEngine | Recipe, Task]:
    """What plans, and the task that it is for."""
    if cfg.bundle is not None:
        if cfg.checkpoint is not None:
            raise ValueError("give a checkpoint or a bundle, not both")
        recipe = Recipe.bundle(str(cfg.bundle))
        if recipe.contract.task not in envs.TASKS:
            raise ValueError(
                f"{cfg.bundle} was made for {recipe.contract.task or 'a robot without a name'}, which no simulator "
                f"here steps: there are {', '.join(envs.TASKS)}"
            )
        return recipe, envs.make(recipe.contract.task)
    chosen_checkpoint(cfg, int(cfg.seed))
    path = Paths.of(cfg, int(cfg.seed)).model if cfg.checkpoint is None else cfg.checkpoint
    arguments: dict[str, Any] = {"checkpoint": str(path), "settings": OmegaConf.to_container(cfg, resolve=True)}
    task = envs.make(cfg.task.name)
    if cfg.timing == "wallclock":
        return Recipe.factory("experiments.drive:engine", **arguments), task
    return engine(**arguments), task


def engine(checkpoint: str, settings: dict[str, Any]) -> LiveEngine:
    """The engine of a model file with the settings of `jepa-mpc plan`: a planner's process makes its own."""
    cfg = OmegaConf.create(settings)
    task = envs.make(cfg.task.name)
    return LiveEngine(build.agent(cfg, load_model(checkpoint).model, task), task.name)


def _rate(cfg: DictConfig) -> float | None:
    return None if cfg.rate_limit is None else float(cfg.rate_limit)


def _wait_until_ready(controller: RealtimeController) -> None:
    while not controller.ready:
        _fail_if_failed(controller)
        time.sleep(0.01)


def _fail_if_failed(controller: RealtimeController) -> None:
    if controller.failed:
        raise ConnectionError(str(controller.failure))


class _Virtual:
    """The simulator's time, as of what was seen last."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@final
class _Drive:
    """One episode after the other, from held-out starts to held-out goals, or to where the sliders of a view are."""

    def __init__(
        self,
        cfg: DictConfig,
        task: Task,
        simulator: Simulator,
        controller: RealtimeController,
        view: View | None,
        summary: Summary,
        virtual: _Virtual | None,
    ):
        self._task, self._simulator, self.controller, self._view = task, simulator, controller, view
        self._summary, self._virtual = summary, virtual
        self._seed = int(cfg.seed)
        endless = cfg.view or cfg.seconds is not None
        self._episodes = None if cfg.episodes is None and endless else 10 if cfg.episodes is None else int(cfg.episodes)
        self._seconds = float("inf") if cfg.seconds is None else float(cfg.seconds)
        self._goal = np.zeros(0)
        self._steps_left = 0
        self._reached_at: float | None = None
        self._sequence: int | None = None

    def run(self) -> None:
        """All of it."""
        for state, goal in self._pairs():
            if not self._episode(state, goal):
                return

    def _pairs(self) -> Iterator[tuple[ndarray, ndarray]]:
        """Those of `jepa-mpc plan`, which no training saw."""
        numbers = itertools.count() if self._episodes is None else range(self._episodes)
        for episode in numbers:
            yield self._task.sample_pair(episode_rng(self._seed, "evaluate", episode))

    def _episode(self, state: ndarray, goal: ndarray) -> bool:
        """One episode; False where there is no time for another."""
        self._simulator.reset(state)
        self.controller.reset(self._task.goal_observation(goal), seed=None if self._summary.episodes else self._seed)
        self._aim(goal)
        if self._view is not None:
            self._view.begin(goal)
        began: float | None = None
        while True:
            seen = self._simulator.receive()
            received = time.perf_counter()
            began = seen[0].stamp if began is None else began
            ended, newest = False, seen[-1]
            for each in seen:
                if self._virtual is not None:
                    self._virtual.now = each.stamp
                newest = each
                if each.control and (ended := self._control(each)):
                    break
            self._answer(newest, received)
            _fail_if_failed(self.controller)
            self._summary.late, self._summary.slips = newest.late, newest.slips
            out_of_time = self._summary.seconds + newest.stamp - began >= self._seconds
            if ended or out_of_time:
                self._summary.seconds += newest.stamp - began
                return not out_of_time
            if self._view is not None and self._virtual is not None:
                time.sleep(max(0.0, received + self._task.control_period - time.perf_counter()))

    def _aim(self, goal: ndarray) -> None:
        self._goal, self._steps_left, self._reached_at = goal, self._task.budget + 1, None

    def _control(self, seen: Seen) -> bool:
        """At a control instant: is the episode over? If not, the controller hears what the sensors say."""
        if self._view is not None and (wishes := self._view.wishes()):
            if wishes.weights:
                self.controller.weights = wishes.weights
            if wishes.goal is not None:
                self.controller.redirect(self._task.goal_observation(wishes.goal))
                self._aim(wishes.goal)
            if wishes.skip:
                return True
        self._steps_left -= 1
        if seen.tick and self._reached_at is None:
            self._summary.steps += 1
            if self._task.success(seen.state, self._goal):
                self._summary.successes, self._summary.episodes = (
                    self._summary.successes + 1,
                    self._summary.episodes + 1,
                )
                self._reached_at = seen.stamp
        if self._reached_at is not None:
            if self._view is None or (not self._view.steered and seen.stamp - self._reached_at >= DWELL):
                return True
        elif self._steps_left <= 0:
            self._summary.episodes += 1
            if self._view is None or not self._view.steered:
                return True
            self._aim(self._goal)
        if seen.arrived:
            self.controller.notify_observation(seen.observation, seen.stamp)
        return False

    def _answer(self, seen: Seen, received: float) -> None:
        now = None if self._virtual is None else self._virtual.now
        action = self.controller.get_action(now)
        self._simulator.act(action, seen.tick)
        took = 1e3 * (time.perf_counter() - received)
        summary, command = self._summary, self.controller.command
        assert command is not None
        summary.answer_ms.append(took)
        summary.sources[command.source.name] += 1
        plan = command.plan
        if plan is not None and plan.sequence != self._sequence:
            self._sequence = plan.sequence
            # An inline planner's time is that of the answer it was made in: it has no clock of its own.
            summary.plan_ms.append(took if self._virtual is not None else 1e3 * float(plan.record["compute"]))
        if self._view is not None:
            record: Any = None if plan is None else plan.record
            self._view.show(
                Picture(
                    state=seen.state,
                    seconds=seen.tick * self._timestep,
                    source=command.source.name,
                    wrong=tuple(reason.name for reason in command.wrong),
                    imagined=None if record is None else record["imagined"],
                    terms=None if record is None else record["terms"],
                    plan_ms=summary.plan_ms[-1] if summary.plan_ms else None,
                    successes=summary.successes,
                    episodes=summary.episodes,
                    late=seen.late,
                    reached=self._reached_at is not None,
                )
            )

    @property
    def _timestep(self) -> float:
        task: Any = self._task
        return float(task.model.opt.timestep)
