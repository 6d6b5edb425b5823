"""An agent as an engine: each function compiled, with the agent's parameters as an argument."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from numpy import ndarray

from ...agent import Agent, AgentState
from ...arrays import Array
from ...observation import ObservationSpec
from ...parameterization import Knots, Parameterized, Steps
from ...types import Evaluation, Plan, Status
from .contract import LONG, Contract, with_words
from .functions import begin, disagreement, embed, evaluate, fill, imagined, predict, probe, reflex, step
from .interface import checked_prefix, checked_weights, exercise, one_by_one

# Compiled once per process and structure: an agent is a pytree, so other weights are only another argument.
_begin = jax.jit(begin)
_embed = jax.jit(embed)
_observe = jax.jit(Agent.observe)
_recall = jax.jit(Agent.recall)
_refine = jax.jit(Agent.refine)
_commit = jax.jit(Agent.commit)
_step = jax.jit(step)
_freeze = jax.jit(Agent.freeze)
_imagined = jax.jit(imagined)
_predict = jax.jit(predict)
_probe = jax.jit(probe)
_disagreement = jax.jit(disagreement)
_reflex = jax.jit(reflex)
_fill = jax.jit(fill)
_evaluate = jax.jit(evaluate)


class LiveEngine:
    """An agent, compiled function by function.

    Args:
      agent: its precision must be settled: for auto, use the result of `planning.fastest_precision`.
      task: its task, for the contract.
      pictures: mean picture [H, W, C] of the training data by sensor, to check the order of channels.
      words: further fields of the contract: names, units and ranges of sensors, names and units of actuators.

    Raises:
      ValueError: the parts of the agent do not fit each other, or the words do not fit the agent.
    """

    def __init__(self, agent: Agent, task: str = "", pictures: Mapping[str, ndarray] | None = None, **words: Any):
        agent.validate()
        self._agent: Agent = as_arrays(agent)
        self._task, self._words = task, words
        self.mean_pictures: Mapping[str, ndarray] = dict(pictures or {})
        if words:
            self.contract  # noqa: B018  # building it checks the words

    @property
    def agent(self) -> Agent:
        """The agent, all of its leaves arrays."""
        return self._agent

    @cached_property
    def contract(self) -> Contract:
        """Sizes, bounds, periods and names."""
        return with_words(contract_of(self._agent, self._task), **self._words)

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost."""
        return {name: float(weight) for name, weight in self._agent.weights.items()}

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        checked = checked_weights(weights, self._agent.costs)
        self._agent = replace(self._agent, weights={name: jnp.float32(value) for name, value in checked.items()})

    def embed(self, readings: Mapping[str, ndarray]) -> ndarray:
        """Return one moment as a row [E]."""
        return np.asarray(_embed(self._agent, dict(readings)))

    def begin(self, goal: Any, seed: int, episode: int) -> AgentState:
        """Return the state at the start of an episode."""
        return _begin(self._agent, np.asarray(goal, np.float32), jax.random.key(seed), np.int32(episode))

    def observe(self, state: AgentState, observation: Any) -> AgentState:
        """Take in one observation; returns the state."""
        return _observe(self._agent, state, observation)

    def recall(self, state: AgentState, window: Any, count: int) -> AgentState:
        """Take in a whole history at once; returns the state."""
        return _recall(self._agent, state, np.asarray(window, np.float32), np.int32(count))

    def refine(self, state: AgentState) -> AgentState:
        """Run one iteration on the plan."""
        return _refine(self._agent, state)

    def commit(self, state: AgentState) -> tuple[ndarray, AgentState]:
        """Return the next action of the plan."""
        action, state = _commit(self._agent, state)
        return np.asarray(action), state

    def step(self, state: AgentState, observation: Any) -> tuple[ndarray, AgentState]:
        """Observe, plan if due, and commit."""
        action, state = _step(self._agent, state, observation)
        return np.asarray(action), state

    def freeze(self, state: AgentState, actions: Any, count: int) -> AgentState:
        """Plan around actions that are already committed."""
        return _freeze(self._agent, state, checked_prefix(self.contract, actions, count), np.int32(count))

    def with_previous(self, state: AgentState, action: Any) -> AgentState:
        """Return the state, as if `action` had been the last one taken."""
        previous: Any = np.asarray(action, np.float32)
        return replace(state, previous=previous)

    def status(self, state: AgentState) -> Status:
        """Return the status of the plan."""
        return Status(int(state.plan.status))

    def plan(self, state: AgentState) -> Plan:
        """Return the current plan."""
        return jax.tree.map(np.asarray, state.plan)

    def imagined(self, state: AgentState) -> ndarray:
        """Return the predicted outcome of the rest of the plan."""
        return np.asarray(_imagined(self._agent, state))

    def root(self, state: AgentState) -> ndarray:
        """Return the current latent."""
        return np.asarray(state.root)

    def predict(self, latent: Any, block: Any) -> ndarray:
        """Predict one model step."""
        return np.asarray(_predict(self._agent, np.asarray(latent, np.float32), np.asarray(block, np.float32)))

    def disagreement(self, state: AgentState) -> ndarray | None:
        """Return an ensemble's disagreement along the plan."""
        return None if self.contract.members == 1 else np.asarray(_disagreement(self._agent, state))

    def probe(self, latent: Any) -> ndarray | None:
        """Decode positions from latents, one after the other: only one shape is ever compiled."""
        if self._agent.model.heads.probe is None:
            return None
        return one_by_one(lambda each: _probe(self._agent, each), latent, self.contract.probe_size)

    def reflex(self, window: Any, goal: Any) -> ndarray | None:
        """Return the action of the model's policy, without a plan."""
        if not self.contract.reflex:
            return None
        return np.asarray(_reflex(self._agent, np.asarray(window, np.float32), np.asarray(goal, np.float32)))

    def fill(self, *asked: Any) -> tuple[ndarray, ndarray, ndarray]:
        """Return what every sensor would read, its standard deviation, and the trust in it."""
        given = (np.asarray(each, np.float32) for each in asked)
        reading, deviation, trust = _fill(self._agent, *given)
        return np.asarray(reading), np.asarray(deviation), np.asarray(trust)

    def evaluate(self, state: AgentState, sequences: Any) -> Evaluation:
        """Evaluate the objective on k sequences."""
        evaluation = _evaluate(self._agent, state, np.asarray(sequences, np.float32))
        return jax.tree.map(np.asarray, evaluation)

    def executed(self, state: AgentState) -> int:
        """Number of actions of the plan that have been taken."""
        return int(state.executed)

    def observed(self, state: AgentState) -> int:
        """Number of observations since the episode's start."""
        return int(state.observed)

    def warmup(self) -> None:
        """Call every function once."""
        exercise(self)


