import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from planning import coloured_noise
from planning.noise import spectral_mixing


@settings(max_examples=20, deadline=None)
@given(horizon=st.sampled_from([1, 2, 5, 24, 25]), beta=st.floats(0, 4))
def test_every_element_has_unit_variance(horizon, beta):
    covariance = spectral_mixing(horizon, beta) @ spectral_mixing(horizon, beta).T
    np.testing.assert_allclose(np.diag(covariance), 1.0, atol=1e-5)


@pytest.mark.parametrize("horizon", [1, 2, 7, 8])
def test_beta_zero_is_white(horizon):
    mixing = spectral_mixing(horizon, 0.0)
    np.testing.assert_allclose(mixing @ mixing.T, np.eye(horizon), atol=1e-5)


@pytest.mark.parametrize("beta", [0.0, 1.0, 2.0, 3.0])
@pytest.mark.parametrize("horizon", [32, 33])
def test_density_follows_the_power_law(key, horizon, beta):
    noise = np.asarray(coloured_noise(key, 4096, horizon, 2, beta))
    density = (np.abs(np.fft.rfft(noise, axis=1)) ** 2).mean(axis=(0, 2))
    frequency = np.arange(len(density))
    inner = slice(1, (horizon - 1) // 2)  # the Nyquist frequency has one degree of freedom instead of two
    slope = np.polyfit(np.log(frequency[inner]), np.log(density[inner]), 1)[0]
    assert slope == pytest.approx(-beta, abs=0.05)
    assert noise.std() == pytest.approx(1.0, abs=0.02)


def test_dimensions_and_samples_are_independent(key):
    noise = np.asarray(coloured_noise(key, 4096, 4, 2, 2.0))
    assert abs(np.mean(noise[:, :, 0] * noise[:, :, 1])) < 0.05
    assert abs(np.mean(noise[1:] * noise[:-1])) < 0.05


def test_beta_may_be_traced(key):
    draw = jax.jit(lambda beta: coloured_noise(key, 3, 6, 2, beta))
    for beta in (0.0, 1.5, 2.5):
        np.testing.assert_allclose(draw(jnp.float32(beta)), coloured_noise(key, 3, 6, 2, beta), atol=1e-5)
    assert draw._cache_size() == 1


def test_a_sequence_is_not_scaled_by_its_own_deviation(key):
    """That would change the distribution: here some sequences hardly move and others move much."""
    own = np.asarray(coloured_noise(key, 512, 12, 1, 2.0)).std(axis=1)
    assert own.min() < 0.4 and own.max() > 1.1
