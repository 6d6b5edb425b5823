"""dm_control's Reacher with joint-space goals: a two-link arm must bring both joints to given angles.

Changed: the goal is a configuration instead of a fingertip position, and the look. The dynamics are the suite's.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..mujoco_task import MujocoTask
from ..rollout import BatchPhysics
from ..sensors import Sensor
from ..task import Scene
from . import look

LINK = 0.12  # metres, both links
WRIST = np.deg2rad(160.0)  # the wrist's range is ± this; the shoulder turns freely
_MARGIN = 0.1  # radians: goals stay this far from the wrist's stops


class Reacher(MujocoTask):
    """Torques in [-1, 1] × 0.05 N m. Observation: sines and cosines of both joints, then their velocities (rad/s).

    Its proprioception is the velocities alone, which do not say where the arm is. A further sensor is `tip`, in metres.

    A goal is `[shoulder, wrist]` in radians; success is every joint within 0.05 rad, the shoulder modulo a turn.
    """

    name = "reacher"
    goal_size = 2
    budget = 100
    tolerance = 0.05
    gains = (2.0, 0.05)  # of the script: action per radian, and per radian a second; the joints damp themselves

    def __init__(self, render_mode: str | None = None):
        super().__init__(
            BatchPhysics(_model(), substeps=2),
            sensors=[Sensor("state", (6,), units=("1", "1", "1", "1", "rad/s", "rad/s"))],
            others=[Sensor("proprio", (2,), units=("rad/s", "rad/s")), Sensor("tip", (2,), units=("m", "m"))],
            observation_bound={
                "state": (1.0, 1.0, 1.0, 1.0, 20.0, 20.0),
                "proprio": (20.0, 20.0),
                "tip": (2 * LINK, 2 * LINK),
            },
            render_mode=render_mode,
        )

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a random configuration, at rest."""
        return self.pack(self.configuration(rng), np.zeros(2))

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a random configuration."""
        return self.configuration(rng)

    def configuration(self, rng: np.random.Generator) -> Float[ndarray, "2"]:
        """Return random angles of both joints, with a margin to the wrist's stops."""
        reach = WRIST - _MARGIN
        return rng.uniform([-np.pi, -reach], [np.pi, reach])

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """`[sin shoulder, sin wrist, cos shoulder, cos wrist, velocities]`, the velocities alone, and the tip."""
        angles, velocities = self.qpos(states), self.qvel(states)
        return {
            "state": np.concatenate([np.sin(angles), np.cos(angles), velocities], axis=-1),
            "proprio": velocities,
            "tip": places(angles)[..., 1, :],
        }

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest in the goal's configuration."""
        return self.pack(goal, np.zeros_like(goal))

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the configuration, the shoulder in [-pi, pi]."""
        return difference(self.qpos(states), 0.0)

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether both joints are within the tolerance, at any speed."""
        return np.asarray((np.abs(difference(self.qpos(state), goal)) <= share * self.tolerance).all(axis=-1))

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Distance between the configurations in radians, the shoulder by the shorter rotation."""
        return np.asarray(np.linalg.norm(difference(self.qpos(states), goal), axis=-1))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Proportional-derivative control of each joint."""
        action = -self.gains[0] * difference(self.qpos(states), goals) - self.gains[1] * self.qvel(states)
        return np.clip(action, self.action_space.low, self.action_space.high)

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Elbow and fingertip, in metres."""
        return places(self.qpos(states))

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Elbow and fingertip of an arm at the goal."""
        return places(goal)

    def scene(self) -> Scene:
        """Return an empty square around the shoulder."""
        return Scene(low=(-0.3, -0.3), high=(0.3, 0.3), walls=(), radius=0.01, root=(0.0, 0.0))

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Place the ghost of the arm at the goal."""
        angles = self.qpos(self.at_goal(goal))
        for i, (joint, angle) in enumerate(
            zip(np.vstack([[0.0, 0.0], places(angles)[:1]]), np.cumsum(angles), strict=True)
        ):
            data.mocap_pos[i, :2] = joint
            data.mocap_quat[i] = [np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)]


def places(angles: Float[ndarray, "... 2"]) -> Float[ndarray, "... 2 2"]:
    """Elbow and fingertip in metres, from the angles of shoulder and wrist."""
    turned = np.cumsum(angles, axis=-1)
    return LINK * np.cumsum(np.stack([np.cos(turned), np.sin(turned)], axis=-1), axis=-2)


def difference(angles: Float[ndarray, "... 2"], goal: Float[ndarray, "... 2"] | float) -> Float[ndarray, "... 2"]:
    """Angles from the goal, the shoulder's wrapped to [-pi, pi]."""
    difference = np.array(angles - goal)
    difference[..., 0] = np.remainder(difference[..., 0] + np.pi, 2 * np.pi) - np.pi
    return difference


def _model() -> mujoco.MjModel:
    """Return the suite's reacher.xml with its target replaced by a ghost of the arm, and the shared look."""
    suite = find_spec("dm_control")  # only its files are read; importing it would look for an OpenGL library
    if suite is None or suite.origin is None:
        raise ImportError("this task needs dm_control: pip install dm_control")
    spec = mujoco.MjSpec.from_file(str(Path(suite.origin).parent / "suite/reacher.xml"))
    world = spec.worldbody
    spec.delete(spec.geom("target"))
    for i, tip in enumerate((LINK, 0.1)):
        ghost = world.add_body(name=f"goal_{i}", mocap=True, pos=[0, 0, 0.01])
        shape = {"contype": 0, "conaffinity": 0, "rgba": look.GOAL_FAINT}
        ghost.add_geom(type=mujoco.mjtGeom.mjGEOM_CAPSULE, size=[0.009, 0, 0], fromto=[0, 0, 0, tip, 0, 0], **shape)
        if i == 1:
            ghost.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.012, 0, 0], pos=[LINK, 0, 0], **shape)
    for name, rgba in {"self": look.BODY, "effector": look.BODY, "decoration": look.WALL}.items():
        spec.material(name).rgba = rgba
    grid = spec.texture("grid")
    grid.rgb1, grid.rgb2 = look.FLOOR, look.FLOOR_DARK
    look.dress(spec, half_width=0.3)
    return spec.compile()
