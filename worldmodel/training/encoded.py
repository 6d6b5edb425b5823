"""A whole dataset, encoded by a finished encoder: what later parts of a model learn from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import jax
import jax.numpy as jnp
from jax.tree_util import register_dataclass
from jaxtyping import Array, PRNGKeyArray

from ..data.frame_windows import FrameWindows
from ..data.windows import WindowSampler
from ..models.goal_model import WorldModel
from ..pytree import static
from ..types import LatentWindows, Sequences


@register_dataclass
@dataclass(frozen=True)
class LatentSampler:
    """Encoded windows of a dataset, the same as `WindowSampler` draws, to learn on top of a finished encoder."""

    windows: WindowSampler
    embeddings: Array  # [M, E]
    latents: Array  # [M, D]
    goals: Array | None = None  # [M, D] of each moment as a goal; None: those of the moments themselves

    @classmethod
    def of(
        cls,
        windows: WindowSampler,
        embeddings: Array,
        encode: Callable[[Array], Array],
        rows: int = 8192,
    ) -> LatentSampler:
        """Encode a whole dataset, `rows` rows at a time.

        Args:
          windows: the dataset.
          embeddings: of all moments, [M, E].
          encode: from the embeddings of stacks [..., P, E] to latents [..., D].
          rows: encoded at a time.
        """
        if windows.older:  # a stack is larger then
            rows = max(1, rows // len(windows.older))

        def encoded(past: Callable[[Array], Array]) -> Array:
            return in_chunks(
                lambda begin, count: encode(embeddings[past(begin + _numbers(count))]), len(embeddings), rows
            )

        goals = encoded(windows.goal_past) if windows.older else None
        return cls(windows, embeddings, encoded(windows.past), goals)

    @property
    def places(self) -> Array:
        """Latents of each moment as a goal, `[M, D]`."""
        return self.latents if self.goals is None else self.goals

    def to_imitate(self) -> LatentSampler:
        """Return the same with half of each batch from demonstrations, where some of the episodes are such."""
        return replace(self, windows=self.windows.to_imitate())

    def sequences(self, starts: Array, moments: int) -> SequenceSampler:
        """Return the same data in sequences of consecutive moments, from the rows at which they may start."""
        return SequenceSampler(self.embeddings, self.windows.actions, starts, moments)

    def sample(self, key: PRNGKeyArray, batch: int) -> LatentWindows:
        """Draw `batch` windows: the windows that `WindowSampler` draws from the same key, encoded."""
        begin, rows, offset = self.windows.draw(key, batch)
        return LatentWindows(
            latents=self.latents[rows],
            actions=self.windows.actions_of(begin),
            goals=self.places[begin + offset],
            goal_embeddings=self.embeddings[begin + offset],
            goal_offset=offset,
            episode=self.windows.first[begin],
            labelled=self.windows.labels_of(begin),
            demonstrated=None if self.windows.demonstrated is None else self.windows.demonstrated[begin],
        )


@register_dataclass
@dataclass(frozen=True)
class SequenceSampler:
    """Consecutive embedded moments of a dataset, with the rows at which they may start."""

    embeddings: Array  # [M, E]
    actions: Array  # [M, A]
    starts: Array  # [W]
    moments: int = static()

    def sample(self, key: PRNGKeyArray, batch: int) -> Sequences:
        """Draw `batch` sequences. The key is consumed."""
        begin = self.starts[jax.random.randint(key, (batch,), 0, len(self.starts))]
        rows = begin[:, None] + _numbers(self.moments)[None]
        return Sequences(self.embeddings[rows], self.actions[rows[:, :-1]])


def encoded(sampler: WindowSampler | FrameWindows, model: WorldModel) -> LatentSampler:
    """Return the embeddings and the latents of all moments of the data.

    Args:
      sampler: of the data.
      model: with the finished encoder.
    """
    if isinstance(sampler, FrameWindows):
        return LatentSampler.of(sampler.windows, sampler.embeddings(model.embed), model.encode)
    return LatentSampler.of(sampler, model.embed(sampler.observations), model.encode)


def in_chunks(function: Callable[[Array, int], Array], total: int, rows: int) -> Array:
    """Join `function(begin, count)`, the values `[count, ...]` of consecutive rows, compiled once for all chunks.

    Args:
      function: of the first row and the number of rows.
      total: rows.
      rows: of a chunk.
    """
    if total <= rows:
        return function(jnp.int32(0), total)
    chunk = jax.jit(lambda begin: function(begin, rows))
    # The last chunk ends at the last row, and its overlap with the previous one is written twice.
    begins = [*range(0, total - rows, rows), total - rows]
    shape = jax.eval_shape(chunk, jnp.int32(0)).shape
    found = jnp.zeros((total, *shape[1:]), jnp.float32)
    for begin in begins:
        found = found.at[begin : begin + rows].set(chunk(jnp.int32(begin)))
    return found


def _numbers(count: int) -> Array:
    return jnp.arange(count, dtype=jnp.int32)
