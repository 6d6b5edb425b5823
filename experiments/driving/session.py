"""The loop of a drive: observations go to the controller, its actions back to the simulator, goal after goal."""

from __future__ import annotations

import itertools
import time
from collections.abc import Iterator
from typing import Any, final

from numpy import ndarray
from omegaconf import DictConfig

from envs import Task
from envs.streams import episode_rng
from planning.control import RealtimeController

from ..evaluation.goals.protocols import start_towards
from ..evaluation.moments import goal_for
from ..pictures.goal import Target
from .simulator.client import Simulator
from .simulator.messages import Seen
from .summary import Summary
from .view.page import View
from .view.state import Moment, Picture

DWELL = 1.0  # pause in seconds at a reached goal, for viewers
KEPT = 6  # episodes whose last pictures are kept


class VirtualClock:
    """Clock of the simulator's time, at the latest record received."""

    now = 0.0

    def __call__(self) -> float:
        """Seconds."""
        return self.now


@final
class Drive:
    """Sequence of episodes from held-out starts to held-out goals, to one goal, or to that of a view's sliders.

    Attributes:
      ends: what the cameras saw last in the first episodes; only with a picture as the goal.
    """

    def __init__(
        self,
        cfg: DictConfig,
        task: Task,
        simulator: Simulator,
        controller: RealtimeController,
        view: View | None,
        summary: Summary,
        virtual: VirtualClock | None,
        target: Target | None = None,
    ):
        self._task, self._simulator, self.controller, self._view = task, simulator, controller, view
        self._summary, self._virtual = summary, virtual
        self._seed = int(cfg.seed)
        endless = cfg.view or cfg.seconds is not None
        self._episodes = None if cfg.episodes is None and endless else 10 if cfg.episodes is None else int(cfg.episodes)
        self._seconds = float("inf") if cfg.seconds is None else float(cfg.seconds)
        self._target, self.ends = target, list[dict[str, ndarray]]()
        self._goal: ndarray | None = None
        self._costs: list[float] = []  # of the plans of this episode
        self._steps_left = 0
        self._reached_at: float | None = None
        self._sequence: int | None = None

    def run(self) -> None:
        """Run all episodes."""
        for state, goal in self._pairs():
            if not self._episode(state, goal):
                return

    def _pairs(self) -> Iterator[tuple[ndarray, ndarray | None]]:
        """Start and goal pairs of `jepa-mpc plan`, held out from training; None for a goal without coordinates."""
        numbers = itertools.count() if self._episodes is None else range(self._episodes)
        for episode in numbers:
            rng = episode_rng(self._seed, "evaluate", episode)
            if self._target is None:
                yield self._task.sample_pair(rng)
            else:
                yield start_towards(self._task, rng, self._target.at), self._target.at

    def _observation_at(self, goal: ndarray | None) -> Any:
        """Goal in the controller's format: the pictures of the command line, or the simulator's."""
        target = self._target
        if target is not None and target.observation is not None and goal is target.at:
            return target.observation
        assert goal is not None
        return goal_for(self._task, goal)

    def _episode(self, state: ndarray, goal: ndarray | None) -> bool:
        """Run one episode; False if no time is left for another."""
        self._simulator.reset(state)
        wanted = self._observation_at(goal)
        self.controller.reset(wanted, seed=None if self._summary.episodes else self._seed)
        self._aim(goal)
        self._costs = []
        if self._view is not None:
            self._view.begin(goal)
            self._view.aim(wanted)
        began: float | None = None
        while True:
            seen = self._simulator.receive()
            received = time.perf_counter()
            began = seen[0].stamp if began is None else began
            ended, newest, instant = False, seen[-1], None
            for each in seen:
                if self._virtual is not None:
                    self._virtual.now = each.stamp
                newest = each
                instant = each if each.control else instant
                if each.control and (ended := self._control(each)):
                    break
            self._answer(newest, instant, received)
            fail_if_failed(self.controller)
            self._summary.late, self._summary.slips = newest.late, newest.slips
            out_of_time = self._summary.seconds + newest.stamp - began >= self._seconds
            if ended or out_of_time:
                self._summary.seconds += newest.stamp - began
                self._finish(instant)
                return not out_of_time
            if self._view is not None and self._virtual is not None:
                time.sleep(max(0.0, received + self._task.control_period - time.perf_counter()))

    def _finish(self, last: Seen | None) -> None:
        """Note how near the episode came to a goal that is only known as a picture."""
        if self._target is None or self._target.observation is None:
            return
        if self._costs:
            self._summary.costs.append((self._costs[0], self._costs[-1]))
        if len(self.ends) < KEPT and last is not None and isinstance(last.observation, dict):
            self.ends.append({name: last.observation[name] for name in self._target.pictures})

    def _aim(self, goal: ndarray | None) -> None:
        self._goal, self._steps_left, self._reached_at = goal, self._task.budget + 1, None

    def _control(self, seen: Seen) -> bool:
        """Handle a control instant: check for the end of the episode, else pass the sensors to the controller."""
        if self._view is not None and (wishes := self._view.wishes()):
            if wishes.weights:
                self.controller.weights = wishes.weights
            if wishes.goal is not None:
                wanted = goal_for(self._task, wishes.goal)
                self.controller.redirect(wanted)
                self._aim(wishes.goal)
                self._view.aim(wanted)
            if wishes.skip:
                return True
        self._steps_left -= 1
        if seen.tick and self._reached_at is None:
            self._summary.steps += 1
            if self._goal is not None and self._task.success(seen.state, self._goal):
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

    def _answer(self, seen: Seen, instant: Seen | None, received: float) -> None:
        """Send the action that answers the newest record; `instant` is the control instant among those received."""
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
            self._costs.append(float(plan.record["cost"]))
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
                    known=self._summary.known or summary.successes > 0,
                    moment=None if instant is None else self._moment(instant, action),
                )
            )

    def _moment(self, instant: Seen, action: ndarray) -> Moment | None:
        """Return what the page needs to show the cameras; None for a model that observes no pictures."""
        if not isinstance(instant.observation, dict):
            return None
        period, plan = self._task.control_period, self.controller.plan
        rest = None if plan is None else plan.actions[max(0, round((instant.stamp - plan.stamp) / period)) :]
        return Moment(round(instant.tick * self._timestep / period), instant.observation, action, rest)

    @property
    def _timestep(self) -> float:
        task: Any = self._task
        return float(task.model.opt.timestep)


def fail_if_failed(controller: RealtimeController) -> None:
    """Raise ConnectionError if the planner has failed."""
    if controller.failed:
        raise ConnectionError(str(controller.failure))
