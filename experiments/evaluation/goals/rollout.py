"""Execute a policy on given pairs in the true simulator, and record the episodes."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from envs import Task
from envs.task import PlanarView

from ...records.episodes import EpisodeRecord
from ..episodes import Progress, execute
from ..moments import Senses, goal_mask, goal_rows
from ..policy import Episodes, ModelPolicy, Policy
from .protocols import Pairs


@final
class GoalEpisodes(Episodes):
    """One episode per pair, of at most `pairs.budget` steps; it ends as a success when its goal is reached and held.

    Attributes:
      states: `[B, S]` of the simulator, for privileged policies.
      active: `[B]` episodes that still run: at the end, those that failed.

    Args:
      task: the true simulator.
      pairs: starts and goals.
      model: embeds pictures, where the policy looks at any.
    """

    def __init__(self, task: Task, pairs: Pairs, model: Any = None):
        self.task, self.pairs = task, pairs
        self.numbers, self.limit = pairs.numbers, pairs.budget
        space: Any = task.action_space
        self.low, self.high = np.asarray(space.low), np.asarray(space.high)
        if pairs.row is None:
            self.goals, self.goal_mask = goal_rows(task, pairs.goals, model), goal_mask(task, model)
        else:
            asked = ~np.isnan(pairs.row)
            self.goals = np.tile(np.where(asked, pairs.row, np.float32(0)), (len(pairs), 1))
            self.goal_mask = None if asked.all() else asked
        self.states, self.active = pairs.states.copy(), np.ones(len(pairs), bool)
        self._traces, self._ended = [self.states], np.full(len(pairs), pairs.budget)
        self._held = np.zeros(len(pairs), int)  # moments in a row at which the goal was reached
        self._senses = Senses(task, pairs.seed, pairs.numbers, model)

    def observe(self) -> Float[ndarray, "B E"]:
        """Sensor readings, with noise."""
        return self._senses.rows(self.states)

    def step(self, actions: Float[ndarray, "B A"]) -> None:
        """Execute one action; episodes that have ended stay where they are."""
        following = self.task.simulate(self.states, actions[:, None].astype(np.float64))[:, 0]
        self.states = np.where(self.active[:, None], following, self.states)
        self._traces.append(self.states)
        reached = np.zeros_like(self.active)
        if self.pairs.known:
            near = self.task.success(self.states, self.pairs.goals, self.pairs.tolerance)
            self._held = np.where(near, self._held + 1, 0)
            reached = self.active & (self._held >= self.pairs.hold)
        self._ended[reached] = len(self._traces) - 1
        self.active = self.active & ~reached

    @property
    def paths(self) -> list[Float[ndarray, "T+1 S"]]:
        """States of each episode, from its start to its end."""
        trace = np.stack(self._traces, axis=1)
        return [path[: end + 1] for path, end in zip(trace, self._ended, strict=True)]


def run_episodes(
    task: Task,
    policy: Policy[GoalEpisodes],
    pairs: Pairs,
    progress: Progress | None = None,
    imagine_every: int = 0,
    count: int | None = None,
    model: Any = None,
) -> list[EpisodeRecord]:
    """Execute the policy from each start towards its goal, and return one record per executed pair.

    Args:
      task: the true simulator.
      policy: to execute.
      pairs: starts and goals.
      progress: called with (steps done, budget) after each step.
      imagine_every: keep the plans of a `ModelPolicy` at this interval, in a task with a view from above; 0: none.
      count: only the first pairs are executed, in a batch of the size of all, for which a policy may be compiled
        already; None: all of them.
      model: embeds pictures, where the policy looks at any.
    """
    count = len(pairs) if count is None else count
    view = task if isinstance(task, PlanarView) else None
    plans: list[tuple[int, ndarray]] = []  # (step, positions [B, H+1, 2])

    def after(step: int, budget: int) -> None:
        if view is not None and imagine_every and (step - 1) % imagine_every == 0 and isinstance(policy, ModelPolicy):
            paths = policy.imagined()
            if paths is not None:
                plans.append((step - 1, paths.reshape(*paths.shape[:2], -1, 2)[:, :, -1]))
        if progress is not None:
            progress(step, budget)

    episodes = GoalEpisodes(task, pairs, model)
    episodes.active[count:] = False
    execute(policy, episodes, after)
    return [
        EpisodeRecord(
            policy=policy.name,
            success=pairs.known and not episodes.active[index],
            keypoints=None if view is None else view.keypoints(path),
            goal_keypoints=None if view is None or not pairs.known else view.goal_keypoints(pairs.goals[index]),
            states=path,
            goal=pairs.goals[index],
            imagined=tuple((step, paths[index]) for step, paths in plans if step < len(path) - 1),
            achieved=task.achieved_goal(path) if view is None else None,
        )
        for index, path in enumerate(episodes.paths[:count])
    ]
