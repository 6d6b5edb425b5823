"""An executed episode as it is kept for the eye.

Plain NumPy and plain Python, so that a page can be drawn without JAX, a simulator or the run that made it.
"""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from numpy import ndarray


@dataclass(frozen=True, eq=False)
class EpisodeRecord:
    """One executed episode of `T` environment steps, seen from above in metres.

    `imagined` holds plans as the model saw them when they were made: the environment step at which it planned and the
    positions decoded from its latents, the first of which is where the plan starts.
    """

    policy: str
    success: bool
    keypoints: Float[ndarray, "T+1 J 2"]
    goal_keypoints: Float[ndarray, "J 2"]
    states: Float[ndarray, "T+1 S"]
    goal: Float[ndarray, "G"]
    imagined: tuple[tuple[int, Float[ndarray, "H+1 2"]], ...] = ()

    @property
    def path(self) -> Float[ndarray, "T+1 2"]:
        """Positions of the keypoint that stands for the body: the last one."""
        return self.keypoints[:, -1]

    @property
    def steps(self) -> int:
        """T: how many actions were executed."""
        return len(self.keypoints) - 1
