import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from worldmodel.nets.products import linear, product

KEYS = jax.random.split(jax.random.key(0), 3)


@pytest.mark.parametrize("shape", [(5,), (7, 5), (2, 3, 5)])
def test_value_and_gradients_are_those_of_a_plain_product(shape):
    values, kernel = jax.random.normal(KEYS[0], shape), jax.random.normal(KEYS[1], (5, 4))
    weights = jax.random.normal(KEYS[2], (*shape[:-1], 4))

    def loss(multiply, values, kernel):
        return jnp.sum(weights * jnp.tanh(multiply(values, kernel)))

    np.testing.assert_array_equal(product(values, kernel), values @ kernel)
    found = jax.grad(lambda *given: loss(product, *given), argnums=(0, 1))(values, kernel)
    expected = jax.grad(lambda *given: loss(jnp.matmul, *given), argnums=(0, 1))(values, kernel)
    for one, other in zip(found, expected, strict=True):
        assert one.shape == other.shape
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)


def test_a_layer_is_what_it_was():
    layer = nnx.Linear(5, 4, bias_init=nnx.initializers.normal(1.0), rngs=nnx.Rngs(0))
    values = jax.random.normal(KEYS[0], (2, 3, 5))
    np.testing.assert_allclose(linear(layer, values), layer(values), rtol=1e-6, atol=1e-6)
