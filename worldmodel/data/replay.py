"""Experience on the device: a ring buffer for each of E environments, and windows that never cross an episode.

Everything is a pure function of the buffer, so that adding and sampling happen inside compiled code. A slot holds an
observation and the action taken there; an episode's last observation takes an extra slot, without an action.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ..pytree import static
from ..types import Leaf
from .rewards import RewardEpisode


@register_dataclass
@dataclass(frozen=True)
class Replay:
    """Ring buffer. The slot at `head` always holds the newest observation, as if its episode ended there."""

    observations: Leaf  # [E, S, O]
    actions: Leaf  # [E, S, A] taken on them, in raw units
    rewards: Leaf  # [E, S] of the actions
    terminated: Leaf  # [E, S] bool, whether the action terminated the episode
    last: Leaf  # [E, S] bool, whether no action was taken: the next slot starts another episode
    head: Leaf  # [E] int32, the newest slot
    filled: Leaf  # [E] int32, slots in use, the newest included
    spare: int = static(0)  # slots of which none is in use: they hold what was overwritten last

    @classmethod
    def empty(cls, environments: int, slots: int, embedding_size: int, action_size: int, spare: int = 0) -> Replay:
        """Return an empty buffer.

        Args:
          environments: number E of environments, stepped in parallel.
          slots: observations kept for each environment.
          embedding_size: numbers in one observation.
          action_size: numbers in one action.
          spare: further slots, which are written before an observation in use is overwritten.
        """
        each = (environments, slots + spare)
        return cls(
            observations=jnp.zeros((*each, embedding_size), jnp.float32),
            actions=jnp.zeros((*each, action_size), jnp.float32),
            rewards=jnp.zeros(each, jnp.float32),
            terminated=jnp.zeros(each, bool),
            last=jnp.ones(each, bool),
            head=jnp.zeros(environments, jnp.int32),
            filled=jnp.zeros(environments, jnp.int32),
            spare=spare,
        )

    @property
    def slots(self) -> int:
        """Number of slots of each environment, S, spare ones included."""
        return self.observations.shape[1]

    @property
    def kept(self) -> int:
        """Number of observations of each environment that are kept."""
        return self.slots - self.spare


@register_dataclass
@dataclass(frozen=True)
class Transitions:
    """B windows of H steps, with the moments before them that their first representation needs."""

    observations: Leaf  # [B, P+H, O] of the vectors; the first P-1 lie before the window
    actions: Leaf  # [B, H, A]
    rewards: Leaf  # [B, H]
    terminated: Leaf  # [B, H] bool
    valid: Leaf  # [B, H] bool, whether the step was taken, in the episode that the window begins in
    pictures: dict[str, Leaf] = field(default_factory=dict)  # [B, P+H, ...] of each camera; they lie on the host


class Drawn(NamedTuple):
    """Places of a batch of windows."""

    rows: Array  # [B] int32, the environment
    slots: Array  # [B, P+H] int32, its moments in order


def of_episodes(
    episodes: Sequence[RewardEpisode], environments: int, slots: int, observation_size: int, action_size: int
) -> Replay:
    """Return a buffer that holds whole episodes, dealt to its environments round-robin.

    Args:
      episodes: whole ones, at least one for each environment.
      environments: that the episodes are dealt to.
      slots: observations kept of each environment.
      observation_size: numbers in one observation.
      action_size: numbers in one action.

    Raises:
      ValueError: episodes of other sizes, more than fit, or fewer than there are environments.
    """
    if len(episodes) < environments:
        raise ValueError(
            f"{len(episodes)} episodes cannot be dealt to {environments} environments: use fewer environments"
        )
    replay = Replay.empty(environments, slots, observation_size, action_size)
    names = [name for name in Replay.__dataclass_fields__ if name != "spare"]
    arrays = {name: np.array(getattr(replay, name)) for name in names}
    for number, episode in enumerate(episodes):
        sizes = episode.observations.shape[1], episode.actions.shape[1]
        if sizes != (observation_size, action_size):
            raise ValueError(
                f"episodes with {sizes[0]} sensor values and {sizes[1]} actions do not fit a task with "
                f"{observation_size} and {action_size}: use data of the same task"
            )
        if len(episode.observations) != len(episode.actions) + 1:
            raise ValueError(
                f"an episode has {len(episode.observations)} observations for {len(episode.actions)} actions; expected "
                "one more observation than actions"
            )
        row, steps = number % environments, len(episode.actions)
        first = int(arrays["filled"][row])
        if first + steps + 1 > slots:
            raise ValueError(
                f"the data do not fit a buffer of {slots} slots for each of {environments} environments: raise "
                "online.slots"
            )
        arrays["observations"][row, first : first + steps + 1] = episode.observations
        for name in ("actions", "rewards", "terminated"):
            arrays[name][row, first : first + steps] = getattr(episode, name)
        arrays["last"][row, first : first + steps] = False
        arrays["head"][row] = first + steps
        arrays["filled"][row] = first + steps + 1
    kept: dict[str, Any] = {name: jnp.asarray(array) for name, array in arrays.items()}
    return Replay(**kept)


def begin(replay: Replay, observations: Float[Array, "E O"], begins: Bool[Array, "E"]) -> Replay:
    """Store the first observations of new episodes, where `begins`: in a slot after the one that ended the last."""
    rows, head = jnp.arange(len(begins), dtype=jnp.int32), next_slot(replay, begins)
    kept = jnp.where(begins[:, None], observations, replay.observations[rows, head])
    return replace(
        replay,
        observations=replay.observations.at[rows, head].set(kept),
        last=replay.last.at[rows, head].set(jnp.where(begins, True, replay.last[rows, head])),
        head=head,
        filled=jnp.minimum(replay.filled + begins.astype(jnp.int32), replay.kept),
    )


def next_slot(replay: Replay, begins: Bool[Array, "E"]) -> Int[Array, "E"]:
    """Slot of each environment's present observation, as `begin` leaves it: a new one where an episode begins."""
    return jnp.where(begins & (replay.filled > 0), (replay.head + 1) % replay.slots, replay.head)


