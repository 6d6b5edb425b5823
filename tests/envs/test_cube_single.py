"""cube_single: dynamics of the original in a batch, what is sensed of a grasp, goals about parts, hands that grasp."""

import json
import warnings

import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs import cube, ur5e
from envs.grasping import Grasps, KeyFrames, grasp
from envs.suites.cube_single import CubeSingle

EXPERT = Grasps(least=0.0, noise=0.0, random=0.0)


@pytest.fixture(scope="module")
def task():
    task = envs.make("cube_single")
    yield task
    task.close()


@pytest.fixture(scope="module")
def pairs(task):
    rng = np.random.default_rng(0)
    return tuple(map(np.stack, zip(*(task.sample_pair(rng) for _ in range(20)), strict=True)))


@pytest.fixture(scope="module")
def driven(task, pairs):
    """States and actions of the expert on its way to 20 goals."""
    return EXPERT.towards_goals(task, *pairs, [np.random.default_rng(i) for i in range(20)], 100)


def test_the_expert_reaches_its_goals_and_nothing_else_does(task, pairs, driven):
    _, goals = pairs
    reached = task.success(driven[0], goals[:, None])
    assert reached[:, -1].mean() >= 0.95 and not reached[:, 0].any()
    assert task.success(driven[0][:, -1], goals, 0.5).mean() >= 0.95
    np.testing.assert_allclose(task.block(driven[0][reached[:, -1], -1])[0][:, 2], task.resting, atol=1e-3)
    costs = task.cost(driven[0], goals[:, None])
    assert (costs[:, -1] < 0.1).all() and (costs[:, 0] > 0.1).all()


