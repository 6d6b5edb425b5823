"""Interface of simulated tasks.

A task is a Gymnasium environment whose dynamics can also be driven in batches and from any state. Collection, the
oracle and the benchmarks rely on nothing else, so a new task is one file that implements the abstract methods.
Optional features, a view from above and a script, are separate protocols.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import gymnasium.spaces
import numpy as np
from gymnasium.core import ObsType
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike

from .sensors import Limit, Mask, Sensor, ask_everything, at


@dataclass(frozen=True)
class Scene:
    """Static geometry of a task, seen from above, in metres: enough to draw it without a camera."""

    low: tuple[float, float]
    high: tuple[float, float]
    walls: tuple[tuple[float, float, float, float], ...]  # (x, y, half width, half height) of each box
    radius: float  # of the moving body as drawn
    root: tuple[float, float] | None = None  # where a chain of keypoints is attached, for arms
    links: tuple[tuple[int, int], ...] = ()  # pairs of keypoints that a bar joins, for bodies that are no chain

    def bars(self, keypoints: Float[ndarray, "J 2"]) -> Float[ndarray, "L 2 2"]:
        """Ends of the bars of a body: its links, or the chain from its root; none of a single point."""
        if self.root is not None:
            chain = np.concatenate([np.asarray([self.root], keypoints.dtype), keypoints])
            return np.stack([chain[:-1], chain[1:]], axis=1)
        return keypoints[np.asarray(self.links, int).reshape(-1, 2)]


class Task(gymnasium.Env[ObsType, ndarray]):
    """Goal-reaching task over a deterministic simulation.

    In the shapes, `...` is any number of leading batch dimensions, `S` the size of a simulation state, `G` of a goal,
    `O` of an observation, `A` of an action, `T` environment steps. States are float64 and complete: the same state and
    actions give the same next states, bit for bit, one by one or in a batch.

    As an environment it gives reward 1.0 while the current goal is reached and 0.0 otherwise, never terminates, and is
    truncated after `budget` steps; `info` holds `state`, `goal` and `success`. `reset(options={"state": s, "goal": g})`
    starts from a chosen pair.

    Observations (`ObsType`) are those of `sensors`, as arrays or dictionaries: see `envs.sensors.Observation`.
    """

    name: str
    sensors: tuple[Sensor, ...]  # in order
    limits: tuple[Limit, ...] = ()  # safety limits, for constraints; nothing here enforces them
    action_space: gymnasium.spaces.Box
    observation_space: gymnasium.spaces.Space[ObsType]  # a Box, or a Dict in the order of the sensors
    control_period: float  # seconds between two actions
    budget: int  # environment steps in which a goal has to be reached
    state_size: int
    goal_size: int
    state: ndarray  # [S] the current state, as get_state returns it
    goal: ndarray  # [G] the current goal
    _steps = 0  # of the running episode

    @property
    def noisy(self) -> bool:
        """Whether `sense` differs from `observe`: readings are noisy, missing or disturbed."""
        return False

    def get_state(self) -> Float[ndarray, "S"]:
        """Return a copy of the complete simulation state."""
        return self.state.copy()

    def set_state(self, state: ArrayLike) -> None:
        """Make `state` the current one, exactly. Raises ValueError on a wrong shape or a value that is not finite."""
        self.state = self._checked("state", state, (self.state_size,), np.float64).copy()

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[ObsType, dict[str, Any]]:
        """Start an episode from a drawn pair; `options={"state": ..., "goal": ...}` overrides either or both."""
        super().reset(seed=seed)
        options = options or {}
        if unknown := sorted(set(options) - {"state", "goal"}):
            raise ValueError(f"reset has no option {unknown[0]!r}: it takes 'state' and 'goal'")
        drawn, goal = self.sample_pair(self.np_random)
        state = self._checked("state", options.get("state", drawn), (self.state_size,), np.float64)
        goal = self._checked("goal", options.get("goal", goal), (self.goal_size,), np.float64)
        self.check_goal(goal)
        while "state" in options and "goal" not in options and self.success(state, goal):
            goal = self.sample_goal(self.np_random)
        self.state, self.goal, self._steps = state.copy(), goal.copy(), 0
        return self._sensed(), self._info()

    def step(self, action: ArrayLike) -> tuple[ObsType, float, bool, bool, dict[str, Any]]:
        """Hold `action` for one control period. Raises ValueError on a wrong shape or a value that is not finite."""
        control = self._checked("action", action, self.action_space.shape, np.float32)
        self.state = self.simulate(self.state[None], control[None, None])[0, 0]
        self._steps += 1
        info = self._info()
        return self._sensed(), float(info["success"]), False, self._steps >= self.budget, info

    @abstractmethod
    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a start state, at rest."""

    @abstractmethod
    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a goal the task can reach."""

    def check_goal(self, goal: Float[ndarray, "G"]) -> None:
        """Raise ValueError for a goal that cannot be reached at all, where a task knows: nothing by default."""

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start and a goal that is not reached yet, for an episode or evaluation."""
        while True:
            state, goal = self.sample_state(rng), self.sample_goal(rng)
            if not self.success(state, goal):
                return state, goal

    @abstractmethod
    def observe(self, states: Float[ndarray, "... S"]) -> ObsType:
        """Ideal sensor readings in these states: complete and without noise."""

    def sense(self, states: Float[ndarray, "B ... S"], rngs: Sequence[np.random.Generator]) -> ObsType:
        """Actual sensor readings in these states, with noise and missing readings, as observed in an episode.

        The same as `observe` in a task whose sensors are perfect; nothing is drawn then.

        Args:
          states: of `B` episodes; time is the second axis where there is one.
          rngs: one for each episode, used by it alone; the draws are the same step by step or in one call.
        """
        return self.observe(states)

    @abstractmethod
    def goal_observation(self, goal: Float[ndarray, "... G"]) -> ObsType:
        """Ideal sensor readings at rest at the goal: complete and without noise."""

    @property
    def goal_mask(self) -> Mask:
        """Mask of the components that a goal specifies: bool, of the shapes of one observation.

        A dictionary by sensor (no `_present` keys) where observations are dictionaries. All components, unless a
        task defines otherwise; the others are free, and their values in a goal observation are only placeholders.
        """
        return ask_everything(self.sensors)

    @abstractmethod
    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Goal that these states fulfil: any recorded state can be a goal."""

    @abstractmethod
    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the goal is reached within a `share` of the task's tolerance; a task may have none, and ignore it."""

    @abstractmethod
    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Privileged cost-to-go (around walls, in metres or radians): only the ceiling and scripts may use it."""

    @abstractmethod
    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """Return the true dynamics in a batch: the states after each action. Actions are clipped to the bounds."""

    def needs_detour(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether a wall stands between start and goal; False everywhere in a task without walls."""
        return np.zeros(np.broadcast_shapes(state.shape[:-1], goal.shape[:-1]), bool)

    def describe(self) -> dict[str, Any]:
        """Name, control period, bounds, sensors, sizes and versions, as JSON: stored with every dataset and model."""
        return {
            "task": self.name,
            "control_period": self.control_period,
            "budget": self.budget,
            "action_low": self.action_space.low.tolist(),
            "action_high": self.action_space.high.tolist(),
            "action_size": self.action_space.shape[0],
            "observation_size": sum(sensor.size for sensor in self.sensors),
            "observation": [sensor.describe() for sensor in self.sensors],
            "state_size": self.state_size,
            "goal_size": self.goal_size,
        }

    def _sensed(self) -> ObsType:
        observation: ObsType = at(self.sense(self.state[None], [self.np_random]), 0)
        return observation

    def _info(self) -> dict[str, Any]:
        reached = bool(self.success(self.state, self.goal))
        return {"state": self.state.copy(), "goal": self.goal.copy(), "success": reached}

    def _checked(self, what: str, value: ArrayLike, shape: tuple[int, ...], dtype: Any) -> ndarray:
        array = np.asarray(value, dtype)
        if array.shape != shape:
            raise ValueError(f"the {what} has shape {array.shape}, but {self.name} expects {shape}")
        if not np.isfinite(array).all():
            raise ValueError(f"the {what} holds a value that is not finite: {array.tolist()}")
        return array


