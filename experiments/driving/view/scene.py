"""The scene of a drive's page in 3D: robot, goal, imagined plan and executed path."""

from __future__ import annotations

from typing import Any, final

import numpy as np
from numpy import ndarray

from envs import Task
from envs.task import Scene, planar_view

from .state import Picture
from .theme import SHEET, Colour, Theme

FOV = np.deg2rad(38.0)  # of the camera, from top to bottom
TILT = np.deg2rad(24.0)  # of the camera, from straight above
TALL = 0.75  # width over height below which a window has the panel as a sheet at its bottom
RIM = 0.1  # of the scene: the most that is shown of walls around it
GHOSTS = 3  # postures along a plan


@final
class Stage:
    """3D stage of robot, goal and walls, viewed from above and slightly from the south.

    Args:
      server: of viser.
      task: the task being driven.
      theme: its colours.
    """

    def __init__(self, server: Any, task: Task, theme: Theme):
        self._server, self._task, self._theme = server, task, theme
        self._scene = scene = planar_view(task).scene()
        self._walls = _walls(scene)
        boxes = np.array([[*scene.low, *scene.high], *self._walls])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        self._size = float((high - low).max())
        self._centre = np.append((low + high) / 2, 0.0)
        self._thick = scene.radius
        server.scene.configure_environment_map(None)  # its maps are loaded from the network
        server.scene.add_light_ambient("/lights/ambient", color=(255, 255, 255), intensity=1.2)  # no wall is black
        server.initial_camera.fov = FOV
        server.initial_camera.position, server.initial_camera.look_at = self._camera(1.0)
        server.on_client_connect(self._welcome)
        self._build(scene)
        keypoints = planar_view(task).keypoints(task.state)
        self._body = self._figure("robot", keypoints, theme.body, None, 0.0)
        self._goal = self._figure("goal", keypoints, theme.goal, theme.clear, -0.2)
        shade = 0.8 * theme.clear
        self._ghosts = [
            self._figure(f"plan/{index}", keypoints, theme.plan, shade * (index + 1) / GHOSTS, -0.1)
            for index in range(GHOSTS)
        ]
        nothing = np.zeros((1, 2, 3), np.float32)
        self._trace = server.scene.add_line_segments("/path", nothing, theme.ink, thickness=0.007 * self._size)
        self._plan = server.scene.add_line_segments("/plan/line", nothing, theme.plan, thickness=0.009 * self._size)

    def draw(self, picture: Picture, path: list[ndarray], goal: ndarray | None) -> None:
        """Update all objects to the picture."""
        here = planar_view(self._task).keypoints(picture.state)
        self._body.place(here)
        self._goal.visible(goal is not None)
        if goal is not None:
            self._goal.place(planar_view(self._task).goal_keypoints(goal))
        low, high = 0.012 * self._size, 0.016 * self._size
        self._trace.points = self._line(np.stack(path or [here[-1]]), low)
        known = picture.imagined is not None and np.isfinite(picture.imagined).all() and not picture.reached
        for ghost in self._ghosts:
            ghost.visible(known)
        self._plan.visible = known
        if known:
            assert picture.imagined is not None
            future = picture.imagined.reshape(len(picture.imagined), -1, 2)
            self._plan.points = self._line(np.concatenate([here[None, -1], future[:, -1]]), high)
            for index, ghost in enumerate(self._ghosts):
                ghost.place(future[round((index + 1) * (len(future) - 1) / GHOSTS)])

    def _welcome(self, client: Any) -> None:
        """Show this visitor the whole scene, and again when the window changes to a shape that needs another view.

        A page that loads may be a strip of 66 pixels until its panel has found its place, and it may take up the first
        camera only after it received this one.
        """
        first, shown = self._camera(1.0)[0], np.full(3, np.inf)

        def frame(_: Any = None) -> None:
            nonlocal shown
            eye, target = self._camera(client.camera.aspect)
            nearly = 0.05 * np.linalg.norm(eye - target)
            lost = np.linalg.norm(client.camera.position - first) < 0.01 * nearly and np.any(eye != first)
            if np.linalg.norm(eye - shown) < nearly and not lost:
                return  # and the visitor may have turned it since
            shown = eye
            with client.atomic():
                client.camera.position = eye  # which also moves its target
                client.camera.look_at = target

        client.camera.on_update(frame)
        frame()

    def _camera(self, aspect: float) -> tuple[ndarray, ndarray]:
        """Position and target of the camera; in a tall window the scene fills what the sheet leaves free."""
        if aspect < TALL:
            free = 1 - SHEET
            height = 1.1 * self._size * max(1 / aspect, 1 / free)  # that the window shows
            tilt, lower = 0.0, (0.5 - free / 2) * height
        else:
            height = 1.24 * self._size / min(1.0, aspect)
            tilt, lower = TILT, 0.0
        target = self._centre - [0.0, lower, 0.0]
        distance = 0.5 * height / np.tan(FOV / 2)
        return target + distance * np.array([0.0, -np.sin(tilt + 1e-3), np.cos(tilt)]), target

    def _build(self, scene: Scene) -> None:
        """Add floor and walls."""
        wide, deep = np.subtract(scene.high, scene.low) + 0.02 * self._size
        height = 0.02 * self._size
        add_box = self._server.scene.add_box
        add_box(
            "/floor",
            self._theme.floor,
            (wide, deep, height),
            position=(*self._centre[:2], -height / 2),
            cast_shadow=False,
        )
        tall = 2 * scene.radius
        for index, (left, lower, right, upper) in enumerate(self._walls):
            size, middle = (right - left, upper - lower, tall), ((left + right) / 2, (lower + upper) / 2, tall / 2)
            add_box(f"/walls/{index}", self._theme.wall, size, position=middle, cast_shadow=False)
        if scene.root is not None:
            radius, foot = scene.radius, (*scene.root, 1.5 * scene.radius)
            self._server.scene.add_cylinder("/root", 1.9 * radius, 3 * radius, self._theme.wall, position=foot)

    def _figure(self, name: str, keypoints: ndarray, colour: Colour, opacity: float | None, lower: float) -> _Figure:
        lift = self._thick * (1 + lower)
        return _Figure(self._server.scene, name, self._scene, len(keypoints), colour, opacity, lift)

    def _line(self, points: ndarray, height: float) -> ndarray:
        """[N, 2, 3] segments through points [N+1, 2]."""
        high = np.concatenate([points, np.full((len(points), 1), height)], axis=1).astype(np.float32)
        return np.stack([high[:-1], high[1:]], axis=1) if len(high) > 1 else np.stack([high, high], axis=1)


