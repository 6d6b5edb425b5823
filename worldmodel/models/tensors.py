"""Leaves of a tree by name, as stored in files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jax
import numpy as np


def fill(path: str | Path, template: Any, tensors: dict[str, np.ndarray]) -> Any:
    """Return `template` with its leaves replaced by the tensors of the same names, shapes and dtypes.

    Args:
      path: of the file, for messages.
      template: a tree of arrays or their shapes.
      tensors: by name.

    Raises:
      ValueError: names, shapes or dtypes do not fit.
    """
    named = leaves_of(template)
    names = {name_of(place) for place, _ in named}
    if names != set(tensors):
        raise ValueError(
            f"{path} does not fit: tensors missing or unknown: {', '.join(sorted(names ^ set(tensors))[:4])}"
        )
    leaves = []
    for name, leaf in ((name_of(place), leaf) for place, leaf in named):
        stored = tensors[name]
        if stored.shape != leaf.shape or stored.dtype != leaf.dtype:
            raise ValueError(
                f"{path} does not fit: {name} is {stored.dtype}{list(stored.shape)}, "
                f"expected {leaf.dtype}{list(leaf.shape)}"
            )
        leaves.append(stored)
    # In place of `jnp.asarray`, which compiles a program for each shape.
    return jax.tree.unflatten(jax.tree.structure(template), jax.device_put(leaves))


def leaves_of(tree: Any) -> list[tuple[Any, Any]]:
    """Return the leaves of a tree with their key paths, in order."""
    return jax.tree_util.tree_flatten_with_path(tree)[0]


def name_of(path: Any) -> str:
    """Return the name of a leaf in a file: its key path with dots."""
    return jax.tree_util.keystr(path, simple=True, separator=".")
