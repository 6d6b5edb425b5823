"""OGBench's arm: a UR5e with a Robotiq 2F-85 gripper on a fenced table, from the files of its package.

Names, gains and limits are the original's, and so are the dynamics. What is only seen of the arm is left out: meshes of
its links are large, and the shapes that collide show it as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np

from .arm import HandPhysics

_LINKS = ("shoulder_pan", "shoulder_lift", "elbow", "wrist_1", "wrist_2", "wrist_3")
SIZE = len(_LINKS)  # number of joints of the arm, the first ones of the model
HOME = np.pi / 2 * np.array([-1.0, -1.0, 1.0, -1.0, -1.0, 0.0])  # radians
PADS = tuple(tuple(f"ur5e/robotiq/{side}_pad{box}" for box in (1, 2)) for side in ("right", "left"))  # of the fingers
_STIFFNESS = np.array([4500.0, 4500.0, 4500.0, 2000.0, 2000.0, 500.0])  # N m/rad, that OGBench gives the servos
_WORKSPACE = np.array([[0.25, -0.35, 0.02], [0.6, 0.35, 0.35]])  # metres, of the hand's targets
_OVER = ("wrist_2", "wrist_3", "base")  # bodies between a camera above and the fingertips
_SOLID, _SHADE, _CLEAR = 0.6, 0.22, 0.08  # opacity of the fingertips, of the arm, and of what would hide the fingertips


def scene(objects: str, shade: Sequence[float]) -> mujoco.MjSpec:
    """Return the table, the arm and objects, for `compiled`.

    Args:
      objects: name of one of OGBench's files.
      shade: red, green and blue of the arm, which is drawn transparent.

    Raises:
      ImportError: OGBench is not installed.
    """
    suite = find_spec("ogbench")  # only its files are read; importing it would import all of its suites
    if suite is None or suite.origin is None:
        raise ImportError("this task needs OGBench: pip install ogbench (the extra `ogbench`)")
    folder = Path(suite.origin).parent / "manipspace/descriptions"
    files = ("floor_wall.xml", "universal_robots_ur5e/ur5e.xml", "robotiq_2f85/2f85.xml", objects)
    world, arm, hand, things = parts = [mujoco.MjSpec.from_file(str(folder / file)) for file in files]
    for spec in parts:  # alike in all, or joining them warns
        spec.option.integrator, spec.option.cone = (
            mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
            mujoco.mjtCone.mjCONE_ELLIPTIC,
        )
        spec.option.impratio, spec.option.timestep = 10.0, 0.002
    for key in list(arm.keys):
        arm.delete(key)
    for spec in (arm, hand):
        _lighten(spec, shade)
    arm.attach(hand, site=arm.site("attachment_site"), prefix="robotiq/")
    world.attach(arm, frame=world.worldbody.add_frame(), prefix="ur5e/")
    world.attach(things, frame=world.worldbody.add_frame(), prefix="")
    world.delete(world.texture("skybox"))
    return world


def compiled(world: mujoco.MjSpec) -> mujoco.MjModel:
    """Compile a scene, with the stiffness that OGBench gives the servos."""
    model = world.compile()
    model.actuator_gainprm[:SIZE, 0], model.actuator_biasprm[:SIZE, 1] = _STIFFNESS, -_STIFFNESS
    return model


def physics(model: mujoco.MjModel) -> HandPhysics:
    """Return the batched dynamics of a compiled scene under OGBench's actions, one for every 0.05 s."""
    return HandPhysics(
        model,
        substeps=25,
        site="ur5e/robotiq/pinch",
        flange="ur5e/attachment_site",
        joints=[f"ur5e/{link}_joint" for link in _LINKS],
        gripper="ur5e/robotiq/right_driver_joint",
        stride=(0.05, 0.05, 0.05, 0.3, 1.0),
        workspace=_WORKSPACE,
        closed=0.8,
        closed_command=255.0,
    )


def _lighten(spec: mujoco.MjSpec, shade: Sequence[float]) -> None:
    """Remove meshes that are only seen and have no mass; draw those that collide instead."""
    for body in spec.bodies:
        for geom in list(body.geoms):
            if geom.contype == 0 and body.explicitinertial:
                spec.delete(geom)
            else:
                geom.group, geom.material = 0, ""
                over = body.name.startswith(_OVER)
                geom.rgba = [*shade, _SOLID if "pad" in body.name else _CLEAR if over else _SHADE]
    used = {geom.meshname for geom in spec.geoms}
    for mesh in list(spec.meshes):
        if Path(mesh.file).stem not in used:
            spec.delete(mesh)
