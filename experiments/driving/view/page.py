"""The web page of a drive: the robot, its goal, the imagined plan as a ghost, costs and latency, and the controls.

The control loop only stores pictures and reads requests, and never blocks; a separate thread draws, so
that a slow browser, a reload, or a second visitor never touches the loop. The page keeps its state on this side:
later visitors see it. Visitors' input has passed the gate (`gate`), and is clipped into range here.
"""

from __future__ import annotations

import contextlib
import io
import logging
import threading
import time
from collections import deque
from collections.abc import Iterator, Mapping
from typing import Any, final

import numpy as np
from numpy import ndarray

from envs import Task
from envs.task import planar_view

from .panel import FRAMES, History, chart, status, weight_slider
from .scene import Stage
from .sight import Sight, SightPanel
from .state import Picture, Wishes
from .theme import STYLE, Theme

logger = logging.getLogger(__name__)

CHARTS = 4.0  # a second
PATH = 600  # points of the executed path that are shown
DEGREES = 180 / np.pi
GOALS = {"reacher": (("shoulder", "°", DEGREES), ("wrist", "°", DEGREES))}  # name, unit, and units in one of the task's
PLACES = (("x", "m", 1.0), ("y", "m", 1.0))


@final
class View:
    """Web page at `address`, for any number of visitors.

    Args:
      task: the task being driven.
      weights: of the costs, by name.
      deadline: seconds for a plan.
      host: 127.0.0.1 admits this machine only, 0.0.0.0 all machines that know the token in `address`.
      port: to listen at, or the next free one.
      sight: what a model that observes pictures sees and expects; None: for one that does not.
      dark: whether the page is light on dark.

    Raises:
      ImportError: viser is not installed.
      ValueError: nothing can listen at this host and port.
      RuntimeError: this version of viser admits foreign pages.
    """

    def __init__(
        self,
        task: Task,
        weights: Mapping[str, float],
        deadline: float,
        host: str,
        port: int,
        sight: Sight | None = None,
        dark: bool = False,
    ):
        try:
            import viser

            from . import gate as drive_gate
        except ImportError as error:
            raise ImportError("view=true needs viser: pip install viser") from error
        self._task, self._deadline, self._names = task, deadline, tuple(weights)
        self._theme = Theme.of(dark)
        self._lock, self._wishes = threading.Lock(), Wishes()
        self.steered = False  # whether the goal was set by a visitor, instead of a held-out one
        self._pictures: deque[tuple[int, Picture]] = deque(maxlen=512)  # each with its episode
        self._episode, self._goal_moved = 0, False
        self._goal: ndarray | None = None
        self._goal_pictures: dict[str, ndarray] = {}
        self._history = History(len(self._names))
        drive_gate.check_address(host, port)
        gate = drive_gate.Gate(host)
        with contextlib.redirect_stdout(io.StringIO()), drive_gate.standing(gate):  # it prints a banner
            self._server = viser.ViserServer(host=host, port=port, label=f"jepa-mpc drive · {task.name}", verbose=False)
        try:
            drive_gate.verify(gate, self._server.get_port())
        except BaseException:
            self._stop()
            raise
        self.address = gate.address(self._server.get_port())
        self._stage = Stage(self._server, task, self._theme)
        self._panel(weights, sight)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._draw_for_ever, name="view", daemon=True)
        self._thread.start()

    def __enter__(self) -> View:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def begin(self, goal: ndarray | None) -> None:
        """Begin another episode, towards `goal` [G]; None: its coordinates are not known."""
        with self._lock:
            self._episode, self._goal, self._goal_moved, self.steered = self._episode + 1, goal, True, False

    def aim(self, observation: Any) -> None:
        """Show the goal's pictures, if there are any in its observation."""
        if isinstance(observation, Mapping):
            with self._lock:
                self._goal_pictures = {name: each for name, each in observation.items() if np.ndim(each) == 3}

    def show(self, picture: Picture) -> None:
        """Store a picture for the next frame, without blocking."""
        self._pictures.append((self._episode, picture))

    def wishes(self) -> Wishes:
        """Visitors' requests since the last call, the newest of each kind; never blocks."""
        if not self._wishes or not self._lock.acquire(blocking=False):
            return Wishes()  # or at the next call, if a visitor is just making a request
        try:
            taken, self._wishes = self._wishes, Wishes()
        finally:
            self._lock.release()
        return taken

    def close(self) -> None:
        """Take the page down."""
        self._closing.set()
        self._thread.join()
        self._stop()

    def _stop(self) -> None:
        with contextlib.redirect_stdout(io.StringIO()):
            self._server.stop()

    def _panel(self, weights: Mapping[str, float], sight: Sight | None) -> None:
        gui, theme = self._server.gui, self._theme
        gui.configure_theme(dark_mode=theme.dark, show_logo=False, show_share_button=False, brand_color=theme.plan)
        gui.main_panel.dock_right()
        gui.set_panel_label(f"{self._task.name.replace('_', ' ')}: planning in imagination")
        gui.add_html(STYLE)
        self._status = gui.add_html(status(None, theme))
        with gui.add_folder("Goal"):
            self._goal_sliders = self._goal_panel(gui)
            following = gui.add_button("Next start and goal")
        self._sight = None if sight is None else SightPanel(gui, sight, theme)
        with gui.add_folder("Cost weights"):
            self._weight_sliders = {name: weight_slider(gui, name, value) for name, value in weights.items()}
        with gui.add_folder("Cost of the plan"):
            self._cost_chart = chart(gui, self._names, "cost", theme)
        with gui.add_folder("Latency, ms"):
            self._time_chart = chart(gui, ("planning", "deadline"), "ms", theme, ("plan", "body"))
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

    # These are coroutines, so viser runs them one after the other on its own thread; functions would queue up without
    # bound for a pool of threads.
    async def _moved(self, event: Any) -> None:
        if event.client is None:
            return  # moved by this side, not by a visitor
        goal = event.target in self._goal_sliders
        try:
            values = [_in_range(slider) for slider in (self._goal_sliders if goal else self._weight_sliders.values())]
        except ValueError:
            return
        with self._lock:
            if goal:
                scales = [scale for _, _, scale in self._goal_units]
                self._wishes.goal = self._goal = np.array(values, np.float64) / scales
                self.steered = True
            else:
                self._wishes.weights = dict(zip(self._weight_sliders, values, strict=True))

    async def _skipped(self, _: object) -> None:
        with self._lock:
            self._wishes, self.steered = Wishes(weights=self._wishes.weights, skip=True), False

    def _draw_for_ever(self) -> None:
        charts_at, drawn = 0.0, 0
        path: deque[ndarray] = deque(maxlen=PATH)
        try:
            while not self._closing.wait(1 / FRAMES):
                taken = list(self._taken())
                with self._lock:
                    episode, goal, seen = self._episode, self._goal, self._goal_pictures
                    pictures = [picture for of, picture in taken if of == episode]
                    moved, self._goal_moved = self._goal_moved, self._goal_moved and not pictures
                if not pictures:
                    continue
                if episode != drawn:
                    path.clear()
                    drawn = episode
                path.extend(planar_view(self._task).keypoints(picture.state)[-1] for picture in pictures)
                if self._sight is not None:
                    self._sight.begin(seen)
                    self._sight.take([each.moment for each in pictures if each.moment is not None])
                self._history.add(time.monotonic(), pictures[-1])
                charts = time.monotonic() - charts_at > 1 / CHARTS
                charts_at = time.monotonic() if charts else charts_at
                with self._server.atomic():
                    self._draw(pictures[-1], list(path), goal, moved, charts)
        except Exception:
            logger.exception("the page stands still; what is driven does not")

    def _taken(self) -> Iterator[tuple[int, Picture]]:
        """Return the pictures stored since the last call; the loop may store another one meanwhile."""
        with contextlib.suppress(IndexError):
            while True:
                yield self._pictures.popleft()

    def _draw(self, newest: Picture, path: list[ndarray], goal: ndarray | None, moved: bool, charts: bool) -> None:
        if moved and goal is not None:
            for slider, (_, _, scale), value in zip(self._goal_sliders, self._goal_units, goal, strict=True):
                slider.value = float(np.clip(value * scale, slider.min, slider.max))
        self._stage.draw(newest, path, goal)
        self._status.content = status(newest, self._theme)
        if charts:
            curves = self._history.charts(time.monotonic(), 1e3 * self._deadline)
            self._cost_chart.data, self._time_chart.data = curves
            if self._sight is not None:
                self._sight.draw()


def _in_range(slider: Any) -> float:
    """Return a slider's value clipped to its range, and set the slider to it.

    Raises:
      ValueError: the value is not finite in float32.
    """
    value = float(slider.value)
    if not abs(value) < np.finfo(np.float32).max:
        raise ValueError(f"{slider.label} is {value}")
    inside = float(np.clip(value, slider.min, slider.max))
    slider.value = inside
    return inside
