"""Sources of candidates other than the planner's own draws.

A planner knows no model, so there are two kinds. A `Proposal` is part of a planner's configuration and fills a fixed
number of its candidates in each iteration. A proposal of the model (a policy, an inverse dynamics) is computed from
the objective once a plan, passed by `with_given`, and fills the places that `Given` reserves: any planner accepts
any of them. The previous plan is a planner's own `num_keep`, since its known cost must not count twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass

from .arrays import Array, Float, PRNGKeyArray
from .model import Head
from .objective import LatentObjective
from .pytree import static
from .types import ActionSpec, Number


@runtime_checkable
class Proposal(Protocol):
    """A static (hashable) source of `count` candidates for every iteration."""

    @property
    def count(self) -> int:
        """Number of candidates that it fills."""
        ...

    def __call__(self, state: Any, spec: ActionSpec) -> Float[Array, "{self.count} T A"]:
        """Return sequences; they are clipped to the bounds. One that is not finite is replaced by a draw."""
        ...


@final
@dataclass(frozen=True)
class NoOp:
    """Zero, or the bound nearest to it: every planner considers doing nothing, however far its search has moved."""

    count = 1

    def __call__(self, state: Any, spec: ActionSpec) -> Float[Array, "1 T A"]:
        """Return one sequence of zeros within the bounds."""
        rest = jnp.clip(jnp.zeros_like(spec.low), spec.low, spec.high)
        horizon = state.best.sequences.shape[-2]
        return jnp.broadcast_to(rest[None, None], (1, horizon, spec.size))


@final
@dataclass(frozen=True)
class Given:
    """Places for `count` sequences from outside, set by `planner.with_given(state, sequences)`.

    They are candidates in every iteration until the next warm start. Where none were given, draws replace them.
    """

    count: int = 24

    def __call__(self, state: Any, spec: ActionSpec) -> Float[Array, "{self.count} T A"]:
        """Return the given sequences."""
        return state.given


@runtime_checkable
class TakesProposals(Protocol):
    """A planner that also evaluates sequences from outside: `Given` among its `proposals` reserves their places."""

    @property
    def proposals(self) -> tuple[Proposal, ...]:
        """Sources of candidates in addition to the planner's own draws."""
        ...

    def with_given(self, state: Any, sequences: Float[Array, "G T A"]) -> Any:
        """Return the state with these sequences among the candidates, until the next warm start."""
        ...


@runtime_checkable
class ModelProposal(Protocol):
    """A source of `count` sequences from the model, queried once a plan."""

    @property
    def count(self) -> int:
        """Number of sequences."""
        ...

    def __call__(
        self, objective: LatentObjective, horizon: int, key: PRNGKeyArray
    ) -> Float[Array, "{self.count} {horizon} A"]:
        """Return sequences from the objective's root towards its goal, within the bounds of its `spec`."""
        ...


@register_dataclass
@dataclass(frozen=True)
class PolicyPrior:
    """Rollouts of the model's policy in imagination (Hansen et al., 2024, TD-MPC2, section 3.2).

    The model has `policy(params, latent [N, D], goal [N, D]) -> [N, M, A]`, the next M actions: whole blocks of it.
    All rollouts but the first get white noise on every action.
    """

    count: int = static(24)
    noise_std: Number = 0.1  # share of the half range

    def __call__(
        self, objective: LatentObjective, horizon: int, key: PRNGKeyArray
    ) -> Float[Array, "{self.count} {horizon} A"]:
        """Return sequences from the root.

        Raises:
          ValueError: the model has no `policy`, or its answer is not in whole blocks.
        """
        policy = objective.model.heads.policy
        return _roll(objective, policy, "policy", "PolicyPrior", self.count, horizon, self.noise_std, key)


@register_dataclass
@dataclass(frozen=True)
class InverseDynamics:
    """Actions from the present state to the goal, as if it were near enough for the model's inverse dynamics.

    The model has `inverse(params, latent [N, D], goal [N, D]) -> [N, M, A]`, M actions in whole blocks; after those
    it is queried again from where the model predicts that they lead. Noise as in `PolicyPrior`.
    """

    count: int = static(4)
    noise_std: Number = 0.1  # share of the half range

    def __call__(
        self, objective: LatentObjective, horizon: int, key: PRNGKeyArray
    ) -> Float[Array, "{self.count} {horizon} A"]:
        """Return sequences from the root towards the goal.

        Raises:
          ValueError: the model has no `inverse`, or its answer is not in whole blocks.
        """
        inverse = objective.model.heads.inverse
        return _roll(objective, inverse, "inverse", "InverseDynamics", self.count, horizon, self.noise_std, key)


def given_by(
    proposals: Sequence[ModelProposal], objective: LatentObjective, horizon: int, key: PRNGKeyArray
) -> Float[Array, "n {horizon} A"]:
    """Return the sequences of several proposals, one after the other, for `with_given`.

    Args:
      proposals: of the model.
      objective: that they start from.
      horizon: T, environment steps.
      key: from which each proposal has its own.
    """
    sequences = [propose(objective, horizon, jax.random.fold_in(key, index)) for index, propose in enumerate(proposals)]
    return jnp.concatenate([jnp.zeros((0, horizon, objective.spec.size), jnp.float32), *sequences])


def _roll(
    objective: LatentObjective,
    head: Head | None,
    name: str,
    proposal: str,
    count: int,
    horizon: int,
    noise_std: Number,
    key: PRNGKeyArray,
) -> Float[Array, "{count} {horizon} A"]:
    """Query the model's head `name`, follow its actions in imagination, and query again, until the horizon is full.

    Of an ensemble, it sees the mean of the members' latents.
    """
    model, spec = objective.model, objective.spec
    if head is None:
        raise ValueError(
            f"the proposal {proposal} needs a model with a function `{name}`, and this one has none: drop it"
        )
    goals = jnp.broadcast_to(objective.goal[None], (count, *objective.goal.shape))
    block, members = model.action_block, objective.imagining
    root = jnp.broadcast_to(objective.root[None], (count, *objective.root.shape))
    answer = jax.eval_shape(lambda latent: head(model.params, latent, goals), root).shape
    if len(answer) != 3 or answer[1] < block or answer[1] % block or answer[2] != spec.size:
        raise ValueError(
            f"the model's {name} must return [{count}, M, {spec.size}] with M a multiple of its action block of "
            f"{block}; got shape {answer}"
        )
    noisy = (jnp.arange(count) > 0).astype(jnp.float32)[:, None, None] * noise_std

    def query(latent: Array, key: PRNGKeyArray) -> tuple[Array, Array]:
        seen = jnp.mean(latent, axis=0) if members > 1 else latent
        actions = head(model.params, seen, goals).astype(jnp.float32)
        actions = actions + noisy * spec.half_range[None, None] * jax.random.normal(key, actions.shape)
        actions = jnp.clip(actions, spec.low[None, None], spec.high[None, None])
        for blocks in jnp.split(actions, answer[1] // block, axis=1):
            latent = model.predict(model.params, latent, blocks).latent
        return latent, actions

    start = jnp.broadcast_to(root[None], (members, *root.shape)) if members > 1 else root
    _, actions = jax.lax.scan(query, start, jax.random.split(key, -(-horizon // answer[1])))
    return actions.transpose(1, 0, 2, 3).reshape(count, -1, spec.size)[:, :horizon]
