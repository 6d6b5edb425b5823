"""Behaviours for data collection: coloured noise, sticky random actions, a noisy script, and mixtures.

Open-loop behaviours draw a whole episode in advance and run it in the C threads; the script depends on the state, so
all its episodes advance together, one batched call per control step. Every episode uses only its own generator.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float
from numpy import ndarray

from .sensors import Observation
from .task import Task, with_script

Generators = Sequence[np.random.Generator]


class Behaviour(ABC):
    """Policy for data collection."""

    @abstractmethod
    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """Return states (the start first) and the float32 actions between them; episode i draws only from `rngs[i]`.

        Args:
          task: the task.
          start: state at the beginning of each episode.
          rngs: one for each episode.
          steps: environment steps of each.
        """

    @abstractmethod
    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""


class OpenLoop(Behaviour):
    """Behaviour that does not depend on the state."""

    @abstractmethod
    def actions(
        self, low: Float[ndarray, "A"], high: Float[ndarray, "A"], steps: int, rng: np.random.Generator
    ) -> Float[ndarray, "T A"]:
        """Return the actions of one episode, within the bounds.

        Args:
          low: bounds of the actions.
          high: likewise.
          steps: T.
          rng: of the episode.
        """

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour: whole episodes in C threads."""
        low, high = _bounds(task)
        actions = np.stack([self.actions(low, high, steps, rng) for rng in rngs]).astype(np.float32)
        return np.concatenate([start[:, None], task.simulate(start, actions)], axis=1), actions


@dataclass(frozen=True)
class ColouredNoise(OpenLoop):
    """Gaussian noise with power spectral density f^-beta (0 white, 1 pink, 2 red), clipped to the bounds.

    `beta` is one number or one for each action; `scale` is its standard deviation as a share of the half range. Pink
    noise explores best on average: Eberhard et al., Pink Noise Is All You Need, ICLR 2023. Spectrum synthesis: Timmer
    and Koenig, On generating power law noise, A&A 300, 1995.
    """

    beta: float | tuple[float, ...] = 1.0
    scale: float = 0.8

    def __post_init__(self) -> None:
        if not self.scale >= 0:
            raise ValueError(f"scale must not be negative: it is a standard deviation; got {self.scale}")

    def actions(
        self, low: Float[ndarray, "A"], high: Float[ndarray, "A"], steps: int, rng: np.random.Generator
    ) -> Float[ndarray, "T A"]:
        """Return the actions of one episode, within the bounds."""
        if isinstance(self.beta, tuple) and len(self.beta) != len(low):
            raise ValueError(
                f"beta has {len(self.beta)} values, but the task has {len(low)} actions: give one for each"
            )
        noise = coloured(np.broadcast_to(np.asarray(self.beta, np.float64), low.shape), steps, rng)
        return np.clip((high + low) / 2 + (high - low) / 2 * self.scale * noise, low, high)

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "coloured_noise", **asdict(self)}


@dataclass(frozen=True)
class StickyRandom(OpenLoop):
    """Uniform random actions, each repeated for one more step with probability `keep`."""

    keep: float = 0.8

    def __post_init__(self) -> None:
        if not 0 <= self.keep < 1:
            raise ValueError(f"keep must be a probability below 1; got {self.keep}")

    def actions(
        self, low: Float[ndarray, "A"], high: Float[ndarray, "A"], steps: int, rng: np.random.Generator
    ) -> Float[ndarray, "T A"]:
        """Return the actions of one episode, within the bounds."""
        drawn = rng.uniform(low, high, (steps, len(low)))
        fresh = rng.random(steps) >= self.keep
        fresh[0] = True
        return drawn[np.maximum.accumulate(np.where(fresh, np.arange(steps), 0))]

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "sticky_random", **asdict(self)}