def _walls(scene: Scene) -> list[tuple[float, float, float, float]]:
    """Left, lower, right and upper side of each wall, without what lies far outside of where the robot goes."""
    around = RIM * np.subtract(scene.high, scene.low)
    low, high = scene.low - around, scene.high + around
    sides = [np.clip([[x - w, y - h], [x + w, y + h]], low, high) for x, y, w, h in scene.walls]
    return [(*map(float, begin), *map(float, end)) for begin, end in sides if np.all(end > begin)]  # type: ignore[misc]


@final
class _Figure:
    """A body: a ball at every keypoint, and its bars."""

    def __init__(
        self, scene: Any, name: str, where: Scene, joints: int, colour: Colour, opacity: float | None, lift: float
    ):
        self._lift, self._scene = lift, where
        shadow = opacity is None
        look = {"color": colour, "opacity": opacity, "cast_shadow": shadow, "receive_shadow": False}
        self._balls = [scene.add_icosphere(f"/{name}/ball_{joint}", where.radius, **look) for joint in range(joints)]
        bars = len(where.bars(np.zeros((joints, 2))))
        self._bars = [
            scene.add_cylinder(f"/{name}/bar_{joint}", 0.8 * where.radius, 1.0, **look) for joint in range(bars)
        ]

    def place(self, keypoints: ndarray) -> None:
        """Move the figure to keypoints [J, 2]."""
        for ball, point in zip(self._balls, keypoints, strict=True):
            ball.position = (*point, self._lift)
        for bar, (start, end) in zip(self._bars, self._scene.bars(keypoints), strict=True):
            along = end - start
            length = max(float(np.linalg.norm(along)), 1e-6)
            x, y = along / length
            bar.position, bar.scale = (*(start + end) / 2, self._lift), (1.0, 1.0, length)
            bar.wxyz = np.array([1.0, -y, x, 0.0]) / np.sqrt(2)  # from the z axis onto the bar

    def visible(self, shown: bool) -> None:
        """Show or hide the figure."""
        for part in (*self._balls, *self._bars):
            part.visible = shown
