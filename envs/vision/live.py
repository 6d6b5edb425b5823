"""Pictures of a running simulation, one at a time: for tasks that cannot be rolled out in batches."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, final

import mujoco
from jaxtyping import UInt8
from numpy import ndarray

from ..sensors import Sensor
from .pictures import SAMPLES


@final
class LivePictures:
    """Renderer of a simulation as it runs, in this process. Its OpenGL context starts when it is first used.

    A picture follows from the simulation state and from what a task changed in its model, such as a target's place.

    Args:
      size: width and height in pixels.
      view: where the model has no camera, changes of MuJoCo's default view, such as its distance.
    """

    def __init__(self, size: int, view: Mapping[str, Any]):
        self._size, self._view = size, view
        self._camera: Any = None

    def sensor(self, name: str) -> Sensor:
        """Return the sensor that these pictures are the readings of."""
        return Sensor(name, (self._size, self._size, 3), "uint8", interpolates=False)

    def __call__(self, model: mujoco.MjModel, data: mujoco.MjData) -> UInt8[ndarray, "h w 3"]:
        """Draw the present moment.

        Raises:
          RuntimeError: no OpenGL context can be made on this machine.
        """
        if self._camera is None:
            from .camera import Camera  # OpenGL is loaded only for drawing

            name = model.camera(0).name if model.ncam else None
            self._camera = Camera(model, self._size, self._size, name=name, view=self._view, samples=SAMPLES)
        picture: ndarray = self._camera.live(model, data)
        return picture

    def close(self) -> None:
        """Free the context; it starts again when needed."""
        if self._camera is not None:
            self._camera.close()
            self._camera = None
