"""The adapted tasks move exactly as the originals do."""

import itertools
import warnings
from importlib.util import find_spec
from pathlib import Path

import mujoco
import numpy as np
import pytest

import envs


def layout(name):
    """Walls of the original maze as rows of 0 and 1."""
    from gymnasium_robotics.envs.maze import maps
    from ogbench.locomaze.maze import make_maze_env

    if name == "giant_maze":
        return make_maze_env("point", "maze", maze_type="giant").maze_map.tolist()
    return {"umaze": maps.U_MAZE, "medium_maze": maps.MEDIUM_MAZE}[name]


@pytest.mark.parametrize("name", ["umaze", "medium_maze", "giant_maze"])
def test_mazes_move_as_the_originals_do(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the suites have deprecations of their own
        from gymnasium_robotics.envs.maze.point_maze import PointMazeEnv

        original = PointMazeEnv(maze_map=layout(name))
        original.reset(seed=0)
    task = envs.make(name)
    assert original.maze.maze_map == [[int(cell == "#") for cell in row] for row in task.maze]
    rng = np.random.default_rng(0)
    task.reset(seed=0)
    start = task.get_state()
    original.point_env.set_state(task.qpos(start), task.qvel(start))
    fastest = 0.0
    for action in rng.uniform(-1, 1, (8, 2)).repeat(8, axis=0).astype(np.float32):
        task.step(action)
        for _ in range(task.physics.substeps):
            observation = original.step(action)[0]["observation"]
        np.testing.assert_allclose(task.observe(task.state), observation, atol=1e-5)
        fastest = max(fastest, np.abs(observation[2:]).max())
    assert fastest > 5.0  # so that the velocity limit had something to do
    original.close()


def test_pairs_of_the_giant_maze_are_further_apart_than_any_places_of_the_medium_one():
    giant, medium = envs.make("giant_maze"), envs.make("medium_maze")
    rng = np.random.default_rng(0)
    places = np.stack([medium.sample_goal(rng) for _ in range(200)])
    states, goals = map(np.stack, zip(*(giant.sample_pair(rng) for _ in range(500)), strict=True))
    ways = giant.cost(states, goals)
    assert ways.min() > medium.geodesic.distance(places[:, None], places[None]).max() and ways.max() > 20


@pytest.mark.slow
def test_the_giant_maze_is_covered_by_the_data_of_its_recipe():
    """A twentieth of the episodes cross every passage between two cells in both directions."""
    from envs.behaviours import Mixture

    task = envs.make("giant_maze")
    rngs = [np.random.default_rng(i) for i in range(125)]
    states, _ = Mixture().rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, 200)
    x, y = np.moveaxis(task.qpos(states), -1, 0)
    cells = np.stack([np.floor(len(task.maze) / 2 - y), np.floor(x + len(task.maze[0]) / 2)], axis=-1).astype(int)
    crossed = {(*here, *there) for path in cells.tolist() for here, there in itertools.pairwise(path)}
    free = {(i, j) for i, row in enumerate(task.maze) for j, cell in enumerate(row) if cell != "#"}
    assert {each[:2] for each in crossed} == free
    for i, j in free:
        for near in ((i + 1, j), (i, j + 1)):
            if near in free:
                assert (i, j, *near) in crossed and (*near, i, j) in crossed


def test_reacher_moves_as_the_original_does():
    xml = Path(find_spec("dm_control").origin).parent / "suite/reacher.xml"
    model = mujoco.MjModel.from_xml_path(str(xml))
    data = mujoco.MjData(model)
    task = envs.make("reacher")
    task.reset(seed=0)
    data.qpos[:] = task.qpos(task.state)
    for action in np.random.default_rng(0).uniform(-1, 1, (6, 2)).repeat(10, axis=0).astype(np.float32):
        task.step(action)
        data.ctrl[:] = action
        mujoco.mj_step(model, data, nstep=task.physics.substeps)
        np.testing.assert_allclose(task.state[1:], np.concatenate([data.qpos, data.qvel]), atol=1e-9)
    elbow, tip = task.keypoints(task.state)
    mujoco.mj_kinematics(model, data)
    np.testing.assert_allclose(elbow, data.body("hand").xpos[:2], atol=1e-9)
    np.testing.assert_allclose(tip, data.geom("finger").xpos[:2], atol=1e-9)


