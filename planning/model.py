"""The contract with a world model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol, runtime_checkable

from .arrays import Array, Float

Params = Any


class Sensors(Protocol):
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

    A model may offer more, which is read where a cost asks for it: `reward(params, latent [..., D], block [..., K, A])
    -> [...]`, what a block earns; `value(params, latent [..., D]) -> [...]`; `earned(params, latent [..., D])
    -> [...]`, what the step that led to a latent earned, and `continues` of the same shapes, the probability that it
    did not end the episode; and `ensemble`, the number E of members: above 1, `predict` also takes and gives latents
    with a leading axis of the first members, each of which goes on from its own. `policy(params, latent [..., D],
    goal [..., D]) -> [..., M, A]` is what to do next, in whole blocks, and `inverse` of the same shapes what led from
    one to the other. `goal(params, embedding [..., E], mask [..., E]) -> [..., D]` is the latent of a goal of which
    only what the mask holds is asked for.
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
    def observation(self) -> Sensors:
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

    def embed(self, params: Params, observation: Mapping[str, Array]) -> Float[Array, "... E"]:
        """One moment as a row of numbers, from the readings by sensor; of vector sensors they stay as they are.

        Called once a control step: what a picture costs is not paid again for each moment of the history.
        """
        ...

    def encode(self, params: Params, embeddings: Float[Array, "... P E"]) -> Float[Array, "... D"]:
        """The latent of the last P moments, newest last."""
        ...

    def predict(
        self, params: Params, latent: Float[Array, "... D"], block: Float[Array, "... K A"]
    ) -> Float[Array, "... D"]:
        """The latent after one block of actions."""
        ...

    @property
    def distance(self) -> Callable[[Params, Array, Array], Array] | None:
        """`distance(params, latent [..., D], goal [..., D]) -> [...]`, environment steps between them; or None."""
        ...

    @property
    def probe(self) -> Callable[[Params, Array], Array] | None:
        """`probe(params, latent [..., D]) -> [..., Q]`, positions for the eye and for guards; or None."""
        ...


def ensemble_size(model: LatentModel) -> int:
    """E: how many members predict; 1 for a model that is no ensemble."""
    return int(getattr(model, "ensemble", 1))
