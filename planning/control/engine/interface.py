"""The interface that a control loop drives: a live agent, or the compiled programs of a bundle.

Every method is pure: all state is in the state argument, an opaque pytree of arrays. NumPy arrays
may go in, and results are NumPy arrays.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy import ndarray

from ...types import Evaluation, Plan, Status
from .contract import Contract

ModelReflex = Callable[[ndarray, ndarray], Any]  # observations [P, O] and goal [O] -> action [A]


@runtime_checkable
class Engine(Protocol):
    """Observes, plans and acts, with explicit states. It has no clock, no thread and no memory."""

    @property
    def contract(self) -> Contract:
        """Sizes, bounds, periods and names."""
        ...

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost. They may be set at any time, without a compile."""
        ...

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None: ...

    @property
    def mean_pictures(self) -> Mapping[str, ndarray]:
        """Mean picture [H, W, C] of the training data, by sensor; empty where none is known."""
        ...

    def embed(self, readings: Mapping[str, ndarray]) -> ndarray:
        """Return one moment as a row [E], from the readings by sensor and the flags of optional ones.

        Called only where a sensor is not a vector: rows of vectors are assembled without it.
        """
        ...

    def begin(self, goal: Any, seed: int, episode: int) -> Any:
        """Return the state at an episode's start. Random draws follow from `seed` and `episode`.

        `goal` [E] is the embedding of the goal's observation, NaN where any value is accepted.
        """
        ...

    def observe(self, state: Any, observation: Any) -> Any:
        """Take in the current moment, embedded, [E]."""
        ...

    def recall(self, state: Any, window: Any, count: int) -> Any:
        """Take in the last P moments [P, E] at once, of which `count` are new; only where the contract `recalls`."""
        ...

    def refine(self, state: Any) -> Any:
        """Run one iteration on the plan, from the latest observation."""
        ...

    def commit(self, state: Any) -> tuple[ndarray, Any]:
        """Return the next action [A] of the plan; the last one is held where the plan is used up."""
        ...

    def step(self, state: Any, observation: Any) -> tuple[ndarray, Any]:
        """Observe, replan with all iterations if due, and commit: returns the action [A]."""
        ...

    def freeze(self, state: Any, actions: Any, count: int) -> Any:
        """Plan, until the next `freeze`, around the first `count` of `actions` [T, A]: they are already committed.

        They count from the latest observation on: call it between `observe` and `refine`. 0 frees everything.
        """
        ...

    def with_previous(self, state: Any, action: Any) -> Any:
        """Return the state, as if `action` [A] had been the last one: the start for costs and limits of change."""
        ...

    def status(self, state: Any) -> Status:
        """Return the status of the last planning call."""
        ...

    def plan(self, state: Any) -> Plan:
        """Return the current plan, in NumPy."""
        ...

    def imagined(self, state: Any) -> ndarray:
        """Return the predicted outcome of the rest of the plan: positions [H, Q] with a probe, else latents [H, D]."""
        ...

    def root(self, state: Any) -> ndarray:
        """Return the latent [D] of the latest observations."""
        ...

    def predict(self, latent: Any, block: Any) -> ndarray:
        """Predict the latent [D] after a block of actions [K, A]; of an ensemble, the mean of its members'."""
        ...

    def disagreement(self, state: Any) -> ndarray | None:
        """Return the variance across an ensemble along the rest of the plan, summed over D: [H]; None for one model."""
        ...

    def probe(self, latent: Any) -> ndarray | None:
        """Decode positions [..., Q] from latents [..., D]; None for a model without a probe."""
        ...

    def reflex(self, window: Any, goal: Any) -> ndarray | None:
        """Return the action [A] of the model's policy after observations [P, O], towards a goal [O], if it has one."""
        ...

    def fill(self, *asked: Any) -> tuple[ndarray, ndarray, ndarray]:
        """Return what every sensor would read at a moment, [E], its standard deviation [E], and the trust in it, [S].

        Only where the contract says that the model `fills`. `asked` are, in order: the latent [D] of the moments
        before; the row [E] of the moment before; the action [A] taken there; the row [E] of the moment, in which
        numbers of sensors that are not known are ignored; [S] 1 for each sensor that was read and 0 for the others; and
        [S] control periods since each sensor was read.
        """
        ...

    def evaluate(self, state: Any, sequences: Any) -> Evaluation:
        """Evaluate the present objective on k sequences [k, T, A], k being the contract's `num_best`, in NumPy."""
        ...

    def executed(self, state: Any) -> int:
        """Number of actions of the plan that have been taken; at an episode's start the horizon: it is used up."""
        ...

    def observed(self, state: Any) -> int:
        """Number of observations since the episode's start."""
        ...

    def warmup(self) -> None:
        """Compile everything that the methods need."""
        ...


