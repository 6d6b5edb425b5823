"""Small things to plan for: a linear world model made by hand, and objectives whose optima are known."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp

from planning import ActionSpec, Evaluation, Heads, Prediction
from planning.observation import vector

PERIOD = 0.1


@partial(
    jax.tree_util.register_dataclass,
    data_fields=["params"],
    meta_fields=["history", "action_block", "critic", "eye", "reflexes"],
)
@dataclass(frozen=True)
class PointMass:
    """A point mass in the plane: an observation is a position, and the latent position and velocity (from two of them).

    `params` is the mass, so that a test can change it. Forces act for `action_block` steps of `PERIOD` seconds.
    """

    params: object
    history: int = 2
    action_block: int = 1
    critic: bool = False
    eye: bool = False
    reflexes: bool = False

    observation = vector(2)
    embedding_size = 2
    action_size = 2
    latent_size = 4
    ensemble = 1
    value = inverse = goal = None  # methods of subclasses

    @property
    def heads(self):
        names = ("value", "policy", "distance", "inverse", "goal", "probe")
        return Heads(**{name: getattr(self, name) for name in names})

    def embed(self, params, observation):
        return observation["state"]

    def encode(self, params, obs):
        velocity = (obs[..., -1, :] - obs[..., -2, :]) / PERIOD
        return jnp.concatenate([obs[..., -1, :], velocity], axis=-1)

    def predict(self, params, latent, block):
        position, velocity = latent[..., :2], latent[..., 2:]
        for step in range(self.action_block):
            velocity = velocity + PERIOD * block[..., step, :] / params["mass"]
            position = position + PERIOD * velocity
        return Prediction(jnp.concatenate([position, velocity], axis=-1))

    @property
    def distance(self):
        if not self.critic:
            return None
        return lambda params, latent, goal: jnp.sqrt(jnp.sum((latent - goal) ** 2, axis=-1) + 1e-6)

    @property
    def probe(self):
        return (lambda params, latent: latent[..., :2]) if self.eye else None

    @property
    def policy(self):
        """A spring and a damper, as the mean of a block whose actions grow."""
        shares = jnp.ones(1) if self.action_block == 1 else jnp.linspace(0.5, 1.5, self.action_block)

        def towards(params, latent, goal):
            force = 3.0 * (goal - latent)[..., None, :2] - latent[..., None, 2:]
            return shares[:, None] * force

        return towards if self.reflexes else None


def point_mass(**options):
    return PointMass(params={"mass": jnp.asarray(1.0)}, **options)


def box(size=2, bound=1.0):
    return ActionSpec.of([-bound] * size, [bound] * size, PERIOD)


@partial(jax.tree_util.register_dataclass, data_fields=["data"], meta_fields=["formula"])
@dataclass(frozen=True)
class Formula:
    """An objective from `formula(data, actions) -> cost [N]` or `-> (cost, margins)`: `data` are leaves."""

    data: object
    formula: object

    def __call__(self, actions):
        outcome = self.formula(self.data, actions)
        cost, margins = outcome if isinstance(outcome, tuple) else (outcome, {})
        return Evaluation(cost, margins=margins, terms={"formula": cost})
