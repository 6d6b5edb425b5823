"""Frames of a MuJoCo model, rendered off screen through one of its cameras. No other module uses OpenGL.

On Linux the context is EGL, which needs no display, unless MUJOCO_GL names another; elsewhere the platform's default.
Shadows, reflections and the sky are off: with software rendering they take most of the render time and add nothing.
"""

from __future__ import annotations

import atexit
import copy
import os
import subprocess
import sys
import weakref
from collections.abc import Callable, Mapping
from typing import Any

import mujoco
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

_FIX = "install EGL and a driver (on Debian: apt-get install libegl1 libgl1-mesa-dri)"
_FAINT = 0.2  # opacity below which a body is decoration
_MOMENT = int(mujoco.mjtState.mjSTATE_INTEGRATION)  # all of a simulation's state, mocap bodies included
_LARGE = 128  # pixels: frames of this size or more are for people, and are anti-aliased
_OFF = (
    mujoco.mjtRndFlag.mjRND_SHADOW,
    mujoco.mjtRndFlag.mjRND_REFLECTION,
    mujoco.mjtRndFlag.mjRND_SKYBOX,
    mujoco.mjtRndFlag.mjRND_HAZE,
)


class Camera:
    """Renderer of physics states of `model` through one of its cameras, closed by `close` or at the interpreter's exit.

    Args:
      model: copied, since the copy's buffer takes the size of the frame.
      width: of a frame, in pixels.
      height: of a frame, in pixels.
      place_goal: moves the goal's marks, as `MujocoTask.place_goal` does.
      name: of the camera; None: MuJoCo's default view, which shows the whole model and does not move.
      marks: whether mocap bodies, such as the goal's marks, and what is nearly transparent are visible.
      view: distance, lookat, azimuth or elevation in place of those of the default view.
      samples: of a pixel, against aliasing; None: 4 for frames that people look at, 0 for small ones.

    Raises:
      ValueError: a width or height below one pixel, or a camera that the model lacks.
      RuntimeError: no OpenGL context can be made on this machine.
    """

    def __init__(
        self,
        model: mujoco.MjModel,
        width: int,
        height: int,
        place_goal: Callable[[mujoco.MjData, ndarray], None] | None = None,
        *,
        name: str | None = "top",
        marks: bool = True,
        view: Mapping[str, Any] | None = None,
        samples: int | None = None,
    ):
        if width < 1 or height < 1:
            raise ValueError(f"a frame needs at least one pixel; got width={width}, height={height}")
        known = [model.camera(index).name for index in range(model.ncam)]
        if name is not None and name not in known:
            raise ValueError(f"the model has no camera {name!r}: it has {', '.join(known) or 'none'}")
        self._place_goal, self._width, self._height = place_goal, width, height
        model = copy.deepcopy(model)
        model.vis.global_.offwidth, model.vis.global_.offheight = width, height
        model.vis.quality.offsamples = (4 if min(width, height) >= _LARGE else 0) if samples is None else samples
        model.vis.quality.shadowsize = 0  # no buffer for shadows, which are off
        if not marks:
            hidden = (model.body_mocapid[model.geom_bodyid] >= 0) | (model.geom_rgba[:, 3] < _FAINT)
            model.geom_matid[hidden], model.geom_rgba[hidden] = -1, 0.0
        self._model, self._data = model, mujoco.MjData(model)
        self._scene = mujoco.MjvScene(model, maxgeom=max(200, model.ngeom + model.nsite + 100))
        for flag in _OFF:
            self._scene.flags[flag] = 0
        self._option = mujoco.MjvOption()
        self._view = mujoco.MjvCamera()
        if name is None:
            mujoco.mjv_defaultFreeCamera(model, self._view)
            for key, value in (view or {}).items():
                setattr(self._view, key, value)
        else:
            self._view.type, self._view.fixedcamid = mujoco.mjtCamera.mjCAMERA_FIXED, model.camera(name).id
        self._moment = np.empty(mujoco.mj_stateSize(model, _MOMENT))
        self._rectangle = mujoco.MjrRect(0, 0, width, height)
        self._gl, self._renderer = _contexts(model, width, height)
        # Registered after MuJoCo's own exit hook, hence run before it: a context of a closed display cannot be freed.
        self._free = weakref.finalize(self, _free, self._gl, self._renderer)
        self._free.atexit = False
        atexit.register(self._free)

    def frame(self, state: Float[ndarray, "S"], goal: Float[ndarray, "G"] | None = None) -> UInt8[ndarray, "h w 3"]:
        """Render the model in `state` as RGB, with the goal's marks at `goal` (or where they were last).

        Raises:
          ValueError: a goal, for a camera that was made without `place_goal`.
          RuntimeError: the camera is closed.
        """
        if not self._free.alive:
            raise RuntimeError("this camera is closed: make another one to draw more frames")
        mujoco.mj_setState(self._model, self._data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        if goal is not None:
            if self._place_goal is None:
                raise ValueError("this camera cannot draw a goal: make it with place_goal=task.place_goal")
            self._place_goal(self._data, goal)
        return self._drawn(self._model)

    def live(self, model: mujoco.MjModel, data: mujoco.MjData) -> UInt8[ndarray, "h w 3"]:
        """Render a running simulation as RGB; it is not changed.

        Args:
          model: one like the camera's, in which a task may have moved its targets since.
          data: of the simulation; only its state counts, and no quantity that MuJoCo derived from it.

        Raises:
          RuntimeError: the camera is closed.
        """
        if not self._free.alive:
            raise RuntimeError("this camera is closed: make another one to draw more frames")
        mujoco.mj_getState(model, data, self._moment, _MOMENT)
        mujoco.mj_setState(model, self._data, self._moment, _MOMENT)
        return self._drawn(model)

    def _drawn(self, model: mujoco.MjModel) -> UInt8[ndarray, "h w 3"]:
        # Only what is drawn is computed: bodies, cameras and lights, and no contacts or forces.
        mujoco.mj_kinematics(model, self._data)
        mujoco.mj_comPos(model, self._data)
        mujoco.mj_camlight(model, self._data)
        mujoco.mj_flex(model, self._data)
        mujoco.mj_tendon(model, self._data)
        self._gl.make_current()
        everything = int(mujoco.mjtCatBit.mjCAT_ALL)
        mujoco.mjv_updateScene(model, self._data, self._option, None, self._view, everything, self._scene)
        mujoco.mjr_render(self._rectangle, self._scene, self._renderer)
        pixels = np.empty((self._height, self._width, 3), np.uint8)
        mujoco.mjr_readPixels(pixels, None, self._rectangle, self._renderer)
        return pixels[::-1].copy()  # OpenGL's first row is the lowest one

    def close(self) -> None:
        """Free the OpenGL context; closing twice is harmless."""
        self._free()


def available() -> str | None:
    """Return None if frames can be rendered here, else the reason and the fix in one sentence.

    The check runs in another process, since a broken driver may crash the process that loads it.
    """
    tried = subprocess.run([sys.executable, "-P", __file__], capture_output=True, text=True, check=False, timeout=120)
    if tried.returncode == 0:
        return None
    lines = tried.stderr.strip().splitlines()
    if tried.returncode == 1 and lines and lines[-1].startswith("RuntimeError: "):
        return lines[-1].removeprefix("RuntimeError: ")
    return f"drawing ended with exit status {tried.returncode}: {_FIX}"


def _contexts(model: mujoco.MjModel, width: int, height: int) -> tuple[Any, mujoco.MjrContext]:
    try:
        if sys.platform == "linux" and os.environ.get("MUJOCO_GL", "egl") == "egl":
            from mujoco.egl import GLContext
        else:
            from mujoco.rendering.classic.gl_context import GLContext
        gl = GLContext(width, height)
        gl.make_current()
        renderer = mujoco.MjrContext(model, mujoco.mjtFontScale.mjFONTSCALE_100)
        mujoco.mjr_setBuffer(mujoco.mjtFramebuffer.mjFB_OFFSCREEN, renderer)
    except (
        Exception
    ) as error:  # PyOpenGL raises various errors where its library is missing: AttributeError, ImportError, ...
        reason = " ".join(str(error).split()) or "no reason given"
        raise RuntimeError(f"no OpenGL context ({type(error).__name__}: {reason}): {_FIX}") from error
    return gl, renderer


def _free(gl: Any, renderer: mujoco.MjrContext) -> None:
    gl.make_current()
    renderer.free()
    gl.free()


def _probe() -> None:
    model = mujoco.MjModel.from_xml_string("<mujoco/>")
    _free(*_contexts(model, 16, 16))


if __name__ == "__main__":
    _probe()
