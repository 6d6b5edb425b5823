"""What a control loop drives: a live agent, or the compiled programs of a bundle, behind one face.

Every method is pure: the whole situation is in the state, a pytree of arrays that nobody else looks into. NumPy arrays
may go in, and what a method is asked for comes out as NumPy.
"""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from ..agent import Agent, AgentState
from ..arrays import Array
from ..objective import LatentObjective, imagine
from ..parameterization import Knots, Parameterization, Steps
from ..types import Evaluation, Plan, ensemble_size
from .contract import Contract


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

    def begin(self, goal: Any, seed: int, episode: int) -> Any:
        """The state at an episode's start. Draws follow from `seed` and `episode`; `goal` [O] is an observation."""
        ...

    def observe(self, state: Any, observation: Any) -> Any:
        """Take in what the sensors read now, [O]."""
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


def begin(agent: Agent, goal: Array, key: Array, episode: Array) -> AgentState:
    """The state at an episode's start."""
    return agent.reset(agent.init(key), goal, key, episode)


def step(agent: Agent, state: AgentState, observation: Array) -> tuple[Array, AgentState]:
    """`Agent.step` without the plan, which is in the state."""
    action, _, state = agent.step(state, observation)
    return action, state


def imagined(agent: Agent, state: AgentState) -> Array:
    """Where the rest of the plan should lead, decoded where the model has a probe."""
    latents = agent.imagined(state)
    probe = agent.model.probe
    return latents if probe is None else probe(agent.model.params, latents)


def predict(agent: Agent, latent: Array, block: Array) -> Array:
    """One model step; the mean over the members."""
    members = ensemble_size(agent.model)
    if members == 1:
        return agent.model.predict(agent.model.params, latent, block)
    latents = jnp.broadcast_to(latent[None], (members, *latent.shape))
    return jnp.mean(agent.model.predict(agent.model.params, latents, block), axis=0)


def probe(agent: Agent, latents: Array) -> Array:
    """Positions decoded from latents."""
    decode = agent.model.probe
    assert decode is not None
    return decode(agent.model.params, latents)


def disagreement(agent: Agent, state: AgentState) -> Array:
    """Variance across the members along the plan."""
    latents = imagine(agent.model, state.root, state.plan.actions[None], agent.precision)
    return jnp.sum(jnp.var(latents, axis=0), axis=-1)[0]


def evaluate(agent: Agent, state: AgentState, sequences: Array) -> Evaluation:
    """The objective's word on some sequences, without what it imagined of them."""
    objective: LatentObjective = agent.objective(state)
    return replace(objective(sequences), latents=None)


# Compiled once a process and structure: an agent is a pytree, so other weights are only another argument.
_begin = jax.jit(begin)
_observe = jax.jit(Agent.observe)
_refine = jax.jit(Agent.refine)
_commit = jax.jit(Agent.commit)
_step = jax.jit(step)
_freeze = jax.jit(Agent.freeze)
_imagined = jax.jit(imagined)
_predict = jax.jit(predict)
_probe = jax.jit(probe)
_disagreement = jax.jit(disagreement)
_evaluate = jax.jit(evaluate)


