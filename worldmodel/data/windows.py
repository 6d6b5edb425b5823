"""Sub-trajectories drawn inside the compiled training step, from arrays that live on the device.

A window starts at any row from which H blocks of K steps fit into the episode; its observation stacks hold the last P
rows, and older ones where a model remembers, and repeat the first observation where the episode starts. Goals for the
critic come from the future of the same episode, near and far. A goal is given by what is seen there and has no older
past, so in its stack the earliest of the last P rows stands for what came before.
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass
from jaxtyping import Array, Bool, Int, PRNGKeyArray
from numpy import ndarray

from ..pytree import static
from ..types import Windows
from .episodes import EpisodeData

logger = logging.getLogger(__name__)

_NAMED = 5  # episodes listed in one message
_LABELLED = 0.25  # least share of a batch that is drawn from windows with recorded actions, where there are any
_IMITATED = 0.5  # share of a batch to imitate that is drawn from demonstrations, where some episodes are such


class Drawn(NamedTuple):
    """Rows of a batch of windows."""

    begin: Array  # [B] int32, the first row of each window
    rows: Array  # [B, H+1] int32, the newest row of each of its stacks
    offset: Array  # [B] int32, environment steps from the first row to the goal


@register_dataclass
@dataclass(frozen=True)
class WindowSampler:
    """Dataset on the device, with the rows at which a window may start."""

    observations: dict[str, Array]  # [M, ...] of each sensor; of vectors and flags only, for `FrameWindows`
    actions: Array  # [M, A]
    first: Array  # [M]
    last: Array  # [M]
    starts: Array  # [W]
    probe_targets: Array | None  # [M, Q]
    labelled: Array | None  # [M] bool, whether the action of a row was recorded; None: all were
    labelled_starts: Array | None  # [L] of windows with a recorded block, where these are rare
    demonstrated: Array | None  # [M] bool, whether a row's episode is to be imitated; None: every one is
    demonstrated_starts: Array | None  # [D] of windows to imitate
    favoured: Array | None  # [F] of windows from which `share` of a batch is drawn; None: there are none
    history: int = static()
    blocks: int = static()
    action_block: int = static()
    older: tuple[int, ...] = static(default=())  # steps back from the newest row to rows before the last P
    share: float = static(default=0.0)  # of a batch

    @classmethod
    def of(
        cls,
        data: EpisodeData,
        history: int,
        blocks: int,
        action_block: int,
        probe_targets: ndarray | None = None,
        left_out: Collection[str] = (),
        older: tuple[int, ...] = (),
        contact: Bool[ndarray, "M"] | None = None,
        contact_share: float = 0.0,
    ) -> WindowSampler:
        """Move the data to the device.

        Args:
          data: the episodes.
          history: the last observations in one stack, P.
          blocks: model steps in a window, H.
          action_block: environment steps in a block, K.
          probe_targets: `[M, Q]`, what the probe learns to decode in each row; None: nothing.
          left_out: sensors that stay on the host.
          older: steps back from the newest row of a stack to further ones, which come first.
          contact: whether something is touched in each row.
          contact_share: share of a batch that is drawn from windows in which it is, evenly spread over the batch; the
            rest is drawn from all windows. 0: nothing is drawn differently.

        Raises:
          ValueError: no episode is long enough for a window, probe targets that do not belong to the rows, or no window
            with contact or to imitate where there should be some.
        """
        span = blocks * action_block
        starts = np.flatnonzero(np.arange(len(data.last)) + span <= data.last)
        if len(starts) == 0:
            firsts, lasts = np.unique(data.first), np.unique(data.last)
            longest = int((lasts - firsts).argmax())
            steps = int(lasts[longest] - firsts[longest])
            raise ValueError(
                f"no episode is long enough to learn from: the longest has {steps} step{'s' if steps != 1 else ''} "
                f"({data.name(longest)}), and a window needs {span} ({blocks} blocks of {action_block}); take shorter "
                "windows or longer episodes"
            )
        _warn_of_short_episodes(data, span)
        if probe_targets is not None and len(probe_targets) != data.rows:
            raise ValueError(f"{len(probe_targets)} probe targets for {data.rows} rows of data")
        labelled, labelled_starts = _labels(data, starts, blocks, action_block)
        favoured = _with_contact(contact, starts, span) if contact_share else None
        demonstrated_starts = None if data.demonstrated is None else _to_imitate(data.demonstrated, starts, span)
        return cls(
            observations={name: jnp.asarray(values) for name, values in data.readings.items() if name not in left_out},
            actions=jnp.asarray(data.actions if labelled is None else np.nan_to_num(data.actions)),
            first=jnp.asarray(data.first),
            last=jnp.asarray(data.last),
            starts=jnp.asarray(starts, jnp.int32),
            probe_targets=None if probe_targets is None else jnp.asarray(probe_targets, jnp.float32),
            labelled=labelled,
            labelled_starts=labelled_starts,
            demonstrated=None if data.demonstrated is None else jnp.asarray(data.demonstrated),
            demonstrated_starts=demonstrated_starts,
            favoured=favoured,
            history=history,
            blocks=blocks,
            action_block=action_block,
            older=older,
            share=contact_share,
        )

    def to_imitate(self) -> WindowSampler:
        """Return the same dataset with half of each batch from demonstrations, where some of the episodes are such."""
        if self.demonstrated_starts is None:
            return self
        return replace(self, favoured=self.demonstrated_starts, share=_IMITATED)

    def stack(self, rows: Int[Array, "..."]) -> dict[str, Array]:
        """Return the observations of the stack that ends at each row, each sensor [..., P, ...], older ones first.

        An episode's first observation is repeated before its start.
        """
        return self._at(self.past(rows))

    def past(self, rows: Int[Array, "..."]) -> Int[Array, "... P"]:
        """Return the rows of the stack that ends at each row."""
        return self._back(rows, (*self.older, *self._recent))

    def goal_past(self, rows: Int[Array, "..."]) -> Int[Array, "... P"]:
        """Return the rows of the stack of a goal at each row: it has no older past."""
        return self._back(rows, (*(self.history - 1,) * len(self.older), *self._recent))

    def consecutive(self, rows: Int[Array, "..."]) -> Int[Array, "... R"]:
        """Return the rows of all moments that the stack that ends at each row looks back over, one after the other."""
        return self._back(rows, tuple(range((*self.older, *self._recent)[0], -1, -1)))

    @property
    def _recent(self) -> range:
        return range(self.history - 1, -1, -1)

    def _at(self, rows: Int[Array, "..."]) -> dict[str, Array]:
        return {name: values[rows] for name, values in self.observations.items()}

    def _back(self, rows: Int[Array, "..."], back: tuple[int, ...]) -> Int[Array, "... P"]:
        reached = rows[..., None] - jnp.asarray(back, rows.dtype).reshape((1,) * rows.ndim + (-1,))
        return jnp.maximum(reached, self.first[rows][..., None])

    def sample(self, key: PRNGKeyArray, batch: int) -> Windows:
        """Draw `batch` windows, each with one goal for the critic. The key is consumed.

        Half of the goals lie uniformly in the episode's future, half at a log-uniform offset, so that near goals are
        as frequent as far ones.
        """
        return self.windows(self.draw(key, batch))

    def windows(self, drawn: Drawn) -> Windows:
        """Return the windows at drawn rows."""
        begin, rows, offset = drawn
        return Windows(
            observations=self.stack(rows),
            actions=self.actions_of(begin),
            goals=self._at(self.goal_past(begin + offset)),
            goal_offset=offset,
            episode=self.first[begin],
            probe_targets=None if self.probe_targets is None else self.probe_targets[begin],
            labelled=self.labels_of(begin),
        )

    def draw(self, key: PRNGKeyArray, batch: int) -> Drawn:
        """Draw the rows of `batch` windows. The key is consumed."""
        start_key, goal_key, near_key = jax.random.split(key, 3)
        begin = self.starts[jax.random.randint(start_key, (batch,), 0, len(self.starts))]
        if self.favoured is not None:
            chosen = jax.random.randint(jax.random.fold_in(start_key, 1), (batch,), 0, len(self.favoured))
            begin = jnp.where(_spread(self.share, batch), self.favoured[chosen], begin)
        if self.labelled_starts is not None:  # at the end: the first windows stay as frequent as they are in the data
            known = jax.random.fold_in(start_key, 0)
            count = round(_LABELLED * batch)
            chosen = jax.random.randint(known, (count,), 0, len(self.labelled_starts))
            begin = begin.at[batch - count :].set(self.labelled_starts[chosen])
        blocks = jnp.arange(self.blocks + 1, dtype=begin.dtype) * self.action_block
        remaining = (self.last[begin] - begin).astype(jnp.float32)
        uniform = jax.random.uniform(goal_key, (batch,))
        log_uniform = (1.0 + remaining) ** uniform - 1.0
        near = jax.random.bernoulli(near_key, 0.5, (batch,))
        offset = jnp.round(jnp.where(near, log_uniform, uniform * remaining)).astype(jnp.int32)
        return Drawn(begin, begin[:, None] + blocks[None, :], offset)

    def sequence_starts(self, moments: int) -> Int[Array, "S"]:
        """Return the rows from which an episode has so many consecutive moments, with all actions between them.

        Args:
          moments: of a sequence.

        Raises:
          ValueError: there is none.
        """
        last = np.asarray(self.last)
        starts = np.flatnonzero(np.arange(len(last)) + moments - 1 <= last)
        if self.labelled is not None:
            unknown = np.concatenate([[0], np.cumsum(~np.asarray(self.labelled))])
            starts = starts[unknown[starts + moments - 1] == unknown[starts]]
        if not len(starts):
            longest = int((last - np.asarray(self.first)).max()) + 1
            raise ValueError(
                f"a belief learns from sequences of {moments} moments with their actions, and there is none in the "
                f"data, whose longest episode has {longest} moments: lower training.belief_moments, or take longer "
                "episodes"
            )
        return jnp.asarray(starts, jnp.int32)

    def actions_of(self, begin: Int[Array, "B"]) -> Array:
        """Return the actions `[B, H, K, A]` of windows by their first rows."""
        actions = self.actions[self._steps(begin)]
        return actions.reshape(len(begin), self.blocks, self.action_block, -1)

    def labels_of(self, begin: Int[Array, "B"]) -> Array | None:
        """Return which blocks `[B, H]` of windows have recorded actions; None: all."""
        if self.labelled is None:
            return None
        known = self.labelled[self._steps(begin)]
        return jnp.all(known.reshape(len(begin), self.blocks, self.action_block), axis=-1)

    def _steps(self, begin: Int[Array, "B"]) -> Int[Array, "B T"]:
        """Rows at which the actions of windows were taken."""
        steps = jnp.arange(self.blocks * self.action_block, dtype=begin.dtype)
        return begin[:, None] + steps[None, :]


def _labels(data: EpisodeData, starts: ndarray, blocks: int, action_block: int) -> tuple[Array | None, Array | None]:
    """Return which rows have recorded actions, and the starts of windows with a recorded block where these are rare."""
    if data.is_labelled:
        return None, None
    steps = starts[:, None] + np.arange(blocks * action_block)
    whole = np.logical_and.reduce(data.labelled[steps].reshape(len(starts), blocks, action_block), axis=2)
    known = np.logical_or.reduce(whole, axis=1)
    rare = 0 < known.mean() < _LABELLED
    return jnp.asarray(data.labelled), jnp.asarray(starts[known], jnp.int32) if rare else None


def _with_contact(contact: Bool[ndarray, "M"] | None, starts: ndarray, span: int) -> Array:
    """Return the starts of windows in which something is touched at some moment."""
    if contact is None:
        raise ValueError("training.contact_share needs to know when something is touched: give contact, or set it to 0")
    before = np.concatenate([[0], np.cumsum(contact)])
    found = starts[before[starts + span + 1] > before[starts]]
    if not len(found):
        raise ValueError(
            "training.contact_share draws windows in which something is touched, and there is none in the data: set it "
            "to 0, or record contact"
        )
    return jnp.asarray(found, jnp.int32)


def _to_imitate(demonstrated: Bool[ndarray, "M"], starts: ndarray, span: int) -> Array:
    """Return the starts of windows of demonstrations."""
    if not demonstrated[starts].any():
        raise ValueError(f"no demonstration is long enough to learn from: a window needs {span} steps")
    return jnp.asarray(starts[demonstrated[starts]], jnp.int32)


def _spread(share: float, batch: int) -> Bool[ndarray, "B"]:
    """Mask of a share of a batch, spread so evenly that every beginning of it has that share, too."""
    return np.arange(batch) * round(share * batch) % batch < round(share * batch)


def _warn_of_short_episodes(data: EpisodeData, span: int) -> None:
    """Log the episodes that are too short for a window and are not used in training."""
    short = np.flatnonzero(np.unique(data.last) - np.unique(data.first) < span)
    if len(short):
        names = ", ".join(data.name(int(episode)) for episode in short[:_NAMED])
        logger.warning(
            "%d of %d episodes have fewer than the %d steps of a window, and nothing is learned from them: %s%s",
            len(short),
            data.episodes,
            span,
            names,
            " and others" if len(short) > _NAMED else "",
        )
