"""Course of a clip: what it starts from, how the screen moves, what the pusher does, and the simulation of it."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import mujoco
import numpy as np
from jaxtyping import Float, Float32
from numpy import ndarray

from .scene import AWAY, LOOK, Scene, model_of

FRAMES = 32  # pictures of a clip
FRAME_SECONDS = 0.08  # between two pictures
_STEPS = 20  # of the simulation, between two pictures
STATE = 15  # numbers of a state: positions and velocities of 7 joints, and how far the screen is up
_QUIET = 8.0  # height at which an absent body waits


@dataclass(frozen=True)
class Motion:
    """Start of one body: place, turn and velocities, in metres, radians and seconds."""

    x: float
    z: float
    turn: float = 0.0
    speed: float = 0.0
    climb: float = 0.0
    spin: float = 0.0


@dataclass(frozen=True)
class Course:
    """A scene, where it starts, and what is done in it.

    Args:
      scene: what acts, and, unless a clip says otherwise, what is seen.
      first: start of the first body, if the scene has one.
      second: likewise.
      pusher: place of the pusher at the start.
      screen: how far the screen is up in each picture, between 0 and 1.
      actions: of the pusher, between two pictures each.
      change: a picture, and the scene that acts from there on.
    """

    scene: Scene
    first: Motion | None = None
    second: Motion | None = None
    pusher: float = 0.0
    screen: Float[ndarray, "T"] = field(default_factory=lambda: np.zeros(FRAMES))
    actions: Float[ndarray, "U 1"] = field(default_factory=lambda: np.zeros((FRAMES - 1, 1)))
    change: tuple[int, Scene] | None = None


@dataclass(frozen=True)
class Clip:
    """States, looks and actions of one clip, before it is drawn."""

    states: Float[ndarray, "T 15"]
    looks: Float[ndarray, "T L"]  # `Scene.vector` of what each picture shows
    actions: Float32[ndarray, "U 1"]

    def rows(self) -> Float[ndarray, "T 42"]:
        """States and looks side by side, as datasets hold them."""
        return np.concatenate([self.states, self.looks], axis=1)

    def then(self, other: Clip, event: int) -> Clip:
        """This clip up to the event, and another one from that picture on."""
        return Clip(
            np.concatenate([self.states[:event], other.states[event:]]),
            np.concatenate([self.looks[:event], other.looks[event:]]),
            np.concatenate([self.actions[: event - 1], other.actions[event - 1 :]]),
        )

    def looking_like(self, other: Clip) -> Clip:
        """This clip with the standing parts of another one, which do not act here."""
        looks = [
            Scene.of_vector(own).seen_as(Scene.of_vector(its)).vector()
            for own, its in zip(self.looks[:1], other.looks[:1], strict=True)
        ]
        return replace(self, looks=np.repeat(np.stack(looks), len(self.looks), axis=0))

    def acted(self, other: Clip) -> Clip:
        """This clip with the actions of another one, which do not have these effects."""
        return replace(self, actions=other.actions)


def roll_out(course: Course) -> Clip:
    """Simulate a course."""
    scene, model = course.scene, model_of(course.scene)
    data = mujoco.MjData(model)
    begin(model, data, course)
    states, looks = np.empty((FRAMES, STATE)), np.empty((FRAMES, len(LOOK)))
    look = scene.vector()
    for frame in range(FRAMES):
        if course.change is not None and frame == course.change[0]:
            model, kept = model_of(course.change[1]), (data.qpos.copy(), data.qvel.copy())
            data, look = mujoco.MjData(model), course.change[1].vector()
            data.qpos[:], data.qvel[:] = kept
        states[frame], looks[frame] = np.concatenate([data.qpos, data.qvel, course.screen[frame : frame + 1]]), look
        if frame < FRAMES - 1:
            data.ctrl[:] = course.actions[frame]
            mujoco.mj_step(model, data, _STEPS)
    return Clip(states, looks, np.asarray(course.actions, np.float32))


def begin(model: mujoco.MjModel, data: mujoco.MjData, course: Course) -> None:
    """Put the bodies of a course at their start; absent ones are outside of the picture."""
    for at, motion in ((0, course.first), (3, course.second)):
        if motion is None:
            data.qpos[at : at + 3] = AWAY, _QUIET + at, 0.0
        else:
            data.qpos[at : at + 3] = motion.x, motion.z, motion.turn
            data.qvel[at : at + 3] = motion.speed, motion.climb, motion.spin
    data.qpos[6] = course.pusher if course.scene.pusher else -AWAY


def predicted(row: Float[ndarray, "42"], actions: Float[ndarray, "K 1"]) -> Float[ndarray, "42"]:
    """State some pictures after a row of `Clip.rows`, if what is seen acts; the screen stays where it is.

    Args:
      row: state and look.
      actions: one for each picture.
    """
    model = model_of(Scene.of_vector(row[STATE:]))
    data = mujoco.MjData(model)
    data.qpos[:], data.qvel[:] = row[:7], row[7:14]
    for action in actions:
        data.ctrl[:] = action
        mujoco.mj_step(model, data, _STEPS)
    return np.concatenate([data.qpos, data.qvel, row[14:]])
