import jax
import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.losses.collapse import GAUSSIAN_VALUE, PUBLISHED_BATCH, epps_pulley, sigreg, sigreg_loss


def closed_form(x: np.ndarray) -> float:
    """The statistic's integral over the whole line, worked out on paper: what the quadrature stands for."""
    n = len(x)
    pairs = np.exp(-np.square(x[:, None] - x[None]) / 2).sum() / n
    return float(np.sqrt(2 * np.pi) * (pairs - np.sqrt(2) * np.exp(-np.square(x) / 4).sum() + n / np.sqrt(3)))


def direct(x: np.ndarray) -> float:
    """The published sum over knots, with every cosine and sine computed by itself."""
    knots = np.linspace(0, 3, 17)
    weight = np.full(17, 2 * 3 / 16)
    weight[[0, -1]] = 3 / 16
    target = np.exp(-np.square(knots) / 2)
    phase = x[:, None] * knots
    gap = np.square(np.cos(phase).mean(0) - target) + np.square(np.sin(phase).mean(0))
    return float(len(x) * (weight * target * gap).sum())


@pytest.mark.parametrize(("scale", "shift"), [(1.0, 0.0), (0.5, 0.0), (0.1, 0.0), (1.0, 0.7), (2.0, -0.3)])
def test_statistic_is_the_published_sum_and_close_to_its_integral(scale, shift):
    x = (scale * np.random.default_rng(0).normal(size=400) + shift).astype(np.float32)
    found = float(epps_pulley(jnp.asarray(x)[:, None])[0])
    assert found == pytest.approx(direct(x.astype(np.float64)), rel=2e-4, abs=2e-4)
    assert found == pytest.approx(closed_form(x.astype(np.float64)), rel=0.02, abs=0.02)


@pytest.mark.parametrize("batch", [64, 512])
def test_reference_values_at_a_gaussian_and_at_collapse(key, batch):
    gaussian = jnp.mean(epps_pulley(jax.random.normal(key, (batch, 4000))))
    assert float(gaussian) == pytest.approx(GAUSSIAN_VALUE, rel=0.03)
    collapsed = sigreg(jnp.zeros((batch, 8)), key)
    assert float(collapsed) == pytest.approx(0.402 * batch, rel=0.02)
    # A constant other than zero still counts as no Gaussian, and more so.
    assert float(sigreg(jnp.ones((batch, 8)), key)) > float(collapsed)


def test_loss_means_the_same_at_any_batch_size(key):
    """Collapse costs 0.402 · 128 whatever the batch: the weight needs no retuning."""
    for batch in (32, 256):
        loss = sigreg_loss(jnp.zeros((3, batch, 8)), key, projections=16)
        assert float(loss) == pytest.approx(0.402 * PUBLISHED_BATCH, rel=0.02)


def test_gradient_spreads_a_collapsed_cloud(key):
    latents = 0.1 * jax.random.normal(key, (256, 4))
    descend = jax.jit(lambda z: z - 0.5 * jax.grad(sigreg)(z, jax.random.key(1), 32))
    for _ in range(50):
        latents = descend(latents)
    assert float(jnp.std(latents)) > 0.3
