"""Behaviour that is a model's own: its planner, or its reflex, pursues goals of the task, with noise.

What acts is passed in (`acted_by`), since nothing here knows models: collecting with the present model and learning on
shows a model what its own plans lead to, which random behaviour rarely does. (Ross et al., A reduction of imitation
learning and structured prediction to no-regret online learning, AISTATS 2011, with plans in place of an expert.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from .behaviours import Behaviour, ColouredNoise, Generators, Mixture
from .goal_parts import HasNearGoals
from .task import Task

ACTORS = ("planner", "reflex")
_NUMBERS = 2**31 - 1  # of episodes


@runtime_checkable
class Pursuer(Protocol):
    """Policy that pursues goals in a batch of episodes."""

    def begin(self, goals: Float[ndarray, "B G"], numbers: Int[ndarray, "B"]) -> None:
        """Begin new episodes; an episode's random numbers follow from its number alone."""
        ...

    def redirect(self, goals: Float[ndarray, "B G"], which: Bool[ndarray, "B"]) -> None:
        """Set other goals in some of the episodes, which go on from where they are."""
        ...

    def act(self, states: Float[ndarray, "B S"], rngs: Generators) -> Float[ndarray, "B A"]:
        """Next action of each episode. The states are for the sensors, whose noise draws from `rngs`."""
        ...

    def describe(self) -> dict[str, Any]:
        """The model, as JSON."""
        ...


@dataclass(frozen=True)
class Pursuit(Behaviour):
    """A model pursues goals, which are redrawn some time after they are reached or given up.

    Attributes:
      actor: what acts, the model's `planner` or its `reflex`.
      near: share of the goals that are within reach of where the body is, in tasks that draw such; others are anywhere.
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws.
      patience: steps after which a goal is given up.
      dwell: steps for which a goal is kept once reached.
      by: what acts; None until `acted_by` sets it.

    Raises:
      ValueError: another actor, or a share out of range.
    """

    actor: str = "planner"
    near: float = 0.5
    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.2)
    patience: int = 75
    dwell: int = 5
    by: Pursuer | None = None

    def __post_init__(self) -> None:
        if self.actor not in ACTORS:
            raise ValueError(f"behaviour.actor must be {' or '.join(ACTORS)}; got {self.actor!r}")
        if not 0 <= self.near <= 1:
            raise ValueError(f"behaviour.near must be a share of the goals; got {self.near}")

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour: all episodes advance together. Raises ValueError where no model acts."""
        if self.by is None:
            raise ValueError(
                f"behaviour={self.actor} acts by a model: collect with `jepa-mpc collect behaviour={self.actor} "
                "checkpoint=FILE out=FOLDER` first, and learn from that folder with data=FOLDER"
            )
        low, high = (np.asarray(each, np.float64) for each in (task.action_space.low, task.action_space.high))
        noise = [rng.uniform() * (self.noise.actions(low, high, steps, rng) - (high + low) / 2) for rng in rngs]
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), np.stack(noise).astype(np.float32)
        states[:, 0] = start
        goals, left = self._goals(task, start, rngs), np.full(len(start), self.patience)
        self.by.begin(goals, np.array([int(rng.integers(_NUMBERS)) for rng in rngs]))
        for t in range(steps):
            left = np.where(task.success(states[:, t], goals), np.minimum(left, self.dwell), left)
            if (over := left <= 0).any():
                due = np.flatnonzero(over)
                goals[due] = self._goals(task, states[due, t], [rngs[i] for i in due.tolist()])
                left[due] = self.patience
                self.by.redirect(goals, over)
            chosen = np.asarray(self.by.act(states[:, t], rngs), np.float64)
            actions[:, t] = np.clip(chosen + actions[:, t], low, high)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            left -= 1
        return states, actions

    def _goals(self, task: Task, states: Float[ndarray, "B S"], rngs: Generators) -> Float[ndarray, "B G"]:
        """Draw a goal for each state."""
        goals = np.stack([task.sample_goal(rng) for rng in rngs])
        if isinstance(task, HasNearGoals):
            near = np.flatnonzero([rng.uniform() < self.near for rng in rngs])
            if len(near):
                goals[near] = task.goals_near(states[near], [rngs[i] for i in near.tolist()])
        return goals

    def describe(self) -> dict[str, Any]:
        """Its name, its parameters and its model, as JSON."""
        known = {"near": self.near, "patience": self.patience, "dwell": self.dwell, "noise": self.noise.describe()}
        return {"behaviour": self.actor, **known, **({} if self.by is None else self.by.describe())}


def pursuits(behaviour: Behaviour) -> list[Pursuit]:
    """Return the parts of a behaviour in which a model acts."""
    if isinstance(behaviour, Mixture):
        return [each for part in behaviour.parts for each in pursuits(part)]
    return [behaviour] if isinstance(behaviour, Pursuit) else []


def acted_by(behaviour: Behaviour, pursuers: dict[str, Pursuer]) -> Behaviour:
    """Return the behaviour with a policy for each actor in it; one without is returned as it is.

    Args:
      behaviour: a pursuit, or a mixture with some.
      pursuers: by actor.
    """
    if isinstance(behaviour, Mixture):
        return replace(behaviour, parts=tuple(acted_by(part, pursuers) for part in behaviour.parts))
    return replace(behaviour, by=pursuers[behaviour.actor]) if isinstance(behaviour, Pursuit) else behaviour
