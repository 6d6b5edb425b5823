"""The return of imagined futures, against sums written out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from planning import Return
from planning.costs import Imagined

from .toys import PointMass, box, point_mass

LATENTS = jnp.array([[[1.0, 1.0, 5.0], [2.0, 0.5, 7.0]], [[0.0, 0.0, 1.0], [9.0, 1.0, 9.0]]])  # earned, goes on, value


class Model(PointMass):
    def earned(self, params, latent):
        return latent[..., 0]

    def value(self, params, latent):
        return latent[..., 2]


class Ending(Model):
    def continues(self, params, latent):
        return latent[..., 1]


def cost(model):
    imagined = Imagined(jnp.zeros(3), LATENTS, jnp.zeros(3), jnp.zeros((2, 2, 1)))
    return Return(discount=0.5)(model, imagined, box(1))


def test_rewards_are_discounted_and_the_last_value_counts():
    np.testing.assert_allclose(cost(Model(None)), [-(1 + 0.5 * 2 + 0.25 * 7), -(0.5 * 9 + 0.25 * 9)])


def test_what_follows_an_end_earns_nothing():
    np.testing.assert_allclose(cost(Ending(None)), [-(1 + 0.5 * 2 + 0.25 * 0.5 * 7), 0.0])


def test_a_model_that_tells_no_rewards_is_refused():
    with pytest.raises(ValueError, match="Return needs a model with a earned head, and this one has none: train one"):
        cost(point_mass())
