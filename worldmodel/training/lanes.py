"""Several training runs at once: the same arrays with one more axis in front, a lane for each run.

A GPU that one run leaves idle takes several side by side under `jax.vmap`. One run alone has no such axis: it would
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
    """How many runs there are; where there is one, its trees are left as they are."""

    count: int

    def stack(self, trees: Sequence[Any]) -> Any:
        """The runs' trees, of the same structure, as one."""
        return trees[0] if self.count == 1 else jax.tree.map(lambda *leaves: jnp.stack(leaves), *trees)

    def lane(self, tree: Any, number: int) -> Any:
        """One run's."""
        return tree if self.count == 1 else jax.tree.map(lambda leaf: leaf[number], tree)

    def over(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """`function` of one run's trees, for those of all: each comes out as it would alone."""
        return function if self.count == 1 else jax.vmap(function)
