"""gymnasium-robotics' FetchReach: a seven-joint arm must bring its gripper to a position in the air.

Changed: the gripper's own action, which the original ignores, is left out; the sensors are the gripper's position and
velocity only; starts are anywhere that goals are, not only at home; goals are limited to the arm's reach; and success
means within 2 cm. (Within the original's 5 cm a random policy sometimes succeeds.) The dynamics are the original's.
"""

from __future__ import annotations

from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ...mocap import MocapPhysics
from ...mujoco_task import MujocoTask
from ...sensors import Observation, Sensor, complete
from ...task import Scene
from .. import look
from . import arm


class FetchReach(MujocoTask):
    """Actions in [-1, 1]: where the gripper is pulled to, × 5 cm in x, y and z. Observation: its position and velocity.

    A goal is `[x, y, z]` in metres; success is the gripper within the tolerance of it, at any speed. Its proprioception
    is the gripper's velocity alone, which does not say where it is. Two cameras: from above, height cannot be seen.
    """

    cameras = ("top", "side")

    name = "fetch_reach"
    goal_size = 3
    budget = 25
    tolerance = 0.02
    goal_low, goal_high = (1.19, 0.60, 0.43), (1.49, 0.90, 0.68)  # metres: home ± 15 cm, above the table
    gains = (20.0, 0.5)  # of the script: action per metre, and per metre a second

    def __init__(self, render_mode: str | None = None):
        physics = MocapPhysics(
            _model(),
            substeps=arm.SUBSTEPS,
            hand=arm.HAND,
            reach=arm.REACH,
            turn=arm.TURN,
            locked=arm.FINGERS,
        )
        super().__init__(
            physics,
            sensors=[Sensor("state", (6,), units=("m", "m", "m", "m/s", "m/s", "m/s"))],
            others=[Sensor("proprio", (3,), units=("m/s", "m/s", "m/s"))],
            observation_bound={"state": (2.0,) * 6, "proprio": (2.0,) * 3},
            render_mode=render_mode,
        )
        self._arm = arm.Arm(self.model, base=0.4049, drop=0.231)
        self.state = self.pack(self._arm.home, np.zeros(self.model.nv))

    def at(self, place: Float[ndarray, "3"]) -> Float[ndarray, "S"]:
        """Return the state at rest with the gripper at `place`, pointing down; ValueError if out of reach."""
        return self.pack(self._arm.at(place), np.zeros(self.model.nv))

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a state at rest, sampled like a goal."""
        return self.at(self.sample_goal(rng))

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Up to 15 cm from home along each axis, clear of the table, where the gripper can point down."""
        while True:
            place = rng.uniform(self.goal_low, self.goal_high)
            if self._arm.posture(place) is not None:
                return place

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """Position and velocity of the gripper, together, and the velocity alone."""
        sensed = np.empty((*states.shape[:-1], 6))
        for row, qpos, qvel in zip(
            sensed.reshape(-1, 6),
            self.qpos(states).reshape(-1, self.model.nq),
            self.qvel(states).reshape(-1, self.model.nv),
            strict=True,
        ):
            row[:] = self._arm.motion(qpos, qvel)
        return {"state": sensed, "proprio": sensed[..., 3:]}

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest with the gripper at the goal, pointing down."""
        places = goal.reshape(-1, 3)
        return np.stack([self.at(place) for place in places]).reshape((*goal.shape[:-1], self.state_size))

    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Observation:
        """Ideal readings at rest at the goal; of vectors alone, also where the gripper cannot point down."""
        if not all(sensor.name in ("state", "proprio") for sensor in self.sensors):
            return super().goal_observation(goal)
        rest = np.zeros_like(goal)
        return complete(self.sensors, {"state": np.concatenate([goal, rest], axis=-1), "proprio": rest})

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Position of the gripper, in metres."""
        return self._arm.places(self.qpos(states))

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the gripper is within the tolerance of the goal, at any speed."""
        return np.asarray(self.cost(state, goal) <= share * self.tolerance)

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Distance of the gripper from the goal in metres."""
        return np.asarray(np.linalg.norm(self.achieved_goal(states) - goal, axis=-1))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Proportional-derivative control of the gripper's position."""
        place, velocity = np.split(self.readings(states)["state"].astype(np.float32).astype(np.float64), 2, axis=-1)
        action = self.gains[0] * (goals - place) - self.gains[1] * velocity
        return np.clip(action, self.action_space.low, self.action_space.high)

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Return the gripper's horizontal position, in metres."""
        return self.goal_keypoints(self.achieved_goal(states))

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Position of the goal, in metres."""
        return goal[..., None, :2]

    def scene(self) -> Scene:
        """Return the part of the table that lies below the goals."""
        (x, y, _), (far_x, far_y, _) = self.goal_low, self.goal_high
        return Scene(low=(x - 0.05, y - 0.05), high=(far_x + 0.05, far_y + 0.05), walls=(), radius=0.015)

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the goal's ball."""
        data.mocap_pos[1] = goal


def _model() -> mujoco.MjModel:
    """Return the suite's reach.xml with a ball for the goal, the shared look, and a transparent arm."""
    spec = arm.read("reach.xml")
    for geom in spec.geoms:
        if geom.name.startswith("robot0:"):
            over = "wrist" in geom.name or "gripper" in geom.name  # between the camera and the fingertips
            geom.material, geom.rgba = "", [*look.WALL[:3], 0.05 if over else 0.15]
        elif geom.contype == 0:  # axes that mark the mocap body
            geom.rgba = [0.0, 0.0, 0.0, 0.0]
    spec.material("table_mat").rgba = [*look.FLOOR_DARK, 1.0]
    spec.material("floor_mat").rgba = [*look.FLOOR, 1.0]
    grip = spec.site("robot0:grip")
    grip.rgba, grip.size = look.BODY, [0.015, 0.015, 0.015]
    spec.delete(spec.site("target0"))
    goal = spec.worldbody.add_body(name="goal", mocap=True, pos=[1.34, 0.75, 0.53])
    for size, rgba in ((0.02, look.GOAL_FAINT), (0.012, look.GOAL)):
        goal.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[size, 0, 0], rgba=rgba, contype=0, conaffinity=0)
    look.dress(spec, half_width=0.25, centre=(1.34, 0.75))
    spec.worldbody.add_camera(
        name="side",
        pos=[1.34, -2.25, 0.55],
        xyaxes=[1, 0, 0, 0, 0, 1],
        proj=mujoco.mjtProjection.mjPROJ_ORTHOGRAPHIC,
        fovy=0.5,
    )
    return arm.compiled(spec)
