import jax
import jax.numpy as jnp
import pytest

from experiments.bench.flops import gemm_flops, sgemm_gflops

A, B = jnp.ones((3, 5)), jnp.ones((5, 7))
ONE = 2 * 3 * 5 * 7


def count(function, *arguments):
    return gemm_flops(jax.make_jaxpr(function)(*arguments))


def test_products_count_and_elementwise_work_does_not():
    assert count(lambda a, b: jnp.tanh(a @ b) + 1.0, A, B) == ONE
    assert count(jax.jit(lambda a, b: a @ b), A, B) == ONE
    assert count(jax.vmap(lambda a: a @ B), jnp.ones((4, 3, 5))) == 4 * ONE
    assert count(lambda a: jnp.sin(a), A) == 0


def test_a_gradient_counts_its_products():
    """One product forwards, and one for each of the two arguments backwards; only one for a single argument."""
    loss = lambda a, b: jnp.sum(jnp.square(a @ b))  # noqa: E731
    assert count(jax.value_and_grad(loss, argnums=(0, 1)), A, B) == 3 * ONE
    assert count(jax.value_and_grad(loss), A, B) == 2 * ONE


def test_a_scan_counts_its_body_for_each_round_and_a_branch_the_most_expensive():
    def body(carry, _):
        return carry @ jnp.ones((5, 5)), None

    assert count(lambda a: jax.lax.scan(body, a, None, length=6)[0], A) == 6 * 2 * 3 * 5 * 5
    branch = lambda a: jax.lax.cond(a[0, 0] > 0, lambda a: a @ B, lambda a: a[:, :1] * jnp.ones((1, 7)), a)  # noqa: E731
    assert count(branch, A) == ONE


def test_loops_of_unknown_length_are_refused_only_if_they_multiply():
    def loop(body, a):
        return jax.lax.while_loop(lambda a: a[0, 0] < 1, body, a)

    assert count(lambda a: loop(lambda a: a + 1, a), A) == 0
    with pytest.raises(ValueError, match="of a while cannot be counted"):
        count(lambda a: loop(lambda a: a @ jnp.ones((5, 5)), a), A)


def test_the_rate_of_a_product_is_positive():
    assert sgemm_gflops(size=64, seconds=0.01) > 0
