"""Several training runs at once: the same arrays with one more axis in front, a lane for each run.

A GPU that one run leaves idle takes several side by side under `jax.vmap`. One run alone is computed without the axis,
which costs a processor time and changes the last bits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp


def stack(trees: Sequence[Any]) -> Any:
    """Trees of the same structure as one, a lane for each."""
    return jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)


def lane(tree: Any, number: int) -> Any:
    """One of them."""
    return jax.tree.map(lambda leaf: leaf[number], tree)


def over_lanes(function: Callable[..., Any]) -> Callable[..., Any]:
    """`function` of trees, for the trees of all lanes: each lane comes out as it would alone."""

    def lanes(*trees: Any) -> Any:
        if len(jax.tree.leaves(trees)[0]) > 1:
            return jax.vmap(function)(*trees)
        return jax.tree.map(lambda leaf: leaf[None], function(*lane(trees, 0)))

    return lanes
