"""The rows of a table: the model's agent, and what stands beside it so that its number means something.

`oracle` plans with the same planner and the model's own encoder and cost over the true dynamics: what it lacks is not
the predictor's fault. `ceiling` plans over the true dynamics with the task's privileged cost: the best this planner
could do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, Protocol

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs import Task
from envs.streams import episode_rng
from envs.task import with_script
from planning import ActionSpec, Agent, AskTell, Evaluation, Imagined, plan_on_host, reset_many, score, step_many
from planning.agent import AgentState

from ..moments import History, Senses, goal_mask, goal_rows, repeated, true_rows
from .protocols import Pairs


class Policy(Protocol):
    """Acts in a batch of episodes that advance together; `active` says which of them still run."""

    name: str

    def reset(self, pairs: Pairs) -> None:
        """Prepare for one episode a pair, B in all; what is left of earlier episodes is forgotten."""

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The next action of each episode in its simulator state; rows that are not active are not executed."""


class RandomPolicy:
    """Uniform over the action bounds, each step anew."""

    name = "random"

    def __init__(self, task: Task, seed: int):
        self._low, self._high = _bounds(task)
        self._seed = seed
        self._rngs: list[np.random.Generator] = []

    def reset(self, pairs: Pairs) -> None:
        """Give each episode random numbers of its own, which follow from the seed and its number among the pairs."""
        self._rngs = [episode_rng(self._seed, "random_policy", episode) for episode in pairs.numbers]

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """A fresh draw for every episode, from that episode's own random numbers."""
        return np.stack([rng.uniform(self._low, self._high) for rng in self._rngs]).astype(np.float32)


