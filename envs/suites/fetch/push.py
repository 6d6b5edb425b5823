"""gymnasium-robotics' FetchPush and FetchPickAndPlace: a seven-joint arm must bring a cube to a place.

Starts, goals, tolerance and budget are the originals', and so are the dynamics, but for the gripper's latch
(`envs.mocap`). Changed: sensors have names and units, and velocities are in metres a second; the gripper starts clear
of the table, which the original's touches; goals in the air are limited to where the gripper points down.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ... import hand
from ...mocap import MocapPhysics
from ...mujoco_task import MujocoTask
from ...sensors import Limit, Mask, Observation, complete
from ...task import Scene
from . import arm, cube

TABLE, RESTING = 0.4, 0.42489  # metres: height of the table's top, and of the centre of a cube on it
_PARTS = {"gripper": slice(0, 3), "object": slice(3, 6)}  # of a goal
_RANGE = 0.15  # metres from the gripper's home along x and y: of starts and goals
_TOUCHING = 1e-3  # metres between the surfaces that count as contact, the margin of MuJoCo's own contacts
_PLACED = 0.025  # metres: the script leaves the cube
_GRASPED = 0.0245  # metres of each finger around the cube
_WIDEST = 0.05  # metres of each finger
_GAP = 0.0018  # metres between the fingers when their joints are at zero


class FetchPush(MujocoTask):
    """Actions in [-1, 1]: where the gripper, which is shut, is pulled to, × 5 cm in x, y and z.

    Sensors are `gripper` (position), `gripper_velocity`, `object` (position of the cube), `object_velocity`,
    `object_yaw` (its turn about the vertical, up to a quarter), and `object_from_gripper`: where the cube is, seen from
    the hand. Further ones are `contact` (1 where the hand touches the cube) and `proprio`: position and velocity of the
    gripper.

    A goal is `[gripper x, y, z, object x, y, z]` in metres, and asks for the parts in `asked`: by default for the cube
    on a place of the table. Success is the original's: the parts asked for, taken together, within 5 cm.

    Args:
      render_mode: "rgb_array" for a task that draws itself.
      asked: parts that goals ask for: `gripper`, `object`, or both.

    Raises:
      ValueError: another render mode, no part, or an unknown one.
    """

    cameras = ("top", "side")
    name = "fetch_push"
    file = "push.xml"  # of the suite
    goal_size = 6
    budget = 50
    tolerance = 0.05
    drop = 0.431  # see arm.Arm
    grips = False
    strict_parts = ("object",)
    low, high = (1.05, 0.40, 0.40), (1.55, 1.10, 0.88)  # metres: workspace of gripper and object, over the table
    limits = tuple(Limit("gripper", i, *ends, "m") for i, ends in enumerate(zip(low, high, strict=True)))

    def __init__(self, render_mode: str | None = None, asked: Sequence[str] = ("object",)):
        sensors, others = cube.sensors(self.grips)
        super().__init__(
            MocapPhysics(
                cube.model(self.file),
                substeps=arm.SUBSTEPS,
                hand=arm.HAND,
                reach=arm.REACH,
                turn=arm.TURN,
                locked=() if self.grips else arm.FINGERS,
                fingers=arm.FINGERS if self.grips else (),
            ),
            sensors=sensors,
            others=others,
            observation_bound={each.name: (cube.BOUNDS[each.name],) * each.size for each in (*sensors, *others)},
            render_mode=render_mode,
        )
        self._arm = arm.Arm(self.model, base=0.405, drop=self.drop)
        self._free = int(self.model.joint("object0:joint").qposadr[0])
        self._spin = int(self.model.joint("object0:joint").dofadr[0])
        self._fingers = [int(self.model.joint(name).qposadr[0]) for name in arm.FINGERS]
        self._cube = self.model.geom("object0").id
        self._hand = [self.model.geom(f"robot0:{name}_link").id for name in cube.HAND]
        place = self._arm.places(self._arm.home)
        self.home = np.array([place[0], place[1], max(place[2], RESTING)])
        self._rest = self._arm.at(self.home)
        self.asked: tuple[str, ...] = ()
        self.ask(asked)
        self.state = self._with(self._rest, np.array([1.25, 0.6, RESTING]))

    def ask(self, parts: Sequence[str]) -> None:
        """Ask for other parts of a goal from now on: "the cube there, the gripper anywhere".

        Raises:
          ValueError: no part, a part twice, or an unknown one.
        """
        if not parts or len(set(parts)) < len(parts) or not set(parts) <= set(_PARTS):
            raise ValueError(
                f"goals of {self.name} ask for {' and '.join(_PARTS)}, or for one of them; got "
                f"{', '.join(parts) or 'none'}"
            )
        self.asked = tuple(part for part in _PARTS if part in parts)

    @property
    def goal_mask(self) -> Mask:
        """See Task: the parts asked for; whole pictures where nothing else shows them."""
        shown = any(sensor.name in self.asked for sensor in self.sensors)
        return {
            sensor.name: np.full(sensor.shape, sensor.name in self.asked or (len(sensor.shape) > 1 and not shown))
            for sensor in self.sensors
        }

    def _with(self, posture: Float[ndarray, "nq"], place: Float[ndarray, "3"], opening: float = 0.0) -> ndarray:
        """State at rest in a posture, with the cube upright at `place` and the fingers open by so much each."""
        qpos = posture.copy()
        qpos[self._fingers] = opening
        qpos[self._free : self._free + 7] = [*place, 1.0, 0.0, 0.0, 0.0]
        return self.pack(qpos, np.zeros(self.model.nv))  # with targets at zero: the fingers close

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return the gripper at home and the cube on the table, 10 cm from below it or more."""
        while True:
            place = self._on_table(rng)
            if np.linalg.norm(place[:2] - self.home[:2]) >= 0.1:
                return self._with(self._rest, place)

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a place for the cube on the table, and one for the gripper clear of it."""
        return self._beside(self._on_table(rng), rng)

    def _on_table(self, rng: np.random.Generator) -> Float[ndarray, "3"]:
        return np.append(self.home[:2] + rng.uniform(-_RANGE, _RANGE, 2), RESTING)

    def _beside(self, place: Float[ndarray, "3"], rng: np.random.Generator) -> Float[ndarray, "G"]:
        while True:
            gripper = np.append(self.home[:2] + rng.uniform(-_RANGE, _RANGE, 2), rng.uniform(RESTING, 0.6))
            clear = np.linalg.norm(gripper[:2] - place[:2]) > 0.07 or gripper[2] > place[2] + 0.06
            if clear and self._arm.posture(gripper) is not None:
                return np.concatenate([gripper, place])

    def check_goal(self, goal: Float[ndarray, "G"]) -> None:
        """See Task: what is asked for must be a place over the table."""
        for part in self.asked:
            lowest = RESTING - 0.01 if part == "object" else TABLE
            cube.check_place(part, goal[_PARTS[part]], (*self.low[:2], lowest), self.high)

    def gripper(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 3"]:
        """Position of the gripper, between its fingers' ends, in metres."""
        return self._arm.places(self.qpos(states))

    def object(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 3"]:
        """Position of the cube's centre, in metres."""
        return self.qpos(states)[..., self._free : self._free + 3]

    def fingers(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Gap between the fingers, and the one that they are driven to, in metres."""
        opened = self.qpos(states)[..., self._fingers].sum(axis=-1)
        driven = np.minimum(states[..., self.state_size - self.model.na :], _WIDEST).sum(axis=-1)
        return np.stack([opened, driven], axis=-1) + _GAP

    def yaw(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "..."]:
        """Turn of the cube about the vertical in radians, in [-π/4, π/4): a cube looks the same after a quarter."""
        return cube.yaw(self.qpos(states)[..., self._free + 3 : self._free + 7])

    def touching(self, states: Float[ndarray, "... S"]) -> Bool[ndarray, "..."]:
        """See HasContact."""
        return np.asarray(self.readings(states)["contact"][..., 0] > 0)

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """See MujocoTask."""
        motion, touches = np.empty((*states.shape[:-1], 6)), np.empty((*states.shape[:-1], 1))
        qpos, qvel = self.qpos(states), self.qvel(states)
        rows = zip(qpos.reshape(-1, self.model.nq), qvel.reshape(-1, self.model.nv), strict=True)
        for index, (position, velocity) in enumerate(rows):
            motion.reshape(-1, 6)[index] = self._arm.motion(position, velocity)
            touches.reshape(-1)[index] = self._arm.touches(self._hand, self._cube, _TOUCHING)
        speed = qvel[..., self._spin : self._spin + 3]
        return self._named(
            motion, self.object(states), speed, self.yaw(states)[..., None], touches, self.fingers(states)
        )

    def _named(
        self, motion: ndarray, place: ndarray, speed: ndarray, yaw: ndarray, contact: ndarray, fingers: ndarray
    ) -> Mapping[str, ndarray]:
        """Readings of every vector."""
        return {
            "gripper": motion[..., :3],
            "gripper_velocity": motion[..., 3:],
            "object": place,
            "object_velocity": speed,
            "object_yaw": yaw,
            "object_from_gripper": place - motion[..., :3],
            "fingers": fingers,
            "contact": contact,
            "proprio": np.concatenate([motion, fingers], axis=-1) if self.grips else motion,
        }

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the positions of gripper and cube, in metres."""
        return np.concatenate([self.gripper(states), self.object(states)], axis=-1)

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest with gripper and cube at the goal, the fingers around the cube where it is held.

        Raises:
          ValueError: the gripper does not reach its place while it points down.
        """
        states = [
            self._with(self._arm.at(each[:3]), each[3:], _GRASPED if self.held(each) else 0.0)
            for each in goal.reshape(-1, self.goal_size)
        ]
        return np.stack(states).reshape((*goal.shape[:-1], self.state_size))

    def held(self, goal: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether the gripper has the cube between its fingers in a goal."""
        return np.asarray((np.linalg.norm(goal[..., :3] - goal[..., 3:], axis=-1) < 0.02) & self.grips)

    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Observation:
        """Ideal readings at rest at the goal; of vectors alone, also where the gripper cannot point down."""
        if any(len(sensor.shape) > 1 for sensor in self.sensors):
            return super().goal_observation(goal)
        gripper, place, held = goal[..., :3], goal[..., 3:], self.held(goal)[..., None]
        rest, gap = np.zeros_like(place), np.where(held, 2 * _GRASPED, 0.0) + _GAP
        motion = np.concatenate([gripper, rest], axis=-1)
        fingers = np.concatenate([gap, np.full_like(gap, _GAP)], axis=-1)
        return complete(self.sensors, self._named(motion, place, rest, rest[..., :1], held, fingers))

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the parts asked for are in place, at any speed."""
        return np.asarray(self._error(state, goal) < share * self.tolerance)

    def _error(self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Distance from the goal of the parts asked for, taken together."""
        away = self._arm.places(self.qpos(state)) - goal[..., :3] if "gripper" in self.asked else np.zeros(3)
        off = self.object(state) - goal[..., 3:] if "object" in self.asked else np.zeros(3)
        return np.asarray(np.sqrt(np.sum(away**2, axis=-1) + np.sum(off**2, axis=-1)))

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Metres that the cube is away, and a third of what the gripper is from where it can bring the cube on from.

        That counts fully while the cube is 5 cm away or more, and nothing once it is in place. Then the gripper's own
        goal counts, where it is asked for.
        """
        gripper, place = self.gripper(states), self.object(states)
        away = np.asarray(np.linalg.norm(gripper - goal[..., :3], axis=-1))
        if "object" not in self.asked:
            return away
        aim = np.broadcast_to(goal[..., 3:], place.shape)
        off = np.asarray(np.linalg.norm(place - aim, axis=-1))
        far = np.minimum(off / self.tolerance, 1.0)
        home = 0.2 * (1 - far) * away if "gripper" in self.asked else 0.0
        return np.asarray(off + far * self._approach(states, gripper, place, aim) / 3 + home)

    def _approach(self, states: ndarray, gripper: ndarray, place: ndarray, aim: ndarray) -> Float[ndarray, "..."]:
        """Metres from where the gripper can bring the cube on: behind it, seen from the goal."""
        return np.asarray(np.linalg.norm(gripper - hand.behind(place, aim), axis=-1))

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Pushes of the cube from behind, where the gripper comes over the cube; then the gripper's own goal."""
        seen = self.readings(states)
        push = hand.pushed(seen["gripper"], seen["gripper_velocity"], seen["object"], goals[..., 3:])
        return np.where(self._placed(seen, goals)[..., None], self._leave(seen, goals), push)

    def _placed(self, seen: Mapping[str, ndarray], goals: Float[ndarray, "... G"]) -> Bool[ndarray, "..."]:
        """Whether only the gripper is left to be brought to its goal."""
        close = np.linalg.norm(seen["object"] - goals[..., 3:], axis=-1) < _PLACED
        return np.asarray(("gripper" in self.asked) & (close | ("object" not in self.asked)))

    def _leave(self, seen: Mapping[str, ndarray], goals: Float[ndarray, "... G"]) -> Float[ndarray, "... 3"]:
        return hand.left(seen["gripper"], seen["gripper_velocity"], seen["object"], goals[..., :3])

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Corners of the cube, and the gripper, seen from above, in metres."""
        return self._seen_from_above(self.achieved_goal(states), self.yaw(states))

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Keypoints of an upright cube and the gripper at the goal."""
        return self._seen_from_above(goal, np.zeros(goal.shape[:-1]))

    def _seen_from_above(
        self, places: Float[ndarray, "... G"], yaw: Float[ndarray, "..."]
    ) -> Float[ndarray, "... J 2"]:
        corners = cube.corners(yaw)
        return np.concatenate([places[..., None, 3:5] + corners, places[..., None, :2]], axis=-2)

    def scene(self) -> Scene:
        """Part of the table around the goals; the cube as its four sides."""
        (x, y), reach = self.home[:2].tolist(), _RANGE + 0.1
        return Scene((x - reach, y - reach), (x + reach, y + reach), (), 0.015, links=((0, 1), (1, 2), (2, 3), (3, 0)))

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the marks of the parts asked for; the others are below the floor."""
        for index, part in ((1, "object"), (2, "gripper")):
            data.mocap_pos[index] = goal[_PARTS[part]] if part in self.asked else (0.0, 0.0, -1.0)
