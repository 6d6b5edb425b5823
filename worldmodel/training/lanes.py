"""Several training runs in parallel: the same arrays with an extra leading axis, one lane per run.

A GPU that one run leaves idle runs several in parallel under `jax.vmap`. A single run has no such axis: it would
cost a processor time, change the last bits, and have XLA copy buffers that it writes in place otherwise (measured: a
replay buffer of 25 MB, at every decision).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final

import jax
import jax.numpy as jnp


@final
@dataclass(frozen=True)
class Lanes:
    """Number of parallel runs; the trees of a single run are left as they are."""

    count: int

    def stack(self, trees: Sequence[Any]) -> Any:
        """Stack the runs' trees, of the same structure."""
        return trees[0] if self.count == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def lane(self, tree: Any, number: int) -> Any:
        """Return the tree of one run."""
        return tree if self.count == 1 else jax.tree.map(lambda leaf: leaf[number], tree)

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Map `function` of one run's trees over all runs; each result is the same as for that run alone."""
        return function if self.count == 1 else jax.vmap(function)
