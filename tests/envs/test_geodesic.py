import heapq

import numpy as np
import pytest

import envs


@pytest.fixture(scope="module", params=["two_room", "umaze", "medium_maze", "giant_maze"])
def walled(request):
    task = envs.make(request.param)
    points = np.stack([task.sample_goal(np.random.default_rng(i)) for i in range(60)])
    return task, points[:30], points[30:]


def grid_distances(task, goal, step):
    """An independent judge: Dijkstra over a fine grid, sixteen directions, for a disc that must not touch a wall."""
    scene = task.scene()
    xs, ys = (np.arange(a, b + step / 2, step) for a, b in zip(scene.low, scene.high, strict=True))
    free = np.ones((len(xs), len(ys)), bool)
    for x, y, w, h in scene.walls:
        dx = np.maximum(np.abs(xs - x) - w, 0)[:, None]
        dy = np.maximum(np.abs(ys - y) - h, 0)[None]
        free &= np.hypot(dx, dy) >= task.geodesic.radius - 1e-9
    moves = [(i, j) for i in range(-2, 3) for j in range(-2, 3) if np.gcd(i, j) == 1]
    start = (int(np.abs(xs - goal[0]).argmin()), int(np.abs(ys - goal[1]).argmin()))
    distances, queue = np.full(free.shape, np.inf), [(0.0, start)]
    distances[start] = 0.0
    while queue:
        d, (i, j) = heapq.heappop(queue)
        if d > distances[i, j]:
            continue
        for di, dj in moves:
            a, b = i + di, j + dj
            if 0 <= a < len(xs) and 0 <= b < len(ys) and free[a, b]:
                longer = d + step * np.hypot(di, dj)
                if longer < distances[a, b]:
                    distances[a, b] = longer
                    heapq.heappush(queue, (longer, (a, b)))
    return lambda p: distances[np.abs(xs - p[0]).argmin(), np.abs(ys - p[1]).argmin()]


def test_agrees_with_dijkstra_on_a_fine_grid(walled):
    task, points, goals = walled
    large = task.name in ("medium_maze", "giant_maze")
    for goal in goals[: 1 if large else 3]:
        judge = grid_distances(task, goal, step=0.04 if task.name == "giant_maze" else 0.02)
        expected = np.array([judge(point) for point in points])
        got = task.geodesic.distance(points, goal)
        # Sixteen directions are at most 2.8 % longer than straight; square corners cost centimetres more than arcs.
        np.testing.assert_allclose(got, expected, rtol=0.03, atol=0.07)


def test_symmetric_and_never_shorter_than_straight(walled):
    task, points, goals = walled
    there, back = task.geodesic.distance(points, goals), task.geodesic.distance(goals, points)
    np.testing.assert_allclose(there, back, rtol=1e-12)
    straight = np.linalg.norm(points - goals, axis=-1)
    blocked = ~task.geodesic.visible(points, goals)
    assert blocked.any() and (there[blocked] > straight[blocked]).all()
    np.testing.assert_allclose(there[~blocked], straight[~blocked])


def test_waypoints_lie_on_the_way(walled):
    task, points, goals = walled
    way = task.geodesic.waypoint(points, goals)
    assert task.geodesic.visible(points, way).all()
    via = np.linalg.norm(points - way, axis=-1) + task.geodesic.distance(way, goals)
    np.testing.assert_allclose(via, task.geodesic.distance(points, goals), rtol=1e-12)


def test_no_cliffs_for_a_planner_to_fall_over(walled):
    """Moving by d changes the distance by at most d, and by the slack around corners where one comes into sight."""
    task, points, goals = walled
    moved = points + np.random.default_rng(0).normal(0, 0.01, points.shape)
    change = np.abs(task.geodesic.distance(points, goals) - task.geodesic.distance(moved, goals))
    assert (change <= np.linalg.norm(moved - points, axis=-1) + 0.02).all()


def test_a_body_pressed_into_a_wall_still_knows_the_way(walled):
    task, _, goals = walled
    x, y, w, _ = task.scene().walls[-1]  # the inner wall of two_room; the frame of the maze
    inside = np.array([x - w - task.geodesic.radius + 0.03, y])
    assert np.isfinite(task.geodesic.distance(inside, goals)).all()