def contract_of(agent: Agent, task: str = "") -> Contract:
    """Return the contract of an agent."""
    model, planner = agent.model, agent.planner
    state = jax.eval_shape(agent.init, jax.random.key(0))
    latent = jax.ShapeDtypeStruct((model.latent_size,), jnp.float32)
    decode = model.heads.probe
    positions = None if decode is None else jax.eval_shape(lambda latent: decode(model.params, latent), latent)
    searched = planner.parameterization if isinstance(planner, Parameterized) else Steps()
    playback = searched.playback(planner.horizon)
    return Contract(
        observation=ObservationSpec.of(model.observation.sensors),
        action_low=tuple(np.asarray(agent.spec.low).tolist()),
        action_high=tuple(np.asarray(agent.spec.high).tolist()),
        control_period=float(agent.spec.control_period),
        horizon=planner.horizon,
        action_block=model.action_block,
        history=model.history,
        recalls=model.history > LONG,
        latent_size=model.latent_size,
        iterations=planner.iterations,
        replan_every=agent.replan_every,
        num_best=state.plan.sequences.shape[0],
        terms=tuple(sorted(agent.costs)),
        weights={name: float(weight) for name, weight in sorted(agent.weights.items())},
        margins=tuple(sorted(agent.constraints)),
        probe_size=0 if positions is None else int(positions.shape[-1]),
        goals=not all(getattr(cost, "knows_no_goal", False) for cost in agent.costs.values()),
        partial_goals=model.heads.goal is not None,
        reflex=model.heads.policy is not None,
        fills=model.heads.fill is not None,
        members=model.ensemble,
        playback=playback.order if isinstance(playback, Knots) else "zero",
        task=task,
        rest=() if agent.spec.rest is None else tuple(np.asarray(agent.spec.rest).tolist()),
        versions={name: importlib.metadata.version(name) for name in ("jax", "jaxlib", "numpy")},
    )


def as_arrays(agent: Agent) -> Agent:
    """Return the agent with all leaves on the device as arrays: a Python number would compile separately."""

    def array(leaf: Any) -> Array:
        return jnp.asarray(leaf, jnp.float32) if isinstance(leaf, (int, float)) else jnp.asarray(leaf)

    return jax.tree.map(array, agent)