@final
class LiveEngine:
    """An agent, compiled function by function.

    Args:
      agent: its precision must be settled: for auto, take what `planning.fastest_precision` returns.
      task: what it was made for, for the contract.

    Raises:
      ValueError: the parts of the agent do not fit each other.
    """

    def __init__(self, agent: Agent, task: str = ""):
        agent.validate()
        self._agent: Agent = jax.tree.map(_as_array, agent)
        self._task = task

    @property
    def agent(self) -> Agent:
        """The agent, all of its leaves arrays."""
        return self._agent

    @cached_property
    def contract(self) -> Contract:
        """Sizes, bounds, periods and names."""
        return contract_of(self._agent, self._task)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost."""
        return {name: float(weight) for name, weight in self._agent.weights.items()}

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        checked = checked_weights(weights, self._agent.costs)
        self._agent = replace(self._agent, weights={name: jnp.float32(value) for name, value in checked.items()})

    def begin(self, goal: Any, seed: int, episode: int) -> AgentState:
        """The state at the start of an episode."""
        return _begin(self._agent, np.asarray(goal, np.float32), jax.random.key(seed), np.int32(episode))

    def observe(self, state: AgentState, observation: Any) -> AgentState:
        """Take in one observation."""
        return _observe(self._agent, state, observation)

    def refine(self, state: AgentState) -> AgentState:
        """One iteration on the plan."""
        return _refine(self._agent, state)

    def commit(self, state: AgentState) -> tuple[ndarray, AgentState]:
        """The next action of the plan."""
        action, state = _commit(self._agent, state)
        return np.asarray(action), state

    def step(self, state: AgentState, observation: Any) -> tuple[ndarray, AgentState]:
        """Observe, plan where it is due, commit."""
        action, state = _step(self._agent, state, observation)
        return np.asarray(action), state

    def freeze(self, state: AgentState, actions: Any, count: int) -> AgentState:
        """Plan around actions that are committed already."""
        return _freeze(self._agent, state, checked_prefix(self.contract, actions, count), np.int32(count))

    def plan(self, state: AgentState) -> Plan:
        """The plan as it stands."""
        return jax.tree.map(np.asarray, state.plan)

    def imagined(self, state: AgentState) -> ndarray:
        """Where the rest of the plan should lead."""
        return np.asarray(_imagined(self._agent, state))

    def root(self, state: AgentState) -> ndarray:
        """The latent now."""
        return np.asarray(state.root)

    def predict(self, latent: Any, block: Any) -> ndarray:
        """One model step."""
        return np.asarray(_predict(self._agent, np.asarray(latent, np.float32), np.asarray(block, np.float32)))

    def disagreement(self, state: AgentState) -> ndarray | None:
        """Of an ensemble, along the plan."""
        return None if self.contract.members == 1 else np.asarray(_disagreement(self._agent, state))

    def probe(self, latent: Any) -> ndarray | None:
        """Positions decoded from latents, one after the other: only one shape is ever compiled."""
        if self._agent.model.probe is None:
            return None
        return one_by_one(lambda each: _probe(self._agent, each), latent, self.contract.probe_size)

    def evaluate(self, state: AgentState, sequences: Any) -> Evaluation:
        """What the objective says of k sequences."""
        evaluation = _evaluate(self._agent, state, np.asarray(sequences, np.float32))
        return jax.tree.map(np.asarray, evaluation)

    def executed(self, state: AgentState) -> int:
        """Actions of the plan that have been taken."""
        return int(state.executed)

    def observed(self, state: AgentState) -> int:
        """Observations since the episode's start."""
        return int(state.observed)

    def warmup(self) -> None:
        """Call everything once."""
        exercise(self)


def exercise(engine: Engine) -> None:
    """Call every method of an engine once, on an episode of zeros; what one returns is waited for."""
    contract = engine.contract
    zeros = np.zeros(contract.observation_size, np.float32)
    state = engine.begin(zeros, seed=0, episode=0)
    _, state = engine.step(state, zeros)
    state = engine.freeze(engine.observe(state, zeros), np.zeros((contract.horizon, contract.action_size)), 0)
    _, state = engine.commit(engine.refine(state))
    engine.evaluate(state, engine.plan(state).sequences)
    engine.imagined(state)
    engine.disagreement(state)
    root = engine.root(state)
    engine.probe(engine.predict(root, np.zeros((contract.action_block, contract.action_size), np.float32)))


def contract_of(agent: Agent, task: str = "") -> Contract:
    """What an agent says of itself."""
    model, planner = agent.model, agent.planner
    state = jax.eval_shape(agent.init, jax.random.key(0))
    latent = jax.ShapeDtypeStruct((model.latent_size,), jnp.float32)
    decode = model.probe
    positions = None if decode is None else jax.eval_shape(lambda latent: decode(model.params, latent), latent)
    parameterization: Parameterization = getattr(planner, "parameterization", Steps())
    playback = parameterization.playback(planner.horizon)
    return Contract(
        observation_size=model.observation_size,
        action_low=tuple(np.asarray(agent.spec.low).tolist()),
        action_high=tuple(np.asarray(agent.spec.high).tolist()),
        control_period=float(agent.spec.control_period),
        horizon=planner.horizon,
        action_block=model.action_block,
        history=model.history,
        latent_size=model.latent_size,
        iterations=planner.iterations,
        replan_every=agent.replan_every,
        num_best=state.plan.sequences.shape[0],
        terms=tuple(sorted(agent.costs)),
        weights={name: float(weight) for name, weight in sorted(agent.weights.items())},
        margins=tuple(sorted(agent.constraints)),
        probe_size=0 if positions is None else int(positions.shape[-1]),
        members=ensemble_size(model),
        playback=playback.order if isinstance(playback, Knots) else "zero",
        task=task,
        versions={name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
    )


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


def _as_array(leaf: Any) -> jax.Array:
    """On the device, and Python's numbers as float32: a number and an array of it would compile twice."""
    return jnp.asarray(leaf, jnp.float32) if isinstance(leaf, (int, float)) else jnp.asarray(leaf)