class NoopPolicy:
    """Zero, or the bound nearest to it: what happens if nothing is done."""

    name = "noop"

    def __init__(self, task: Task):
        low, high = _bounds(task)
        self._action = np.clip(np.zeros_like(low), low, high)

    def reset(self, pairs: Pairs) -> None:
        """Nothing to prepare."""

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The same action for every episode, as a read-only view."""
        return np.broadcast_to(self._action, (len(states), len(self._action)))


class ScriptPolicy:
    """The task's hand-written controller, from privileged state: what going there without detours looks like."""

    name = "script"

    def __init__(self, task: Task):
        self._task = task
        self._goals = np.zeros((0, 0))

    def reset(self, pairs: Pairs) -> None:
        """Take over the goals."""
        self._goals = pairs.goals

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What the script does in each state."""
        return with_script(self._task).script(states, self._goals).astype(np.float32)


# Compiled once a process and shape: the agent is a pytree, so another model of the same shape is only another argument.
_reset_many = jax.jit(reset_many)
_step_many = jax.jit(step_many)
_imagined_many = jax.jit(lambda agent, states: jax.lax.map(agent.imagined, states))


class ModelPolicy:
    """The agent on its world model: everything it knows comes from observations."""

    name = "model"

    def __init__(self, task: Task, agent: Agent, seed: int):
        self._task = task
        self._agent = agent
        self._key, self._seed = jax.random.key(seed), seed
        self._senses: Senses | None = None
        self._states: AgentState | None = None

    def reset(self, pairs: Pairs) -> None:
        """Show the agent each goal as its sensors would read there, and begin an episode a pair."""
        goals, mask = jnp.asarray(goal_rows(self._task, pairs.goals)), goal_mask(self._task)
        self._senses = Senses(self._task, self._seed, pairs.numbers)
        numbers = jnp.arange(pairs.numbers.start, pairs.numbers.stop)
        self._states = _reset_many(self._agent, goals, self._key, numbers, None if mask is None else jnp.asarray(mask))

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What the agent does on seeing the observations of `states`; agents of inactive episodes do not plan."""
        assert self._senses is not None
        return self.act_on(self._senses.rows(states), active)

    def act_on(self, rows: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """What the agent does on these rows of readings, be they true or not."""
        seen = jnp.asarray(rows, jnp.float32)
        actions, _, self._states = _step_many(self._agent, self._states, seen, jnp.asarray(active))
        return np.asarray(actions)

    def imagined(self) -> Float[ndarray, "B H+1 Q"] | None:
        """Where the current plans lead, decoded by the probe, the present first; None for a model without probe."""
        model = self._agent.model
        decode = model.heads.probe
        if decode is None or self._states is None:
            return None
        latents = _imagined_many(self._agent, self._states)
        path = jnp.concatenate([self._states.root[:, None], latents], axis=1)
        return np.asarray(decode(model.params, path))


@jax.jit
def _score_true_latents(agent: Agent, stacks: Any, root: Any, goal: Any, actions: Any, previous: Any) -> Evaluation:
    """The agent's own costs and constraints on the encoded true future: stacks [N, H, P, E]."""
    latents = agent.model.encode(agent.model.params, stacks)
    imagined = Imagined(root=root, latents=latents, goal=goal, actions=actions, previous=previous)
    return score(agent.model, agent.costs, agent.weights, imagined, agent.spec, agent.constraints)


@jax.jit
def _goal(agent: Agent, goal: Any, mask: Any) -> Any:
    return agent.goal(goal, mask)


@jax.jit
def _encode(model: Any, stack: Any) -> Any:
    return model.encode(model.params, stack)


Objective = Callable[[Float[ndarray, "N T A"]], Evaluation]


@dataclass
class _Episode:
    """What a simulated policy keeps of one running episode."""

    search: Any
    senses: Senses
    memory: History
    history: ndarray  # [P, E] what was read last
    actions: ndarray  # [T, A]
    previous: ndarray  # [A] the action taken last
    executed: int


class SimulatedPolicy:
    """Plans over the true dynamics from the true state, one episode after the other: slow, and only for comparison."""

    def __init__(self, name: str, task: Task, agent: Agent, seed: int):
        if name not in ("oracle", "ceiling"):
            raise ValueError(f"a simulated policy is called oracle or ceiling; got {name!r}")
        if not isinstance(agent.planner, AskTell):
            raise ValueError(
                f"{type(agent.planner).__name__} needs a differentiable model and cannot plan in a simulator: leave "
                f"{name} out of policies, or take another planner"
            )
        self._planner: AskTell[Any] = agent.planner
        self.name = name
        self._task = task
        self._agent = agent
        self._seed = seed
        self._episodes: list[_Episode] = []
        self._goals = np.zeros((0, 0))
        self._goal_latents: list[Any] = []

    def reset(self, pairs: Pairs) -> None:
        """Encode the goals, and begin each episode with a history that repeats its first observation."""
        agent, key = self._agent, jax.random.key(self._seed)
        self._goals = pairs.goals
        goals, mask = goal_rows(self._task, pairs.goals), goal_mask(self._task)
        self._goal_latents = [_goal(agent, goal, None if mask is None else jnp.asarray(mask)) for goal in goals]
        self._episodes = []
        for number, state in zip(pairs.numbers, pairs.states, strict=True):
            search = agent.planner.init(agent.spec, jax.random.fold_in(key, number))
            empty = np.zeros((agent.planner.horizon, agent.spec.size), np.float32)
            senses, rest = Senses(self._task, self._seed, [number]), np.asarray(agent.spec.rest_action)
            history, executed = repeated(true_rows(self._task, state), agent.model.history), agent.planner.horizon
            memory = History(agent.model.history)
            self._episodes.append(_Episode(search, senses, memory, history, empty, rest, executed))

    def act(self, states: Float[ndarray, "B S"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """The next action of each plan, replanned where it is due; zeros where the episode is not active."""
        actions = np.zeros((len(states), self._agent.spec.size), np.float32)
        for index in np.flatnonzero(active):
            actions[index] = self._act_in(int(index), states[index])
        return actions

    def _act_in(self, index: int, state: Float[ndarray, "S"]) -> Float[ndarray, "A"]:
        episode, agent = self._episodes[index], self._agent
        episode.history = episode.memory.push(episode.senses.rows(state[None]))[0]
        if episode.executed >= agent.replan_every:
            search = _warm_start(agent.planner, episode.search, agent.spec, episode.executed)
            objective = self.objective(index, state)
            plan, episode.search = plan_on_host(self._planner, objective, search, agent.spec)
            episode.actions, episode.executed = np.asarray(plan.actions), 0
        action = episode.actions[episode.executed]
        episode.executed += 1
        episode.previous = action
        return action

    def objective(self, index: int, state: Float[ndarray, "S"]) -> Objective:
        """What candidates of the episode `index` are judged by in this state."""
        return partial(self._ceiling if self.name == "ceiling" else self._oracle, index, state)

    def _ceiling(self, index: int, state: ndarray, actions: Float[ndarray, "N T A"]) -> Evaluation:
        futures = self._simulate(state, actions)[
            :, self._agent.model.action_block - 1 :: self._agent.model.action_block
        ]
        cost = self._task.cost(futures, self._goals[index]).sum(axis=1)
        return Evaluation(cost=cost.astype(np.float32))

    def _oracle(self, index: int, state: ndarray, actions: Float[ndarray, "N T A"]) -> Evaluation:
        model, episode = self._agent.model, self._episodes[index]
        history = episode.history
        observed = true_rows(self._task, self._simulate(state, actions))
        past = np.broadcast_to(history, (len(actions), *history.shape))
        trace = np.concatenate([past, observed], axis=1)  # row P - 1 is the present
        ends = np.arange(model.action_block, actions.shape[1] + 1, model.action_block) + model.history - 1
        stacks = trace[:, ends[:, None] + np.arange(1 - model.history, 1)]
        root, previous = _encode(model, history), jnp.asarray(episode.previous)
        return _score_true_latents(self._agent, stacks, root, self._goal_latents[index], jnp.asarray(actions), previous)

    def _simulate(self, state: Float[ndarray, "S"], actions: Float[ndarray, "N T A"]) -> Float[ndarray, "N T S"]:
        return self._task.simulate(np.repeat(state[None], len(actions), axis=0), actions.astype(np.float64))


@jax.jit
def _warm_start(planner: Any, search: Any, spec: ActionSpec, steps: Any) -> Any:
    return planner.warm_start(search, spec, steps)


def _bounds(task: Task) -> tuple[ndarray, ndarray]:
    space: Any = task.action_space
    return np.asarray(space.low), np.asarray(space.high)