@runtime_checkable
class PlanarView(Protocol):
    """Task that can be drawn from above. `J` is the number of keypoints."""

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Keypoints of the body, seen from above, in metres; the path of the last one is drawn."""
        ...

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Keypoints of a body at the goal, in metres."""
        ...

    def scene(self) -> Scene:
        """Static geometry, for drawing."""
        ...


@runtime_checkable
class HasReadout(Protocol):
    """Task without a view from above that defines the targets of a model's probe."""

    def readout(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... Q"]:
        """Quantities for constraints, costs and figures, each in its unit."""
        ...


@runtime_checkable
class HasContact(Protocol):
    """Task about an object that is moved by touch, with a sensor of contact."""

    def touching(self, states: Float[ndarray, "... S"]) -> Bool[ndarray, "..."]:
        """Whether the hand touches the object."""
        ...


@runtime_checkable
class HasScript(Protocol):
    """Task with a simple hand-written controller."""

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Actions towards the goals, from privileged state. Used to generate data, never to make decisions."""
        ...


def planar_view(task: Task) -> PlanarView:
    """Return `task` as one with a view from above.

    Raises:
      ValueError: the task has no view from above.
    """
    if not isinstance(task, PlanarView):
        raise ValueError(f"{task.name} has no view from above: it lacks keypoints, goal_keypoints and scene")
    return task


def with_script(task: Task) -> HasScript:
    """Return `task` as one with a script.

    Raises:
      ValueError: the task has no script.
    """
    if not isinstance(task, HasScript):
        raise ValueError(
            f"{task.name} has no script, which the behaviour asks for: take coloured_noise or sticky_random, or a "
            "policy of your own (envs.behaviours.FromPolicy)"
        )
    return task
