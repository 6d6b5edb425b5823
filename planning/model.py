"""The contract with a world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, runtime_checkable

from .arrays import Array, Float

Params = Any
Head = Callable[..., Array]


class Prediction(NamedTuple):
    """The outcome of one model step; of several, with an axis of steps after the batch axes.

    Rewards and continuations are None where the model does not foresee them.
    """

    latent: Array  # [..., D] after the step
    reward: Array | None = None  # [...] what the block of actions earns
    continuation: Array | None = None  # [...] probability that the episode does not end on the way


@dataclass(frozen=True)
class Heads:
    """The functions that a model may offer beside its dynamics, each None where it is absent.

    They are static, take the model's `params` first, and accept any leading axes.
    """

    value: Head | None = None  # (params, latent [D]) -> []: the return from there on
    policy: Head | None = None  # (params, latent [D], goal [D]) -> [M, A]: what to do next, in whole action blocks
    distance: Head | None = None  # (params, latent [D], goal [D]) -> []: environment steps between them
    inverse: Head | None = None  # (params, latent [D], later [D]) -> [M, A]: the actions from one to the other
    goal: Head | None = None  # (params, embedding [E], mask [E]) -> [D]: the latent of what the mask asks for
    probe: Head | None = None  # (params, latent [D]) -> [Q]: positions, for display and for guards


@runtime_checkable
class PredictionLike(Protocol):
    """Any pytree with the attributes of `Prediction`: a world model need not import `planning`."""

    @property
    def latent(self) -> Any:
        """`[..., D]`."""
        ...

    @property
    def reward(self) -> Any:
        """`[...]`, or None."""
        ...

    @property
    def continuation(self) -> Any:
        """`[...]`, or None."""
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


@runtime_checkable
class ObservationLike(Protocol):
    """A specification of observations, as `planning.observation` and any model of one's own has it."""

    @property
    def sensors(self) -> tuple[Any, ...]:
        """Each with name, shape, dtype, period, optional, interpolates and features."""
        ...


@runtime_checkable
class LatentModel(Protocol):
    """A world model as the planner sees it: static functions over `params`, which is the only part that holds arrays.

    An implementation is a pytree whose leaves are exactly those of `params`, and whose functions compare equal when the
    architecture is equal: new weights then never compile anew.
    """

    @property
    def params(self) -> Params:
        """Every array of the model."""
        ...

    @property
    def history(self) -> int:
        """P: how many moments, one environment step apart, make one latent."""
        ...

    @property
    def action_block(self) -> int:
        """K: environment steps in one model step."""
        ...

    @property
    def observation(self) -> ObservationLike:
        """The sensors in order."""
        ...

    @property
    def embedding_size(self) -> int:
        """E: how many numbers stand for one moment."""
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
        """E: members that predict; 1 for a model that is no ensemble."""
        ...

    @property
    def heads(self) -> HeadsLike:
        """What the model offers beside its dynamics."""
        ...

    def embed(self, params: Params, observation: Mapping[str, Array]) -> Float[Array, "... E"]:
        """One moment as a row of numbers, from the readings by sensor; of vector sensors they stay as they are.

        Called once a control step: what a picture costs is not paid again for each moment of the history.
        """
        ...

    def encode(self, params: Params, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """The latent of the last P moments, newest last."""
        ...

    def predict(self, params: Params, latent: Float[Array, "... D"], block: Float[Array, "... K A"]) -> PredictionLike:
        """What one block of actions leads to.

        With one leading axis more in `latent` than in `block`, the first members of an ensemble predict, each from a
        latent of its own, and every part of the result has that axis.
        """
        ...
