"""State of an online training run in one file: weights, optimisers, buffers, random keys and environments."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Bool
from numpy import ndarray

from envs.reward_batch import RewardBatch
from envs.snapshot import part, prefixed
from worldmodel.models.checkpoint import load_training, save_training

from ...build.defaults import defaults
from .config import GROUPS


def save_run(
    path: Path,
    learned: dict[str, Any],
    batches: Sequence[RewardBatch],
    begins: Bool[ndarray, "S E"],
    progress: dict[str, Any],
    fingerprint: dict[str, Any],
) -> None:
    """Write the complete state of a run.

    Args:
      path: of the file.
      learned: trees of arrays and keys, on the device.
      batches: the environments of each of S runs.
      begins: whether their next observations are an episode's first.
      progress: of the run, as JSON.
      fingerprint: of the run.
    """
    snapshot: dict[str, Any] = {"begins": begins}
    for number, batch in enumerate(batches):
        snapshot |= prefixed(_name(number), batch.snapshot())
    arrays = {name: value for name, value in snapshot.items() if isinstance(value, ndarray)}
    words = {name: value for name, value in snapshot.items() if name not in arrays}
    save_training(path, _raw(learned), fingerprint, {"words": words, "progress": progress}, arrays)


def load_run(
    path: Path, like: dict[str, Any], batches: Sequence[RewardBatch], fingerprint: dict[str, Any]
) -> tuple[dict[str, Any], Bool[ndarray, "S E"], dict[str, Any]]:
    """Read a file of `save_run`: the learned trees in the structure of `like`, `begins` and the progress.

    The environments of `batches` continue from their saved states; those that cannot begin a new episode.

    Raises:
      ValueError: a truncated or foreign file, or a run with another fingerprint.
    """
    stored, extra = load_training(path, _raw(like), fingerprint, defaults(fingerprint, GROUPS))
    snapshot = {**extra["words"], **extra["arrays"]}
    exact = [batch.restore(part(_name(number), snapshot)) for number, batch in enumerate(batches)]
    return _keyed(stored, like), snapshot["begins"] | ~np.stack(exact), extra["progress"]


def _name(number: int) -> str:
    return f"run{number}"


def _raw(tree: Any) -> Any:
    """Key data of random keys, for the file."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _keyed(tree: Any, like: Any) -> Any:
    return jax.tree.map(lambda leaf, old: jax.random.wrap_key_data(leaf) if _is_key(old) else leaf, tree, like)


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
