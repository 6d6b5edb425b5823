"""The agent: observations in, actions out, planning in between. Pure: all state is in `AgentState`.

`observe` takes in an observation, `refine` improves the plan by one iteration, `commit` takes the next action; `step`
is their composition, with all iterations whenever a new plan is due. Shells for robots and benchmarks only drive these.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Bool, Float, Int, PRNGKeyArray
from .best import shift
from .constraints import Constraint
from .imagined import Cost
from .model import LatentModel
from .objective import PRECISIONS, LatentObjective, imagine, with_prefix
from .proposals import ModelProposal, TakesProposals, given_by
from .pytree import static
from .risk import Mean, Risk
from .solutions import nearest, solutions
from .types import ActionSpec, Evaluation, Leaf, Number, Plan, Planner

PROPOSALS = 2**31 - 1  # folded into the key of the model's proposals: no planner counts that far


@register_dataclass
@dataclass(frozen=True)
class AgentState:
    """State of an agent at one moment of one episode."""

    key: Leaf  # []
    history: Leaf  # [P, E] the last moments, embedded, newest last
    root: Leaf  # [D] the latent of the history
    goal: Leaf  # [D] the latent of the goal; of several solutions the one that is planned for
    search: Any  # the planner's state
    plan: Plan  # the plan in execution
    previous: Leaf  # [A] the action that was taken last; at the start the rest action
    executed: Leaf  # [] int32, actions of `plan` that have been taken
    observed: Leaf  # [] int32, observations since the reset
    pending: Leaf  # [] int32, actions taken since the latest observation
    behind: Leaf  # [] bool, whether the search still starts from an earlier observation
    committed: Leaf  # [T, A] actions that are fixed from the latest observation on; see `_remembered`
    frozen: Leaf  # [] int32, how many actions of `committed` count: 0 unless set by `freeze`
    goals: Leaf | None = None  # [G, D] the solutions of the goal, where there are several


@register_dataclass
@dataclass(frozen=True)
class Agent:
    """A world model, a planner and an objective. New weights and parameters are new arguments, never a recompile.

    After a plan that FAILED (no candidate had a finite cost) the rest of the previous plan is executed further.
    """

    model: LatentModel
    planner: Planner[Any]
    costs: dict[str, Cost]
    weights: dict[str, Number]
    spec: ActionSpec
    replan_every: int = static(1)  # environment steps
    constraints: dict[str, Constraint] = field(default_factory=dict)
    risk: Risk = Mean()  # over the members of an ensemble
    proposals: tuple[ModelProposal, ...] = ()  # sequences proposed by the model, for the planner's `Given` places
    precision: str = static(
        "float32"
    )  # of the imagination: float32, bfloat16, or auto, which `precision.resolve` replaces
    members: int | None = static(None)  # members of an ensemble that predict; None: all

    def validate(self) -> None:
        """Raise ValueError, in one sentence, where the parts do not fit each other."""
        horizon = self.planner.horizon
        self.planner.validate(self.spec)
        if not 1 <= self.replan_every <= horizon:
            raise ValueError(f"replan_every must lie between 1 and the horizon ({horizon}); got {self.replan_every}")
        if self.proposals and not isinstance(self.planner, TakesProposals):
            raise ValueError(
                f"{type(self.planner).__name__} takes no proposals: leave them out, or use another planner"
            )
        if self.precision not in (*PRECISIONS, "auto"):
            raise ValueError(f"precision must be {', '.join(PRECISIONS)} or auto; got {self.precision!r}")
        precision = PRECISIONS[0] if self.precision == "auto" else self.precision
        replace(self, precision=precision)._names()  # the objective reports what does not fit the model

    def init(self, key: PRNGKeyArray) -> AgentState:
        """Return a state without goal and observation, from which `reset` makes the states of episodes.

        Raises:
          ValueError: the parts do not fit each other.
        """
        self.validate()
        history = jnp.zeros((self.model.history, self.model.embedding_size), jnp.float32)
        latent = jnp.zeros_like(self.model.encode(self.model.params, history))
        count = jax.eval_shape(self.solutions, history[0]).shape[0]
        return self._begin(history, latent, jnp.broadcast_to(latent[None], (count, *latent.shape)), key, self._names())

    def reset(
        self,
        state: AgentState,
        goal_embedding: Float[Array, "E"],
        key: PRNGKeyArray,
        environment: Int[Array, ""] | int,
        mask: Bool[Array, "E"] | None = None,
    ) -> AgentState:
        """Return the state at an episode's start. Its draws depend on `key` and `environment`, not on the batch.

        Args:
          state: any earlier one.
          goal_embedding: of the goal, at rest.
          key: of the episodes.
          environment: number of this one.
          mask: which parts of the goal are requested, where the model has such goals; None: all.
        """
        goals = self.solutions(goal_embedding, mask)
        key = jax.random.fold_in(key, environment)
        return self._begin(jnp.zeros_like(state.history), jnp.zeros_like(state.root), goals, key, self._names())

    def observe(self, state: AgentState, embedding: Float[Array, "E"]) -> AgentState:
        """Take in one moment, embedded. At an episode's start the past is unknown: the first moment is repeated."""
        pushed = jnp.concatenate([state.history[1:], embedding[None]])
        history = jnp.where(state.observed == 0, self._at_rest(embedding), pushed)
        return self._seen(state, history, 1)

    def recall(self, state: AgentState, window: Float[Array, "P E"], count: Int[Array, ""] | int) -> AgentState:
        """Take in a whole history at once, the newest moment last: as observing them in turn, for one encoding.

        Args:
          state: of the episode.
          window: the last P moments, embedded; before an episode's start its first one.
          count: how many of them are new.
        """
        return self._seen(state, window, count)

    def _seen(self, state: AgentState, history: Float[Array, "P E"], count: Int[Array, ""] | int) -> AgentState:
        """Return the state after `count` new moments, with this history."""
        root, goal = self.model.encode(self.model.params, history), state.goal
        if state.goals is not None:
            present = jnp.where(state.observed == 0, jnp.nan, goal)
            goal = nearest(self.model, root, state.goals, present)
        return replace(
            state,
            history=history,
            root=root,
            goal=goal,
            observed=state.observed + count,
            pending=jnp.zeros_like(state.pending),
            behind=jnp.ones_like(state.behind),
        )

    def refine(self, state: AgentState) -> AgentState:
        """Run one more iteration on the plan, from the latest observation: at any time, any number of times."""
        state = jax.lax.cond(state.behind, self._catch_up, lambda state: state, state)
        search = self.planner.refine(self.objective(state), state.search, self.spec)
        return replace(state, search=search, plan=_with_frozen(self.planner.result(search, self.spec), state))

    def freeze(self, state: AgentState, actions: Float[Array, "T A"], count: Int[Array, ""] | int) -> AgentState:
        """Plan from now on around actions that cannot be changed any more: the first `count` of `actions`, one a step.

        They count from the latest observation. Every candidate, and so every plan, begins with them, and the model is
        rolled through them before it may choose: compensation of a delay. It lasts until the next `freeze`; a `count`
        of 0 ends it.
        """
        count = jnp.clip(jnp.asarray(count, jnp.int32), 0, self.planner.horizon)
        committed = with_prefix(state.committed, actions.astype(jnp.float32), count)
        return replace(state, committed=committed, frozen=count)

    def commit(self, state: AgentState) -> tuple[Float[Array, "A"], AgentState]:
        """Return the next action of the plan; its last one is held where the plan is used up."""
        last = self.planner.horizon - 1
        action = state.plan.actions[jnp.minimum(state.executed, last)]
        taken = jnp.concatenate([_remembered(state)[1:], state.previous[None], action[None]])
        committed = jnp.concatenate([state.committed[:-3], taken])[-len(state.committed) :]
        committed = with_prefix(committed, state.committed, state.frozen)
        executed, pending = state.executed + 1, state.pending + 1
        return action, replace(state, previous=action, committed=committed, executed=executed, pending=pending)

    def step(self, state: AgentState, embedding: Float[Array, "E"]) -> tuple[Float[Array, "A"], Plan, AgentState]:
        """Take one environment step: observe, replan if `replan_every` actions have been taken, and act."""
        state = self.observe(state, embedding)
        state = jax.lax.cond(self.due(state), self.plan_anew, lambda state: state, state)
        action, state = self.commit(state)
        return action, state.plan, state

    def due(self, state: AgentState) -> Bool[Array, ""]:
        """Whether `replan_every` actions of the plan have been taken."""
        return state.executed >= self.replan_every

    def plan_anew(self, state: AgentState) -> AgentState:
        """Make a new plan from the latest observation, with all iterations."""
        state = self._catch_up(state)
        plan, search = self.planner.plan(self.objective(state), state.search, self.spec)
        return replace(state, plan=_with_frozen(plan, state), search=search)

    def objective(self, state: AgentState) -> LatentObjective:
        """Return the objective of candidates from the latest observation on."""
        objective = self._objective(state.root, state.goal, state.previous)
        return replace(objective, committed=state.committed, frozen=state.frozen, earlier=_earlier(state))

    def imagined(self, state: AgentState) -> Float[Array, "H D"]:
        """Predict the latents of the plan, from the latest observation and the action taken there.

        Of an ensemble, the mean of its members' predictions.
        """
        actions = shift(state.plan.actions, jnp.maximum(state.executed - state.pending, 0))
        latents = imagine(self.model, state.root, actions[None], self.precision, self.members).latent
        return jnp.mean(latents.reshape(-1, *latents.shape[-2:]), axis=0)

    def _begin(self, history: Array, root: Array, goals: Array, key: PRNGKeyArray, names: Evaluation) -> AgentState:
        """Return a state with nothing observed, and an empty plan that counts as used up."""
        search = self.planner.prepare(self.planner.init(self.spec, key), names)
        plan = self.planner.result(search, self.spec)
        used_up = jnp.full((), self.planner.horizon, jnp.int32)
        zero, behind = jnp.zeros((), jnp.int32), jnp.ones((), bool)
        now = (self.spec.rest_action, used_up, zero, zero, behind)
        several = goals if len(goals) > 1 else None
        return AgentState(key, history, root, goals[0], search, plan, *now, jnp.zeros_like(plan.actions), zero, several)

    def _catch_up(self, state: AgentState) -> AgentState:
        search = self.planner.warm_start(state.search, self.spec, state.executed)
        if self.proposals:
            key = jax.random.fold_in(jax.random.fold_in(state.key, PROPOSALS), state.observed)
            given = given_by(self.proposals, self.objective(state), self.planner.horizon, key)
            search = cast(TakesProposals, self.planner).with_given(search, given)
        return replace(
            state, search=search, executed=jnp.zeros_like(state.executed), behind=jnp.zeros_like(state.behind)
        )

    def _names(self) -> Evaluation:
        """Return the shapes of the objective's result for one candidate, for their names; nothing is computed."""

        def evaluate(history: Array, actions: Array) -> Evaluation:
            root = self.model.encode(self.model.params, history)
            return self._objective(root, root, self.spec.rest_action)(actions)

        history = jax.ShapeDtypeStruct((self.model.history, self.model.embedding_size), jnp.float32)
        actions = jax.ShapeDtypeStruct((1, self.planner.horizon, self.spec.size), jnp.float32)
        return jax.eval_shape(evaluate, history, actions)

    def _objective(
        self, root: Float[Array, "D"], goal: Float[Array, "D"], previous: Float[Array, "A"]
    ) -> LatentObjective:
        situation = (root, goal, self.spec, self.constraints, self.risk, previous)
        return LatentObjective(self.model, self.costs, self.weights, *situation, self.precision, members=self.members)

    def solutions(self, embedding: Float[Array, "E"], mask: Bool[Array, "E"] | None = None) -> Float[Array, "G D"]:
        """Encode a goal, of which `mask` holds the requested parts; None: all. Each of the latents solves it."""
        return solutions(self.model, embedding, mask)

    def _at_rest(self, embedding: Float[Array, "E"]) -> Float[Array, "P E"]:
        return jnp.broadcast_to(embedding[None], (self.model.history, *embedding.shape))


