"""Windows with pictures, which stay on the host, or on disk: the frames of the next updates are gathered there."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, final

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PRNGKeyArray
from numpy import ndarray

from ..devices import ONE, Devices
from ..types import Windows
from .episodes import EpisodeData
from .windows import Drawn, WindowSampler

_EMBEDDED = 2_048  # pictures embedded at a time


@final
class FrameWindows:
    """Draws the windows that `WindowSampler` draws, for data with pictures.

    Which windows an update gets depends on its key alone, so a resumed run continues with the same ones.

    Args:
      windows: of the vectors.
      frames: pictures of all moments by camera, `[M, H, W, C]`, such as memory maps.
    """

    def __init__(self, windows: WindowSampler, frames: Mapping[str, ndarray]):
        self.windows, self.frames = windows, dict(frames)

    @classmethod
    def of(
        cls,
        data: EpisodeData,
        history: int,
        blocks: int,
        action_block: int,
        probe_targets: ndarray | None = None,
        older: tuple[int, ...] = (),
        contact: Bool[ndarray, "M"] | None = None,
        contact_share: float = 0.0,
    ) -> FrameWindows:
        """Move all but the pictures to the device.

        Args:
          data: the episodes.
          history: the last observations in one stack, P.
          blocks: model steps in a window, H.
          action_block: environment steps in a block, K.
          probe_targets: `[M, Q]`, what the probe learns to decode in each row; None: nothing.
          older: see `WindowSampler.of`.
          contact: likewise.
          contact_share: likewise.

        Raises:
          ValueError: see `WindowSampler.of`.
        """
        frames = {sensor.name: data.readings[sensor.name] for sensor in data.spec.pictures}
        sizes, touched = (history, blocks, action_block), (contact, contact_share)
        return cls(WindowSampler.of(data, *sizes, probe_targets, frames, older, *touched), frames)

    def projected(self, project: Callable[[dict[str, Array]], dict[str, Array]]) -> FrameWindows:
        """Replace pictures by what `project` makes of them, in memory; pictures that it leaves out stay.

        Args:
          project: from pictures `[B, H, W, C]` by camera to smaller arrays `[B, ...]`.
        """
        if not self.frames:
            return self
        step, found = jax.jit(project), dict(self.frames)
        total = len(self.windows.first)
        shapes = jax.eval_shape(project, {name: values[:1] for name, values in self.frames.items()})
        for name, shape in shapes.items():
            found[name] = np.empty((total, *shape.shape[1:]), shape.dtype)
        for at in _chunks(total) if shapes else []:
            for name, values in step({name: np.asarray(values[at]) for name, values in self.frames.items()}).items():
                found[name][at] = np.asarray(values)
            self._forget()
        return FrameWindows(self.windows, found)

    @property
    def starts(self) -> Array:
        """Rows at which a window may start, [W]."""
        return self.windows.starts

    def stack(self, rows: Int[Array, "..."]) -> dict[str, Array]:
        """Return the observations of the stack that ends at each row, as `WindowSampler.stack` does."""
        inside = np.asarray(self.windows.past(rows))
        pictures = {name: jnp.asarray(values[inside]) for name, values in self.frames.items()}
        return {**self.windows.stack(rows), **pictures}

    def sample(self, key: PRNGKeyArray, batch: int) -> Windows:
        """Draw `batch` windows, as `WindowSampler.sample` does. The key is consumed."""
        windows, *rows = _one_batch(self.windows, key, batch)
        return self._with_frames(ONE, windows, *rows)

    def batches(
        self, key: PRNGKeyArray, update: Array, count: int, batch: int, goals: int, devices: Devices = ONE
    ) -> Windows:
        """Return the windows of `count` updates, each array with a leading axis of updates.

        Args:
          key: of the run.
          update: index of the first update, whose windows follow from the key folded with it.
          count: of updates.
          batch: windows of each update.
          goals: how many of them need the pictures of their goals; the others' goals are left out.
          devices: that share each batch.
        """
        windows, *rows = _many_batches(self.windows, key, update, count, batch, goals)
        return devices.split_batches(self._with_frames(devices, windows, *rows))

    def embeddings(self, embed: Callable[[dict[str, Array]], Array]) -> Array:
        """Embed every moment of the data, [M, E].

        Args:
          embed: from sensors [..., ...] to embeddings [..., E].
        """
        step, found = jax.jit(embed), list[ndarray]()
        for at in _chunks(len(self.windows.first)):
            vectors = {name: values[at] for name, values in self.windows.observations.items()}
            pictures = {name: np.asarray(values[at]) for name, values in self.frames.items()}
            new = np.asarray(step({**vectors, **pictures}))
            found.append(new[sum(map(len, found)) - at.start :])
            self._forget()
        return jnp.asarray(np.concatenate(found))

    def _forget(self) -> None:
        """Give back the memory of pages that were read: a pass over all pictures would keep every one of them."""
        for values in self.frames.values():
            pages = getattr(values, "_mmap", None)
            if pages is not None and hasattr(mmap, "MADV_DONTNEED"):
                pages.madvise(mmap.MADV_DONTNEED)

    def _with_frames(
        self, devices: Devices, windows: Windows, stacks: Int[Array, "..."], goals: Int[Array, "..."]
    ) -> Windows:
        gathered = [
            {name: devices.gather(values, np.asarray(rows)) for name, values in self.frames.items()}
            for rows in (stacks, goals)
        ]
        return replace(
            windows,
            observations={**windows.observations, **gathered[0]},
            goals={**windows.goals, **gathered[1]},
        )


def _chunks(total: int) -> Iterator[slice]:
    """Consecutive rows; the last chunk is as long as the others and overlaps, so that one program suffices."""
    for begin in range(0, total, _EMBEDDED):
        yield slice(max(0, min(begin, total - _EMBEDDED)), min(begin + _EMBEDDED, total))


@partial(jax.jit, static_argnames="batch")
def _one_batch(windows: WindowSampler, key: PRNGKeyArray, batch: int) -> Any:
    return _drawn(windows, windows.draw(key, batch), batch)


@partial(jax.jit, static_argnames=("count", "batch", "goals"))
def _many_batches(windows: WindowSampler, key: PRNGKeyArray, update: Array, count: int, batch: int, goals: int) -> Any:
    def one(number: Array) -> Any:
        batch_key, _ = jax.random.split(jax.random.fold_in(key, number))
        return _drawn(windows, windows.draw(batch_key, batch), goals)

    return jax.lax.map(one, update + jnp.arange(count, dtype=jnp.int32))


def _drawn(windows: WindowSampler, drawn: Drawn, goals: int) -> tuple[Windows, Array, Array]:
    """Windows without pictures, and the rows of these."""
    found = windows.windows(drawn)
    ends = (drawn.begin + drawn.offset)[:goals]
    found = replace(found, goals={name: values[:goals] for name, values in found.goals.items()})
    return found, windows.past(drawn.rows), windows.goal_past(ends)
