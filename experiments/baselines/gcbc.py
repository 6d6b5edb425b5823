"""Goal-conditioned behaviour cloning: from the last observations and a goal to the action that was taken.

Goals are later moments of the same episode (Ding et al., "Goal-conditioned imitation learning", NeurIPS 2019; Ghosh et
al., arXiv 1912.06088): the recorded actions are treated as the way to them. It trains on the same data as the
world model, with as many updates as all stages of that together, and the same batch size.
"""

from __future__ import annotations

import dataclasses
import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray

from envs import Task
from worldmodel.data.episodes import EpisodeData
from worldmodel.data.windows import WindowSampler
from worldmodel.nets.layers import MLP
from worldmodel.nets.normalization import Normalizer
from worldmodel.training.trainer import TrainingConfig

from ..evaluation.moments import spec_of
from ..evaluation.reactive import ReactivePolicy
from ..shell.progress import progress_bar
from . import weights


@dataclass(frozen=True)
class GcbcConfig:
    """Shape of the network."""

    width: int = 256
    depth: int = 3

    def __post_init__(self) -> None:
        for name in ("width", "depth"):
            if getattr(self, name) < 1:
                raise ValueError(f"baselines.gcbc.{name} must be at least 1; got {getattr(self, name)}")


class Cloner(nnx.Module):
    """Network from P observations and a goal observation, in raw units, to an action in half ranges of its bounds."""

    def __init__(self, embedding_size: int, history: int, action_size: int, config: GcbcConfig, rngs: nnx.Rngs):
        self.normalizer = Normalizer(embedding_size)
        self.mlp = MLP((history * embedding_size, embedding_size), action_size, config.width, config.depth, rngs)

    def __call__(self, stacks: Float[Array, "... P O"], goals: Float[Array, "... O"]) -> Float[Array, "... A"]:
        """Mean action for these observations and this goal."""
        seen = self.normalizer(stacks)
        return self.mlp(seen.reshape(*seen.shape[:-2], -1), self.normalizer(goals))


def train(data: EpisodeData, history: int, config: GcbcConfig, training: TrainingConfig) -> Cloner:
    """Clone the behaviour of `data`; learning-rate schedule, batch size and updates are the world model's."""
    model = Cloner(data.spec.size, history, data.actions.shape[1], config, nnx.Rngs(training.seed))
    model.normalizer.fit(data.observations)
    middle, half = (data.action_high + data.action_low) / 2, (data.action_high - data.action_low) / 2
    taken = (data.actions - middle) / np.where(half > 0, half, 1.0)
    sampler = WindowSampler.of(dataclasses.replace(data, actions=taken.astype(np.float32)), history, 1, 1)
    row = data.spec.row
    graphdef, params, *others = nnx.split(model, nnx.Param, ...)
    (statistics,) = others  # `...` is one filter, hence one state
    warmup = max(1, training.updates // 20)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, training.learning_rate, warmup, max(training.updates, warmup + 1), 0.01 * training.learning_rate
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(training.clip_norm), optax.adamw(schedule, weight_decay=training.weight_decay)
    )

    @partial(jax.jit, donate_argnums=0)
    def many(state: tuple[Any, Any], sampler: WindowSampler, key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
        def one(state: tuple[Any, Any], key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
            def loss(params: Any) -> Array:
                windows = sampler.sample(key, training.batch)
                error = nnx.merge(graphdef, params, statistics)(
                    row(windows.observations)[:, 0], row(windows.goals)[:, -1]
                )
                error = jnp.mean(jnp.square(error - windows.actions[:, 0, 0]), axis=-1)
                ahead = (windows.goal_offset > 0).astype(error.dtype)  # a goal at the present moment has no action
                return jnp.sum(ahead * error) / jnp.maximum(jnp.sum(ahead), 1.0)

            params, moments = state
            value, gradients = jax.value_and_grad(loss)(params)
            with jax.numpy_dtype_promotion("standard"):  # optax counts in integers; our own code is strict
                changes, moments = optimizer.update(gradients, moments, params)
            return (optax.apply_updates(params, changes), moments), value

        state, losses = jax.lax.scan(one, state, jax.random.split(key, training.updates_per_call))
        return state, jnp.mean(losses)

    state = (jax.tree.map(jnp.copy, params), optimizer.init(params))
    key = jax.random.key(training.seed)
    with progress_bar("train gcbc", training.updates) as bar:
        for done in range(0, training.updates, training.updates_per_call):
            state, loss = many(state, sampler, jax.random.fold_in(key, done))
            if not np.isfinite(float(loss)):
                raise FloatingPointError(
                    f"gcbc diverged at update {done} (loss {float(loss)}): lower training.learning_rate or look for "
                    "outliers in the data"
                )
            bar(done + training.updates_per_call, training.updates)
    return nnx.merge(graphdef, state[0], statistics)


def train_to_file(
    path: Path, data: EpisodeData, history: int, config: GcbcConfig, training: TrainingConfig, recipe: dict[str, Any]
) -> None:
    """Train and write the network, with its metadata."""
    began = time.perf_counter()
    model = train(data, history, config, training)
    tensors = weights.named(nnx.state(model), "")
    known = {"train_seconds": time.perf_counter() - began, "env_steps": data.steps}
    known["parameters"] = sum(value.size for value in tensors.values())
    weights.write(path, tensors, {"recipe": recipe, "history": history, "config": dataclasses.asdict(config), **known})


def load(path: Path, task: Task, recipe: dict[str, Any]) -> tuple[ReactivePolicy, dict[str, Any]]:
    """Load the policy in a file, and its header.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: a broken file, or one of another recipe.
    """
    tensors, header = weights.read(path, recipe, {"gcbc": (GcbcConfig,)})
    sizes: Any = (spec_of(task).size,), task.action_space.shape
    config, history = weights.shape_of(GcbcConfig, path, header, tensors)
    shapes = nnx.eval_shape(lambda: Cloner(sizes[0][0], history, sizes[1][0], config, nnx.Rngs(0)))
    graphdef, state = nnx.split(shapes)
    return policy(task, nnx.merge(graphdef, weights.filled(state, "", tensors)), history), header


def policy(task: Task, model: Cloner, history: int) -> ReactivePolicy:
    """Policy of the task from the network."""
    graphdef, state = nnx.split(model)
    leaves, tree = jax.tree.flatten(state)  # a flat tuple is the fastest argument of a compiled function
    space: Any = task.action_space
    middle, half = jnp.asarray((space.high + space.low) / 2), jnp.asarray((space.high - space.low) / 2)

    @jax.jit
    def act(leaves: Any, stacks: Any, goals: Any) -> Any:
        clone = nnx.merge(graphdef, jax.tree.unflatten(tree, leaves))
        return middle[None] + half[None] * clone(stacks, goals)

    return ReactivePolicy("gcbc", history, lambda goals: goals, partial(act, tuple(leaves)))
