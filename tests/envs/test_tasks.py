"""What every task promises, asked of every task."""

import copy
import json
import pickle
import subprocess
import sys

import gymnasium
import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs

# Also those whose observations are dictionaries.
EVERY = pytest.mark.parametrize(
    "task",
    [name for name in envs.TASKS if name not in ("two_room_sensors", "two_room_roofed", "stirred_tank", "push_t")],
    indirect=True,
    scope="module",
)


def pairs(task, n, seed=0):
    rng = np.random.default_rng(seed)
    states, goals = zip(*(task.sample_pair(rng) for _ in range(n)), strict=True)
    return np.stack(states), np.stack(goals)


def pushes(task, n, steps, seed=0):
    """Actions held for half a second or so: they bring the bodies to the walls and keep them there."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-1, 1, (n, -(-steps // 10), task.physics.action_size)).repeat(10, axis=1)[:, :steps]


def resting(task, goals):
    """States at rest at goals."""
    return (
        np.stack([task.at(goal) for goal in goals]) if task.goal_size != task.model.nq else task.pack(goals, 0 * goals)
    )


def reached(task, states, goals):
    return task.success(states, goals[:, None]).any(axis=1)


@EVERY
def test_gymnasium_finds_nothing_to_complain_about(task):
    check_env(envs.make(task.name, render_mode="rgb_array"))


def test_same_seed_same_episode(task):
    def play(seed):
        first, info = task.reset(seed=seed)
        task.action_space.seed(seed)
        return [first, info["goal"], *(task.step(task.action_space.sample())[0] for _ in range(20))]

    for a, b in zip(play(3), play(3), strict=True):
        np.testing.assert_array_equal(a, b)
    assert not np.array_equal(play(3)[0], play(4)[0])


@EVERY
def test_state_is_complete_and_exact(task):
    task.reset(seed=0)
    actions = pushes(task, 1, 60)[0].astype(np.float32)
    for action in actions[:30]:
        task.step(action)
    middle = task.get_state()
    ends = []
    for _ in range(2):
        task.set_state(middle)
        np.testing.assert_array_equal(task.get_state(), middle)
        for action in actions[30:]:
            task.step(action)
        ends.append(task.get_state())
    np.testing.assert_array_equal(*ends)


@EVERY
def test_step_simulate_and_plain_physics_agree_bit_for_bit(task):
    """The uninterrupted mj_step loop is the judge: contact with walls included, since the pushes lead there."""
    states, _ = pairs(task, 3)
    actions = pushes(task, 3, 60).astype(np.float32)
    batch = task.simulate(states, actions)
    reordered = task.simulate(states[::-1], actions[::-1])[::-1]
    np.testing.assert_array_equal(batch, reordered)

    task.reset(options={"state": states[1]})
    full = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
    data, seen, contacts = mujoco.MjData(task.model), np.empty(task.physics.state_size), 0
    mujoco.mj_setState(task.model, data, states[1], full)
    for t in range(60):
        task.step(actions[1, t])
        task.physics.command(data, actions[1, t])
        for _ in range(task.physics.substeps):
            if (limit := task.physics.velocity_limit) is not None:
                data.qvel[:] = np.clip(data.qvel, -limit, limit)
            mujoco.mj_step(task.model, data)
        data.qpos[getattr(task.physics, "locked", [])] = 0.0  # Fetch's fingers, where they are kept shut
        mujoco.mj_getState(task.model, data, seen, full)
        walls = [c for c in data.contact if "ground" not in (task.model.geom(g).name for g in c.geom)]
        contacts += bool(walls)
        np.testing.assert_array_equal(task.get_state(), batch[1, t])
        np.testing.assert_array_equal(seen, batch[1, t])
    assert contacts > 0 or task.name.startswith("reacher")  # the suite's reacher has contacts switched off


def test_batched_functions_equal_single_calls(task):
    states, goals = pairs(task, 4)
    after = task.simulate(states, pushes(task, 4, 5))
    for function in (task.observe, task.keypoints, task.achieved_goal):
        np.testing.assert_array_equal(function(after)[2, 3], function(after[2, 3]))
    for function in (task.success, task.cost, task.needs_detour):
        np.testing.assert_array_equal(function(after, goals[:, None])[2, 3], function(after[2, 3], goals[2]))
    assert task.observe(after).dtype == np.float32
    assert task.observation_space.contains(task.observe(after)[2, 3])


def test_a_state_at_the_goal_succeeds_and_looks_like_it(task):
    states, goals = pairs(task, 20)
    at_goal = resting(task, goals)
    np.testing.assert_allclose(task.achieved_goal(at_goal), goals, atol=1e-9)
    assert task.success(at_goal, goals).all() and not task.success(states, goals).any()
    np.testing.assert_allclose(task.observe(at_goal), task.goal_observation(goals), atol=1e-6)
    np.testing.assert_allclose(task.cost(at_goal, goals), 0, atol=1e-9)
    np.testing.assert_allclose(task.keypoints(at_goal), task.goal_keypoints(goals), atol=1e-9)


def test_success_is_the_reward_and_the_budget_truncates(task):
    states, goals = pairs(task, 1)
    task.reset(options={"state": resting(task, goals)[0], "goal": goals[0]})
    still = np.zeros(task.physics.action_size, np.float32)
    _, reward, terminated, truncated, info = task.step(still)
    assert reward == 1.0 and info["success"] is True and not terminated and not truncated
    for _ in range(task.budget - 1):
        _, _, terminated, truncated, _ = task.step(still)
    assert truncated and not terminated
    task.reset(options={"state": states[0], "goal": goals[0]})
    assert task.step(still)[1] == 0.0


def test_script_reaches_the_goals_within_the_budget(task):
    states, goals = pairs(task, 100)
    done = np.zeros(100, bool)
    for _ in range(task.budget):
        states = task.simulate(states, task.script(states, goals)[:, None])[:, 0]
        done |= task.success(states, goals)
    assert done.mean() >= 0.98


def test_random_actions_seldom_succeed(task):
    n = 300 if task.name in ("fetch_reach", "giant_maze") else 1000  # whose physics or budget takes long
    states, goals = pairs(task, n)
    actions = np.random.default_rng(1).uniform(-1, 1, (n, task.budget, task.physics.action_size))
    assert reached(task, task.simulate(states, actions), goals).mean() <= 0.05


def test_where_there_are_walls_half_of_the_pairs_or_more_need_the_way_round(task):
    share = task.needs_detour(*pairs(task, 500)).mean()
    least, most = {
        "two_room": (0.45, 0.6),
        "umaze": (0.45, 0.6),
        "medium_maze": (0.6, 0.9),
        "giant_maze": (0.99, 1.0),
    }.get(task.name, (0.0, 0.0))
    assert least <= share <= most


def test_privileged_cost_falls_along_the_scripts_way(task):
    """A cost that only falls is one a planner can follow: no local minimum at a wall."""
    states, goals = pairs(task, 50)
    before = task.cost(states, goals)
    for _ in range(task.budget):
        states = task.simulate(states, task.script(states, goals)[:, None])[:, 0]
    assert (task.cost(states, goals) < np.minimum(before, 0.3)).all()


@EVERY
def test_actions_are_clipped_to_the_bounds(task):
    states, _ = pairs(task, 2)
    far, edge = np.full((2, 3, task.physics.action_size), 7.0), np.ones((2, 3, task.physics.action_size))
    np.testing.assert_array_equal(task.simulate(states, far), task.simulate(states, edge))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda t: t.step(np.zeros(5, np.float32)), r"the action has shape \(5,\), but .* expects \([23],\)"),
        (
            lambda t: t.step(np.full(t.action_space.shape, np.nan, np.float32)),
            "the action holds a value that is not finite",
        ),
        (lambda t: t.set_state(np.zeros(3)), r"the state has shape \(3,\)"),
        (lambda t: t.set_state(np.full_like(t.state, np.inf)), "the state holds a value that is not finite"),
        (lambda t: t.reset(options={"gaol": np.zeros(2)}), "no option 'gaol': it takes 'state' and 'goal'"),
        (lambda t: t.reset(options={"goal": np.zeros(4)}), r"the goal has shape \(4,\)"),
        (
            lambda t: t.simulate(t.state[None], np.full((1, 1, t.physics.action_size), np.nan)),
            "one of those to simulate is NaN",
        ),
        (lambda t: t.simulate(np.zeros((2, 4)), np.zeros((2, 1, 2))), r"states \(2, 4\) and actions \(2, 1, 2\)"),
    ],
)
def test_wrong_input_is_named_and_changes_nothing(task, call, message):
    task.reset(seed=0)
    before, goal = task.get_state(), task.goal.copy()
    with pytest.raises(ValueError, match=message):
        call(task)
    np.testing.assert_array_equal(task.get_state(), before)
    np.testing.assert_array_equal(task.goal, goal)


def test_either_half_of_a_pair_can_be_chosen(task):
    states, goals = pairs(task, 2)
    for seed in range(5):
        _, info = task.reset(seed=seed, options={"state": states[0]})
        np.testing.assert_array_equal(info["state"], states[0])
        assert not info["success"]
        _, info = task.reset(seed=seed, options={"goal": goals[0]})
        np.testing.assert_array_equal(info["goal"], goals[0])


@EVERY
def test_description_is_json_and_copies_are_independent(task):
    described = json.loads(json.dumps(task.describe()))
    assert described["task"] == task.name and described["control_period"] == task.control_period
    states, _ = pairs(task, 4)
    expected = task.simulate(states, pushes(task, 4, 3))  # so that the threads exist when the copies are made
    for twin in (copy.deepcopy(task), pickle.loads(pickle.dumps(task))):
        np.testing.assert_array_equal(twin.simulate(states, pushes(task, 4, 3)), expected)


def test_works_as_a_vector_of_gymnasium_environments(task):
    vector = gymnasium.vector.SyncVectorEnv([lambda: envs.make(task.name)] * 2)
    observations, _ = vector.reset(seed=0)
    assert observations.shape == (2, *task.observation_space.shape)
    vector.step(vector.action_space.sample())
    vector.close()


def test_unknown_task_names_the_others():
    with pytest.raises(
        ValueError,
        match=r"no task 'two_rooms' \(did you mean 'two_room'\?\): .*umaze, medium_maze, giant_maze, reacher",
    ):
        envs.make("two_rooms")


def test_wrong_render_mode():
    with pytest.raises(ValueError, match="render_mode is 'human'"):
        envs.make("two_room", render_mode="human")


def test_tasks_and_collection_load_neither_jax_nor_opengl_nor_whole_suites():
    code = (
        "import sys, envs, envs.collect, envs.behaviours\n"
        "early = [m for m in ('mujoco', 'minari') if m in sys.modules and m != 'mujoco']\n"
        "for name in envs.TASKS: envs.make(name)\n"
        "import minari.dataset.minari_storage, minari.data_collector\n"
        "late = [m for m in ('jax', 'dm_control', 'gymnasium_robotics', 'mujoco.egl', 'OpenGL') if m in sys.modules]\n"
        "sys.exit(f'loaded: {early + late}' if early + late else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
