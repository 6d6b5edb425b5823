"""Landmarks of a finished world model: which places the data show, and from which one they lead to which other.

A critic is exact near by and vague from afar. So a long way is put together from short ones (Eysenbach et al., "Search
on the Replay Buffer", arXiv 1906.05253; Zhang et al., "World Model as a Graph", arXiv 2011.12491): a way from one
landmark to the next exists where episodes took it, whatever the critic says, and is as long as the critic says. A
critic alone would lead through thin walls.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from numpy import ndarray

from ..models.goal_model import ModelConfig, WorldModel
from ..nets.landmarks import NEIGHBOURS, NO_WAY
from .encoded import LatentSampler, in_chunks

CANDIDATES = 20_000  # moments among which landmarks are chosen
BLOCKS = 2  # action blocks within which an episode leads from one landmark to the next
SEEN = 3  # times that a way was taken at least
ROWS = 8192  # moments in a chunk


def check_landmarks(config: ModelConfig, moments: int) -> None:
    """Raise ValueError where a model is to have more landmarks than there are moments to choose from."""
    if config.landmarks > (most := min(moments, CANDIDATES)):
        raise ValueError(
            f"model.landmarks must be at most {most}, as many moments of the data as they are chosen from; got "
            f"{config.landmarks}"
        )


def learn_landmarks(model: WorldModel, moments: LatentSampler, places: Float[Array, "M D"], seed: int) -> None:
    """Measure the model's landmarks, in place, and the ways between them; without landmarks nothing is done.

    Args:
      model: with a finished critic.
      moments: the data, encoded by it.
      places: latents of each moment as a goal, at rest where that is known.
      seed: of the choice among moments.
    """
    if model.landmarks is None:
        return
    count = len(model.landmarks.latents[...])
    drawn = np.random.default_rng(seed).permutation(len(places))[:CANDIDATES]
    latents = _spread(places[drawn], count)
    nearest = np.asarray(in_chunks(lambda begin, rows: _nearest(places, latents, begin, rows), len(places), ROWS))
    last, block = np.asarray(moments.windows.last), moments.windows.action_block
    start, end = ways_taken(nearest.astype(np.int32), last, BLOCKS * block)
    steps = _steps(model, latents, start, end)
    neighbours, lengths = shortest_ways(start, end, steps, count)
    model.landmarks.set(latents, jnp.asarray(neighbours), jnp.asarray(lengths))


def ways_taken(
    nearest: Int[ndarray, "M"], last: Int[ndarray, "M"], within: int
) -> tuple[Int[ndarray, "W"], Int[ndarray, "W"]]:
    """Return the pairs of landmarks that episodes led from one to the other, at least `SEEN` times.

    Args:
      nearest: the landmark of each moment.
      last: row of the last moment of each one's episode.
      within: environment steps from one landmark to the other at most.
    """
    rows, pairs = np.arange(len(nearest)), list[ndarray]()
    for later in range(1, within + 1):
        begin, end = nearest[:-later].astype(np.int64), nearest[later:]
        taken = (rows[later:] <= last[:-later]) & (begin != end)
        pairs.append((begin << 32 | end)[taken])
    found, times = np.unique(np.concatenate(pairs), return_counts=True)
    kept = found[times >= SEEN]
    return (kept >> 32).astype(np.int32), (kept & 0xFFFFFFFF).astype(np.int32)


def shortest_ways(
    start: Int[ndarray, "W"], end: Int[ndarray, "W"], steps: Float[ndarray, "W"], count: int
) -> tuple[Int[ndarray, "L N"], Float[ndarray, "L N"]]:
    """Return the nearest neighbours of each landmark and the steps to them; a missing way leads to the landmark itself.

    Args:
      start: landmark at which each way begins.
      end: landmark at which it ends.
      steps: its length.
      count: landmarks, L.
    """
    order = np.lexsort((steps, start))
    start, end, steps = start[order], end[order], steps[order]
    rank = np.arange(len(start)) - np.searchsorted(start, start)
    kept = rank < NEIGHBOURS
    neighbours = np.repeat(np.arange(count, dtype=np.int32)[:, None], NEIGHBOURS, axis=1)
    lengths = np.full((count, NEIGHBOURS), NO_WAY, np.float32)
    neighbours[start[kept], rank[kept]], lengths[start[kept], rank[kept]] = end[kept], steps[kept]
    return neighbours, lengths


def _spread(candidates: Float[Array, "C D"], count: int) -> Float[Array, "L D"]:
    """Choose landmarks one after the other, each the candidate farthest from those before (farthest-point sampling)."""

    def chosen(state: tuple[Array, Array], _: None) -> tuple[tuple[Array, Array], Array]:
        apart, row = state
        squared = jnp.sum(jnp.square(candidates - candidates[row][None]), axis=-1)
        apart = jnp.minimum(apart, squared)
        return (apart, jnp.argmax(apart).astype(jnp.int32)), row

    start = jnp.full(len(candidates), jnp.inf, jnp.float32), jnp.int32(0)
    return candidates[jax.lax.scan(chosen, start, None, length=count)[1]]


def _nearest(
    places: Float[Array, "M D"], latents: Float[Array, "L D"], begin: Int[Array, ""], rows: int
) -> Float[Array, "R"]:
    """Return the landmark nearest to each of `rows` places."""
    chunk = jax.lax.dynamic_slice_in_dim(places, begin, rows)
    squared = jnp.sum(jnp.square(latents), axis=-1)[None] - 2 * chunk @ latents.T  # but for a constant of each place
    return jnp.argmin(squared, axis=-1).astype(jnp.float32)


def _steps(
    model: WorldModel, latents: Float[Array, "L D"], start: Int[ndarray, "W"], end: Int[ndarray, "W"]
) -> Float[ndarray, "W"]:
    """Return the critic's steps along each way, at least one."""
    if not len(start):
        return np.zeros(0, np.float32)
    begins, ends = jnp.asarray(start), jnp.asarray(end)

    def chunk(begin: Int[Array, ""], rows: int) -> Array:
        ways = begin + jnp.arange(rows, dtype=jnp.int32)
        return model.distance(latents[begins[ways]], latents[ends[ways]])

    return np.maximum(np.asarray(in_chunks(chunk, len(start), ROWS)), 1.0)
