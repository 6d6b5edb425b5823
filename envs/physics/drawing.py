"""Pictures of clips: each state drawn with the look that its picture has."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from ..vision.camera import Camera
from ..vision.pictures import SAMPLES
from .course import STATE, Clip
from .scene import CAMERA, Scene, model_of

SIZE = 64  # pixels, of a picture's width and height
_FRONT = -1.0  # where the screen is, in metres from the bodies' plane towards the camera


class Painter:
    """Renderer of clips through the fixed side camera. Its OpenGL context ends with `close`, or a `with` block."""

    def __init__(self, size: int = SIZE) -> None:
        self._size = size
        self._camera = Camera(model_of(Scene()), size, size, name=CAMERA, samples=SAMPLES)

    def __call__(self, clip: Clip) -> UInt8[ndarray, "T h w 3"]:
        """Draw every picture of a clip."""
        return self.rows(clip.rows())

    def rows(self, rows: Float[ndarray, "T 42"]) -> UInt8[ndarray, "T h w 3"]:
        """Draw states and looks, as `Clip.rows` has them."""
        out = np.empty((len(rows), self._size, self._size, 3), np.uint8)
        last: tuple[bytes, bytes] | None = None
        scene, model = Scene(), model_of(Scene())
        data = mujoco.MjData(model)
        for index, row in enumerate(rows):
            seen = row[:7].tobytes() + row[14:15].tobytes(), row[STATE:].tobytes()
            if last == seen:  # nothing has moved
                out[index] = out[index - 1]
                continue
            if last is None or last[1] != seen[1]:
                scene = Scene.of_vector(row[STATE:])
                model = model_of(scene)
                data = mujoco.MjData(model)
            data.qpos[:], data.qvel[:] = row[:7], row[7:14]
            if scene.screen is not None:
                place, _, height = scene.screen
                centre = height / 2 - 0.15  # it reaches below the picture, so that it rises out of its lower edge
                down = height + 0.3
                data.mocap_pos[0] = place, _FRONT, centre - (1.0 - row[14]) * down
            out[index], last = self._camera.live(model, data), seen
        return out

    def close(self) -> None:
        """Free the OpenGL context."""
        self._camera.close()

    def __enter__(self) -> Painter:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
