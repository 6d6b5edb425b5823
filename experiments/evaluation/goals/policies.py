"""Policies for comparison, with access to the simulator's state: references for a model's result.

`oracle` plans with the same planner and the model's own encoder and cost over the true dynamics: its failures are not
caused by the predictor. `ceiling` plans over the true dynamics with the task's privileged cost: the best this planner
could do.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from envs import Task
from envs.streams import episode_rng
from envs.task import with_script
from planning import ActionSpec, Agent, AskTell, Evaluation, Imagined, plan_on_host, score
from planning.solutions import nearest

from ..moments import History, repeated, sensed_rows, true_rows
from .rollout import GoalEpisodes


@final
class ScriptPolicy:
    """The task's hand-written controller, from privileged state: a reference for the direct way to the goal."""

    name = "script"

    def __init__(self, task: Task):
        self._task = with_script(task)

    def reset(self, episodes: GoalEpisodes) -> None:
        """Take over the episodes, whose states it reads."""
        self._episodes = episodes

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Action of the script in each state."""
        return self._task.script(self._episodes.states, self._episodes.pairs.goals).astype(np.float32)


@jax.jit
def _score_true_latents(agent: Agent, stacks: Any, root: Any, goal: Any, actions: Any, previous: Any) -> Evaluation:
    """The agent's own costs and constraints on the encoded true future: stacks [N, H, P, E]."""
    latents = agent.model.encode(agent.model.params, stacks)
    imagined = Imagined(root=root, latents=latents, goal=goal, actions=actions, previous=previous)
    return score(agent.model, agent.costs, agent.weights, imagined, agent.spec, agent.constraints)


@jax.jit
def _solutions(agent: Agent, goal: Any, mask: Any) -> Any:
    return agent.solutions(goal, mask)


@jax.jit
def _nearest(model: Any, latent: Any, goals: Any) -> Any:
    return nearest(model, latent, goals)


@jax.jit
def _encode(model: Any, stack: Any) -> Any:
    return model.encode(model.params, stack)


Objective = Callable[[Float[ndarray, "N T A"]], Evaluation]


@dataclass
class _Search:
    """State of a simulated policy for one running episode."""

    state: Any  # of the planner
    actions: ndarray  # [T, A]
    previous: ndarray  # [A] the action taken last
    executed: int
    future: np.random.Generator  # of the simulated sensor noise in the futures of a plan


@final
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
        self.name, self._task, self._agent, self._seed = name, task, agent, seed
        self._planner: AskTell[Any] = agent.planner

    def reset(self, episodes: GoalEpisodes) -> None:
        """Begin each episode anew; the oracle encodes the goals, and histories that repeat the first observation."""
        agent, key = self._agent, jax.random.key(self._seed)
        self._episodes, self._past = episodes, History(agent.model.history)
        if self.name == "oracle":  # the ceiling looks at states alone
            mask = None if episodes.goal_mask is None else jnp.asarray(episodes.goal_mask)
            self._goals = [_solutions(agent, goal, mask) for goal in episodes.goals]
            self._stacks = repeated(true_rows(self._task, episodes.states, agent.model), agent.model.history)
        rest, horizon = np.asarray(agent.spec.rest_action), agent.planner.horizon
        empty = np.zeros((horizon, agent.spec.size), np.float32)
        self._searches = []
        for number in episodes.numbers:
            state = agent.planner.init(agent.spec, jax.random.fold_in(key, number))
            future = episode_rng(self._seed, "sense_ahead", number)
            self._searches.append(_Search(state, empty, rest, horizon, future))

    def act(self, observations: Float[ndarray, "B E"], active: Bool[ndarray, "B"]) -> Float[ndarray, "B A"]:
        """Next action of each plan, replanned when due; zeros for episodes that are not active."""
        self._stacks = self._past.push(observations)
        actions = np.zeros((len(active), self._agent.spec.size), np.float32)
        for index in np.flatnonzero(active):
            actions[index] = self._act_in(int(index))
        return actions

    def _act_in(self, index: int) -> Float[ndarray, "A"]:
        search, agent = self._searches[index], self._agent
        if search.executed >= agent.replan_every:
            warm = _warm_start(agent.planner, search.state, agent.spec, search.executed)
            objective = self.objective(index, self._episodes.states[index])
            plan, search.state = plan_on_host(self._planner, objective, warm, agent.spec)
            search.actions, search.executed = np.asarray(plan.actions), 0
        search.previous = search.actions[search.executed]
        search.executed += 1
        return search.previous

    def objective(self, index: int, state: Float[ndarray, "S"]) -> Objective:
        """Objective for the candidates of episode `index` in this state."""
        return partial(self._ceiling if self.name == "ceiling" else self._oracle, index, state)

    def _ceiling(self, index: int, state: ndarray, actions: Float[ndarray, "N T A"]) -> Evaluation:
        futures = self._simulate(state, actions)[
            :, self._agent.model.action_block - 1 :: self._agent.model.action_block
        ]
        cost = self._task.cost(futures, self._episodes.pairs.goals[index]).sum(axis=1)
        return Evaluation(cost=cost.astype(np.float32))

    def _oracle(self, index: int, state: ndarray, actions: Float[ndarray, "N T A"]) -> Evaluation:
        model, history, previous = self._agent.model, self._stacks[index], self._searches[index].previous
        seed = int(self._searches[index].future.integers(2**63))
        observed = sensed_rows(self._task, self._simulate(state, actions), seed, model)
        past = np.broadcast_to(history, (len(actions), *history.shape))
        trace = np.concatenate([past, observed], axis=1)  # row P - 1 is the present
        ends = np.arange(model.action_block, actions.shape[1] + 1, model.action_block) + model.history - 1
        stacks = trace[:, ends[:, None] + np.arange(1 - model.history, 1)]
        root = _encode(model, history)
        goal = _nearest(model, root, self._goals[index])
        return _score_true_latents(self._agent, stacks, root, goal, jnp.asarray(actions), jnp.asarray(previous))

    def _simulate(self, state: Float[ndarray, "S"], actions: Float[ndarray, "N T A"]) -> Float[ndarray, "N T S"]:
        return self._task.simulate(np.repeat(state[None], len(actions), axis=0), actions.astype(np.float64))


@jax.jit
def _warm_start(planner: Any, search: Any, spec: ActionSpec, steps: Any) -> Any:
    return planner.warm_start(search, spec, steps)
