"""The planner as a policy of stable-worldmodel: its `World.evaluate` drives it in its own environments.

stable-worldmodel (Maes et al., arXiv 2605.21800) asks a policy for `set_env(envs)` and `get_action(infos)`, where every
entry of `infos` is [N, 1, ...] over N environments. Neither it nor torch is imported here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from planning import Agent
from planning.control import VectorController
from planning.observation import ObservationSpec

PIXELS, GOAL = "pixels", "goal"  # columns of stable-worldmodel: the picture, and that of the goal


@final
class WorldPolicy:
    """Plans in every environment of a `World`, each episode towards its own goal.

    Args:
      agent: model and planner, for example `experiments.build.controller(FILE).agent`.
      columns: where the reading of a sensor stands in `infos`, by sensor; the default is a column of its name.
      goals: likewise what it reads at the goal; the default is `goal` for the column `pixels`, and `goal_NAME` for
        another one.
      seed: of the plans.

    Raises:
      ValueError: a name in `columns` or `goals` is no sensor of the model.
    """

    type = "jepa-mpc"

    def __init__(
        self,
        agent: Agent,
        columns: Mapping[str, str] | None = None,
        goals: Mapping[str, str] | None = None,
        seed: int = 0,
    ):
        self.env: Any = None
        self._agent, self._plan_seed = agent, seed
        names = [sensor.name for sensor in ObservationSpec.of(agent.model.observation.sensors).sensors]
        for setting, given in (("columns", columns or {}), ("goals", goals or {})):
            if unknown := sorted(set(given) - set(names)):
                raise ValueError(f"{setting} names {unknown[0]!r}, and the model has the sensors {', '.join(names)}")
        self._columns = {name: (columns or {}).get(name, name) for name in names}
        self._goals = {
            name: (goals or {}).get(name, GOAL if column == PIXELS else f"{GOAL}_{column}")
            for name, column in self._columns.items()
        }
        self._controller: VectorController | None = None

    def set_env(self, env: Any) -> None:
        """Plan for these environments from here on.

        Args:
          env: has `num_envs` and `single_action_space`.

        Raises:
          ValueError: their actions are not those of the model.
        """
        space, spec = env.single_action_space, self._agent.spec
        if int(np.prod(space.shape)) != spec.size:
            raise ValueError(f"the world takes actions of shape {space.shape}, and the model of {spec.size} numbers")
        self.env, self._controller = env, VectorController(self._agent, env.num_envs, self._plan_seed)
        self._seen = False

    def get_action(self, infos: Mapping[str, Any], **_: Any) -> Float[ndarray, "N ..."]:
        """Return the next actions; NaN in environments whose episode has ended, as stable-worldmodel has it.

        Args:
          infos: of the last step: readings, goals, `step_idx` and `terminated`.

        Raises:
          ValueError: a column is missing, or a reading or goal is refused; the message has its environment.
          RuntimeError: the policy is in no world.
        """
        if self._controller is None:
            raise RuntimeError("the policy is in no world: call world.set_policy(policy) first")
        count = self._controller.num_envs
        over = _flags(infos, "terminated", count) | _flags(infos, "truncated", count)
        begun = np.asarray(infos["step_idx"]).reshape(count) == 0 if "step_idx" in infos else np.zeros(count, bool)
        begun |= _flags(infos, "_needs_flush", count)
        if not self._seen:
            begun, self._seen = np.ones(count, bool), True
        if begun.any():
            self._controller.reset(self._read(infos, self._goals, "at the goal "), which=begun)
        actions = self._controller.act(self._read(infos, self._columns, ""), active=~over)
        actions[over] = np.nan
        return actions.reshape(count, *self.env.single_action_space.shape)

    def _read(self, infos: Mapping[str, Any], columns: Mapping[str, str], where: str) -> dict[str, ndarray]:
        """Return columns by sensor, [N, ...], the newest moment of each."""
        found = {}
        for name, column in columns.items():
            if column not in infos:
                known = ", ".join(sorted(key for key in infos if not key.startswith("_")))
                raise ValueError(
                    f"the world has no column {column!r}, which the sensor {name} is read from {where}(it has "
                    f"{known}): name another one with columns= or goals="
                )
            found[name] = np.asarray(infos[column])[:, -1]
        return found


def _flags(infos: Mapping[str, Any], name: str, count: int) -> Bool[ndarray, "N"]:
    return np.asarray(infos[name], bool).reshape(count) if name in infos else np.zeros(count, bool)
