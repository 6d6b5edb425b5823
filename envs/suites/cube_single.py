"""OGBench's cube-single: a six-joint arm with a two-finger gripper brings a cube to a place on a table.

Models and actions are the original's. Changed: readings are of the present moment, where the original sees its hand as
it was a physics step ago; contact is which fingers touch the cube, not a force; without a warm start of the solver, a
state is complete; actions are clipped; starts that have succeeded already are drawn again; and the look.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from .. import cube, grasping, ur5e
from ..arm import HandPhysics, yaw_of
from ..mujoco_task import MujocoTask
from ..sensors import Mask, ask_everything
from ..task import Scene
from . import look

_FENCE = np.array([[0.22, -0.38, 0.0], [0.63, 0.38, 0.5]])  # metres, what the cube stays in
_NEAR = 0.08  # metres between hand and cube within which fingers may touch it
_PARTS = {"block": slice(0, 3), "effector": slice(3, 6)}  # of a goal


class CubeSingle(MujocoTask):
    """Actions in [-1, 1]: 5 cm of the hand in x, y and z, 0.3 rad of its yaw, and the gripper's closing, for 0.05 s.

    Sensors are `effector` (position between the fingertips), `effector_yaw`, `joint_velocities`, `gripper` (how far it
    is closed, and the share of the fingers that touch the cube), `block` (position of the cube), `block_velocity`,
    `block_yaw`, and `block_from_effector`: position and yaw of the cube in the frame of the hand. Yaws of a cube repeat
    after a quarter of a turn, whichever face is up. Further ones are `joints` and `proprio`: effector, its yaw,
    velocities of the joints and the gripper's closing.

    A goal is the position of the cube, then of the effector, `[x, y, z, x, y, z]` in metres, and asks for the parts in
    `asked`; success is each of those within 4 cm. Drawn goals are places on the table.

    Args:
      render_mode: "rgb_array" for a task that draws itself.
      asked: parts that goals ask for: `block`, `effector`, or both.

    Raises:
      ValueError: another render mode, no part, or an unknown one.
      ImportError: OGBench is not installed.
    """

    physics: HandPhysics
    cameras = ("front", "top")

    name = "cube_single"
    goal_size = 6
    budget = 200
    tolerance = 0.04
    strict_parts = ("block",)
    air = np.array([[0.25, -0.35, 0.20], [0.6, 0.35, 0.35]])  # metres: where the hand starts
    table = np.array([[0.3, -0.3], [0.55, 0.3]])  # metres: where the cube starts, and goals are
    resting = 0.02  # metres of the cube's centre above the table

    def __init__(self, render_mode: str | None = None, asked: Sequence[str] = ("block",)):
        super().__init__(
            ur5e.physics(_model()),
            sensors=[sensor for sensor, _ in cube.SENSORS],
            others=[sensor for sensor, _ in cube.OTHERS],
            observation_bound={sensor.name: bound for sensor, bound in (*cube.SENSORS, *cube.OTHERS)},
            render_mode=render_mode,
        )
        self.asked: tuple[str, ...] = ()
        self.ask(asked)
        self._touch = cube.Touch(self.model, ur5e.PADS, "object_0")
        self._cube = int(self.model.joint("object_joint_0").qposadr[0])
        self._spin = int(self.model.joint("object_joint_0").dofadr[0])
        self.state = self.at_goal(np.array([0.425, 0.1, self.resting, 0.425, 0.0, 0.25]))

    def ask(self, parts: Sequence[str]) -> None:
        """Ask for other parts of a goal from now on: "the cube there, the hand anywhere".

        Raises:
          ValueError: no part, a part twice, or an unknown one.
        """
        if not parts or len(set(parts)) < len(parts) or not set(parts) <= set(_PARTS):
            got = ", ".join(parts) or "none"
            raise ValueError(f"goals of {self.name} ask for {' and '.join(_PARTS)}, or for one of them; got {got}")
        self.asked = tuple(part for part in _PARTS if part in parts)

    @property
    def goal_mask(self) -> Mask:
        """See Task: the parts asked for; everything where no sensor in use is one of them, as with pictures alone."""
        masks = {sensor.name: np.full(sensor.shape, sensor.name in self.asked) for sensor in self.sensors}
        if not any(mask.any() for mask in masks.values()):
            return ask_everything(self.sensors)
        return masks if len(masks) > 1 else masks[self.sensors[0].name]

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a hand anywhere in the air and a cube anywhere on the table, of any yaw, at rest."""
        while True:
            hand, yaw = rng.uniform(*self.air), rng.uniform(-np.pi, np.pi, 1)
            place, turn = rng.uniform(*self.table), rng.uniform(0, 2 * np.pi, 1)
            try:
                return self._placed(hand[None], yaw, np.append(place, self.resting)[None], turn)[0]
            except ValueError:
                continue  # out of reach with that yaw

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a place for the cube on the table, and one for the hand in the air."""
        return np.concatenate([rng.uniform(*self.table), [self.resting], rng.uniform(*self.air)])

    def sample_pair_at(self, rng: np.random.Generator, offset: int) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start amid noisy grasps, and what they reach `offset` steps later, where it is not reached yet."""
        while True:
            before = int(rng.integers(100))
            states, _ = grasping.Grasps().rollout(self, self.sample_state(rng)[None], [rng], before + offset)
            state, goal = states[0, before], self.achieved_goal(states[0, -1])
            if not self.success(state, goal):
                return state, goal

    def _placed(
        self,
        hand: Float[ndarray, "B 3"],
        yaw: Float[ndarray, "B"],
        place: Float[ndarray, "B 3"],
        turn: Float[ndarray, "B"],
    ) -> Float[ndarray, "B S"]:
        """States at rest, the gripper open."""
        qpos = np.tile(self.model.qpos0, (len(hand), 1))
        qpos[:, : ur5e.SIZE] = self.physics.posture(hand, yaw, ur5e.HOME)
        qpos[:, self._cube : self._cube + 3] = place
        qpos[:, self._cube + 3], qpos[:, self._cube + 6] = np.cos(turn / 2), np.sin(turn / 2)
        return self.pack(qpos, np.zeros((len(hand), self.model.nv)))

    def effector(self, states: Float[ndarray, "... S"]) -> tuple[Float[ndarray, "... 3"], Float[ndarray, "..."]]:
        """Position between the fingertips, in metres, and yaw in [-π, π], in radians."""
        angles = self.qpos(states)[..., : ur5e.SIZE]
        place, turned = self.physics.chain.pose(angles.reshape(-1, ur5e.SIZE))
        return place.reshape((*angles.shape[:-1], 3)), yaw_of(turned).reshape(angles.shape[:-1])

    def block(self, states: Float[ndarray, "... S"]) -> tuple[Float[ndarray, "... 3"], Float[ndarray, "..."]]:
        """Position of the cube, in metres, and yaw in [-π/4, π/4), of an axis that is not the vertical one."""
        pose = self.qpos(states)[..., self._cube : self._cube + 7]
        return pose[..., :3], cube.yaw(pose[..., 3:])

    def grip(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """How far the gripper is closed, and the share of its two fingers that touch the cube."""
        near = np.asarray(np.linalg.norm(self.effector(states)[0] - self.block(states)[0], axis=-1) < _NEAR)
        qpos = self.qpos(states)
        return np.stack([self.physics.closure(qpos), self._touch(qpos, near)], axis=-1)

    def touching(self, states: Float[ndarray, "... S"]) -> Bool[ndarray, "..."]:
        """See HasContact: whether a finger touches the cube."""
        return np.asarray(self.grip(states)[..., 1] > 0)

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """See MujocoTask."""
        (hand, yaw), (place, turn), grip = self.effector(states), self.block(states), self.grip(states)
        spin, arm = self.qvel(states)[..., : ur5e.SIZE], self.qpos(states)[..., : ur5e.SIZE]
        seen = cube.seen_from(hand, yaw, place)
        return {
            "effector": hand,
            "effector_yaw": yaw[..., None],
            "joint_velocities": spin,
            "gripper": grip,
            "block": place,
            "block_velocity": self.qvel(states)[..., self._spin : self._spin + 3],
            "block_yaw": turn[..., None],
            "block_from_effector": np.concatenate([seen, cube.quarter(turn - yaw)[..., None]], axis=-1),
            "joints": (arm + np.pi) % 2 * np.pi - np.pi,
            "proprio": np.concatenate([hand, yaw[..., None], spin, grip[..., :1]], axis=-1),
        }

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the positions of cube and effector, in metres."""
        return np.concatenate([self.block(states)[0], self.effector(states)[0]], axis=-1)

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest with cube and hand in place, both of yaw zero, the gripper open.

        Raises:
          ValueError: a cube beyond the fence, or a hand out of reach.
        """
        goals = goal.reshape(-1, self.goal_size)
        out = ((goals[:, :3] < _FENCE[0]) | (goals[:, :3] > _FENCE[1])).any(axis=1)
        if out.any():
            raise ValueError(
                f"a goal has the cube at {goals[out][0, :3].tolist()}, but it stays between {_FENCE[0].tolist()} and "
                f"{_FENCE[1].tolist()} (metres)"
            )
        zero = np.zeros(len(goals))
        return self._placed(goals[:, 3:], zero, goals[:, :3], zero).reshape((*goal.shape[:-1], self.state_size))

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether each part asked for is within the tolerance of its place, at any speed."""
        return np.asarray(np.max(self._errors(state, goal), axis=0) <= share * self.tolerance)

    def _errors(self, states: ndarray, goal: ndarray) -> list[ndarray]:
        difference = self.achieved_goal(states) - goal
        return [np.asarray(np.linalg.norm(difference[..., _PARTS[part]], axis=-1)) for part in self.asked]

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Metres that the parts asked for are away, and half of those from hand to cube while it is not in place."""
        errors, found = self._errors(states, goal), self.achieved_goal(states)
        total = np.sum(errors, axis=0)
        if "block" not in self.asked:
            return np.asarray(total)
        reach = np.linalg.norm(found[..., :3] - found[..., 3:], axis=-1)
        return np.asarray(total + 0.5 * np.minimum(1.0, errors[0] / self.tolerance) * reach)

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Grasp the cube, carry it, put it down, and go where the goal has the hand."""
        return grasping.grasp(self, states, goals[:, :3], goals[:, 3:], least=0.0)

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Positions of effector and cube, seen from above, in metres."""
        return self.goal_keypoints(self.achieved_goal(states))

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Likewise, of a goal."""
        return np.stack([goal[..., 3:5], goal[..., :2]], axis=-2)

    def scene(self) -> Scene:
        """Return the part of the table within the fence."""
        (x, y, _), (far_x, far_y, _) = _FENCE.tolist()
        return Scene((x, y), (far_x, far_y), walls=(), radius=0.02)

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the marks of cube and effector; what is not asked for is out of sight."""
        for mark, (part, where) in enumerate(_PARTS.items()):
            data.mocap_pos[mark] = goal[where] if part in self.asked else (0.0, 0.0, -1.0)


def _model() -> mujoco.MjModel:
    """Return the suite's scene with marks for a goal, and the shared look."""
    world = ur5e.scene("cube.xml", shade=look.WALL[:3])
    grid = world.texture("grid")
    grid.rgb1, grid.rgb2, grid.mark = look.FLOOR, look.FLOOR_DARK, mujoco.mjtMark.mjMARK_NONE
    world.geom("object_0").rgba = look.BODY
    world.geom("target_object_0").rgba = look.GOAL_FAINT
    mark: Any = world.worldbody.add_body(name="effector_target", mocap=True, pos=[0.0, 0.0, -1.0])
    mark.add_geom(type=mujoco.mjtGeom.mjGEOM_SPHERE, size=[0.012, 0, 0], rgba=look.GOAL, contype=0, conaffinity=0)
    look.dress(world, half_width=0.4, centre=(0.425, 0.0))
    world.worldbody.add_camera(name="front", pos=[1.053, -0.014, 0.639], xyaxes=[0, 1, 0, -0.628, 0.001, 0.778])
    return ur5e.compiled(world)
