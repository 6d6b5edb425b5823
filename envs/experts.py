"""Demonstrations: the expert of whatever task it is, towards goals of the task."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jaxtyping import Float
from numpy import ndarray

from .behaviours import Behaviour, ColouredNoise, Generators, Scripted
from .cube import Grasping
from .grasping import Grasps
from .handling import Handles, HandlingExpert
from .pushing import HasBlock, PushExpert
from .task import HasScript, Task


@dataclass(frozen=True)
class Expert(Behaviour):
    """The task's expert: pushes of a block in closed form, a script that handles or grasps a cube, or another script.

    Goals are redrawn some time after they are reached.

    Attributes:
      noise: added to the actions, scaled by a factor from [0, 1] that each episode draws; white of a grasping hand.
    """

    noise: ColouredNoise = ColouredNoise(beta=1.0, scale=0.0)

    def of(self, task: Task) -> Behaviour:
        """Return the expert of a task.

        Raises:
          ValueError: it has none.
        """
        if isinstance(task, HasBlock):
            return PushExpert(noise=self.noise)
        if isinstance(task, Handles):
            return HandlingExpert(noise=self.noise)
        if isinstance(task, Grasping):
            return Grasps(least=0.0, noise=self.noise.scale, random=0.0)
        if isinstance(task, HasScript):
            return Scripted(noise=self.noise)
        raise ValueError(
            f"{task.name} has no expert that could demonstrate it: record demonstrations of your own, or take a "
            "behaviour such as coloured_noise"
        )

    def rollout(
        self, task: Task, start: Float[ndarray, "B S"], rngs: Generators, steps: int
    ) -> tuple[Float[ndarray, "B {steps}+1 S"], Float[ndarray, "B {steps} A"]]:
        """See Behaviour. Raises ValueError for a task without an expert."""
        return self.of(task).rollout(task, start, rngs, steps)

    def describe(self) -> dict[str, Any]:
        """Its name and parameters, as JSON."""
        return {"behaviour": "expert", "noise": self.noise.describe()}
