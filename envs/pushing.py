"""Behaviours that push a block: at random points of its outline, or towards a goal by the push that helps most.

Both go round the block to the chosen point, push along the inward normal, and choose again. All episodes advance
together; each draws from its own generator.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int
from numpy import ndarray

from . import tee
from .behaviours import Behaviour, ColouredNoise, Generators
from .task import Task

_POINTS, _NORMALS = tee.outline(spacing=0.006)
_FITS = tee.reachable(_POINTS, _NORMALS)
POINTS, NORMALS = _POINTS[_FITS], _NORMALS[_FITS]  # of contact, in the block's frame
_PUSHER = tee.PUSHER_RADIUS
_ROUND = 0.112  # metres from the block's centre at which the pusher goes round it
_GAP = 0.008  # metres between pusher and block where a push begins
_STRIDE = 0.1  # metres ahead of the pusher that an action of 1 puts its target
_FROM_TARGET, _FROM_SPEED = 1 - 2 / np.e, 0.1 / np.e  # of a step: what target and speed contribute to the way
_EASE = 0.7  # share of the remaining way that is aimed at in one step
_DEPTHS = np.array([0.002, 0.004, 0.007, 0.012, 0.02, 0.035, 0.06])  # metres, that are compared for a goal
_RADIAN = 0.05  # metres that count as much as a radian


@runtime_checkable
class HasBlock(Protocol):
    """Task with a block, and a pusher that moves it by contact. Actions are relative, in [-1, 1]."""

    def pusher(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Position of the pusher, in metres."""
        ...

    def pusher_velocity(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Velocity of the pusher, in metres a second."""
        ...

    def block(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 3"]:
        """Position of the block's centre of mass, in metres, and its angle, in radians."""
        ...

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return a state at rest at a goal."""
        ...


def towards(
    position: Float[ndarray, "B 2"], velocity: Float[ndarray, "B 2"], target: Float[ndarray, "B 2"]
) -> Float[ndarray, "B 2"]:
    """Actions that bring the pusher to a target without overshoot, from its response to a step."""
    ahead = _EASE * (target - position - _FROM_SPEED * velocity) / _FROM_TARGET / _STRIDE
    return ahead / np.maximum(1.0, np.abs(ahead).max(axis=-1, keepdims=True))


def way_round(
    pusher: Float[ndarray, "B 2"], block: Float[ndarray, "B 3"], target: Float[ndarray, "B 2"]
) -> Float[ndarray, "B 2"]:
    """Next point on the way to a target beside the block: the target, or a point on a circle around the block."""
    inside, wanted = tee.into(block, pusher), tee.into(block, target)
    free = _free(inside, wanted)
    here, there = (np.arctan2(each[:, 1], each[:, 0]) for each in (inside, wanted))
    turn = tee.wrapped(there - here)
    angle = here + np.clip(turn, -0.6, 0.6)
    radius = np.maximum(_ROUND, np.minimum(np.linalg.norm(inside, axis=-1), 1.2 * _ROUND))
    around = tee.out_of(block, radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=-1))
    return np.where(free[:, None], target, np.clip(around, 0.0, 0.512))


def _free(inside: Float[ndarray, "B 2"], wanted: Float[ndarray, "B 2"]) -> Bool[ndarray, "B"]:
    """Whether the pusher gets from one point to the other on a straight line, in the block's frame."""
    shares = np.linspace(0.0, 1.0, 13)[:, None, None]
    clear = tee.clearance(inside + shares * (wanted - inside)) - _PUSHER
    least = np.minimum(0.003, np.minimum(clear[0], clear[-1]))  # metres; ends may be nearer, where they touch it
    return np.asarray((clear > least - 1e-9).all(axis=0))


@dataclass
class _Pushes:
    """What each of `B` pushers is about to do."""

    point: Int[ndarray, "B"]  # of contact
    depth: Float[ndarray, "B"]  # metres, that are still to be pushed when the pusher is there
    slant: Float[ndarray, "B"]  # radians, from the normal
    speed: Float[ndarray, "B"]  # share of the fastest
    pushing: Bool[ndarray, "B"]  # rather than on the way
    end: Float[ndarray, "B 2"]  # of the push, in metres
    left: Int[ndarray, "B"]  # steps until something else is tried

    @classmethod
    def none(cls, count: int) -> _Pushes:
        zeros = np.zeros(count)
        return cls(
            zeros.astype(int), zeros, zeros.copy(), zeros + 1, zeros > 0, np.zeros((count, 2)), zeros.astype(int)
        )

    def begin(self, index: int, point: int, depth: float, slant: float = 0.0, speed: float = 1.0) -> None:
        """Choose the next push of one pusher."""
        self.point[index], self.depth[index], self.slant[index], self.speed[index] = point, depth, slant, speed
        self.pushing[index], self.left[index] = False, 40

    def step(self, pusher: ndarray, block: ndarray, velocity: ndarray) -> tuple[ndarray, ndarray]:
        """Actions, and which pushes are over."""
        points, normals = POINTS[self.point], NORMALS[self.point]
        start = tee.out_of(block, points + (_PUSHER + _GAP) * normals)
        arrived = ~self.pushing & (np.linalg.norm(pusher - start, axis=-1) < 0.006)
        inward = tee.rotated(-normals, block[:, 2] + self.slant)
        ends = tee.out_of(block, points + _PUSHER * normals) + self.depth[:, None] * inward
        self.end = np.where(arrived[:, None], ends, self.end)
        self.left = np.where(arrived, 25, self.left - 1)
        self.pushing |= arrived
        target = np.where(self.pushing[:, None], self.end, way_round(pusher, block, start))
        over = (self.pushing & (np.linalg.norm(pusher - self.end, axis=-1) < 0.0015)) | (self.left <= 0)
        return self.speed[:, None] * towards(pusher, velocity, target), over


@dataclass(frozen=True)
class Pushers(Behaviour):
    """Pushes at random points of the outline, slightly slanted, of random depth and speed, with noise.

    Attributes:
      deepest: metres, of a push.
      slant: radians from the normal, at most.
      slowest: share of the full speed.
      wander: share of the decisions that go to some place instead.
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws.
    """

    deepest: float = 0.1
    slant: float = 0.4
    slowest: float = 0.3
    wander: float = 0.15
    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.2)

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without a block."""
        pushing = with_block(task)
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), _noise(self.noise, steps, rngs)
        states[:, 0] = start
        pushes, places, wandering = _Pushes.none(len(start)), np.zeros((len(start), 2)), np.zeros(len(start), bool)
        for t in range(steps):
            pusher, block, velocity = _seen(pushing, states[:, t])
            for i in np.flatnonzero(pushes.left <= 0).tolist():
                rng = rngs[i]
                depth, slant = rng.uniform(0.01, self.deepest), rng.uniform(-self.slant, self.slant)
                pushes.begin(i, int(rng.integers(len(POINTS))), depth, slant, rng.uniform(self.slowest, 1.0))
                wandering[i], places[i] = rng.uniform() < self.wander, rng.uniform(0.03, 0.48, 2)
                if wandering[i]:
                    pushes.left[i] = int(rng.integers(5, 20))
            pushed, over = pushes.step(pusher, block, velocity)
            chosen = np.where(wandering[:, None], towards(pusher, velocity, places), pushed)
            pushes.left[over] = 0
            actions[:, t] = np.clip(chosen + actions[:, t], -1.0, 1.0)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "pushers", **asdict(self), "noise": self.noise.describe()}


@dataclass(frozen=True)
class PushExpert(Behaviour):
    """Pushes towards goals, each the one that brings the block furthest for its way, by the closed form of a push.

    When the block is in place, the pusher goes to its own place. Goals are redrawn some time after they are reached.

    Attributes:
      random: share of the decisions that push anywhere.
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws.
      patience: steps after which a goal is given up.
      dwell: steps for which a goal is kept once reached.
    """

    random: float = 0.0
    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.0)
    patience: int = 150
    dwell: int = 5

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without a block."""
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
          task: with a block.
          start: state at the beginning of each episode.
          goals: one for each episode.
          rngs: likewise.
          steps: environment steps of each.
          redraw: whether a goal is drawn again some time after it is reached, or after it is given up.
        """
        pushing, goals = with_block(task), goals.copy()
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), _noise(self.noise, steps, rngs)
        states[:, 0] = start
        pushes, left = _Pushes.none(len(start)), np.full(len(start), self.patience)
        for t in range(steps):
            left = np.where(task.success(states[:, t], goals), np.minimum(left, self.dwell), left)
            for i in np.flatnonzero(left <= 0).tolist() if redraw else ():
                goals[i], left[i], pushes.left[i] = task.sample_goal(rngs[i]), self.patience, 0
            pusher, block, velocity = _seen(pushing, states[:, t])
            wanted = pushing.at_goal(goals)
            aim, place = pushing.block(wanted), pushing.pusher(wanted)
            placed = _away(block, aim) < _FINE
            for i in np.flatnonzero(~placed & (pushes.left <= 0)).tolist():
                if self.random and rngs[i].uniform() < self.random:
                    pushes.begin(i, int(rngs[i].integers(len(POINTS))), rngs[i].uniform(0.01, 0.1))
                else:
                    pushes.begin(i, *best_push(pusher[i], block[i], aim[i]))
            pushed, over = pushes.step(pusher, block, velocity)
            home = towards(pusher, velocity, way_round(pusher, block, place))
            pushes.left[over | placed] = 0
            actions[:, t] = np.clip(np.where(placed[:, None], home, pushed) + actions[:, t], -1.0, 1.0)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            left -= 1
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "push_expert", **asdict(self), "noise": self.noise.describe()}


_FINE = 0.006  # metres: the block counts as placed, and only its pusher is not


def best_push(pusher: Float[ndarray, "2"], block: Float[ndarray, "3"], aim: Float[ndarray, "3"]) -> tuple[int, float]:
    """Return point of contact and depth of the push that gains most on the aim for every metre of the way."""
    after = tee.pushed(block, POINTS[:, None], NORMALS[:, None], _DEPTHS)  # [M, D, 3]
    gain = _away(block, aim) - _away(after, aim)
    starts = tee.out_of(block, POINTS + (_PUSHER + _GAP) * NORMALS)
    inside, wanted = tee.into(block, pusher), POINTS + (_PUSHER + _GAP) * NORMALS
    turn = np.abs(tee.wrapped(np.arctan2(wanted[:, 1], wanted[:, 0]) - np.arctan2(inside[1], inside[0])))
    straight = np.linalg.norm(wanted - inside, axis=-1)
    outward = np.abs(_ROUND - np.linalg.norm(wanted, axis=-1)) + np.abs(_ROUND - np.linalg.norm(inside))
    way = np.where(_free(np.broadcast_to(inside, wanted.shape), wanted), straight, _ROUND * turn + outward)
    within = np.all((starts > 0.0) & (starts < 0.512), axis=-1)
    rate = gain / (way[:, None] + _DEPTHS + 0.05)
    rate = np.where(within[:, None], rate, np.minimum(rate, 0.0) - 1.0)
    point, depth = np.unravel_index(int(np.argmax(rate)), rate.shape)
    return int(point), float(_DEPTHS[depth])


def _away(pose: Float[ndarray, "... 3"], aim: Float[ndarray, "... 3"]) -> Float[ndarray, "..."]:
    """Distance of poses in metres, a radian counted as `_RADIAN`."""
    turn = tee.wrapped(pose[..., 2] - aim[..., 2])
    return np.asarray(np.sqrt(np.sum((pose[..., :2] - aim[..., :2]) ** 2, axis=-1) + (_RADIAN * turn) ** 2))


def _noise(noise: ColouredNoise, steps: int, rngs: Generators) -> Float[ndarray, "B T 2"]:
    high = np.ones(2)
    return np.stack([rng.uniform() * noise.actions(-high, high, steps, rng) for rng in rngs]).astype(np.float32)


def _seen(task: HasBlock, states: Float[ndarray, "B S"]) -> tuple[ndarray, ndarray, ndarray]:
    """Position of the pusher, pose of the block, and velocity of the pusher."""
    return task.pusher(states), task.block(states), task.pusher_velocity(states)


def with_block(task: Task) -> HasBlock:
    """Return `task` as one with a block to push.

    Raises:
      ValueError: it has none.
    """
    if not isinstance(task, HasBlock):
        raise ValueError(f"{task.name} has no block to push, as push_t has: take coloured_noise or another behaviour")
    return task