def test_reachers_shoulder_wraps_and_its_wrist_does_not():
    task = envs.make("reacher")
    state = task.pack(np.array([3.13, 2.7]), np.zeros(2))
    assert task.success(state, np.array([-3.13, 2.7]))  # 0.023 rad apart across the seam
    assert not task.success(state, np.array([3.13, 2.64]))
    assert task.cost(state, np.array([3.13, -2.7])) > 5.0
    turned = task.pack(np.array([3.13 + 6 * np.pi, 2.7]), np.zeros(2))
    np.testing.assert_allclose(task.achieved_goal(turned), [3.13, 2.7])


def test_umaze_wants_the_ball_slow():
    task = envs.make("umaze")
    goal = np.array([1.0, 0.0])
    assert task.success(task.pack(goal, np.array([0.6, 0.5])), goal)
    assert not task.success(task.pack(goal, np.array([0.7, 0.6])), goal)
    assert not task.success(task.pack(goal + [0.15, 0.15], np.zeros(2)), goal)


def test_fetch_moves_as_the_original_does():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gymnasium_robotics.envs.fetch.reach import MujocoFetchReachEnv

        original = MujocoFetchReachEnv()
        original.reset(seed=0)
    task = envs.make("fetch_reach")
    home = task.achieved_goal(task.get_state())
    np.testing.assert_allclose(home, original.initial_gripper_xpos, atol=1e-4)
    np.testing.assert_allclose(task.goal_low, [*(home[:2] - 0.15), 0.43], atol=0.01)
    np.testing.assert_allclose(task.goal_high, home + 0.15, atol=0.01)

    task.reset(seed=0)
    start = task.get_state()
    original.data.qpos[:], original.data.qvel[:] = task.qpos(start), task.qvel(start)
    mujoco.mj_forward(original.model, original.data)
    for action in np.random.default_rng(0).uniform(-1, 1, (10, 3)).repeat(3, axis=0).astype(np.float32):
        task.step(action)
        observation = original.step(np.array([*action, 1.0]))[0]["observation"]  # the gripper's own action is ignored
        velocity = observation[5:8] / task.control_period
        np.testing.assert_allclose(task.observe(task.state), [*observation[:3], *velocity], atol=1e-6)
    original.close()


def test_the_fetch_stands_anywhere_that_it_reaches_and_says_where_it_does_not():
    task = envs.make("fetch_reach")
    down = [[0, 0, 1], [0, 1, 0], [-1, 0, 0]]
    arm = slice(6, 13)  # the torso's joint still rises to its range
    low, high = np.where(task.model.jnt_limited, task.model.jnt_range.T, [[-np.inf], [np.inf]])
    data = mujoco.MjData(task.model)
    places = np.stack([task.sample_goal(np.random.default_rng(i)) for i in range(100)])
    for place in places:
        data.qpos[:] = task.qpos(task.at(place))
        mujoco.mj_kinematics(task.model, data)
        np.testing.assert_allclose(data.site("robot0:grip").xpos, place, atol=1e-9)
        np.testing.assert_allclose(data.site("robot0:grip").xmat.reshape(3, 3), down, atol=1e-9)
        assert ((low <= data.qpos) & (data.qpos <= high))[arm].all()
    assert (np.ptp(places, axis=0) > 0.9 * np.subtract(task.goal_high, task.goal_low)).all()
    for far in ([3.0, 0.0, 0.5], [1.19, 0.75, 0.68]):  # too far, and too near for the shoulder
        with pytest.raises(ValueError, match=r"the gripper does not reach .* while it points down"):
            task.at(np.array(far))
