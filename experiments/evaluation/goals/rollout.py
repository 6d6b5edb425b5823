"""Execute a policy on given pairs in the true simulator, and keep what happened."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from envs import Task
from envs.task import PlanarView

from ...records.episodes import EpisodeRecord
from .policies import ModelPolicy, Policy
from .protocols import Pairs

Progress = Callable[[int, int], None]


def run_episodes(
    task: Task, policy: Policy, pairs: Pairs, progress: Progress | None = None, imagine_every: int = 0
) -> list[EpisodeRecord]:
    """All episodes advance together for at most `pairs.budget` steps; one ends, a success, when its goal is reached.

    With `imagine_every` the plans of a `ModelPolicy` are kept every so many steps, in a task that can be seen from
    above. `progress(step, budget)` is called after each step.
    """
    view = task if isinstance(task, PlanarView) else None
    count = len(pairs)
    states = pairs.states.copy()
    traces = [states.copy()]
    ended = np.full(count, pairs.budget)
    active = np.ones(count, bool)
    imagined: list[list[tuple[int, np.ndarray]]] = [[] for _ in range(count)]
    policy.reset(pairs)
    for step in range(pairs.budget):
        actions = policy.act(states, active)
        if view is not None and imagine_every and step % imagine_every == 0 and isinstance(policy, ModelPolicy):
            paths = policy.imagined()
            if paths is not None:
                for index in np.flatnonzero(active):
                    imagined[index].append((step, paths[index].reshape(paths.shape[1], -1, 2)[:, -1]))
        following = task.simulate(states, actions[:, None].astype(np.float64))[:, 0]
        states = np.where(active[:, None], following, states)
        traces.append(states.copy())
        reached = active & task.success(states, pairs.goals)
        ended[reached] = step + 1
        active &= ~reached
        if progress is not None:
            progress(step + 1, pairs.budget)
        if not active.any():
            break
    trace = np.stack(traces, axis=1)
    success = ~active
    return [
        EpisodeRecord(
            policy=policy.name,
            success=bool(success[index]),
            keypoints=None if view is None else view.keypoints(path),
            goal_keypoints=None if view is None else view.goal_keypoints(pairs.goals[index]),
            states=path,
            goal=pairs.goals[index],
            imagined=tuple(imagined[index]),
            achieved=task.achieved_goal(path) if view is None else None,
        )
        for index, path in enumerate(trace[index, : end + 1] for index, end in enumerate(ended))
    ]
