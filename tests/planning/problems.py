"""One table of problems for all planners: what to minimise, and the cost that each must reach."""

from __future__ import annotations

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np

from .toys import PERIOD, Formula, box

HORIZON = 12


def sphere(target, actions):
    return jnp.mean((actions - target) ** 2, axis=(1, 2))


def two_modes(target, actions):
    """Left or right of an obstacle: what lies between two good answers is bad."""
    return jnp.minimum(sphere(target, actions), sphere(-target, actions))


def double_integrator(start, actions):
    """Two carts, one for each action; squared position and velocity over time, and a little effort."""

    def step(state, action):
        velocity = state[1] + PERIOD * action
        state = jnp.stack([state[0] + PERIOD * velocity, velocity])
        return state, 10 * jnp.sum(state**2) + 0.1 * jnp.sum(action**2)

    return jax.vmap(lambda sequence: jnp.sum(jax.lax.scan(step, start, sequence)[1]))(actions)


def lqr_optimum(start):
    """The least cost of `double_integrator` without bounds: a linear least-squares problem in the actions."""
    residuals = []

    def collect(actions):
        state, parts = np.asarray(start, float), []
        for action in actions.reshape(HORIZON, 2):
            velocity = state[1] + PERIOD * action
            state = np.stack([state[0] + PERIOD * velocity, velocity])
            parts += [np.sqrt(10) * state.ravel(), np.sqrt(0.1) * action]
        return np.concatenate(parts)

    offset = collect(np.zeros(2 * HORIZON))
    residuals = np.stack([collect(unit) - offset for unit in np.eye(2 * HORIZON)], axis=1)
    actions = np.linalg.lstsq(residuals, -offset, rcond=None)[0]
    assert np.abs(actions).max() < 1, "the optimum must lie within the bounds for the comparison to hold"
    return float(np.sum((offset + residuals @ actions) ** 2))


@dataclass(frozen=True)
class Problem:
    """An objective over `[HORIZON, 2]` actions, and the highest cost that counts as solved."""

    objective: Formula
    solved: float
    spec: object


START = jnp.array([[0.05, -0.03], [0.1, 0.0]])

PROBLEMS = {
    "sphere": Problem(Formula(jnp.float32(0.3), sphere), 0.01, box()),
    "optimum on a bound": Problem(Formula(jnp.float32(2.0), sphere), 1.02, box()),
    "double integrator": Problem(Formula(START, double_integrator), 1.1 * lqr_optimum(START), box()),
    "two modes": Problem(Formula(jnp.float32(0.5), two_modes), 0.01, box()),
}
