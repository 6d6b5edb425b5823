"""Temporally correlated Gaussian noise for sampling planners.

White noise does not move an actuator with inertia: neighbouring actions cancel. A power-law spectrum (density
proportional to f^-beta) explores with whole movements instead: Timmer & König (1995), "On generating power law noise",
A&A 300; its use in planning: Pinneri et al. (2020), "Sample-efficient cross-entropy method for real-time planning".
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
import numpy as np

from .arrays import Array, Float, PRNGKeyArray
from .types import Number


def coloured_noise(
    key: PRNGKeyArray, num_samples: int, horizon: int, size: int, beta: Number
) -> Float[Array, "{num_samples} {horizon} {size}"]:
    """Draw Gaussian sequences with a power-law spectrum in time, independent over samples and action dimensions.

    Every element has unit variance, whatever `beta`. The lowest frequency, a constant over the horizon, gets the
    density of one cycle per horizon: its own would be infinite.

    Args:
      key: consumed.
      num_samples: number of sequences.
      horizon: steps of each.
      size: action dimensions.
      beta: exponent of the spectrum (0: white, 1: pink, 2: Brownian-like); it may be traced.
    """
    white = jax.random.normal(key, (horizon, num_samples * size), jnp.float32)
    coloured = spectral_mixing(horizon, beta) @ white
    return coloured.reshape(horizon, num_samples, size).transpose(1, 0, 2)


def spectral_mixing(horizon: int, beta: Number) -> Float[Array, "{horizon} {horizon}"]:
    """Return the matrix M for which M @ white noise has the power-law spectrum: a scaled real Fourier basis.

    The inverse transform of Timmer & König written out, because `horizon` is small and a product of matrices has no
    special cases. Each row's squares sum to one exactly, for every `beta`.
    """
    frequency, basis = _fourier_basis(horizon)
    amplitude = jnp.exp(-0.5 * beta * np.log(frequency))
    amplitude = amplitude / jnp.sqrt(jnp.mean(amplitude**2))
    return jnp.asarray(basis) * amplitude[None, :]


def _fourier_basis(horizon: int) -> tuple[np.ndarray, np.ndarray]:
    """Return cycles per horizon of each column (at least 1), and the orthonormal real Fourier basis, [T] and [T, T]."""
    time = np.arange(horizon)
    column = np.arange(horizon)
    cycles = (column + 1) // 2  # 0, 1, 1, 2, 2, …: a cosine and a sine for each frequency
    phase = 2 * np.pi * np.outer(time, cycles) / horizon
    basis = np.where(column % 2 == 1, np.cos(phase), np.sin(phase)) * np.sqrt(2 / horizon)
    basis[:, 0] = np.sqrt(1 / horizon)
    if horizon % 2 == 0:
        basis[:, -1] /= np.sqrt(2)  # the Nyquist frequency has a cosine only
    return np.maximum(cycles, 1).astype(np.float32), basis.astype(np.float32)
