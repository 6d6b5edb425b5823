"""The contract with a world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

import jax.numpy as jnp

from .arrays import Array, Float

Params = Any
Head = Callable[..., Array]


class Prediction(NamedTuple):
    """The outcome of one model step; of several, with an axis of steps after the batch axes.

    Rewards and continuations are None where the model does not predict them.
    """

    latent: Array  # [..., D] after the step
    reward: Array | None = None  # [...] reward of the block of actions
    continuation: Array | None = None  # [...] probability that the episode does not end on the way


@runtime_checkable
class Leap(Protocol):
    """Slower dynamics: `(params, latent [D], choice [M]) -> latent [D]`, many environment steps later.

    A choice says which of the possible futures comes about; those of a standard normal distribution are as likely as
    in the data.
    """

    @property
    def size(self) -> int:
        """Numbers in a choice, M."""
        ...

    @property
    def steps(self) -> int:
        """Environment steps of a leap."""
        ...

    def __call__(self, params: Params, latent: Float[Array, "... D"], choice: Float[Array, "... M"]) -> Any:
        """Return the latent after the leap."""
        ...


@runtime_checkable
class LandmarksLike(Protocol):
    """Places in representation space with the ways between them: L landmarks, each with up to N ways from it."""

    @property
    def latents(self) -> Array:
        """`[L, D]`."""
        ...

    @property
    def neighbours(self) -> Array:
        """`[L, N]` int32, where the ways from each landmark lead."""
        ...

    @property
    def steps(self) -> Array:
        """`[L, N]`, environment steps of these ways; at least `planning.landmarks.NO_WAY` where there is none."""
        ...


@dataclass(frozen=True)
class Heads:
    """Optional functions of a model in addition to its dynamics, each None where it is absent.

    They are static, take the model's `params` first, and accept any leading axes.
    """

    value: Head | None = None  # (params, latent [D]) -> []: the return from there on
    policy: Head | None = None  # (params, latent [D], goal [D]) -> [M, A]: the next actions, in whole action blocks
    distance: Head | None = None  # (params, latent [D], goal [D]) -> []: environment steps between them
    inverse: Head | None = None  # (params, latent [D], later [D]) -> [M, A]: the actions from one to the other
    # (params, embedding [E], mask [E]) -> [D]: the latent of the parts in the mask; or [M, D], of which each solves it
    goal: Head | None = None
    probe: Head | None = None  # (params, latent [D]) -> [Q]: positions, for display and for guards
    # (params, latent [D] and embedding [E] of the moment before, action [A], embedding [E] of the moment, known [S],
    # ages [S]) -> reading [E], standard deviation [E], trust [S]: what sensors that are not known would read
    fill: Callable[..., tuple[Array, Array, Array]] | None = None
    leap: Leap | None = None
    landmarks: Callable[[Params], LandmarksLike] | None = None  # (params) -> the landmarks, and ways between them


def reflex_action(actions: Float[Array, "... M A"], action_block: int) -> Float[Array, "... A"]:
    """Return what a policy does now: the mean of its next block of actions.

    What a policy learns is where a block leads. How much each of its actions contributes is not determined, so the
    first one alone, again and again, may stop short of the goal.

    Args:
      actions: of `Heads.policy`, in whole action blocks.
      action_block: K.
    """
    return jnp.mean(actions[..., :action_block, :], axis=-2)


@runtime_checkable
class PredictionLike(Protocol):
    """Any pytree with the attributes of `Prediction`: a world model need not import `planning`."""

    @property
    def latent(self) -> Any:
        """Latent `[..., D]`."""
        ...

    @property
    def reward(self) -> Any:
        """Reward `[...]`, or None."""
        ...

    @property
    def continuation(self) -> Any:
        """Continuation `[...]`, or None."""
        ...


@runtime_checkable
class HeadsLike(Protocol):
    """Any object with the attributes of `Heads`."""

    @property
    def value(self) -> Head | None:
        """See `Heads.value`."""
        ...

    @property
    def policy(self) -> Head | None:
        """See `Heads.policy`."""
        ...

    @property
    def distance(self) -> Head | None:
        """See `Heads.distance`."""
        ...

    @property
    def inverse(self) -> Head | None:
        """See `Heads.inverse`."""
        ...

    @property
    def goal(self) -> Head | None:
        """See `Heads.goal`."""
        ...

    @property
    def probe(self) -> Head | None:
        """See `Heads.probe`."""
        ...

    @property
    def fill(self) -> Callable[..., tuple[Array, Array, Array]] | None:
        """See `Heads.fill`."""
        ...

    @property
    def leap(self) -> Leap | None:
        """See `Heads.leap`."""
        ...

    @property
    def landmarks(self) -> Callable[[Params], LandmarksLike] | None:
        """See `Heads.landmarks`."""
        ...


@runtime_checkable
class ObservationLike(Protocol):
    """A specification of observations, as in `planning.observation` or a user's own model."""

    @property
    def sensors(self) -> tuple[Any, ...]:
        """Sensors, each with name, shape, dtype, period, optional, interpolates, features, and symmetry if any."""
        ...


@runtime_checkable
class LatentModel(Protocol):
    """A world model as the planner sees it: static functions over `params`, which is the only part that holds arrays.

    An implementation is a pytree whose leaves are exactly those of `params`, and whose functions compare equal when the
    architecture is equal: new weights then never trigger a recompile.
    """

    @property
    def params(self) -> Params:
        """Every array of the model."""
        ...

    @property
    def history(self) -> int:
        """History P: the number of moments, one environment step apart, that one latent looks back over."""
        ...

    @property
    def action_block(self) -> int:
        """Action block K: environment steps in one model step."""
        ...

    @property
    def observation(self) -> ObservationLike:
        """The sensors in order."""
        ...

    @property
    def embedding_size(self) -> int:
        """Size E of the embedding of one moment."""
        ...

    @property
    def action_size(self) -> int:
        """A."""
        ...

    @property
    def latent_size(self) -> int:
        """D."""
        ...

    @property
    def ensemble(self) -> int:
        """Ensemble size E: members that predict; 1 for a model that is not an ensemble."""
        ...

    @property
    def heads(self) -> HeadsLike:
        """Optional functions in addition to the dynamics."""
        ...

    def embed(self, params: Params, observation: Mapping[str, Array]) -> Float[Array, "... E"]:
        """Embed one moment as a row, from the readings by sensor; those of vector sensors are unchanged.

        Called once a control step: an image is not embedded again for each moment of the history.
        """
        ...

    def encode(self, params: Params, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """Encode the last P moments, newest last, as a latent. A model may look at some of them alone."""
        ...

    def predict(self, params: Params, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> PredictionLike:
        """Predict the outcome of one block of actions.

        With one leading axis more in `latent` than in `block`, the first members of an ensemble predict, each from its
        own latent, and every part of the result has that axis.
        """
        ...
