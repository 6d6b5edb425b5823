"""Trees of arrays as tensors with names, as a file holds them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def fill(path: str | Path, template: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Replace the leaves of `template` by the tensors of the same names.

    Raises:
      ValueError: tensors are missing or unknown, or of another shape or dtype.
    """
    named = leaves_of(template)
    names = {name_of(path_) for path_, _ in named}
    if names != set(tensors):
        raise ValueError(
            f"{path} does not fit: tensors missing or unknown: {', '.join(sorted(names ^ set(tensors))[:4])}"
        )
    leaves = []
    for name, leaf in ((name_of(path_), leaf) for path_, leaf in named):
        stored = tensors[name]
        if stored.shape != leaf.shape or stored.dtype != leaf.dtype:
            raise ValueError(
                f"{path} does not fit: {name} is {stored.dtype}{list(stored.shape)}, "
                f"expected {leaf.dtype}{list(leaf.shape)}"
            )
        leaves.append(jnp.asarray(stored))
    return jax.tree.unflatten(jax.tree.structure(template), leaves)


def leaves_of(tree: Any) -> list[tuple[Any, Any]]:
    """Return path and value of each leaf, in order."""
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def name_of(path: Any) -> str:
    """Return the name of the leaf at a path."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
