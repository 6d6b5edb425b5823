"""The loop of a drive: observations go to the controller, its actions back to the simulator, goal after goal."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, final

import numpy as np
from numpy import ndarray
from omegaconf import DictConfig

from envs import Task
from envs.streams import episode_rng
from planning.control import RealtimeController

from ..evaluation.moments import goal_for
from .simulator.client import Simulator
from .simulator.messages import Seen
from .summary import Summary
from .view.page import View
from .view.state import Picture

DWELL = 1.0  # pause in seconds at a reached goal, for viewers


class VirtualClock:
    """Clock of the simulator's time, at the latest record received."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@final
class Drive:
    """Sequence of episodes from held-out starts to held-out goals, or to the goal set by a view's sliders."""

    def __init__(
        self,
        cfg: DictConfig,
        task: Task,
        simulator: Simulator,
        controller: RealtimeController,
        view: View | None,
        summary: Summary,
        virtual: VirtualClock | None,
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
        """Run all episodes."""
        for state, goal in self._pairs():
            if not self._episode(state, goal):
                return

    def _pairs(self) -> Iterator[tuple[ndarray, ndarray]]:
        """Start and goal pairs of `jepa-mpc plan`, held out from training."""
        numbers = itertools.count() if self._episodes is None else range(self._episodes)
        for episode in numbers:
            yield self._task.sample_pair(episode_rng(self._seed, "evaluate", episode))

    def _episode(self, state: ndarray, goal: ndarray) -> bool:
        """Run one episode; False if no time is left for another."""
        self._simulator.reset(state)
        self.controller.reset(goal_for(self._task, goal), seed=None if self._summary.episodes else self._seed)
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
            fail_if_failed(self.controller)
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
        """Handle a control instant: check for the end of the episode, else pass the sensors to the controller."""
        if self._view is not None and (wishes := self._view.wishes()):
            if wishes.weights:
                self.controller.weights = wishes.weights
            if wishes.goal is not None:
                self.controller.redirect(goal_for(self._task, wishes.goal))
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
            # An inline planner has no separate clock: its time is that of the answer that contains the plan.
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


def fail_if_failed(controller: RealtimeController) -> None:
    """Raise ConnectionError if the planner has failed."""
    if controller.failed:
        raise ConnectionError(str(controller.failure))
