"""Push-T: a round pusher brings a T-shaped block to a pose, by contact alone.

The world of gym-pusht and stable-worldmodel in MuJoCo, a pixel of theirs a millimetre here: a pusher that nothing
resists, a block that stops when nobody pushes it, contact without friction, and actions relative to the pusher.
Changed: the pusher's target stays within the arena, as a robot's workspace does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import resources

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from . import tee
from .mujoco_task import MujocoTask
from .pushing import Pushers
from .rollout import BatchPhysics
from .sensors import Mask, Sensor
from .task import Scene

ARENA = 0.512  # metres, from the corner at zero
_STRIDE = 0.1  # metres that an action of 1 puts the target ahead of the pusher
_PARTS = {"pusher": slice(0, 2), "block": slice(2, 5)}  # of a goal
_TOUCHING = 5e-4  # metres between the surfaces that count as contact
_FURTHEST = 3  # times `goal_offset`, of a goal near a state


class PusherPhysics(BatchPhysics):
    """Batched rollouts in which an action `[x, y]` in [-1, 1] puts the pusher's target 10 cm from where it then is."""

    def __init__(self, model: mujoco.MjModel, substeps: int):
        super().__init__(model, substeps)
        self.action_low, self.action_high = -np.ones(2), np.ones(2)

    def command(self, data: mujoco.MjData, action: Float[ndarray, "A"]) -> None:
        """Set the target from where the pusher of `data` is."""
        data.ctrl[:] = self._targets(data.qpos[:2], action)

    def _simulate(
        self,
        models: list[mujoco.MjModel],
        states: Float[ndarray, "B S"],
        controls: Float[ndarray, "B T A"],
        out: Float[ndarray, "B T S"],
    ) -> None:
        """Fill `out` with one C call per action, since each starts from the pusher's current position."""
        current, after = states.copy(), np.empty((len(states), self.substeps, self.state_size))
        for t in range(controls.shape[1]):
            targets = self._targets(current[:, 1:3], controls[:, t])
            self._rollout(models, current, np.repeat(targets[:, None], self.substeps, axis=1), after)
            current[:] = after[:, -1]
            out[:, t] = current

    def _targets(self, positions: Float[ndarray, "... 2"], actions: Float[ndarray, "... 2"]) -> Float[ndarray, "... 2"]:
        return np.clip(positions + _STRIDE * np.clip(actions, -1.0, 1.0), 0.0, ARENA)


