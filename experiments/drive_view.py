"""The web page of a drive: the robot, its goal, the imagined plan as a ghost, costs and latency, and what steers them.

The control loop only leaves pictures and picks up wishes; a thread of the page's own draws, so that a slow browser, a
reload, or a second visitor never touches the loop. The page keeps its state on this side: whoever comes later sees it.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
from numpy import ndarray

from envs import Task
from envs.task import Scene

logger = logging.getLogger(__name__)

Colour = tuple[int, int, int]
INK: Colour = (38, 44, 56)
FLOOR: Colour = (255, 253, 248)
WALL: Colour = (96, 108, 128)
BODY: Colour = (232, 92, 56)
GOAL: Colour = (33, 158, 120)
PLAN: Colour = (58, 112, 214)
CSS = {name: f"rgb{colour}" for name, colour in {"ink": INK, "body": BODY, "goal": GOAL, "plan": PLAN}.items()}
SERIES: tuple[Colour, ...] = (PLAN, (190, 120, 20), GOAL, (150, 80, 170), BODY)

FRAMES = 15.0  # a second
CHARTS = 4.0  # a second
WINDOW = 10.0  # seconds that the charts show
FOV = np.deg2rad(38.0)  # of the camera, from top to bottom
TILT = np.deg2rad(24.0)  # of the camera, from straight above
GHOSTS = 3  # postures along a plan

DEGREES = 180 / np.pi
GOALS = {"reacher": (("shoulder", "°", DEGREES), ("wrist", "°", DEGREES))}  # name, unit, and units in one of the task's
PLACES = (("x", "m", 1.0), ("y", "m", 1.0))


@dataclass(frozen=True)
class Picture:
    """One moment of a drive."""

    state: ndarray  # [S]
    seconds: float  # since the episode began
    source: str
    wrong: tuple[str, ...]
    imagined: ndarray | None  # [H, Q] keypoints, flat
    terms: ndarray | None  # weighted costs of the plan, in the order of the names
    plan_ms: float | None
    successes: int
    episodes: int
    late: int
    reached: bool


@dataclass
class Wishes:
    """What visitors asked for since the loop last looked."""

    goal: ndarray | None = None  # [G]
    weights: dict[str, float] | None = None
    skip: bool = False  # to the next start and goal

    def __bool__(self) -> bool:
        return self.goal is not None or self.weights is not None or self.skip


@final
class View:
    """A page at `address`, for any number of visitors.

    Args:
      task: what is driven.
      weights: of the costs, by name.
      deadline: seconds for a plan.
      host: which machines may come: 127.0.0.1 this one, 0.0.0.0 all.
      port: to listen at, or the next free one.

    Raises:
      ImportError: viser is not installed.
    """

    def __init__(self, task: Task, weights: Mapping[str, float], deadline: float, host: str, port: int):
        try:
            import viser
        except ImportError as error:
            raise ImportError("view=true needs viser: pip install 'jepa-mpc[view]'") from error
        self._task, self._deadline, self._names = task, deadline, tuple(weights)
        self._lock, self._wishes = threading.Lock(), Wishes()
        self.steered = False  # whether the goal is somebody's, and no held-out one
        self._pictures: deque[Picture] = deque(maxlen=512)
        self._path: list[ndarray] = []
        self._goal, self._goal_moved = np.zeros(0), False
        self._history = _History(len(self._names))
        with contextlib.redirect_stdout(io.StringIO()):  # it prints a banner
            self._server = viser.ViserServer(host=host, port=port, label=f"jepa-mpc drive · {task.name}", verbose=False)
        self.address = f"http://{'localhost' if host in ('127.0.0.1', '0.0.0.0') else host}:{self._server.get_port()}"
        self._stage = _Stage(self._server, task)
        self._panel(weights)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw_for_ever, name="view", daemon=True)
        self._thread.start()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, goal: ndarray) -> None:
        """Another episode, towards `goal` [G]."""
        with self._lock:
            self._pictures.clear()
            self._path, self._goal, self._goal_moved, self.steered = [], goal, True, False

    def show(self, picture: Picture) -> None:
        """Leave a picture for the next frame; it returns at once."""
        self._pictures.append(picture)

    def wishes(self) -> Wishes:
        """What visitors have asked for since the last call."""
        if not self._wishes:
            return Wishes()
        with self._lock:
            taken, self._wishes = self._wishes, Wishes()
        return taken

    def close(self) -> None:
        """Take the page down."""
        self._closing.set()
        self._thread.join()
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def _panel(self, weights: Mapping[str, float]) -> None:
        gui = self._server.gui
        gui.configure_theme(dark_mode=False, show_logo=False, show_share_button=False, brand_color=PLAN)
        gui.main_panel.dock_right()
        gui.set_panel_label(f"{self._task.name.replace('_', ' ')}: planning in imagination")
        self._status = gui.add_html(_status(None))
        with gui.add_folder("Goal"):
            self._goal_sliders = self._goal_panel(gui)
            following = gui.add_button("Next start and goal")
        with gui.add_folder("Cost weights"):
            self._weight_sliders = {name: _weight_slider(gui, name, value) for name, value in weights.items()}
        with gui.add_folder("Cost of the plan"):
            self._cost_chart = _chart(gui, self._names, "cost", SERIES)
        with gui.add_folder("Latency, ms"):
            self._time_chart = _chart(gui, ("planning", "deadline"), "ms", (PLAN, BODY))
        for slider in (*self._goal_sliders, *self._weight_sliders.values()):
            slider.on_update(self._moved)
        following.on_click(self._skipped)

    def _goal_panel(self, gui: Any) -> list[Any]:
        rng = np.random.default_rng(0)
        goals = np.stack([self._task.sample_goal(rng) for _ in range(500)])
        self._goal_units = GOALS.get(self._task.name, PLACES)
        sliders = []
        for (name, unit, scale), low, high in zip(self._goal_units, goals.min(axis=0), goals.max(axis=0), strict=True):
            step = 1.0 if scale > 1 else 0.01
            low, high = np.floor(low * scale / step) * step, np.ceil(high * scale / step) * step
            sliders.append(gui.add_slider(f"{name}, {unit}", float(low), float(high), step, float(max(low, 0.0))))
        return sliders

    def _moved(self, event: Any) -> None:
        if event.client is None:
            return  # it was this side that moved it
        with self._lock:
            if event.target in self._goal_sliders:
                scales = [scale for _, _, scale in self._goal_units]
                goal = np.array([slider.value for slider in self._goal_sliders]) / scales
                self._wishes.goal = self._goal = goal
                self.steered = True
            else:
                self._wishes.weights = {name: float(slider.value) for name, slider in self._weight_sliders.items()}

    def _skipped(self, _: object) -> None:
        with self._lock:
            self._wishes, self.steered = Wishes(weights=self._wishes.weights, skip=True), False

    def _draw_for_ever(self) -> None:
        charts_at = 0.0
        try:
            while not self._closing.wait(1 / FRAMES):
                with self._lock:
                    pictures, path = [], self._path
                    while self._pictures:
                        pictures.append(self._pictures.popleft())
                    if not pictures:
                        continue
                    goal, moved, self._goal_moved = self._goal, self._goal_moved, False
                    path += [self._task.keypoints(picture.state)[-1] for picture in pictures]
                self._history.add(time.monotonic(), pictures[-1])
                charts = time.monotonic() - charts_at > 1 / CHARTS
                charts_at = time.monotonic() if charts else charts_at
                with self._server.atomic():
                    self._draw(pictures[-1], path, goal, moved, charts)
        except Exception:
            logger.exception("the page stands still; what is driven does not")

    def _draw(self, newest: Picture, path: list[ndarray], goal: ndarray, moved: bool, charts: bool) -> None:
        if moved:
            for slider, (_, _, scale), value in zip(self._goal_sliders, self._goal_units, goal, strict=True):
                slider.value = float(np.clip(value * scale, slider.min, slider.max))
        self._stage.draw(newest, path, goal)
        self._status.content = _status(newest)
        if charts:
            curves = self._history.charts(time.monotonic(), 1e3 * self._deadline)
            self._cost_chart.data, self._time_chart.data = curves


@dataclass
class _History:
    """The last seconds, for the charts."""

    terms: int
    _moments: deque[float] = field(default_factory=lambda: deque(maxlen=int(FRAMES * WINDOW)))
    _values: deque[ndarray] = field(default_factory=lambda: deque(maxlen=int(FRAMES * WINDOW)))

    def add(self, now: float, picture: Picture) -> None:
        terms = np.full(self.terms, np.nan) if picture.terms is None else picture.terms
        self._moments.append(now)
        self._values.append(np.append(terms, np.nan if picture.plan_ms is None else picture.plan_ms))

    def charts(self, now: float, deadline_ms: float) -> tuple[tuple[ndarray, ...], tuple[ndarray, ...]]:
        """Columns of both charts: seconds before now, then the curves."""
        seconds = np.array(self._moments) - now
        values = np.stack(self._values).T.astype(np.float64)
        return (seconds, *values[:-1]), (seconds, values[-1], np.full_like(seconds, deadline_ms))


@final
class _Stage:
    """What is seen in 3D, from above and a little from the south."""

    def __init__(self, server: Any, task: Task):
        self._server, self._task = server, task
        self._scene = scene = task.scene()
        boxes = np.array([[*scene.low, *scene.high]] + [[x - w, y - h, x + w, y + h] for x, y, w, h in scene.walls])
        low, high = boxes[:, :2].min(axis=0), boxes[:, 2:].max(axis=0)
        self._size = float((high - low).max())
        self._centre = np.append((low + high) / 2, 0.0)
        self._thick = scene.radius
        server.scene.configure_environment_map(None)  # its maps come from the network
        server.scene.add_light_ambient("/lights/ambient", color=(255, 255, 255), intensity=1.2)  # no wall is black
        server.initial_camera.fov = FOV
        server.initial_camera.position, server.initial_camera.look_at = self._camera(1.0)
        server.on_client_connect(self._welcome)
        self._build(scene)
        keypoints = task.keypoints(task.state)
        self._body = self._figure("robot", keypoints, BODY, None, 0.0)
        self._goal = self._figure("goal", keypoints, GOAL, 0.55, -0.2)
        self._ghosts = [
            self._figure(f"plan/{index}", keypoints, PLAN, 0.12 + 0.3 * (index + 1) / GHOSTS, -0.1)
            for index in range(GHOSTS)
        ]
        nothing = np.zeros((1, 2, 3), np.float32)
        self._trace = server.scene.add_line_segments("/path", nothing, INK, thickness=0.007 * self._size)
        self._plan = server.scene.add_line_segments("/plan/line", nothing, PLAN, thickness=0.009 * self._size)

    def draw(self, picture: Picture, path: list[ndarray], goal: ndarray) -> None:
        """Move everything."""
        here = self._task.keypoints(picture.state)
        self._body.place(here)
        self._goal.place(self._task.goal_keypoints(goal))
        low, high = 0.012 * self._size, 0.016 * self._size
        self._trace.points = self._line(np.stack(path[-600:] or [here[-1]]), low)
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
        """Show this visitor the whole scene, whatever the shape of the window."""
        eye, target = self._camera(client.camera.aspect)
        with client.atomic():
            client.camera.position = eye  # which takes along what it looks at
            client.camera.look_at = target

    def _camera(self, aspect: float) -> tuple[ndarray, ndarray]:
        """Where it is and what it looks at; in a tall window the scene is above the panel, which covers 3 / 5 of it."""
        tall = aspect < 0.75
        height = (1.13 if tall else 1.24) * self._size / min(1.0, aspect)  # of what is seen
        tilt = 0.0 if tall else TILT
        target = self._centre - [0.0, 0.29 * height if tall else 0.0, 0.0]
        distance = 0.5 * height / np.tan(FOV / 2)
        return target + distance * np.array([0.0, -np.sin(tilt + 1e-3), np.cos(tilt)]), target

    def _build(self, scene: Scene) -> None:
        """Floor and walls."""
        wide, deep = np.subtract(scene.high, scene.low) + 0.02 * self._size
        height = 0.02 * self._size
        add_box = self._server.scene.add_box
        add_box("/floor", FLOOR, (wide, deep, height), position=(*self._centre[:2], -height / 2), cast_shadow=False)
        tall = 2 * scene.radius
        for index, (x, y, half_width, half_height) in enumerate(scene.walls):
            size = (2 * half_width, 2 * half_height, tall)
            add_box(f"/walls/{index}", WALL, size, position=(x, y, tall / 2), cast_shadow=False)
        if scene.root is not None:
            self._server.scene.add_cylinder(
                "/root", 1.9 * scene.radius, 3 * scene.radius, WALL, position=(*scene.root, 1.5 * scene.radius)
            )

    def _figure(self, name: str, keypoints: ndarray, colour: Colour, opacity: float | None, lower: float) -> _Figure:
        lift = self._thick * (1 + lower)
        return _Figure(self._server.scene, name, self._scene, len(keypoints), colour, opacity, lift)

    def _line(self, points: ndarray, height: float) -> ndarray:
        """[N, 2, 3] segments through points [N+1, 2]."""
        high = np.concatenate([points, np.full((len(points), 1), height)], axis=1).astype(np.float32)
        return np.stack([high[:-1], high[1:]], axis=1) if len(high) > 1 else np.stack([high, high], axis=1)


@final
class _Figure:
    """A body as a chain: a ball at every keypoint, and a bar between two where they are fastened to something."""

    def __init__(
        self, scene: Any, name: str, where: Scene, joints: int, colour: Colour, opacity: float | None, lift: float
    ):
        self._lift, self._root = lift, where.root
        shadow = opacity is None
        look = {"color": colour, "opacity": opacity, "cast_shadow": shadow, "receive_shadow": False}
        self._balls = [scene.add_icosphere(f"/{name}/ball_{joint}", where.radius, **look) for joint in range(joints)]
        bars = joints if where.root is not None else 0
        self._bars = [
            scene.add_cylinder(f"/{name}/bar_{joint}", 0.8 * where.radius, 1.0, **look) for joint in range(bars)
        ]

    def place(self, keypoints: ndarray) -> None:
        """Bring it to keypoints [J, 2]."""
        for ball, point in zip(self._balls, keypoints, strict=True):
            ball.position = (*point, self._lift)
        if self._root is not None:
            joints = np.concatenate([[self._root], keypoints])
            for bar, start, end in zip(self._bars, joints[:-1], keypoints, strict=True):
                along = end - start
                length = max(float(np.linalg.norm(along)), 1e-6)
                x, y = along / length
                bar.position, bar.scale = (*(start + end) / 2, self._lift), (1.0, 1.0, length)
                bar.wxyz = np.array([1.0, -y, x, 0.0]) / np.sqrt(2)  # from the z axis onto the bar

    def visible(self, shown: bool) -> None:
        """Show or hide it."""
        for part in (*self._balls, *self._bars):
            part.visible = shown


def _weight_slider(gui: Any, name: str, value: float) -> Any:
    most = max(2 * abs(value), 1.0)
    return gui.add_slider(name.replace("_", " "), 0.0 if value >= 0 else -most, most, most / 100, float(value))


def _chart(gui: Any, names: tuple[str, ...], unit: str, colours: tuple[Colour, ...]) -> Any:
    """Curves over the last seconds."""
    series: list[Any] = [{"label": "seconds ago"}]
    for name, colour in zip(names, colours * len(names), strict=False):
        series.append({"label": name.replace("_", " "), "stroke": f"rgb{colour}", "width": 2})
    axes = (
        {"label": "seconds ago", "labelSize": 18, "size": 34, "stroke": CSS["ink"]},
        {"label": unit, "labelSize": 18, "size": 44, "stroke": CSS["ink"]},
    )
    nothing = tuple(np.array([-WINDOW, 0.0]) * (index == 0) for index in range(len(names) + 1))
    scales = {"x": {"time": False, "range": (-WINDOW, 0.0)}}
    return gui.add_uplot(nothing, tuple(series), scales=scales, axes=axes, height=170, padding=(12, 16, 0, 0))


def _status(picture: Picture | None) -> str:
    """What is going on, in a few words."""
    if picture is None:
        return "<p style='margin:6px 12px'>The simulator starts …</p>"
    word = picture.source.lower().replace("_", " ")
    colour = CSS["goal"] if picture.source == "PLAN" else CSS["body"]
    why = ", ".join(each.lower().replace("_", " ") for each in picture.wrong)
    planning = "–" if picture.plan_ms is None else f"{picture.plan_ms:.1f} ms"
    rows = {
        "action from": f"<b style='color:{colour}'>{word}</b>{f' ({why})' if why else ''}",
        "goals reached": f"{picture.successes} of {picture.episodes}",
        "this episode": f"{picture.seconds:.1f} s" + (", reached" if picture.reached else ""),
        "planning": planning,
        "late actions": str(picture.late),
    }
    cells = "".join(
        f"<tr><td style='color:#5b6475;padding-right:14px'>{name}</td><td>{value}</td></tr>"
        for name, value in rows.items()
    )
    key = " ".join(
        f"<span style='white-space:nowrap;margin-right:12px'><span style='color:{CSS[name]}'>●</span> {what}</span>"
        for name, what in (("body", "robot"), ("plan", "imagined"), ("goal", "goal"), ("ink", "path"))
    )
    return f"<div style='margin:4px 12px;font-size:13px;line-height:1.5'>{key}<table>{cells}</table></div>"
