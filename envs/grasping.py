"""Behaviours of a hand that grasps a cube, carries it to a place and puts it down, after OGBench's two scripted ones.

`Grasps` decides anew at each step from what it sees; `KeyFrames` follows a path planned in advance, whatever happens.
All episodes advance together; each draws from its own generator.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .behaviours import Behaviour, Generators
from .cube import Grasping, quarter, with_hand
from .task import Task

_STRIDE, _TURN = 0.05, 0.3  # metres and radians that an action of 1 stands for
_HOVER, _HIGH = 0.18, 0.16  # metres above a cube from which it is approached, and above the table that count as clear
_OVER, _AT = 0.04, 0.02  # metres, horizontally and in all, that count as over a place and as there
_HELD, _TABLE = 0.4, 0.05  # closure of a gripper around a cube; metres above the table up to which a cube is let go
_NOISE = np.array([1.0, 1.0, 1.0, 3.0, 10.0])  # of an action, relative to that of positions


def grasp(
    task: Grasping,
    states: Float[ndarray, "B S"],
    places: Float[ndarray, "B 3"],
    finals: Float[ndarray, "B 3"],
    turns: Float[ndarray, "B"] | None = None,
    least: float = 0.0,
) -> Float[ndarray, "B 5"]:
    """Actions that bring the cube to a place and the hand to another, in the nine phases of OGBench's closed loop.

    Go over the cube, go down, close, lift, go over the place, go down; open, go up, leave. A cube whose place is in the
    air stays in the hand.

    Args:
      task: with a hand and a cube.
      states: now.
      places: of the cube, in metres.
      finals: of the hand when the cube is in place.
      turns: yaws of the cube in its place; None: as it is grasped.
      least: metres that the next position is away at least; 0.4, as in the original, always moves at full speed.
    """
    (hand, yaw), (cube, turn), (closure, touch) = task.effector(states), task.block(states), task.grip(states).T
    away, ahead = np.linalg.norm(cube - hand, axis=1), np.linalg.norm(places - cube, axis=1)
    over = np.linalg.norm((cube - hand)[:, :2], axis=1) <= _OVER
    there = np.linalg.norm((places - cube)[:, :2], axis=1) <= _OVER
    held, high = (closure > _HELD) & (touch > 0.75), hand[:, 2] > _HIGH
    carried = (places[:, 2] > _TABLE) & held & (away <= _AT)
    placed = (ahead <= _AT) & ~carried
    above = np.array([0.0, 0.0, _HOVER])
    up = np.concatenate([cube[:, :2], np.full((len(cube), 1), 2 * _HOVER)], axis=1)
    phases = [
        (placed & (touch > 0.0), places, -1.0),
        (placed & ~high, up, -1.0),
        (placed, finals, -1.0),
        (~over, cube + above, -1.0),
        (away > _AT, cube, -1.0),
        (~held, cube, 1.0),
        (~high & ~there, up, 1.0),
        (~there, places + above, 1.0),
    ]
    which = [each for each, _, _ in phases]
    wanted = np.select([each[:, None] for each in which], [target for _, target, _ in phases], places)
    close = np.select(which, [command for _, _, command in phases], 1.0)
    holding = held & ~placed & (away <= _AT)
    carry = np.zeros_like(yaw) if turns is None else quarter(turns - turn)
    way = wanted - hand
    way *= np.maximum(1.0, least / np.maximum(np.linalg.norm(way, axis=1, keepdims=True), 1e-6)) / _STRIDE
    if least == 0:
        way /= np.maximum(1.0, np.abs(way).max(axis=1, keepdims=True))  # straight there
    spin = np.where(placed, 0.0, np.where(holding, carry, quarter(turn - yaw))) / _TURN
    return np.clip(np.concatenate([way, spin[:, None], close[:, None]], axis=1), -1.0, 1.0)


@dataclass(frozen=True)
class Grasps(Behaviour):
    """Closed loop that grasps the cube, puts it down elsewhere and goes away, then the same with another place.

    Without noise, random actions and `least` it is the expert.

    Attributes:
      least: metres that the next position is away at least; 0.4 always moves at full speed.
      noise: standard deviation of the noise, as a share of the range; each episode draws its own, up to this. Yaw has
        three times as much, the gripper ten times.
      random: share of the actions that are drawn anew.
      patience: steps after which a place is given up.
    """

    least: float = 0.4
    noise: float = 0.1
    random: float = 0.1
    patience: int = 200

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without a hand and a cube."""
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
          task: with a hand and a cube.
          start: state at the beginning of each episode.
          goals: one for each episode.
          rngs: likewise.
          steps: environment steps of each.
          redraw: whether another goal is drawn once one is reached or given up.
        """
        hand, goals, left = with_hand(task), goals.copy(), np.full(len(start), self.patience)
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), np.empty((len(start), steps, 5), "f4")
        noise, drawn, free = (np.stack(each) for each in zip(*(self._noise(rng, steps) for rng in rngs), strict=True))
        turns = np.array([rng.uniform(-np.pi, np.pi) for rng in rngs]) if redraw else None
        states[:, 0] = start
        for t in range(steps):
            for i in np.flatnonzero(left <= 0).tolist() if redraw else ():
                goals[i], left[i] = task.sample_goal(rngs[i]), self.patience
            chosen = grasp(hand, states[:, t], goals[:, :3], goals[:, 3:], turns, self.least)
            actions[:, t] = np.where(free[:, t, None], drawn[:, t], np.clip(chosen + noise[:, t], -1.0, 1.0))
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            cube_away = np.linalg.norm(hand.block(states[:, t + 1])[0] - goals[:, :3], axis=1)
            hand_away = np.linalg.norm(hand.effector(states[:, t + 1])[0] - goals[:, 3:], axis=1)
            left = np.where((cube_away <= _AT) & (hand_away <= _OVER), 0, left - 1)
        return states, actions

    def _noise(self, rng: np.random.Generator, steps: int) -> tuple[ndarray, ndarray, ndarray]:
        """Noise of an episode, actions drawn anew, and the steps at which those count."""
        scale = rng.uniform(0.0, self.noise) * _NOISE
        noise, drawn = scale * rng.standard_normal((steps, 5)), rng.uniform(-1, 1, (steps, 5))
        return noise, drawn, rng.uniform(size=steps) < self.random

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "grasps", **asdict(self)}


@dataclass(frozen=True)
class KeyFrames(Behaviour):
    """Open loop along key frames: over the cube, down, close, up, across, over the place, down, open, up, away.

    The path is planned when a place is drawn, with smooth noise; each action goes to its next point.

    Attributes:
      segment: seconds between two key frames; going down takes half as much again.
      jitter: share of a segment that each moment is moved by, at most.
      noise: standard deviation of the path's noise, in units of an action.
    """

    segment: float = 0.4
    jitter: float = 0.2
    noise: float = 0.1

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without a hand and a cube."""
        hand = with_hand(task)
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), np.empty((len(start), steps, 5), "f4")
        states[:, 0] = start
        paths: list[ndarray] = [np.empty((0, 5))] * len(start)
        at = np.zeros(len(start), int)
        for t in range(steps):
            (place, yaw), (cube, turn) = hand.effector(states[:, t]), hand.block(states[:, t])
            for i in range(len(start)):
                if at[i] >= len(paths[i]):
                    goal, at[i] = task.sample_goal(rngs[i]), 0
                    ends = (place[i], yaw[i]), (cube[i], turn[i]), goal
                    paths[i] = self._path(*ends, task.control_period, rngs[i])
            aim = np.stack([path[k] for path, k in zip(paths, at, strict=True)])
            spin = (aim[:, 3] - yaw + np.pi) % (2 * np.pi) - np.pi
            way = np.concatenate([(aim[:, :3] - place) / _STRIDE, spin[:, None] / _TURN], axis=1)
            close = aim[:, 4] - hand.grip(states[:, t])[:, 0]
            actions[:, t] = np.clip(np.concatenate([way, close[:, None]], axis=1), -1.0, 1.0)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            at += 1
        return states, actions

    def _path(
        self,
        hand: tuple[ndarray, float],
        cube: tuple[ndarray, float],
        goal: ndarray,
        period: float,
        rng: np.random.Generator,
    ) -> Float[ndarray, "T 5"]:
        """Position, yaw and closure at each of the steps of one path."""
        grasped = hand[1] + float(quarter(np.asarray(cube[1] - hand[1])))
        laid = grasped + rng.uniform(-np.pi / 4, np.pi / 4)
        up, over = (np.array([0.0, 0.0, rng.uniform(0.1, 0.2)]) for _ in range(2))
        lifted, high = cube[0] + up, goal[:3] + over
        middle = (lifted + high) / 2 + rng.uniform(-0.1, 0.1, 3)
        middle[2] = hand[0][2] + rng.uniform(0.0, 0.2)
        places = [hand[0], lifted, cube[0], cube[0], lifted, middle, high, goal[:3], goal[:3], high, goal[3:]]
        yaws = [hand[1], *[grasped] * 4, (grasped + laid) / 2, *[laid] * 4, rng.uniform(-np.pi, np.pi)]
        closed = [0.0, 0.0, 0.0, *[1.0] * 5, 0.0, 0.0, 0.0]
        moments = np.cumsum([0.0, 1.0, 1.5, 1.0, 1.0, 1.0, 1.0, 1.5, 1.0, 1.0, 1.0])
        moments[1:] += rng.uniform(-self.jitter, self.jitter, len(moments) - 1)
        frames = np.column_stack([np.stack(places), yaws, closed])
        times = np.arange(0.0, moments[-1], period / self.segment)
        path = np.stack([np.interp(times, moments, column) for column in frames.T], axis=1)
        white = rng.standard_normal((len(path), 5)) * [_STRIDE, _STRIDE, _STRIDE, _TURN, 1.0]
        smooth = np.apply_along_axis(np.convolve, 0, white, [0.11, 0.78, 0.11], mode="same")
        return path + self.noise * smooth

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "key_frames", **asdict(self)}
