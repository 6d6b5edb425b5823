"""gymnasium-robotics' PointMaze: a heavy ball in a maze, with the original body, walls and velocity limit.

Changed: an action is held for several physics steps, observations are one vector, and success means arriving:
close and slow, within a short budget. (The ball hardly brakes: a random policy often flies through the original's goal
of 0.45 m, at whatever speed.)
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
from jaxtyping import Bool, Float
from numpy import ndarray

from ..geodesic import Geodesic
from ..point_task import PointTask
from ..rollout import BatchPhysics
from ..task import Scene
from . import look

_RADIUS = 0.1  # of the ball, in the suite's point.xml
_NOISE = 0.25  # metres around a cell's centre, as in the original
_SPEED = 5.0  # m/s: the original clips velocities to this before every physics step
_HEIGHT = 0.4

Box = tuple[float, float, float, float]


class PointMaze(PointTask):
    """Ball of 4.2 kg, almost without friction, pushed by two forces in [-1, 1] × 100 N through cells of 1 × 1 m.

    `maze` holds one string per row, '#' for a wall; the outer cells are walls, and the maze is centred at the origin.
    """

    maze: tuple[str, ...]
    speed_tolerance: float  # m/s
    apart = 1  # steps from cell to cell between start and goal of a pair, at least
    drawn_radius = _RADIUS  # metres, of the ball as drawn

    def __init__(self, render_mode: str | None = None):
        walls, inner = tuple(_boxes(self.maze, frame=True)), tuple(_boxes(self.maze, frame=False))
        height, width = len(self.maze), len(self.maze[0])
        scene = Scene(
            low=(1 - width / 2, 1 - height / 2),
            high=(width / 2 - 1, height / 2 - 1),
            walls=walls,
            radius=self.drawn_radius,
        )
        self._free = np.array(
            [_centre(self.maze, i, j) for i in range(height) for j in range(width) if self.maze[i][j] != "#"]
        )
        self._steps_between = _steps_between(self._free)
        super().__init__(
            BatchPhysics(_model(self.maze, self.drawn_radius), substeps=5, velocity_limit=_SPEED),
            scene,
            Geodesic(inner, tuple(_corners(self.maze)), _RADIUS),
            (width / 2 - 1, height / 2 - 1, 6.0, 6.0),
            render_mode=render_mode,
        )

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return a position near the centre of a free cell, at rest."""
        return self.pack(self.sample_goal(rng), np.zeros(2))

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a position near the centre of a free cell."""
        return self._free[rng.integers(len(self._free))] + rng.uniform(-_NOISE, _NOISE, 2)

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start and a goal at least `apart` steps from each other; in different cells, as in the original."""
        while True:
            state, goal = super().sample_pair(rng)
            if self._steps_between[self._cell(self.qpos(state)), self._cell(goal)] >= self.apart:
                return state, goal

    def _cell(self, position: Float[ndarray, "2"]) -> int:
        return int(np.linalg.norm(self._free - position, axis=1).argmin())

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the ball is within the tolerance of the goal and slow."""
        slow = np.linalg.norm(self.qvel(state), axis=-1) <= share * self.speed_tolerance
        return np.asarray(super().success(state, goal, share) & slow)


class UMaze(PointMaze):
    """PointMaze_UMaze: a corridor bent round one wall. For about half of the pairs the wall is in the way."""

    name = "umaze"
    maze = ("#####", "#...#", "###.#", "#...#", "#####")
    tolerance = 0.2
    speed_tolerance = 0.8
    budget = 60
    gains = (1.2, 0.35)


class MediumMaze(PointMaze):
    """PointMaze_Medium: 26 cells, rings and dead ends. A wall is in the way for most pairs, and ways are up to 8 m."""

    name = "medium_maze"
    maze = ("########", "#..##..#", "#..#...#", "##...###", "#..#...#", "#.#..#.#", "#...#..#", "########")
    tolerance = 0.2
    speed_tolerance = 0.8
    budget = 100
    gains = (1.2, 0.35)


class GiantMaze(PointMaze):
    """OGBench's layout of pointmaze-giant (Park et al., arXiv 2410.20092): 86 cells in 12 × 16, and ways of up to 23 m.

    Its own ball has no inertia, its cells are 4 m wide, and its first row is the lowest. Here ball and cells are those
    of the other mazes. Start and goal of a pair are further from each other than any two places in `medium_maze`.
    """

    name = "giant_maze"
    maze = (
        "################",
        "#.#......##....#",
        "#.#.##.#.#..##.#",
        "#...#..#...#...#",
        "#.###.######.#.#",
        "#...#...#....#.#",
        "###.#.#..#.#.###",
        "#...#..#...#...#",
        "#.#.#.######.#.#",
        "#.###...#...##.#",
        "#.....#...#....#",
        "################",
    )
    tolerance = 0.2
    speed_tolerance = 0.8
    apart = 15
    drawn_radius = 0.25  # two of the 64 pixels, as in `medium_maze`
    budget = 300
    gains = (1.2, 0.35)


def _centre(maze: tuple[str, ...], i: int, j: int) -> tuple[float, float]:
    return j + 0.5 - len(maze[0]) / 2, len(maze) / 2 - i - 0.5


def _steps_between(cells: Float[ndarray, "C 2"]) -> Float[ndarray, "C C"]:
    """Steps on the shortest way from each free cell to each other, over their sides."""
    steps = np.abs(cells[:, None] - cells[None]).sum(axis=-1)
    steps = np.where(steps < 1.5, steps, np.inf)
    for k in range(len(cells)):  # Floyd-Warshall
        steps = np.minimum(steps, steps[:, k, None] + steps[None, k])
    return steps


def _boxes(maze: tuple[str, ...], frame: bool) -> Iterator[Box]:
    """Runs of wall cells along each row, as boxes. The frame never stands between two points inside it."""
    rows, columns = range(len(maze)), range(len(maze[0]))
    if not frame:
        rows, columns = rows[1:-1], columns[1:-1]
    for i in rows:
        run = 0
        for j in columns:
            if maze[i][j] == "#":
                run += 1
            if run and (maze[i][j] != "#" or j == columns[-1]):
                last = j if maze[i][j] == "#" else j - 1
                x, y = _centre(maze, i, last)
                yield x - (run - 1) / 2, y, run / 2, 0.5
                run = 0


def _corners(maze: tuple[str, ...]) -> Iterator[Box]:
    """Free ends of walls: grid vertices with a wall in just one of the four cells around them."""
    for i in range(1, len(maze)):
        for j in range(1, len(maze[0])):
            walls = [(di, dj) for di in (0, 1) for dj in (0, 1) if maze[i - di][j - dj] == "#"]
            if len(walls) == 1:
                (di, dj) = walls[0]  # di = 1: the wall is above the vertex, so the path leads below it
                yield j - len(maze[0]) / 2, len(maze) / 2 - i, (1.0 if dj else -1.0), (-1.0 if di else 1.0)


def _model(maze: tuple[str, ...], drawn_radius: float) -> mujoco.MjModel:
    """Return the suite's point.xml with a block for every wall cell, as the original builds it, and the shared look."""
    suite = find_spec("gymnasium_robotics")  # only its files are read; importing it would import all of its suites
    if suite is None or suite.origin is None:
        raise ImportError("this task needs gymnasium-robotics: pip install gymnasium-robotics")
    spec = mujoco.MjSpec.from_file(str(Path(suite.origin).parent / "envs/assets/point/point.xml"))
    world = spec.worldbody
    for i, row in enumerate(maze):
        for j, cell in enumerate(row):
            if cell == "#":
                world.add_geom(
                    name=f"block_{i}_{j}",
                    type=mujoco.mjtGeom.mjGEOM_BOX,
                    pos=[*_centre(maze, i, j), _HEIGHT / 2],
                    size=[0.5, 0.5, _HEIGHT / 2],
                    contype=1,
                    conaffinity=1,
                    rgba=look.WALL,
                )
    spec.geom("particle_geom").rgba = look.BODY
    disc = spec.site("particle_site")
    disc.rgba = [0.0, 0.0, 0.0, 0.0]
    if drawn_radius > _RADIUS:  # a disc above the walls, without mass and contact
        disc.type, disc.rgba = mujoco.mjtGeom.mjGEOM_CYLINDER, look.BODY
        disc.size, disc.pos = [drawn_radius, 0.01, 0.0], [0.0, 0.0, _HEIGHT + 0.1]
    ground = spec.texture("groundplane")
    spec.material("groundplane").texrepeat = [80, 80]
    ground.rgb1, ground.rgb2 = look.FLOOR, look.FLOOR_DARK
    goal = world.add_body(name="goal", mocap=True, pos=[0, 0, -0.097])
    for size, rgba in (([0.2, 0.002, 0], look.GOAL_FAINT), ([0.06, 0.004, 0], look.GOAL)):
        goal.add_geom(type=mujoco.mjtGeom.mjGEOM_CYLINDER, size=size, rgba=rgba, contype=0, conaffinity=0)
    look.dress(spec, half_width=max(len(maze), len(maze[0])) / 2 - 0.75)
    return spec.compile()
