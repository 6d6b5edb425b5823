"""Behaviours of a hand that handles an object on a table: at random, and towards goals, by pushes and by grasps.

Behaviours choose aims for the control laws of `envs.hand`. All episodes advance together; each draws from its own
generator.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol, cast, runtime_checkable

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from . import hand
from .behaviours import Behaviour, ColouredNoise, Generators
from .task import Task, with_script


@runtime_checkable
class Handles(Protocol):
    """Task with a hand and an object."""

    grips: bool  # whether the last action opens and closes the hand
    home: ndarray  # [3] of the hand, in metres

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """Readings of `gripper`, `gripper_velocity`, `object`, and of `fingers` where it grips."""
        ...


@dataclass
class _Plans:
    """What each of `B` hands is about to do."""

    kind: ndarray  # [B] one of _KINDS
    aim: Float[ndarray, "B 3"]  # of the object, or of the gripper where it wanders
    miss: Float[ndarray, "B 3"]  # metres by which the object is mistaken
    speed: Float[ndarray, "B"]  # share of the fastest
    grip: Float[ndarray, "B"]  # the gripper's action where it wanders
    opening: ndarray  # [B] steps for which the hand opens first
    left: ndarray  # [B] steps until something else is tried

    @classmethod
    def none(cls, count: int) -> _Plans:
        zeros, places = np.zeros(count), np.zeros((count, 3))
        return cls(zeros.astype(int), places, places.copy(), zeros + 1, zeros, zeros.astype(int), zeros.astype(int))


_PUSH, _GRASP, _WANDER = range(3)


@dataclass(frozen=True)
class Handling(Behaviour):
    """Approaches, pushes, grasps, lifts and releases at random: each a random aim, kept for some time, with noise.

    Attributes:
      grasps: share of the decisions that grasp the object, where the hand opens.
      wander: share of the decisions that go to some place instead.
      miss: metres, standard deviation of where the object is taken to be: grasps miss, and pushes slip off.
      slowest: share of the full speed.
      reach: metres from the hand's home, along x and y, that the object is brought to.
      highest: metres above the home of an object in the air, and of the hand.
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws.
    """

    grasps: float = 0.6
    wander: float = 0.15
    miss: float = 0.008
    slowest: float = 0.4
    reach: float = 0.17
    highest: float = 0.3
    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.3)

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without an object to handle."""
        hands, plans = handling(task), _Plans.none(len(start))
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), _noise(self.noise, task, steps, rngs)
        states[:, 0] = start
        for t in range(steps):
            seen = hands.readings(states[:, t])
            for i in np.flatnonzero(plans.left <= 0).tolist():
                self._decide(hands, plans, i, seen["object"][i], rngs[i])
            actions[:, t] = np.clip(_carried_out(hands, plans, seen) + actions[:, t], -1.0, 1.0)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            plans.left, plans.opening = plans.left - 1, plans.opening - 1
        return states, actions

    def _decide(self, hands: Handles, plans: _Plans, i: int, place: ndarray, rng: np.random.Generator) -> None:
        drawn = rng.uniform(size=2)
        kind = _WANDER if drawn[0] < self.wander else _GRASP if hands.grips and drawn[1] < self.grasps else _PUSH
        aim = np.append(hands.home[:2] + rng.uniform(-self.reach, self.reach, 2), hand.ON_TABLE)
        height = rng.uniform(0.0, self.highest)
        if kind == _WANDER or (kind == _GRASP and rng.uniform() < 0.7):
            aim[2] += height
        plans.kind[i], plans.aim[i], plans.speed[i] = kind, aim, rng.uniform(self.slowest, 1.0)
        plans.miss[i] = self.miss * rng.standard_normal(3) * [1.0, 1.0, 0.5]
        plans.grip[i] = rng.choice([-1.0, 0.0, 1.0])
        plans.opening[i] = rng.integers(0, 5)  # also for nothing, and not at all
        plans.left[i] = rng.integers(5, 15) if kind == _WANDER else rng.integers(20, 45)

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "handling", **asdict(self), "noise": self.noise.describe()}


@dataclass(frozen=True)
class HandlingExpert(Behaviour):
    """The task's script towards goals, which are redrawn some time after they are reached, with noise.

    Attributes:
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws.
      patience: steps after which a goal is given up.
      dwell: steps for which a goal is kept once reached.
    """

    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.0)
    patience: int = 50
    dwell: int = 5

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without an object to handle."""
        goals = np.stack([task.sample_goal(rng) for rng in rngs])
        return self.towards_goals(task, start, goals, rngs, steps, redraw=True)

    def towards_goals(
        self,
        task: Task,
        start: Float[ndarray, "B S"],
        goals: Float[ndarray, "B G"],
        rngs: Generators,
        steps: int,
        redraw: bool = False,
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """States and actions on the way to given goals.

        Args:
          task: with an object to handle.
          start: state at the beginning of each episode.
          goals: one for each.
          rngs: likewise.
          steps: environment steps of each.
          redraw: whether other goals are drawn once they are reached or given up.

        Raises:
          ValueError: a task without an object to handle.
        """
        handling(task)
        script, goals = with_script(task).script, goals.copy()
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), _noise(self.noise, task, steps, rngs)
        states[:, 0], waits = start, np.full(len(start), self.patience)
        for t in range(steps):
            waits = np.where(task.success(states[:, t], goals), np.minimum(waits, self.dwell), waits)
            for i in np.flatnonzero(waits <= 0).tolist() if redraw else ():
                goals[i], waits[i] = task.sample_goal(rngs[i]), self.patience
            actions[:, t] = np.clip(script(states[:, t], goals) + actions[:, t], -1.0, 1.0)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            waits -= 1
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "handling_expert", **asdict(self), "noise": self.noise.describe()}


def _carried_out(hands: Handles, plans: _Plans, seen: Mapping[str, ndarray]) -> Float[ndarray, "B A"]:
    """Actions that follow the plans."""
    gripper, velocity, place = seen["gripper"], seen["gripper_velocity"], seen["object"] + plans.miss
    push, wander = hand.pushed(gripper, velocity, place, plans.aim), hand.to(gripper, velocity, plans.aim)
    if not hands.grips:
        return plans.speed[:, None] * np.where((plans.kind == _PUSH)[:, None], push, wander)
    grasp = hand.carried(gripper, velocity, place, seen["fingers"][:, 0], plans.aim)
    kind = plans.kind[:, None]
    move = plans.speed[:, None] * np.select([kind == _PUSH, kind == _GRASP], [push, grasp[:, :3]], wander)
    grip = np.select([plans.kind == _PUSH, plans.kind == _GRASP], [np.full(len(move), -1.0), grasp[:, 3]], plans.grip)
    opening = plans.opening > 0
    move, grip = np.where(opening[:, None], 0.0, move), np.where(opening, 1.0, grip)
    return np.concatenate([move, grip[:, None]], axis=-1)


def _noise(noise: ColouredNoise, task: Task, steps: int, rngs: Generators) -> Float[ndarray, "B T A"]:
    low, high = task.action_space.low.astype(np.float64), task.action_space.high.astype(np.float64)
    return np.stack([rng.uniform() * noise.actions(low, high, steps, rng) for rng in rngs]).astype(np.float32)


def handling(task: Task) -> Handles:
    """Return `task` as one with a hand and an object.

    Raises:
      ValueError: it has none.
    """
    if not isinstance(task, Handles):
        raise ValueError(
            f"{task.name} has no object to handle: the behaviour is for fetch_push and fetch_pick_and_place; "
            "take coloured_noise or another"
        )
    return cast(Handles, task)