@dataclass(frozen=True)
class Scripted(Behaviour):
    """The task's script plus coloured noise, towards goals that are redrawn some time after they are reached.

    The noise of an episode is scaled by a factor drawn from [0, 1], which gives precise and imprecise runs. A goal
    is kept for `dwell` steps once it is reached, so that states at rest at a goal are frequent, and abandoned
    after `patience` steps.
    """

    noise: ColouredNoise = field(default_factory=lambda: ColouredNoise(beta=1.0, scale=0.8))
    patience: int = 100
    dwell: int = 10

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour: all episodes advance together. Raises ValueError for a task without a script."""
        script = with_script(task).script
        low, high = _bounds(task)
        middle = (high + low) / 2
        noise = np.stack([rng.uniform() * (self.noise.actions(low, high, steps, rng) - middle) for rng in rngs])
        goals = np.stack([task.sample_goal(rng) for rng in rngs])
        left = np.full(len(start), self.patience)  # steps until another goal is drawn
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), noise.astype(np.float32)
        states[:, 0] = start
        for t in range(steps):
            left = np.where(task.success(states[:, t], goals), np.minimum(left, self.dwell), left)
            for i in np.flatnonzero(left <= 0).tolist():
                goals[i], left[i] = task.sample_goal(rngs[i]), self.patience
            actions[:, t] = np.clip(script(states[:, t], goals) + noise[:, t], low, high)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
            left -= 1
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {
            "behaviour": "scripted",
            "patience": self.patience,
            "dwell": self.dwell,
            "noise": self.noise.describe(),
        }


@dataclass(frozen=True)
class FromPolicy(Behaviour):
    """Custom policy, towards goals that are redrawn every `patience` steps.

    Args:
      act: from observations `[B, ...]` (a dictionary where the task has several sensors) and goals `[B, G]` to actions
        `[B, A]`, which are clipped to the bounds.
      name: of the policy in the dataset's metadata.
      noise: added to the actions.
      patience: steps after which another goal is drawn.
    """

    act: Callable[[Observation, Float[ndarray, "B G"]], Float[ndarray, "B A"]]
    name: str = "policy"
    noise: ColouredNoise = field(default_factory=lambda: ColouredNoise(scale=0.2))
    patience: int = 100

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour: all episodes advance together."""
        low, high = _bounds(task)
        noise = np.stack([self.noise.actions(low, high, steps, rng) for rng in rngs]) - (high + low) / 2
        states, actions = np.empty((len(start), steps + 1, start.shape[1])), noise.astype(np.float32)
        states[:, 0] = start
        for t in range(steps):
            if t % self.patience == 0:
                goals = np.stack([task.sample_goal(rng) for rng in rngs])
            chosen = np.asarray(self.act(task.sense(states[:, t], rngs), goals), np.float64)
            actions[:, t] = np.clip(chosen + noise[:, t], low, high)
            states[:, t + 1] = task.simulate(states[:, t], actions[:, t, None])[:, 0]
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": self.name, "patience": self.patience, "noise": self.noise.describe()}


@dataclass(frozen=True)
class Mixture(Behaviour):
    """Mixture in which each episode follows one of `parts`, drawn with probability proportional to its share."""

    parts: tuple[Behaviour, ...] = (Scripted(), ColouredNoise())
    shares: tuple[float, ...] = (0.5, 0.5)

    def __post_init__(self) -> None:
        if len(self.parts) != len(self.shares) or min(self.shares, default=-1) < 0 or not sum(self.shares) > 0:
            raise ValueError(
                f"a mixture of {len(self.parts)} parts needs as many shares, none negative and not all zero; "
                f"got {self.shares}"
            )

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour."""
        shares = np.asarray(self.shares) / np.sum(self.shares)
        chosen = np.array([rng.choice(len(shares), p=shares) for rng in rngs])
        low, _ = _bounds(task)
        states = np.empty((len(start), steps + 1, start.shape[1]))
        actions = np.empty((len(start), steps, len(low)), np.float32)
        for k, part in enumerate(self.parts):
            if len(mine := np.flatnonzero(chosen == k)):
                states[mine], actions[mine] = part.rollout(task, start[mine], [rngs[i] for i in mine.tolist()], steps)
        return states, actions

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {
            "behaviour": "mixture",
            "shares": list(self.shares),
            "parts": [part.describe() for part in self.parts],
        }


def coloured(beta: Float[ndarray, "A"], steps: int, rng: np.random.Generator) -> Float[ndarray, "T A"]:
    """Unit-variance Gaussian noise `[T, A]` with power spectral density f^-beta, dimension by dimension.

    The constant part has the power of the lowest frequency, one period per sequence, so that whole episodes drift too.
    """
    frequency = np.fft.rfftfreq(steps)
    frequency[0] = 1.0 / steps
    amplitude = frequency[:, None] ** (-beta / 2.0)
    parts = rng.standard_normal((2, len(frequency), len(beta)))
    spectrum = amplitude * (parts[0] + 1j * parts[1])
    real = [0, -1] if steps % 2 == 0 else [0]  # these frequencies have no phase, so their power is real
    spectrum[real] = amplitude[real] * parts[0, real] * np.sqrt(2.0)
    weight = np.full((len(frequency), 1), 2.0)
    weight[real] = 1.0
    variance = 2.0 * (weight * amplitude**2).sum(axis=0) / steps**2
    return np.fft.irfft(spectrum, steps, axis=0) / np.sqrt(variance)


def _bounds(task: Task) -> tuple[Float[ndarray, "A"], Float[ndarray, "A"]]:
    return task.action_space.low.astype(np.float64), task.action_space.high.astype(np.float64)