def add(
    replay: Replay,
    actions: Float[Array, "E A"],
    rewards: Float[Array, "E"],
    terminated: Bool[Array, "E"],
    observations: Float[Array, "E O"],
) -> Replay:
    """Store one step of each environment, from its newest observation to the given one.

    Args:
      replay: the buffer; it is not changed.
      actions: taken at the newest observations.
      rewards: of these actions.
      terminated: whether the action ended the episode for good.
      observations: after the actions.
    """
    rows = jnp.arange(len(rewards), dtype=jnp.int32)
    here, there = replay.head, (replay.head + 1) % replay.slots
    return replace(
        replay,
        observations=replay.observations.at[rows, there].set(observations),
        actions=replay.actions.at[rows, here].set(actions),
        rewards=replay.rewards.at[rows, here].set(rewards),
        terminated=replay.terminated.at[rows, here].set(terminated),
        last=replay.last.at[rows, here].set(False).at[rows, there].set(True),
        head=there,
        filled=jnp.minimum(replay.filled + 1, replay.kept),
    )


def take_back(replay: Replay, steps: Int[Array, "E"]) -> Replay:
    """Remove the newest steps of each environment, together with the observation that they started from."""
    removed = jnp.where(steps > 0, jnp.minimum(steps + 1, replay.filled), 0)
    rows, head = jnp.arange(len(removed), dtype=jnp.int32), (replay.head - removed) % replay.slots
    last = replay.last.at[rows, head].set(jnp.where(removed > 0, True, replay.last[rows, head]))
    return replace(replay, last=last, head=head, filled=replay.filled - removed)


def sample(replay: Replay, key: PRNGKeyArray, batch: int, horizon: int, history: int = 1) -> Transitions:
    """Return the windows of `draw`.

    Args:
      replay: the buffer.
      key: consumed.
      batch: number of windows.
      horizon: steps in a window.
      history: P, moments in one representation.
    """
    return windows(replay, draw(replay, key, batch, horizon, history), horizon)


def draw(replay: Replay, key: PRNGKeyArray, batch: int, horizon: int, history: int = 1) -> Drawn:
    """Return the places of windows that begin at steps drawn uniformly from all that are kept.

    Each environment must have filled more than `horizon` slots. A window that begins at an episode's last observation
    has no valid step: about one per episode length.

    Args:
      replay: the buffer.
      key: consumed.
      batch: number of windows.
      horizon: steps in a window.
      history: P, moments in one representation; the first one of an episode is repeated before it.
    """
    environments = replay.head.shape[0]
    row_key, slot_key = jax.random.split(key)
    rows = jax.random.randint(row_key, (batch,), 0, environments, jnp.int32)
    # Counted from the oldest slot: slots that the head has yet to overwrite never count as following the newest.
    oldest = replay.head - replay.filled + 1
    most = jnp.maximum(replay.filled - horizon, 1)[rows]
    starts = oldest[rows] + jax.random.randint(slot_key, (batch,), 0, most, jnp.int32)
    return Drawn(rows, stretch(replay, rows, starts, history, horizon))


def stretch(
    replay: Replay, rows: Int[Array, "B"], starts: Int[Array, "B"], history: int, horizon: int
) -> Int[Array, "B L"]:
    """Slots from P-1 moments before each start to H after it, [B, P+H].

    Args:
      replay: the buffer.
      rows: environments.
      starts: slots, not necessarily wrapped around.
      history: P; moments before the first of the start's episode are that one.
      horizon: H.
    """
    slots = (starts[:, None] + jnp.arange(horizon + 1, dtype=jnp.int32)[None]) % replay.slots
    if history == 1:
        return slots
    back = jnp.arange(1, history, dtype=jnp.int32)[None]  # [1, P-1], nearest first
    before = (starts[:, None] - back) % replay.slots
    oldest = (replay.head - replay.filled + 1)[rows]
    age = (starts - oldest) % replay.slots  # moments of this environment before the start
    ended = replay.last[rows[:, None], before] | (back > age[:, None])
    reached = history - 1 - jnp.sum(jnp.cumsum(ended, axis=1, dtype=jnp.int32) > 0, axis=1, dtype=jnp.int32)
    before = (starts[:, None] - jnp.minimum(back, reached[:, None])) % replay.slots
    return jnp.concatenate([before[:, ::-1], slots], axis=1)


def windows(replay: Replay, drawn: Drawn, horizon: int) -> Transitions:
    """Return the windows of `horizon` steps at drawn places, without pictures."""
    rows, slots = drawn
    steps = slots[:, -horizon - 1 : -1]
    over = jnp.cumsum(replay.last[rows[:, None], steps], axis=1, dtype=jnp.int32)
    return Transitions(
        observations=replay.observations[rows[:, None], slots],
        actions=replay.actions[rows[:, None], steps],
        rewards=replay.rewards[rows[:, None], steps],
        terminated=replay.terminated[rows[:, None], steps],
        valid=over == 0,
    )
