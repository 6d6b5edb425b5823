"""A trained module as pure functions over a flat tuple of arrays: what planners and control loops call.

Merging happens while tracing and costs nothing afterwards; calling the module itself would walk its object graph in
Python at every call. Functions compare equal when the architecture does, so new weights never compile anew.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
from flax import nnx
from jaxtyping import Array, Float

from .model import ModelConfig, WorldModel

Weights = tuple[Array, ...]


@dataclass(frozen=True)
class ModelFunction:
    """One method of the module, over the flat weights. Hashable and comparable: static under `jax.jit`."""

    method: str
    graphdef: Any
    treedef: Any

    def __call__(self, params: Weights, *args: Array) -> Array:
        model = nnx.merge(self.graphdef, jax.tree.unflatten(self.treedef, params))
        return getattr(model, self.method)(*args)


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["config", "encoder", "predictor", "distance", "probe"],
)
@dataclass(frozen=True)
class FrozenModel:
    """Satisfies `planning.types.LatentModel`: static functions, and `params` as the only arrays."""

    params: Weights
    config: ModelConfig
    encoder: ModelFunction
    predictor: ModelFunction
    distance: Callable[[Weights, Array, Array], Array] | None
    probe: Callable[[Weights, Array], Array] | None

    @property
    def history(self) -> int:
        return self.config.history

    @property
    def action_block(self) -> int:
        return self.config.action_block

    @property
    def observation_size(self) -> int:
        return self.config.observation_size

    @property
    def action_size(self) -> int:
        return self.config.action_size

    @property
    def latent_size(self) -> int:
        return self.config.latent_size

    def encode(self, params: Weights, obs: Float[Array, "... P O"]) -> Float[Array, "... D"]:
        """Representation of the last P observations, in raw units."""
        return self.encoder(params, obs)

    def predict(
        self, params: Weights, latent: Float[Array, "... D"], block: Float[Array, "... K A"]
    ) -> Float[Array, "... D"]:
        """Representation K environment steps later."""
        return self.predictor(params, latent, block)

    def module(self) -> WorldModel:
        """The module again, with these weights: for diagnostics and further training."""
        return nnx.merge(self.encoder.graphdef, jax.tree.unflatten(self.encoder.treedef, self.params))

    @property
    def parameters(self) -> int:
        """How many numbers the model has, heads and statistics included."""
        return sum(weight.size for weight in self.params)


def freeze(model: WorldModel, config: ModelConfig) -> FrozenModel:
    """`model` as it is now, as functions over its weights; training it further does not change what was frozen."""
    graphdef, state = nnx.split(model)
    weights, treedef = jax.tree.flatten(state)

    def function(method: str) -> ModelFunction:
        return ModelFunction(method, graphdef, treedef)

    return FrozenModel(
        params=tuple(weights),
        config=config,
        encoder=function("encode"),
        predictor=function("predict"),
        distance=function("distance"),
        probe=function("probe") if config.probe_size else None,
    )