class PushT(MujocoTask):
    """Actions in [-1, 1]: where the pusher's target is put, × 10 cm from the pusher, in x and y, for 0.1 s.

    Sensors are `pusher` (x, y), `block` (x, y of the middle of the T's upper edge, and its angle), `pusher_velocity`,
    and `pusher_in_block`: where the pusher is in the frame of the block, as a camera on the block would see it. Further
    ones are `contact` (1 where they touch) and `proprio`, position and velocity of the pusher.

    A goal is `[pusher x, y, block x, y, angle]`, and asks for the parts in `asked`. Success as in stable-worldmodel:
    the positions asked for, taken together, within 20 mm, and the angle within 20°. A drawn goal is a state that
    random pushes reach 25 steps after the start, in which the block has moved.

    Args:
      render_mode: "rgb_array" for a task that draws itself.
      asked: parts that goals ask for: `pusher`, `block`, or both.

    Raises:
      ValueError: another render mode, no part, or an unknown one.
    """

    name = "push_t"
    goal_size = 5
    budget = 50
    goal_offset = 25  # environment steps from the start of a drawn pair to its goal
    strict_parts = ("block",)
    tolerance, angle_tolerance = 0.02, np.pi / 9  # metres, radians

    def __init__(self, render_mode: str | None = None, asked: Sequence[str] = ("pusher", "block")):
        text = resources.files(__package__).joinpath("assets/push_t.xml").read_text(encoding="utf-8")
        super().__init__(
            PusherPhysics(mujoco.MjModel.from_xml_string(text), substeps=20),
            sensors=[
                Sensor("pusher", (2,), units=("m", "m")),
                Sensor("block", (3,), units=("m", "m", "rad"), period=(None, None, 2 * np.pi)),
                Sensor("pusher_velocity", (2,), units=("m/s", "m/s")),
                Sensor("pusher_in_block", (2,), units=("m", "m")),
            ],
            others=[
                Sensor("contact", (1,), interpolates=False),
                Sensor("proprio", (4,), units=("m", "m", "m/s", "m/s")),
            ],
            observation_bound={
                "pusher": (0.6,) * 2,
                "block": (0.6, 0.6, np.pi),
                "pusher_velocity": (1.0,) * 2,
                "pusher_in_block": (0.8,) * 2,
                "contact": (1.0,),
                "proprio": (0.6, 0.6, 1.0, 1.0),
            },
            render_mode=render_mode,
        )
        self.asked: tuple[str, ...] = ()
        self.ask(asked)
        self.state = self.at_goal(np.array([0.1, 0.1, 0.256, 0.256, 0.0]))

    def ask(self, parts: Sequence[str]) -> None:
        """Ask for other parts of a goal from now on: "the block there, the pusher anywhere".

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
        """See Task: the parts asked for, and pictures as a whole. Velocity and the pusher in the block are free."""
        return {each.name: np.full(each.shape, each.name in self.asked or len(each.shape) > 1) for each in self.sensors}

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a pusher and a block anywhere, clear of each other and of the walls, at rest."""
        while True:
            goal = np.concatenate([rng.uniform(0.05, 0.45, 2), rng.uniform(0.1, 0.4, 2), rng.uniform(-np.pi, np.pi, 1)])
            state = self.at_goal(goal)
            if self._clear(state):
                return state

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return poses of pusher and block anywhere, as at a start."""
        return self.achieved_goal(self.sample_state(rng))

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """See `sample_pair_at`."""
        return self.sample_pair_at(rng, self.goal_offset)

    def sample_pair_at(self, rng: np.random.Generator, offset: int) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start amid random pushes, and what they reach `offset` steps later, where the block has moved."""
        while True:
            before = int(rng.integers(60))
            states, _ = Pushers().rollout(self, self.sample_state(rng)[None], [rng], before + offset)
            state, goal = states[0, before], self.achieved_goal(states[0, -1])
            if not self._placed(state, goal, ("block",), 1.0):
                return state, goal

    def goals_near(self, states: Float[ndarray, "B S"], rngs: Sequence[np.random.Generator]) -> Float[ndarray, "B G"]:
        """See HasNearGoals: what random pushes reach 25, 50 or 75 steps later, where the block has moved."""
        goals, left = np.empty((len(states), self.goal_size)), np.arange(len(states))
        while len(left):
            chosen = [rngs[i] for i in left.tolist()]
            later = self.goal_offset * np.array([int(rng.integers(1, _FURTHEST + 1)) for rng in chosen])
            ways, _ = Pushers().rollout(self, states[left], chosen, _FURTHEST * self.goal_offset)
            goals[left] = self.achieved_goal(ways[np.arange(len(left)), later])
            left = left[self._placed(states[left], goals[left], ("block",), 1.0)]
        return goals

    def _clear(self, state: Float[ndarray, "S"]) -> bool:
        corners = tee.corners(self.block(state))
        inside = bool((corners > 0.005).all() and (corners < ARENA - 0.005).all())
        return inside and float(tee.clearance(self.pusher_in_block(state))) > tee.PUSHER_RADIUS

    def pusher(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Position of the pusher, in metres."""
        return self.qpos(states)[..., :2]

    def pusher_velocity(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Velocity of the pusher, in metres a second."""
        return self.qvel(states)[..., :2]

    def block(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 3"]:
        """Position of the block's centre of mass, in metres, and its angle, in radians."""
        return self.qpos(states)[..., 2:5]

    def pusher_in_block(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Position of the pusher in the frame of the block's centre of mass, in metres."""
        block = self.block(states)
        return tee.rotated(self.pusher(states) - block[..., :2], -block[..., 2])

    def touching(self, states: Float[ndarray, "... S"]) -> Bool[ndarray, "..."]:
        """See HasContact: whether the pusher touches the block."""
        return np.asarray(tee.clearance(self.pusher_in_block(states)) - tee.PUSHER_RADIUS < _TOUCHING)

    def readings(self, states: Float[ndarray, "... S"]) -> Mapping[str, ndarray]:
        """See MujocoTask."""
        goal, velocity, inside = self.achieved_goal(states), self.pusher_velocity(states), self.pusher_in_block(states)
        return {
            "pusher": goal[..., :2],
            "block": goal[..., 2:],
            "pusher_velocity": velocity,
            "pusher_in_block": inside,
            "contact": self.touching(states)[..., None].astype(np.float32),
            "proprio": np.concatenate([goal[..., :2], velocity], axis=-1),
        }

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the positions of pusher and block, in metres, and the block's angle in [-π, π)."""
        block = self.block(states)
        angle = block[..., 2]
        edge = block[..., :2] + tee.rotated(np.broadcast_to(tee.ORIGIN, (*angle.shape, 2)), angle)
        return np.concatenate([self.pusher(states), edge, tee.wrapped(angle)[..., None]], axis=-1)

    def at_goal(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... S"]:
        """Return the state at rest in the goal's poses."""
        angle = goal[..., 4]
        centre = goal[..., 2:4] - tee.rotated(np.broadcast_to(tee.ORIGIN, (*angle.shape, 2)), angle)
        qpos = np.concatenate([goal[..., :2], centre, angle[..., None]], axis=-1)
        return self.pack(qpos, np.zeros_like(qpos))

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the parts asked for are in place, at any speed."""
        return self._placed(state, goal, self.asked, share)

    def _placed(self, state: ndarray, goal: ndarray, parts: Sequence[str], share: float) -> Bool[ndarray, "..."]:
        error = self._errors(state, goal)
        squares = sum(np.sum(error[..., _PARTS[part]][..., :2] ** 2, axis=-1) for part in parts)
        placed = np.sqrt(squares) < share * self.tolerance
        return np.asarray(placed & (("block" not in parts) | (error[..., 4] < share * self.angle_tolerance)))

    def _errors(self, state: ndarray, goal: ndarray) -> Float[ndarray, "... G"]:
        """Differences of achieved and asked, absolute, the shortest way round for the angle."""
        difference = self.achieved_goal(state) - goal
        return np.abs(np.concatenate([difference[..., :4], tee.wrapped(difference[..., 4:])], axis=-1))

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Metres that the block is away, a radian counted as 5 cm, and a fifth of what the pusher still has to go.

        While the block is out of place, that is the way to the block and from there to the pusher's own goal.
        """
        error = self._errors(states, goal)
        away = np.linalg.norm(error[..., :2], axis=-1)
        if "block" not in self.asked:
            return np.asarray(away)
        block = np.linalg.norm(error[..., 2:4], axis=-1) + 0.05 * error[..., 4]
        out = np.clip(block / self.tolerance, 0.0, 1.0)
        way = np.maximum(tee.clearance(self.pusher_in_block(states)) - tee.PUSHER_RADIUS, 0.0)
        if "pusher" in self.asked:
            back = np.linalg.norm(self.block(states)[..., :2] - goal[..., :2], axis=-1)
            return np.asarray(block + 0.2 * (out * (way + back) + (1.0 - out) * away))
        return np.asarray(block + 0.2 * out * way)

    def coverage(self, state: Float[ndarray, "S"], goal: Float[ndarray, "G"]) -> float:
        """Share of the goal's area that the block covers: gym-pusht counts more than 0.95 as success."""
        return tee.coverage(self.block(state), self.block(self.at_goal(goal)))

    def keypoints(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... J 2"]:
        """Ends and middle of the T's bar, the end of its stem, and the pusher, in metres."""
        block = self.block(states)[..., None, :]
        return np.concatenate(
            [block[..., :2] + tee.rotated(tee.SKELETON, block[..., 2]), self.pusher(states)[..., None, :]], axis=-2
        )

    def goal_keypoints(self, goal: Float[ndarray, "... G"]) -> Float[ndarray, "... J 2"]:
        """Keypoints in the goal's poses."""
        return self.keypoints(self.at_goal(goal))

    def scene(self) -> Scene:
        """Arena; the T as two links."""
        return Scene((0.0, 0.0), (ARENA, ARENA), (), tee.PUSHER_RADIUS, links=((0, 1), (1, 2), (1, 3)))

    def place_goal(self, data: mujoco.MjData, goal: Float[ndarray, "G"]) -> None:
        """Move the marks of block and pusher."""
        state = self.at_goal(goal)
        x, y, angle = self.block(state)
        data.mocap_pos[0, :2], data.mocap_pos[1, :2] = (x, y), self.pusher(state)
        data.mocap_quat[0] = np.cos(angle / 2), 0.0, 0.0, np.sin(angle / 2)
