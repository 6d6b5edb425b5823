"""One table of problems for all planners: what to minimise, and the cost that each must reach.

They differ in numbers only, so that a planner compiles once for all of them: least squares in the actions, the lesser
of two, as it is or as a needle that shows nothing from afar; with a constant, a region that diverges, and a constraint.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import jax.numpy as jnp
import numpy as np

from .toys import PERIOD, Formula, box

HORIZON = 12
ROWS = 6 * HORIZON


def least_squares(data, actions):
    """Cost, and the margin of a constraint, from numbers in `data`."""
    flat = actions.reshape(len(actions), -1)
    residuals = (flat @ data["matrix"].T)[None] + data["offsets"][:, None, :]
    square = jnp.min(jnp.sum(residuals**2, axis=-1), axis=0)
    far = 1 - jnp.exp(-square / jnp.where(data["needle"] > 0, data["needle"], 1.0))
    cost = jnp.where(data["needle"] > 0, far, square) + data["constant"]
    mean = jnp.mean(flat, axis=1)
    diverged = jnp.where(mean > data["diverges_above"] + 0.1, -jnp.inf, jnp.nan)  # -inf tempts
    cost = jnp.where(mean > data["diverges_above"], diverged, cost)
    return cost, {"limit": jnp.max(flat, axis=1) - data["limit"]}


def problem(matrix, offset, other=None, needle=0.0):
    """The formula with these numbers, padded to one shape."""
    padded, offsets = np.zeros((ROWS, 2 * HORIZON)), np.zeros((2, ROWS))
    padded[: len(matrix)] = matrix
    offsets[0, : len(offset)] = offset
    offsets[1, : len(offset)] = offset if other is None else other
    data = {"matrix": padded, "offsets": offsets, "needle": needle}
    data |= {"constant": 0.0, "diverges_above": 1e3, "limit": 1e3}
    return Formula({name: jnp.asarray(number, jnp.float32) for name, number in data.items()}, least_squares)


def sphere(target, other=None, steps=HORIZON, needle=0.0):
    """Mean square distance of the first `steps` actions from a target [2]."""
    size = 2 * steps
    offsets = [None if each is None else -np.tile(each, steps) / np.sqrt(size) for each in (target, other)]
    return problem(np.eye(size, 2 * HORIZON) / np.sqrt(size), *offsets, needle=needle)


def double_integrator(start):
    """Two carts, one for each action; squared position and velocity over time, and a little effort.

    Linear least squares in the actions: what each action does to each residual, and what happens without any.
    """

    def residuals(actions):
        state, parts = np.asarray(start, float), []
        for action in actions.reshape(HORIZON, 2):
            velocity = state[1] + PERIOD * action
            state = np.stack([state[0] + PERIOD * velocity, velocity])
            parts += [np.sqrt(10) * state.ravel(), np.sqrt(0.1) * action]
        return np.concatenate(parts)

    offset = residuals(np.zeros(2 * HORIZON))
    return np.stack([residuals(unit) - offset for unit in np.eye(2 * HORIZON)], axis=1), offset


def optimum(matrix, offset, parameterization):
    """The least cost of plans that a parameterisation can express, without bounds (LQR): by least squares."""
    expand = np.kron(parameterization._matrix(HORIZON), np.eye(2))
    params = np.linalg.lstsq(matrix @ expand, -offset, rcond=None)[0]
    assert np.abs(params).max() < 1, "the optimum must lie within the bounds for the comparison to hold"
    return float(np.sum((offset + matrix @ expand @ params) ** 2))


@dataclass(frozen=True)
class Problem:
    """An objective over `[HORIZON, 2]` actions, and `solved(parameterization)`, the highest cost that counts as such.

    A needle is found only by who starts from the previous plan `known`, one step before.
    """

    objective: Formula
    solved: object
    spec: object = box()
    known: object = None  # [HORIZON, 2]

    def changed(self, **numbers):
        """The same with other numbers, by the names in `least_squares`."""
        data = self.objective.data | {name: jnp.float32(number) for name, number in numbers.items()}
        return replace(self, objective=replace(self.objective, data=data))


CARTS = double_integrator([[0.05, -0.03], [0.1, 0.0]])
NEEDLE = np.float32([0.37, -0.61])

PROBLEMS = {
    "sphere": Problem(sphere([0.3, 0.3]), lambda _: 0.01),
    "optimum on a bound": Problem(sphere([2.0, 2.0]), lambda _: 1.03),
    "double integrator": Problem(problem(*CARTS), lambda parameterization: 1.3 * optimum(*CARTS, parameterization)),
    "two modes": Problem(sphere([0.5, 0.5], [-0.5, -0.5]), lambda _: 0.01),
    "needle": Problem(sphere(NEEDLE, steps=6, needle=0.0005), lambda _: 0.01, known=jnp.tile(NEEDLE, (HORIZON, 1))),
}