def _with_frozen(plan: Plan, state: AgentState) -> Plan:
    """Return the plan with its sequences as the objective evaluated them: the frozen actions first."""
    return replace(
        plan,
        actions=with_prefix(plan.actions, state.committed, state.frozen),
        sequences=with_prefix(plan.sequences, state.committed, state.frozen),
    )


def _earlier(state: AgentState) -> Float[Array, "2 A"]:
    """Return the two actions before `previous`, newest last, for the plan's candidates.

    Where actions are frozen, as if the rate had been the one at which they begin, so that a fixed change does
    not count against every plan.
    """
    change = state.committed[0] - state.previous
    steady = jnp.stack([state.previous - 2 * change, state.previous - change])
    return jnp.where(state.frozen > 0, steady, _remembered(state))


def _remembered(state: AgentState) -> Float[Array, "2 A"]:
    """Return the two actions before `previous`, newest last, as `commit` keeps them: in the last rows of `committed`.

    These rows do not count unless nearly everything is frozen. They are valid where the newest of
    them is `previous`; if not, the state was changed from outside, and motion begins at rest.
    """
    rest = jnp.stack([state.previous, state.previous])
    horizon = len(state.committed)
    if horizon < 3:
        return rest
    known = jnp.all(state.committed[-1] == state.previous) & (state.frozen <= horizon - 3)
    return jnp.where(known, state.committed[-3:-1], rest)
