"""Trained modules as pure functions over a flat tuple of arrays, for planners and control loops.

Merging happens while tracing and costs nothing afterwards; calling the module itself would walk its object graph in
Python at every call. Functions compare equal when the architecture does, so new weights never trigger a recompilation.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import jax
from flax import nnx
from jax.tree_util import register_dataclass
from jaxtyping import Array, Float

from ..observation import Observation, ObservationSpec
from ..pytree import static
from ..types import Prediction
from .architecture import Architecture
from .goal_model import ModelConfig, WorldModel
from .reward_model import RewardModelConfig

Weights = tuple[Array, ...]


@lru_cache(maxsize=32)
def architecture(config: Architecture) -> tuple[Any, Any]:
    """Graph and abstract state of the module that `config` describes; a function of it alone. Change neither."""
    return nnx.split(nnx.eval_shape(lambda: config.create(0)))


@dataclass(frozen=True)
class ModelFunction:
    """One method of the module, over the flat weights.

    Static under `jax.jit`, where it is hashed and compared at every call: it therefore holds the few numbers of the
    configuration and not the object graph, which takes a millisecond to walk.
    """

    method: str
    config: Architecture

    def __call__(self, params: Weights, *args: Any) -> Any:
        """Return the method's value, with `params` as the module's weights."""
        return getattr(merge(params, self.config), self.method)(*args)


def merge(params: Weights, config: Architecture) -> Any:
    """Return the module with these weights."""
    graphdef, state = architecture(config)
    return nnx.merge(graphdef, jax.tree.unflatten(jax.tree.structure(state), params))


@dataclass(frozen=True)
class Leap:
    """Slower dynamics of a model: `(params, latent [D], choice [M]) -> latent [D]`, some environment steps later."""

    function: ModelFunction
    size: int  # M
    steps: int  # environment steps

    def __call__(self, params: Weights, latent: Float[Array, "... D"], choice: Float[Array, "... M"]) -> Any:
        """Return the latent after the leap."""
        return self.function(params, latent, choice)


@dataclass(frozen=True)
class Heads:
    """Heads of a model besides its dynamics, None where absent; `planning.model.Heads` gives the shapes.

    Hashable, and equal where the architecture is.
    """

    value: ModelFunction | None = None
    policy: ModelFunction | None = None
    distance: ModelFunction | None = None
    inverse: ModelFunction | None = None
    goal: ModelFunction | None = None
    probe: ModelFunction | None = None
    fill: ModelFunction | None = None
    leap: Leap | None = None
    landmarks: ModelFunction | None = None


@dataclass(frozen=True)
class Frozen:
    """Satisfies `planning.model.LatentModel`: static functions, and `params` as the only arrays."""

    params: Weights
    config: Architecture = static()
    encoder: ModelFunction = static()
    predictor: ModelFunction = static()
    heads: Heads = static()

    @property
    def observation(self) -> ObservationSpec:
        """Sensors in order."""
        return self.config.observation

    @property
    def embedding_size(self) -> int:
        """E, the size of the embedding of one moment."""
        return self.config.embedding_size

    @property
    def action_size(self) -> int:
        """A, the size of the action of one environment step."""
        return self.config.action_size

    def embed(self, params: Weights, observation: Observation) -> Float[Array, "... E"]:
        """Embedding of one moment; vector sensors contribute their raw readings, whatever the weights."""
        if self.observation.is_vectors:
            return self.observation.row(observation)
        embedding: Array = ModelFunction("embed", self.config)(params, observation)
        return embedding

    @property
    def history(self) -> int:
        """P, the consecutive moments that one latent looks back over, the newest included."""
        return self.config.reach

    @property
    def lags(self) -> tuple[int, ...]:
        """Environment steps from the newest moment of a latent back to each one, the oldest first, ending in 0."""
        return self.config.lags

    def encode(self, params: Weights, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Latent of the last P moments, one environment step apart, the newest last; those at `lags` alone will do."""
        latent: Array = self.encoder(params, embeddings)
        return latent

    def predict(self, params: Weights, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> Prediction:
        """Prediction after K steps; if `latent` has an extra leading axis, by the first members of an ensemble."""
        prediction: Prediction = self.predictor(params, latent, block)
        return prediction

    @property
    def latent_size(self) -> int:
        """D, the size of a latent."""
        return self.config.latent_size

    def module(self) -> Any:
        """Module with these weights, for diagnostics and further training."""
        return merge(self.params, self.config)

    @property
    def parameters(self) -> int:
        """Number of parameters, including heads and statistics."""
        return sum(weight.size for weight in self.params)


@register_dataclass
@dataclass(frozen=True)
class FrozenModel(Frozen):
    """Frozen `WorldModel`, which handles goals and no rewards."""

    config: ModelConfig = static()

    @property
    def action_block(self) -> int:
        """K, the environment steps (one action each) spanned by one prediction."""
        return self.config.action_block

    @property
    def ensemble(self) -> int:
        """E, the number of members of the predictor."""
        return self.config.ensemble


@register_dataclass
@dataclass(frozen=True)
class FrozenRewardModel(Frozen):
    """Frozen `RewardModel`, which handles rewards and no goals."""

    config: RewardModelConfig = static()
    action_block = 1
    ensemble = 1  # of the dynamics; its critics are several


def freeze(model: WorldModel, config: ModelConfig) -> FrozenModel:
    """Freeze `model` as functions over its current weights; further training does not change the result."""
    heads = Heads(
        distance=ModelFunction("distance", config),
        policy=ModelFunction("policy", config) if config.policy else None,
        inverse=ModelFunction("inverse_actions", config),
        goal=ModelFunction("goal", config),
        probe=ModelFunction("probe", config) if config.probe_size else None,
        fill=ModelFunction("fill", config) if config.filling else None,
        leap=_leap(config) if config.leap else None,
        landmarks=ModelFunction("landmarks", config) if config.landmarks else None,
    )
    params = tuple(jax.tree.leaves(nnx.state(model)))
    return FrozenModel(params, config, ModelFunction("encode", config), ModelFunction("predict", config), heads)


def _leap(config: ModelConfig) -> Leap:
    return Leap(ModelFunction("leap", config), config.leap_size, config.leap * config.action_block)


def freeze_reward_model(params: Weights, config: RewardModelConfig) -> FrozenRewardModel:
    """Freeze the model with these weights (the leaves of its state, in order), as functions over them."""
    encode, predict, value, policy = (ModelFunction(name, config) for name in ("encode", "predict", "value", "policy"))
    return FrozenRewardModel(params, config, encode, predict, Heads(value=value, policy=policy))
