"""The return of imagined futures, against sums written out by hand."""

import jax.numpy as jnp
import numpy as np
import pytest

from planning import Return
from planning.imagined import Imagined

from .toys import PointMass, box, point_mass

REWARDS = jnp.array([[1.0, 2.0], [0.0, 9.0]])
CONTINUATIONS = jnp.array([[1.0, 0.5], [0.0, 1.0]])
LATENTS = jnp.array([[[5.0], [7.0]], [[1.0], [9.0]]])  # its own value


class Model(PointMass):
    def value(self, params, latent):
        return latent[..., 0]


MODEL = Model(None)


def cost(rewards, continuations=None, model=MODEL):
    imagined = Imagined(jnp.zeros(1), LATENTS, jnp.zeros(1), jnp.zeros((2, 2, 1)), None, None, rewards, continuations)
    return Return(discount=0.5)(model, imagined, box(1))


def test_rewards_are_discounted_and_the_last_value_counts():
    np.testing.assert_allclose(cost(REWARDS), [-(1 + 0.5 * 2 + 0.25 * 7), -(0.5 * 9 + 0.25 * 9)])


def test_what_follows_an_end_earns_nothing():
    np.testing.assert_allclose(cost(REWARDS, CONTINUATIONS), [-(1 + 0.5 * 2 + 0.25 * 0.5 * 7), 0.0])


@pytest.mark.parametrize(("rewards", "model", "word"), [(None, MODEL, "reward"), (REWARDS, point_mass(), "value")])
def test_a_model_without_rewards_or_value_is_refused(rewards, model, word):
    with pytest.raises(ValueError, match=f"Return needs a model with a {word} head, and this one has none: train one"):
        cost(rewards, model=model)
