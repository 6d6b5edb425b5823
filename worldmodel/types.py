"""Letters and arrays shared by the world model.

In the shapes: `B` batch, `H` model steps, `K` environment steps in one action block, `P` observation history,
`T` moments of a sequence, `E` embedding of one moment, `A` action, `D` latent, `Q` probe target, `M` rows of a dataset,
`...` any leading dimensions. Observations are dictionaries of arrays by sensor.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from flax import struct
from jaxtyping import Array

Params = Any
Leaf = Any  # an array, or what a tree map makes of one
Metrics = dict[str, Array]


class Prediction(NamedTuple):
    """Outcome of one model step; None for quantities that a model does not predict."""

    latent: Array  # [..., D]
    reward: Array | None = None  # [...] what the block of actions earns
    continuation: Array | None = None  # [...] probability that the episode does not end on the way


@struct.dataclass
class Windows:
    """Batch of sub-trajectories with goals for the temporal-distance critic; rows never cross an episode's end."""

    observations: dict[str, Array]  # each [B, H+1, P, ...], one stack every K environment steps
    actions: Array  # [B, H, K, A] taken between two stacks
    goals: dict[str, Array]  # each [B, P, ...], the stack at a later row of the same episode
    goal_offset: Array  # [B] int32: environment steps from the first stack to the goal
    episode: Array  # [B] int32: the same for all windows of one episode
    probe_targets: Array | None = None  # [B, Q] of the first stack
    labelled: Array | None = None  # [B, H] bool: whether every action of a block was recorded; None: all were


@struct.dataclass
class Sequences:
    """Batch of consecutive moments of episodes, embedded."""

    embeddings: Array  # [B, T, E]
    actions: Array  # [B, T-1, A]


@struct.dataclass
class LatentWindows:
    """Encoded windows."""

    latents: Array  # [B, H+1, D]
    actions: Array  # [B, H, K, A]
    goals: Array  # [B, D]
    goal_embeddings: Array  # [B, E] of the newest moment of each goal's stack
    goal_offset: Array  # [B] int32
    episode: Array  # [B] int32
    labelled: Array | None = None  # [B, H] as of `Windows`
    demonstrated: Array | None = None  # [B] bool: whether the actions are to be imitated; None: all are
