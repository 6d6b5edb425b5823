"""Trainer on a replay buffer: many updates in one compiled call, sampling included where there are no pictures.

Every random number follows from the seed and the update's index, so a run that was killed and resumed continues exactly
as one that was never stopped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Key, PRNGKeyArray, UInt8
from numpy import ndarray

from ..data.replay import Drawn, Replay, Transitions, draw, sample, windows
from ..models.freeze import Weights
from ..models.reward_model import RewardModel
from ..types import Leaf, Metrics
from .lanes import Lanes
from .td import TdConfig, policy_loss, td_loss
from .updates import descend, repeat

Tree = dict[str, Any]  # of arrays, nested as the modules are: JAX walks plain dictionaries far faster than nnx.State
POLICY = "actor"


@dataclass(frozen=True)
class TdTrainingConfig:
    """Learning rates, batch size and optimiser settings."""

    batch: int = 64
    learning_rate: float = 1e-3
    encoder_rate: float = 0.3  # of the learning rate
    clip_norm: float = 20.0
    target_rate: float = 0.01
    spread_rate: float = 0.01
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError(f"training.batch must be at least 1; got {self.batch}")
        for name in ("learning_rate", "encoder_rate", "clip_norm", "target_rate", "spread_rate"):
            if not getattr(self, name) > 0:
                raise ValueError(f"training.{name} must be positive; got {getattr(self, name)}")


@register_dataclass
@dataclass(frozen=True)
class TdState:
    """Training state, plus the statistics that do not change: a pytree of arrays only."""

    params: Tree
    targets: Tree  # the critics' slowly following copies
    statistics: Tree
    model_optimizer: Any
    policy_optimizer: Any
    spread: Leaf  # [] of the returns, a moving average
    update: Leaf  # [] int32


class TdTrainer:
    """Builds the compiled updates for one architecture and objective. It holds no state that changes."""

    def __init__(self, model: RewardModel, objective: TdConfig, training: TdTrainingConfig):
        self.objective, self.training = objective, training
        self.graphdef, params, *others = nnx.split(model, nnx.Param, ...)
        (statistics,) = others  # `...` is one filter, hence one state
        self._structures = tuple(jax.tree.structure(part) for part in (params, statistics))
        self._params, self._statistics = nnx.to_pure_dict(params), nnx.to_pure_dict(statistics)
        self._critics, critics = nnx.split(model.critics)
        self._critics_structure = jax.tree.structure(critics)
        self._order = _order(nnx.to_pure_dict(nnx.state(model)), self._params, self._statistics)
        learned, _ = _split(self._params)
        labels = jax.tree_util.tree_map_with_path(
            lambda path, _: "encoder" if path[0].key in ("encoder", "pictures") else "rest", learned
        )
        adam = {
            "encoder": optax.adam(training.encoder_rate * training.learning_rate),
            "rest": optax.adam(training.learning_rate),
        }
        clip = optax.clip_by_global_norm(training.clip_norm)
        self._model_optimizer = optax.chain(clip, optax.partition(adam, labels))
        self._policy_optimizer = optax.chain(clip, optax.adam(training.learning_rate, eps=1e-5))
        self._updates = jax.jit(self._many_updates, static_argnums=3, donate_argnums=0)
        self._together = jax.jit(self._many_lanes, static_argnums=(0, 4), donate_argnums=1)
        self._history = model.lags[0] + 1  # consecutive moments: those of the next steps' latents lie in between
        self._places = jax.jit(self._drawn, static_argnums=3)
        self._given = jax.jit(self._updates_on, donate_argnums=0)
        # Convolutions run many times slower inside a loop there.
        self.one_by_one = jax.default_backend() == "cpu" and model.slow_in_loops

    def init(self) -> TdState:
        """Return the state before the first update."""
        params, statistics = (jax.tree.map(jnp.copy, part) for part in (self._params, self._statistics))
        targets = jax.tree.map(jnp.copy, params["critics"])
        learned, policy = _split(params)
        optimizers = self._model_optimizer.init(learned), self._policy_optimizer.init(policy)
        return TdState(params, targets, statistics, *optimizers, jnp.ones(()), jnp.zeros((), jnp.int32))

    def model(self, state: TdState) -> RewardModel:
        """Return the module with the state's weights."""
        return self._merged(state.params, state.statistics)

    def weights(self, state: TdState) -> Weights:
        """Return the weights as `freeze_reward_model` takes them; of all lanes, where the state has lanes."""
        leaves = [*jax.tree.leaves(state.params), *jax.tree.leaves(state.statistics)]
        return tuple(leaves[place] for place in self._order)

    def updates(self, state: TdState, replay: Replay, count: int) -> tuple[TdState, Metrics]:
        """Run `count` updates; metrics are their means. `state` is consumed; each `count` compiles once."""
        return self._updates(state, replay, jax.random.key(self.training.seed), count)

    def updates_together(
        self, lanes: Lanes, states: TdState, replays: Replay, keys: Key[Array, "..."], count: int
    ) -> tuple[TdState, Metrics]:
        """Run `updates` for all runs, one lane each, with their keys instead of the trainer's seed.

        Args:
          lanes: the runs.
          states: of all runs, stacked.
          replays: likewise.
          keys: one for each run.
          count: number of updates.
        """
        return self._together(lanes, states, replays, keys, count)

    def with_pictures(
        self,
        state: TdState,
        pictures: Mapping[str, UInt8[ndarray, "M H W C"]],
        later: Mapping[str, UInt8[ndarray, "M H W C"]],
    ) -> TdState:
        """Return the state with the statistics of a sample of pictures, before the first update.

        Args:
          state: without updates.
          pictures: the sample, by sensor.
          later: what the same cameras show `APART` steps later.
        """
        model = self.model(state)
        model.fit_pictures(pictures, later)
        _, _, *others = nnx.split(model, nnx.Param, ...)
        return replace(state, statistics=nnx.to_pure_dict(others[0]))

    def draw(self, state: TdState, replay: Replay, count: int) -> Drawn:
        """Places of the batches of the next `count` updates, each array with a leading axis of updates."""
        return self._places(replay, jax.random.key(self.training.seed), state.update, count)

    def updates_on(
        self, state: TdState, replay: Replay, drawn: Drawn, pictures: Mapping[str, Array]
    ) -> tuple[TdState, Metrics]:
        """Run `updates` on batches whose pictures were gathered on the host.

        Args:
          state: consumed.
          replay: without pictures.
          drawn: of `draw`.
          pictures: at these places, by sensor, `[count, B, P+H, H, W, C]` each.
        """
        return self._given(state, replay, drawn, dict(pictures), jax.random.key(self.training.seed))

    def _drawn(self, replay: Replay, key: PRNGKeyArray, first: Array, count: int) -> Drawn:
        def one(number: Array) -> Drawn:
            sample_key, *_ = jax.random.split(jax.random.fold_in(key, number), 3)
            return draw(replay, sample_key, self.training.batch, self.objective.horizon, self._history)

        return jax.lax.map(one, first + jnp.arange(count, dtype=jnp.int32))

    def _updates_on(
        self, state: TdState, replay: Replay, drawn: Drawn, pictures: dict[str, Array], key: PRNGKeyArray
    ) -> tuple[TdState, Metrics]:
        def update(state: TdState, given: tuple[Drawn, dict[str, Array]]) -> tuple[TdState, Metrics]:
            places, seen = given
            batch = replace(windows(replay, places, self.objective.horizon), pictures=seen)
            _, *keys = jax.random.split(jax.random.fold_in(key, state.update), 3)
            return self._learn(state, batch, *keys)

        if len(drawn.rows) == 1:  # without a loop, inside of which some encoders are slow
            return update(state, jax.tree.map(lambda values: values[0], (drawn, pictures)))
        state, metrics = jax.lax.scan(update, state, (drawn, pictures))
        return state, jax.tree.map(jnp.mean, metrics)

    def _many_lanes(
        self, lanes: Lanes, states: TdState, replays: Replay, keys: Key[Array, "..."], count: int
    ) -> tuple[TdState, Metrics]:
        return lanes.over(partial(self._many_updates, count=count))(states, replays, keys)

    def _many_updates(self, state: TdState, replay: Replay, key: PRNGKeyArray, count: int) -> tuple[TdState, Metrics]:
        return repeat(lambda state: self._update(state, replay, jax.random.fold_in(key, state.update)), state, count)

    def _update(self, state: TdState, replay: Replay, key: PRNGKeyArray) -> tuple[TdState, Metrics]:
        sample_key, *keys = jax.random.split(key, 3)
        batch = sample(replay, sample_key, self.training.batch, self.objective.horizon, self._history)
        return self._learn(state, batch, *keys)

    def _learn(
        self, state: TdState, batch: Transitions, target_key: PRNGKeyArray, policy_key: PRNGKeyArray
    ) -> tuple[TdState, Metrics]:
        """One update on a batch."""
        learned, policy = _split(state.params)

        def model_loss(learned: Tree) -> tuple[Array, Any]:
            model = self._merged({**learned, POLICY: policy}, state.statistics)
            targets = nnx.merge(self._critics, _as(self._critics_structure, state.targets))
            return td_loss(model, targets, batch, target_key, self.objective)

        learned, model_optimizer, (metrics, seen), gradients = descend(
            model_loss, learned, self._model_optimizer, state.model_optimizer
        )
        metrics["gradient_norm"] = optax.tree.norm(gradients)

        def actor_loss(policy: Tree) -> tuple[Array, Any]:
            model = self._merged({**learned, POLICY: policy}, state.statistics)
            return policy_loss(model, seen, state.spread, policy_key, self.objective)

        policy, policy_optimizer, (policy_metrics, spread), _ = descend(
            actor_loss, policy, self._policy_optimizer, state.policy_optimizer
        )
        params = {**learned, POLICY: policy}
        targets = optax.incremental_update(params["critics"], state.targets, self.training.target_rate)
        spread = state.spread + self.training.spread_rate * (spread - state.spread)
        optimizers = model_optimizer, policy_optimizer
        following = TdState(params, targets, state.statistics, *optimizers, spread, state.update + 1)
        return following, {**metrics, **policy_metrics, "spread": spread}

    def _merged(self, *parts: Tree) -> RewardModel:
        """Return the module of parameters and statistics."""
        return nnx.merge(self.graphdef, *map(_as, self._structures, parts))


def _as(structure: Any, tree: Tree) -> Any:
    return jax.tree.unflatten(structure, jax.tree.leaves(tree))


def _split(params: Tree) -> tuple[Tree, Tree]:
    """Return the parameters trained by the model's loss, and those of the policy."""
    return {name: value for name, value in params.items() if name != POLICY}, params[POLICY]


def _order(whole: Tree, *parts: Tree) -> tuple[int, ...]:
    """Return the indices of the whole's leaves among the concatenated leaves of the parts."""
    names = [name for part in parts for name, _ in jax.tree_util.tree_flatten_with_path(part)[0]]
    return tuple(names.index(name) for name, _ in jax.tree_util.tree_flatten_with_path(whole)[0])
