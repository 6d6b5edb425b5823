"""Goal-conditioned behaviour cloning: from the last observations and a goal to the action that was taken.

Goals are later moments of the same episode (Ding et al., "Goal-conditioned imitation learning", NeurIPS 2019; Ghosh et
al., arXiv 1912.06088): the recorded actions are treated as the way to them. It trains on the same data as the
world model, with as many updates as all stages of that together, and the same batch size.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float, PRNGKeyArray

from envs import Task
from worldmodel.data.episodes import EpisodeData
from worldmodel.data.frame_windows import FrameWindows
from worldmodel.data.windows import WindowSampler
from worldmodel.nets.encoders.build import (
    PICTURE_ENCODERS,
    encoder_kinds,
    picture_encoders,
    picture_stacks,
    projected,
    sized,
)
from worldmodel.nets.encoders.memory import memory_of
from worldmodel.nets.encoders.picture import pairs
from worldmodel.nets.layers import MLP
from worldmodel.nets.normalization import Normalizer
from worldmodel.observation import ObservationSpec
from worldmodel.training.settings import TrainingConfig
from worldmodel.types import Windows

from ..evaluation.moments import spec_of
from ..evaluation.reactive import ReactivePolicy
from ..shell.progress import progress_bar
from . import weights


@dataclass(frozen=True)
class GcbcConfig:
    """Shape of the network."""

    width: int = 256
    depth: int = 3
    pictures: str = "components"  # encoder of each picture, where the observation has any
    features: int | None = None  # size of a picture's embedding; None: the default of the encoder
    memory: int = 0  # older observations that the policy sees
    memory_stride: int = 2  # environment steps between two of them

    def __post_init__(self) -> None:
        if self.pictures not in PICTURE_ENCODERS and self.pictures not in (known := encoder_kinds()):
            raise ValueError(f"baselines.gcbc.pictures must be {' or '.join(known)}; got {self.pictures!r}")
        for name, least in (("width", 1), ("depth", 1), ("memory", 0), ("memory_stride", 1)):
            if getattr(self, name) < least:
                raise ValueError(f"baselines.gcbc.{name} must be at least {least}; got {getattr(self, name)}")


class Cloner(nnx.Module):
    """Network from P observations (and older ones) and a goal observation, embedded, to an action in half ranges.

    Pictures are embedded by encoders of its own, which learn with it.

    Args:
      spec: the sensors.
      history: P.
      action_size: A.
      config: shape of the network.
      rngs: of the initial weights.
    """

    def __init__(self, spec: ObservationSpec, history: int, action_size: int, config: GcbcConfig, rngs: nnx.Rngs):
        spec = sized(spec, config.pictures, config.features)
        size = len(spec.vector_columns)
        self.spec = nnx.static(spec)
        self.normalizer = Normalizer(spec.size)
        self.stacks = picture_stacks(spec, config.pictures, history, rngs)
        seen = 0 if self.stacks is None else sum(stack.size for stack in self.stacks.values())
        self.memory = memory_of(spec.size, history, config.memory, config.memory_stride, rngs)
        remembered = 0 if self.memory is None else self.memory.size
        inputs = history * size + seen + remembered, size + seen
        self.mlp = MLP(inputs, action_size, config.width, config.depth, rngs)
        self.pictures = picture_encoders(spec, config.pictures, rngs)

    def fit(self, readings: Mapping[str, np.ndarray], last: np.ndarray) -> None:
        """Set the scales of vectors, and what picture encoders measure, from a dataset.

        Args:
          readings: of all moments by sensor.
          last: row of the last moment of each one's episode.
        """
        for sensor in self.spec.sensors:
            values = readings[sensor.name]
            if sensor.is_vector:
                self.normalizer.fit(np.asarray(values, np.float32), place=self.spec.slices[sensor.name])
            else:
                self.pictures[sensor.name].fit(*(np.asarray(values[rows]) for rows in pairs(last)))

    def embed(self, observation: Mapping[str, Array]) -> Float[Array, "... E"]:
        """Embedding of one moment: raw readings of vectors, and the features of pictures."""
        if self.pictures is None:
            return self.spec.row(observation)
        features = {name: encoder(observation[name]) for name, encoder in self.pictures.items()}
        return self.spec.row({**observation, **features})

    def __call__(self, stacks: Float[Array, "... P O"], goals: Float[Array, "... O"]) -> Float[Array, "... A"]:
        """Mean action for these observations and this goal."""
        remembered = []
        if self.memory is not None:
            older, stacks = self.memory.parts(stacks)
            remembered.append(self.memory(self.normalizer(older)))
        seen, goal = self.normalizer(stacks), self.normalizer(goals)
        if self.stacks is None:
            flat = [seen.reshape(*seen.shape[:-2], -1), *remembered]
            return self.mlp(flat[0] if len(flat) == 1 else jnp.concatenate(flat, axis=-1), goal)
        still = jnp.repeat(goals[..., None, :], stacks.shape[-2], axis=-2)
        columns = self.spec.vector_columns
        vectors = seen[..., columns]
        return self.mlp(
            jnp.concatenate([vectors.reshape(*vectors.shape[:-2], -1), *self._seen(stacks), *remembered], axis=-1),
            jnp.concatenate([goal[..., columns], *self._seen(still)], axis=-1),
        )

    def _seen(self, embeddings: Float[Array, "... P O"]) -> list[Float[Array, "... J"]]:
        """Features of each picture at P moments."""
        return [stack(embeddings[..., self.spec.slices[name]]) for name, stack in self.stacks.items()]


def train(data: EpisodeData, history: int, config: GcbcConfig, training: TrainingConfig) -> Cloner:
    """Clone the behaviour of `data`; learning-rate schedule, batch size and updates are the world model's.

    Args:
      data: the episodes.
      history: observations that the policy sees, P.
      config: shape of the network.
      training: of the world model.
    """
    model = Cloner(data.spec, history, data.actions.shape[1], config, nnx.Rngs(training.seed))
    model.fit(data.readings, data.last)
    middle, half = (data.action_high + data.action_low) / 2, (data.action_high - data.action_low) / 2
    taken = (data.actions - middle) / np.where(half > 0, half, 1.0)
    kind = FrameWindows if data.spec.pictures else WindowSampler
    scaled = dataclasses.replace(data, actions=taken.astype(np.float32))
    older = () if model.memory is None else model.memory.lags[: config.memory]
    sampler = kind.of(scaled, history, 1, 1, older=older)
    if isinstance(sampler, FrameWindows):
        sampler = sampler.projected(partial(projected, model.pictures))
    graphdef, params, *others = nnx.split(model, nnx.Param, ...)
    (statistics,) = others  # `...` is one filter, hence one state
    warmup = max(1, training.updates // 20)
    schedule = optax.warmup_cosine_decay_schedule(
        0.0, training.learning_rate, warmup, max(training.updates, warmup + 1), 0.01 * training.learning_rate
    )
    optimizer = optax.chain(
        optax.clip_by_global_norm(training.clip_norm), optax.adamw(schedule, weight_decay=training.weight_decay)
    )

    def update(state: tuple[Any, Any], windows: Windows) -> tuple[tuple[Any, Any], Array]:
        def loss(params: Any) -> Array:
            cloner = nnx.merge(graphdef, params, statistics)
            present = {name: values[:, 0] for name, values in windows.observations.items()}
            goal = {name: values[:, -1] for name, values in windows.goals.items()}
            error = cloner(cloner.embed(present), cloner.embed(goal))
            error = jnp.mean(jnp.square(error - windows.actions[:, 0, 0]), axis=-1)
            ahead = (windows.goal_offset > 0).astype(error.dtype)  # a goal at the present moment has no action
            return jnp.sum(ahead * error) / jnp.maximum(jnp.sum(ahead), 1.0)

        params, moments = state
        value, gradients = jax.value_and_grad(loss)(params)
        with jax.numpy_dtype_promotion("standard"):  # optax counts in integers; our own code is strict
            changes, moments = optimizer.update(gradients, moments, params)
        return (optax.apply_updates(params, changes), moments), value

    @partial(jax.jit, donate_argnums=0)
    def many(state: tuple[Any, Any], sampler: WindowSampler, key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
        def one(state: tuple[Any, Any], key: PRNGKeyArray) -> tuple[tuple[Any, Any], Array]:
            return update(state, sampler.sample(key, training.batch))

        state, losses = jax.lax.scan(one, state, jax.random.split(key, training.updates_per_call))
        return state, jnp.mean(losses)

    single = jax.jit(update, donate_argnums=0)

    def many_on_frames(state: Any, sampler: FrameWindows, key: PRNGKeyArray) -> tuple[Any, Array]:
        losses = []
        for each in jax.random.split(key, training.updates_per_call):
            state, loss = single(state, sampler.sample(each, training.batch))
            losses.append(loss)
        return state, jnp.mean(jnp.stack(losses))

    state = (jax.tree.map(jnp.copy, params), optimizer.init(params))
    key = jax.random.key(training.seed)
    with progress_bar("train gcbc", training.updates) as bar:
        for done in range(0, training.updates, training.updates_per_call):
            part = jax.random.fold_in(key, done)
            if isinstance(sampler, FrameWindows):
                state, loss = many_on_frames(state, sampler, part)
            else:
                state, loss = many(state, sampler, part)
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


@register_dataclass
@dataclass(frozen=True)
class Eyes:
    """Encoders of pictures of a `Cloner`, as a model that embeds moments."""

    params: Any
    graphdef: Any = field(metadata={"static": True})
    observation: ObservationSpec = field(metadata={"static": True})

    def embed(self, params: Any, observation: Mapping[str, Array]) -> Array:
        """Embedding of one moment."""
        return nnx.merge(self.graphdef, params).embed(observation)


def load(path: Path, task: Task, recipe: dict[str, Any]) -> tuple[ReactivePolicy, dict[str, Any], Eyes | None]:
    """Load the policy in a file, its header, and what embeds pictures for it; None without any.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: a broken file, or one of another recipe.
    """
    tensors, header = weights.read(path, recipe, {"gcbc": (GcbcConfig,)})
    spec, shape = spec_of(task), task.action_space.shape
    assert shape is not None
    config, history = weights.shape_of(GcbcConfig, path, header, tensors)
    shapes = nnx.eval_shape(lambda: Cloner(spec, history, shape[0], config, nnx.Rngs(0)))
    graphdef, state = nnx.split(shapes)
    state = weights.filled(state, "", tensors)
    eyes = None if spec.is_vectors else Eyes(state, graphdef, sized(spec, config.pictures, config.features))
    return policy(task, nnx.merge(graphdef, state), history), header, eyes


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

    reach = history if model.memory is None else model.memory.lags[0] + 1
    return ReactivePolicy("gcbc", reach, lambda goals: goals, partial(act, tuple(leaves)))
