"""The contract between a simulated task and everything that uses one.

A task is a Gymnasium environment whose physics can also be driven in batches and from any state. Collection, the oracle
and the benchmarks rely on nothing else, so a new task is one file that fills in this class.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any

import gymnasium.spaces
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray
from numpy.typing import ArrayLike


@dataclass(frozen=True)
class Scene:
    """What stands still in a task, seen from above, in metres: enough to draw it without a camera."""

    low: tuple[float, float]
    high: tuple[float, float]
    walls: tuple[tuple[float, float, float, float], ...]  # (x, y, half width, half height) of each box
    radius: float  # how large the moving body is drawn
    root: tuple[float, float] | None = None  # where a chain of keypoints is fastened, for arms


class Task(gymnasium.Env[ndarray, ndarray]):
    """A goal-reaching task over a deterministic simulation.

    In the shapes, `...` is any number of leading batch dimensions, `S` the size of a physics state, `G` of a goal, `O`
    of an observation, `A` of an action, `J` the number of keypoints, `T` environment steps. States are float64 and
    complete: the same state and actions give the same next states, bit for bit, one by one or in a batch.

    As an environment it gives reward 1.0 while the current goal is reached and 0.0 otherwise, never terminates, and is
    truncated after `budget` steps; `info` holds `state`, `goal` and `success`. `reset(options={"state": s, "goal": g})`
    starts from a chosen pair.
    """

    name: str
    action_space: gymnasium.spaces.Box
    observation_space: gymnasium.spaces.Box
    control_period: float  # seconds between two actions
    budget: int  # environment steps in which a goal has to be reached
    state: ndarray  # [S] the current physics state, as get_state returns it
    goal: ndarray  # [G] the current goal

    @abstractmethod
    def get_state(self) -> Float[ndarray, "S"]:
        """A copy of the complete physics state."""

    @abstractmethod
    def set_state(self, state: ArrayLike) -> None:
        """Make `state` the current one, exactly. Raises ValueError on a wrong shape or a value that is not finite."""

    @abstractmethod
    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """A start state, at rest."""

    @abstractmethod
    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """A goal the task can reach."""

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """A start and a goal that is not reached yet: what episodes and evaluations begin with."""
        while True:
            state, goal = self.sample_state(rng), self.sample_goal(rng)
            if not self.success(state, goal):
                return state, goal

    @abstractmethod
    def observe(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... O"]:
        """What the sensors read in these states, float32."""

    @abstractmethod
    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... O"]:
        """What the sensors would read at rest at the goal, float32."""

    @abstractmethod
    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """The goal that these states fulfil: any recorded moment can be a goal."""

    @abstractmethod
    def success(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether the goal is reached within the task's tolerance."""

    @abstractmethod
    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Privileged cost-to-go (around walls, in metres or radians): only the ceiling and the scripts may use it."""

    @abstractmethod
    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """The true dynamics in a batch: the states after each action. Actions are clipped to the bounds."""

    @abstractmethod
    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """A simple hand-written controller towards the goals, from privileged state. It makes data, never decisions."""

    @abstractmethod
    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Where the body is, seen from above, in metres; the last keypoint is the one whose path is drawn."""

    @abstractmethod
    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """The same for a body at the goal."""

    @abstractmethod
    def scene(self) -> Scene:
        """What stands still, for drawing."""

    @abstractmethod
    def needs_detour(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether a wall stands between start and goal; False everywhere in a task without walls."""

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Name, control period, bounds, sizes and physics versions, as JSON: stored with every dataset and model."""
