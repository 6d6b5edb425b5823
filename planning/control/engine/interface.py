"""What a control loop drives: a live agent, or the compiled programs of a bundle, behind one face.

Every method is pure: the whole situation is in the state, a pytree of arrays that nobody else looks into. NumPy arrays
may go in, and what a method is asked for comes out as NumPy.
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
    """Observes, plans and acts, one explicit state after the other. It has no clock, no thread and no memory."""

    @property
    def contract(self) -> Contract:
        """Sizes, bounds, periods and names."""
        ...

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost. Others may be set at any time: nothing compiles."""
        ...

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None: ...

    def embed(self, readings: Mapping[str, ndarray]) -> ndarray:
        """One moment as a row [E], from the readings by sensor and the flags of optional ones.

        Only asked for where a sensor is no vector: rows of vectors are put together without it.
        """
        ...

    def begin(self, goal: Any, seed: int, episode: int) -> Any:
        """The state at an episode's start. Draws follow from `seed` and `episode`.

        `goal` [E] is the embedding of the goal's observation, NaN where any value will do.
        """
        ...

    def observe(self, state: Any, observation: Any) -> Any:
        """Take in the moment now, embedded, [E]."""
        ...

    def refine(self, state: Any) -> Any:
        """One iteration on the plan, from the latest observation."""
        ...

    def commit(self, state: Any) -> tuple[ndarray, Any]:
        """The next action [A] of the plan; the last one is held where the plan is used up."""
        ...

    def step(self, state: Any, observation: Any) -> tuple[ndarray, Any]:
        """Observe, plan anew with all iterations where that is due, and commit: the action [A]."""
        ...

    def freeze(self, state: Any, actions: Any, count: int) -> Any:
        """Plan, until the next `freeze`, around the first `count` of `actions` [T, A]: they are committed already.

        They count from the latest observation on: call it between `observe` and `refine`. 0 frees everything.
        """
        ...

    def with_previous(self, state: Any, action: Any) -> Any:
        """The state, as if `action` [A] had been the last one taken: what costs and limits of change count from."""
        ...

    def status(self, state: Any) -> Status:
        """What became of the last planning call."""
        ...

    def plan(self, state: Any) -> Plan:
        """The plan as it stands, in NumPy."""
        ...

    def imagined(self, state: Any) -> ndarray:
        """Where the rest of the plan should lead: positions [H, Q] if the model has a probe, else latents [H, D]."""
        ...

    def root(self, state: Any) -> ndarray:
        """The latent [D] of the latest observations."""
        ...

    def predict(self, latent: Any, block: Any) -> ndarray:
        """The latent [D] after a block of actions [K, A]; of an ensemble, the mean of its members'."""
        ...

    def disagreement(self, state: Any) -> ndarray | None:
        """Variance across an ensemble along the rest of the plan, summed over D: [H]; None for a single model."""
        ...

    def probe(self, latent: Any) -> ndarray | None:
        """Positions [..., Q] decoded from latents [..., D]; None for a model without a probe."""
        ...

    def reflex(self, window: Any, goal: Any) -> ndarray | None:
        """The action [A] of the model's policy after the observations [P, O], towards a goal [O]; None without one."""
        ...

    def evaluate(self, state: Any, sequences: Any) -> Evaluation:
        """What the objective says now of k sequences [k, T, A], k being the contract's `num_best`, in NumPy."""
        ...

    def executed(self, state: Any) -> int:
        """Actions of the plan that have been taken; the plan's horizon at an episode's start: it is used up."""
        ...

    def observed(self, state: Any) -> int:
        """Observations since the episode's start."""
        ...

    def warmup(self) -> None:
        """Compile everything that the methods need."""
        ...


def exercise(engine: Engine) -> None:
    """Call every method of an engine once, on an episode of zeros; what one returns is waited for."""
    contract = engine.contract
    zeros = np.zeros(contract.embedding_size, np.float32)
    state = engine.with_previous(engine.begin(zeros, seed=0, episode=0), contract.rest_action)
    _, state = engine.step(state, zeros)
    engine.status(state)
    state = engine.freeze(engine.observe(state, zeros), np.zeros((contract.horizon, contract.action_size)), 0)
    _, state = engine.commit(engine.refine(state))
    engine.evaluate(state, engine.plan(state).sequences)
    engine.imagined(state)
    engine.disagreement(state)
    engine.reflex(np.zeros((contract.history, contract.embedding_size)), zeros)
    root = engine.root(state)
    engine.probe(engine.predict(root, np.zeros((contract.action_block, contract.action_size), np.float32)))


def checked_weights(weights: Mapping[str, float], costs: Any) -> dict[str, float]:
    """Raise ValueError unless there is one finite number for each cost."""
    if set(weights) != set(costs):
        raise ValueError(f"weights are {sorted(weights)}, and the costs are {sorted(costs)}: give one for each")
    for name, value in weights.items():
        if not np.isfinite(np.float32(value)):
            raise ValueError(f"the weight of {name} must be a finite number; got {value}")
    return {name: float(weights[name]) for name in costs}


def checked_prefix(contract: Contract, actions: Any, count: int) -> ndarray:
    """The actions [T, A] in float32. Raise ValueError unless they fit and the first `count` of them are finite."""
    actions = np.asarray(actions, np.float32)
    shape = (contract.horizon, contract.action_size)
    if actions.shape != shape or not 0 <= count <= contract.horizon:
        raise ValueError(f"freeze takes actions {shape} and a count from 0 to {shape[0]}; got {actions.shape}, {count}")
    if not np.isfinite(actions[:count]).all():
        raise ValueError("freeze takes actions that were or will be taken, and these are not all finite")
    return actions


def one_by_one(decode: Any, latents: Any, size: int) -> ndarray:
    """`decode` [D] -> [Q] over latents [..., D]."""
    latents = np.asarray(latents, np.float32)
    flat = latents.reshape(-1, latents.shape[-1])
    return np.stack([np.asarray(decode(each)) for each in flat]).reshape(*latents.shape[:-1], size)
