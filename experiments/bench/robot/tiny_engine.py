"""An engine small enough to plan a million times: an analytic point mass on a line, with faults to inject.

The soak test uses it in its own process and in planner processes.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.tree_util import register_dataclass
from numpy import ndarray

from planning import CEM, ActionSpec, Agent, GoalDistance, Heads, Plan, Prediction
from planning.agent import AgentState
from planning.control import LiveEngine
from planning.observation import vector

PERIOD = 0.01  # seconds


@register_dataclass
@dataclass(frozen=True)
class Line:
    """Model of a point mass: position and velocity are both observation and latent. `params` holds the mass."""

    params: Any
    history = 1
    action_block = 2
    observation = vector(2)
    embedding_size = 2
    action_size = 1
    latent_size = 2
    ensemble = 1

    @property
    def heads(self) -> Heads:
        """The probe only."""
        return Heads(probe=self.probe)

    def embed(self, params: Any, observation: Any) -> Any:
        """The readings, unchanged."""
        return observation["state"]

    def encode(self, params: Any, embeddings: Any) -> Any:
        """The newest observation."""
        return embeddings[..., -1, :]

    def predict(self, params: Any, latent: Any, block: Any) -> Prediction:
        """Newton's law, integrated step by step."""
        for step in range(self.action_block):
            velocity = latent[..., 1:] + PERIOD * block[..., step, :] / params["mass"]
            latent = jnp.concatenate([latent[..., :1] + PERIOD * velocity, velocity], axis=-1)
        return Prediction(latent)

    def probe(self, params: Any, latent: Any) -> Any:
        """The position."""
        return latent[..., :1]


def make(num_samples: int = 16, mass: float = 1.0) -> LiveEngine:
    """An engine that drives the mass to a position, with forces within ±1."""
    planner = CEM(horizon=32, num_samples=num_samples, num_elites=4, iterations=1, num_keep=2, num_best=2)
    model = Line({"mass": jnp.float32(mass)})
    return LiveEngine(
        Agent(model, planner, {"goal": GoalDistance()}, {"goal": 1.0}, ActionSpec.of([-1.0], [1.0], PERIOD)), "line"
    )


class Breakable(LiveEngine):
    """An engine with an injected fault, named by `fault`; otherwise it behaves like the sound engine."""

    def __init__(self, agent: Agent):
        super().__init__(agent)
        self._sound = self._agent
        model: Any = self._sound.model
        nan = jax.tree.map(lambda leaf: leaf * jnp.nan, model.params)
        self._blind = replace(self._sound, model=replace(model, params=nan))
        self._fault = ""

    @property
    def fault(self) -> str:
        """`model_nan`: the model gives NaN; `wild`: plans are out of the bounds; `surprise`: the ensemble disagrees."""
        return self._fault

    @fault.setter
    def fault(self, fault: str) -> None:
        self._fault = fault
        self._agent = self._blind if fault == "model_nan" else self._sound

    def plan(self, state: AgentState) -> Plan:
        """The plan, shifted far out of the bounds under the fault `wild`."""
        plan = super().plan(state)
        return replace(plan, actions=plan.actions + np.float32(3.0)) if self._fault == "wild" else plan

    def disagreement(self, state: AgentState) -> ndarray:
        """Simulated ensemble disagreement: 5 under the fault `surprise`, else 0."""
        return np.full(1, 5.0 if self._fault == "surprise" else 0.0)
