"""Learning on from a model: its weights and statistics in place of fresh ones."""

from __future__ import annotations

import dataclasses

import jax
from flax import nnx

from .freeze import FrozenModel
from .goal_model import ModelConfig, WorldModel
from .tensors import leaves_of, name_of

_LAST = (
    "policy",
    "filling",
    "leap",
    "leap_size",
    "landmarks",
)  # settings of parts that learn last, and may be there or not


def begun_with(fresh: WorldModel, config: ModelConfig, start: FrozenModel) -> WorldModel:
    """Return a model with the weights and statistics of another one; parts that this lacks stay as they are.

    Args:
      fresh: the model, with the statistics of its data.
      config: its architecture.
      start: the other model.

    Raises:
      ValueError: another architecture, but for a policy, leaps, landmarks, and a head for missing sensors.
    """
    differing = []
    for name in (field.name for field in dataclasses.fields(config)):
        was, now = getattr(start.config, name), getattr(config, name)
        if was != now and name not in _LAST:
            differing.append("other sensors" if name == "observation" else f"{name}={was} and not {now}")
    if differing:
        raise ValueError(
            f"the model to begin with has {', '.join(differing)}: training goes on with a model of the same sizes, "
            "sensors and actions only"
        )
    known = {name_of(path): leaf for path, leaf in leaves_of(nnx.state(start.module()))}
    graphdef, state = nnx.split(fresh)
    leaves = []
    for name, leaf in ((name_of(path), leaf) for path, leaf in leaves_of(state)):
        found = known.get(name, leaf)
        leaves.append(found if found.shape == leaf.shape else leaf)
    return nnx.merge(graphdef, jax.tree.unflatten(jax.tree.structure(state), leaves))