def test_it_moves_as_the_original_does(task, pairs, driven):
    """A cube is grasped, carried and laid down; the solver of the original starts cold here, as ours does."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from ogbench.manipspace.envs.cube_env import CubeEnv

        original = CubeEnv("single", mode="data_collection", terminate_at_goal=False)
        original.reset(seed=0)
    model, data = original.model, original.data
    model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
    mujoco.mj_resetData(model, data)
    data.qpos[:] = task.qpos(pairs[0][1])
    mujoco.mj_forward(model, data)
    forces = []
    for action, state in zip(driven[1][1, :70], driven[0][1, 1:], strict=False):
        forces.append(original.step(action.astype(np.float64))[-1]["proprio/gripper_contact"][0])
        np.testing.assert_allclose(task.qpos(state), data.qpos, atol=1e-9)
        np.testing.assert_allclose(task.qvel(state), data.qvel, atol=1e-7)
    held = task.grip(driven[0][1, 1:71])[:, 1]
    assert (np.abs(held - np.round(forces)) < 1).mean() > 0.95 and np.sum(
        held == 1
    ) > 10  # at its start and end they differ
    assert task.control_period == original.control_timestep()
    np.testing.assert_allclose(task.physics.workspace, original._workspace_bounds)


def test_a_step_a_batch_and_plain_physics_agree_bit_for_bit(task, driven):
    states, actions = driven
    batch = task.simulate(states[:4, 25], actions[:4, 25:30])
    np.testing.assert_array_equal(batch, states[:4, 26:31])  # of twenty, at once
    task.set_state(states[2, 25])
    data, full = mujoco.MjData(task.model), int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
    mujoco.mj_setState(task.model, data, states[2, 25], full)
    seen = np.empty(task.state_size)
    for t in range(5):
        task.step(actions[2, 25 + t])
        task.physics.command(data, actions[2, 25 + t])
        mujoco.mj_step(task.model, data, task.physics.substeps)
        mujoco.mj_getState(task.model, data, seen, full)
        np.testing.assert_array_equal(task.get_state(), batch[2, t])
        np.testing.assert_array_equal(seen, batch[2, t])
    far, edge = np.full((1, 2, 5), 7.0), np.ones((1, 2, 5))
    np.testing.assert_array_equal(task.simulate(states[:1, 0], far), task.simulate(states[:1, 0], edge))


def test_gymnasium_finds_nothing_to_complain_about():
    check_env(envs.make("cube_single"), skip_render_check=True)


def test_contact_is_what_the_simulator_says_of_fingers_and_cube(task, driven):
    states, data = driven[0][:4], mujoco.MjData(task.model)
    fingers = [{task.model.geom(name).id for name in names} for names in ur5e.PADS]
    block, grip = task.model.geom("object_0").id, task.grip(states)
    for state, (closure, touch) in zip(states.reshape(-1, task.state_size), grip.reshape(-1, 2), strict=True):
        mujoco.mj_setState(task.model, data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        mujoco.mj_forward(task.model, data)
        touched = {int(geom) for contact in data.contact for geom in contact.geom if block in contact.geom}
        share = np.mean([bool(geoms & touched) for geoms in fingers])
        assert touch >= share and (touch == share or share < 1) and 0 <= closure <= 1
    assert {0.0, 1.0} <= set(grip[..., 1].ravel())


def test_readings_are_those_of_the_simulator(task, driven):
    states, data = driven[0][:3, ::20], mujoco.MjData(task.model)
    seen = task.observe(states)
    assert list(seen) == [sensor.name for sensor in task.sensors]
    for index in np.ndindex(states.shape[:2]):
        assert task.observation_space.contains({name: values[index] for name, values in seen.items()})
        data.qpos[:] = task.qpos(states[index])
        mujoco.mj_kinematics(task.model, data)
        hand = data.site("ur5e/robotiq/pinch")
        np.testing.assert_allclose(seen["effector"][index], hand.xpos, atol=1e-6)
        np.testing.assert_allclose(seen["block"][index], data.body("object_0").xpos, atol=1e-6)
        turned = hand.xmat.reshape(3, 3)
        yaw = np.arctan2(turned[1, 0], turned[0, 0])
        level = np.array([[np.cos(yaw), -np.sin(yaw), 0], [np.sin(yaw), np.cos(yaw), 0], [0, 0, 1]])
        there = level @ seen["block_from_effector"][index][:3] + hand.xpos
        np.testing.assert_allclose(there, data.body("object_0").xpos, atol=1e-6)
    one = task.observe(states[1, 2])
    for name, values in seen.items():
        np.testing.assert_array_equal(values[1, 2], one[name])


def test_the_yaw_of_a_cube_is_the_same_whichever_face_is_up():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        yaw, face, quaternion = rng.uniform(-np.pi, np.pi), rng.integers(-2, 3, 3) * np.pi / 2, np.empty(4)
        mujoco.mju_euler2Quat(quaternion, [yaw, *face[:2]], "zxy")
        away = cube.quarter(cube.yaw(quaternion) - yaw)
        assert abs(away) < 1e-6
        assert abs(cube.quarter(cube.yaw(quaternion * -1) - yaw)) < 1e-6
    assert -np.pi / 4 <= cube.quarter(np.pi / 4) < np.pi / 4


def test_goals_ask_for_parts(task, pairs):
    states, goals = pairs
    other = CubeSingle(asked=("effector", "block"))
    assert other.asked == ("block", "effector")
    at_goal = task.at_goal(goals)
    np.testing.assert_allclose(task.achieved_goal(at_goal), goals, atol=1e-6)
    elsewhere = task.at_goal(np.concatenate([goals[:, :3], goals[::-1, 3:]], axis=1))
    assert task.success(elsewhere, goals).all() and not other.success(elsewhere, goals).all()
    assert other.success(at_goal, goals).all()
    masks = {name: mask.all() for name, mask in task.goal_mask.items() if mask.any()}
    assert masks == {"block": True} and set(np.flatnonzero([m.all() for m in other.goal_mask.values()])) == {0, 4}
    other.ask(["effector"])
    assert other.success(elsewhere, goals[::-1]).sum() <= 20 and not other.success(states, goals).all()
    np.testing.assert_allclose(task.goal_observation(goals)["block"], goals[:, :3], atol=1e-6)
    assert not task.success(elsewhere, goals + [0.03, 0, 0, 0, 0, 0], 0.5).any()
    assert task.success(elsewhere, goals + [0.03, 0, 0, 0, 0, 0]).all()


def test_a_recorded_goal_is_reached_that_many_steps_later(task):
    state, goal = task.sample_pair_at(np.random.default_rng(3), 30)
    assert not task.success(state, goal) and task.success(task.at_goal(goal), goal)


def test_a_cube_whose_place_is_in_the_air_stays_in_the_hand(task, pairs):
    goal = np.array([0.42, 0.0, 0.15, 0.42, 0.0, 0.3])
    states, _ = EXPERT.towards_goals(task, pairs[0][:1], goal[None], [np.random.default_rng(0)], 70)
    assert task.success(states[0, -10:], goal).all() and (task.grip(states[0, -10:])[:, 1] == 1).all()


@pytest.mark.parametrize("behaviour", [Grasps(), KeyFrames()])
def test_behaviours_lift_cubes_and_episodes_do_not_know_of_one_another(task, pairs, behaviour):
    start = pairs[0][:4]
    states, actions = behaviour.rollout(task, start, [np.random.default_rng(i) for i in range(4)], 50)
    alone = behaviour.rollout(task, start[3:], [np.random.default_rng(3)], 50)
    np.testing.assert_array_equal(states[3], alone[0][0])
    np.testing.assert_array_equal(states[:2, 1:9], task.simulate(start[:2], actions[:2, :8].astype(np.float64)))
    assert (task.block(states)[0][..., 2] > 0.05).any(axis=1).sum() >= 2
    assert actions.dtype == np.float32 and np.abs(actions).max() <= 1
    json.dumps(behaviour.describe())


def test_the_script_is_the_expert_and_full_speed_is_faster(task, pairs):
    states, goals = pairs
    gentle = task.script(states, goals)
    np.testing.assert_array_equal(gentle, grasp(task, states, goals[:, :3], goals[:, 3:]))
    fast = grasp(task, states, goals[:, :3], goals[:, 3:], least=0.4)
    assert np.abs(fast[:, :3]).sum() > np.abs(gentle[:, :3]).sum()


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda t: CubeSingle(asked=()),
            "goals of cube_single ask for block and effector, or for one of them; got none",
        ),
        (lambda t: t.ask(["hand"]), "got hand"),
        (
            lambda t: t.goal_observation(np.array([1.0, 0, 0.02, 0.4, 0, 0.3])),
            r"a goal has the cube at \[1.0, 0.0, 0.02\]",
        ),
        (
            lambda t: t.goal_observation(np.array([0.4, 0, 0.02, 2.0, 0, 0.3])),
            r"the hand does not reach \[2.0, 0.0, 0.3\]",
        ),
        (lambda t: Grasps().rollout(envs.make("two_room"), np.zeros((1, 5)), [np.random.default_rng(0)], 2), "no cube"),
    ],
)
def test_wrong_input_is_named(task, call, message):
    with pytest.raises(ValueError, match=message):
        call(task)


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(ur5e, "find_spec", lambda name: None)
    with pytest.raises(ImportError, match="this task needs OGBench: pip install ogbench"):
        envs.make("cube_single")


def test_the_cameras_show_cube_and_fingers_and_no_goal(task, driven):
    task = envs.make("cube_single")
    task.see(["pixels"], 64)
    for pictures in task.observe(driven[0][0, [0, 35]]).values():
        if pictures.ndim == 4:  # and no flag of presence
            red, green, blue = np.moveaxis(pictures.astype(int), -1, 0)
            assert ((red - blue > 90).sum(axis=(1, 2)) >= 4).all() and (pictures[0] != pictures[1]).any()
            assert (green - red).max() < 30
    task.close()