def exercise(engine: Engine) -> None:
    """Call every method of an engine once, on an episode of zeros, and wait for the results."""
    contract = engine.contract
    zeros = np.zeros(contract.embedding_size, np.float32)
    state = engine.with_previous(engine.begin(zeros, seed=0, episode=0), contract.rest_action)
    _, state = engine.step(state, zeros)
    engine.status(state)
    state = engine.freeze(engine.observe(state, zeros), np.zeros((contract.horizon, contract.action_size)), 0)
    if contract.recalls:
        state = engine.recall(state, np.zeros((contract.history, contract.embedding_size), np.float32), 1)
    _, state = engine.commit(engine.refine(state))
    engine.evaluate(state, engine.plan(state).sequences)
    engine.imagined(state)
    engine.disagreement(state)
    engine.reflex(np.zeros((contract.history, contract.embedding_size)), zeros)
    root = engine.root(state)
    if contract.fills:
        every = np.ones(len(contract.observation.sensors), np.float32)
        engine.fill(root, zeros, contract.rest_action, zeros, 0 * every, every)
    engine.probe(engine.predict(root, np.zeros((contract.action_block, contract.action_size), np.float32)))


def take_in(engine: Engine, state: Any, rows: ndarray) -> Any:
    """Return the state after some moments, taken in one after the other, or at once where the contract says so.

    Args:
      engine: keeps the state.
      state: of the episode.
      rows: [n, E] the moments, embedded, the newest last: any number at an episode's start, where the first one stands
        for those before it; later one, or the whole history.
    """
    contract = engine.contract
    before = contract.history - len(rows)
    if not contract.recalls or len(rows) == 1 or before < 0 or (before and engine.observed(state)):
        for row in rows:
            state = engine.observe(state, row)
        return state
    return engine.recall(state, np.concatenate([np.repeat(rows[:1], before, axis=0), rows]), len(rows))


def checked_weights(weights: Mapping[str, float], costs: Any) -> dict[str, float]:
    """Return the weights; raise ValueError unless there is one finite number for each cost."""
    if set(weights) != set(costs):
        raise ValueError(f"weights are {sorted(weights)}, and the costs are {sorted(costs)}: give one for each")
    for name, value in weights.items():
        if not np.isfinite(np.float32(value)):
            raise ValueError(f"the weight of {name} must be a finite number; got {value}")
    return {name: float(weights[name]) for name in costs}


def checked_prefix(contract: Contract, actions: Any, count: int) -> ndarray:
    """Return the actions [T, A] in float32. Raise ValueError unless they fit and the first `count` are finite."""
    actions = np.asarray(actions, np.float32)
    shape = (contract.horizon, contract.action_size)
    if actions.shape != shape or not 0 <= count <= contract.horizon:
        raise ValueError(f"freeze takes actions {shape} and a count from 0 to {shape[0]}; got {actions.shape}, {count}")
    if not np.isfinite(actions[:count]).all():
        raise ValueError(f"freeze takes actions that were or will be taken: the first {count} must be finite")
    return actions


def one_by_one(decode: Any, latents: Any, size: int) -> ndarray:
    """Apply `decode` [D] -> [Q] to latents [..., D]."""
    latents = np.asarray(latents, np.float32)
    flat = latents.reshape(-1, latents.shape[-1])
    return np.stack([np.asarray(decode(each)) for each in flat]).reshape(*latents.shape[:-1], size)
