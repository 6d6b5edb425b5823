"""The two tasks of Fetch with a cube: the originals' dynamics, a gripper that latches, goals about parts, an expert."""

import warnings

import mujoco
import numpy as np
import pytest

import envs
from envs.handling import Handling, HandlingExpert
from envs.mocap import LATCH
from envs.streams import episode_rng
from envs.vision.camera import available

NAMES = ("fetch_push", "fetch_pick_and_place")


@pytest.fixture(scope="module", params=NAMES)
def task(request):
    task = envs.make(request.param)
    yield task
    task.close()


@pytest.fixture(autouse=True)
def default(request):
    """Every test finds goals that ask for the cube."""
    yield
    if "task" in request.fixturenames:
        request.getfixturevalue("task").ask(["object"])


@pytest.fixture(scope="module")
def picker():
    return envs.make("fetch_pick_and_place")


def drawn(task, count, seed=0):
    rng = np.random.default_rng(seed)
    states, goals = zip(*(task.sample_pair(rng) for _ in range(count)), strict=True)
    return np.stack(states), np.stack(goals)


@pytest.fixture(scope="module")
def runs(task):
    """What the expert does for 30 pairs within the budget."""
    states, goals = drawn(task, 30)
    rngs = [np.random.default_rng(i) for i in range(30)]
    return HandlingExpert().towards_goals(task, states, goals, rngs, task.budget)[0], goals


def test_the_expert_reaches_the_goals_within_the_budget_and_the_cost_falls(task, runs):
    states, goals = runs
    assert task.success(states, goals[:, None]).any(axis=1).mean() >= 0.95
    assert task.success(states[:, -1], goals).mean() >= 0.95
    assert (task.cost(states[:, -1], goals) < 0.5 * task.cost(states[:, 0], goals)).mean() > 0.9


def test_an_action_does_what_the_originals_does(task):
    """The original's warm start and its stale position of the hand make its state incomplete: one step at a time."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from gymnasium_robotics.envs.fetch.pick_and_place import MujocoFetchPickAndPlaceEnv
        from gymnasium_robotics.envs.fetch.push import MujocoFetchPushEnv

        original = (MujocoFetchPickAndPlaceEnv if task.grips else MujocoFetchPushEnv)()
        original.reset(seed=0)
    original.model.opt.disableflags |= int(mujoco.mjtDisableBit.mjDSBL_WARMSTART)
    np.testing.assert_allclose(task.home[:2], original.initial_gripper_xpos[:2], atol=2e-4)
    states, goals = drawn(task, 1, seed=3)
    state, touched = states[0], False
    for _ in range(25):
        action = task.script(state[None], goals)[0].astype(np.float32)
        original.data.qpos[:], original.data.qvel[:] = task.qpos(state), task.qvel(state)
        mujoco.mj_forward(original.model, original.data)
        state = task.simulate(state[None], action[None, None])[0, 0]
        original.step(action if task.grips else np.append(action, 1.0))
        mujoco.mj_forward(original.model, original.data)  # what it observes is from the physics step before, too
        observation = original._get_obs()["observation"]
        seen = task.readings(state)
        np.testing.assert_allclose(task.qpos(state), original.data.qpos, atol=1e-6)
        np.testing.assert_allclose(task.qvel(state), original.data.qvel, atol=1e-5)
        np.testing.assert_allclose(observation[:3], seen["gripper"], atol=1e-5)
        np.testing.assert_allclose(observation[6:9], seen["object_from_gripper"], atol=1e-5)
        np.testing.assert_allclose(observation[20:23] / task.control_period, seen["gripper_velocity"], atol=1e-3)
        touched |= bool(seen["contact"])
    assert touched and task.success(state, goals[0])
    original.close()


def test_a_grasp_holds_without_a_command(picker):
    """Fingers latch: below the threshold they go on squeezing, and above it they let go."""
    states, goals = drawn(picker, 8, seed=1)
    goals[:, 5] = 0.6
    lifted = HandlingExpert().towards_goals(picker, states, goals, [np.random.default_rng(0)] * 8, 25)[0][:, -1]
    assert picker.success(lifted, goals).all()
    for command, stays in ((0.0, True), (0.9 * LATCH, True), (2 * LATCH, False)):
        after = picker.simulate(lifted, np.tile([0.0, 0.0, 0.0, command], (8, 12, 1)))
        assert (picker.object(after[:, -1])[:, 2] > 0.55).all() == stays, command
        np.testing.assert_array_equal((after[:, -1, -2:] == lifted[:, -2:]).all(), stays)
    assert picker.fingers(after[:, -1])[:, 0].min() > 0.06, "open"


def test_a_state_is_complete_with_the_fingers_targets(picker):
    states, _ = drawn(picker, 3)
    actions = np.random.default_rng(0).uniform(-1, 1, (3, 6, 4)).repeat(5, axis=1)
    actions[:, ::3, 3] = 0.0
    whole = picker.simulate(states, actions)
    np.testing.assert_array_equal(picker.simulate(whole[:, 14], actions[:, 15:]), whole[:, 15:])
    np.testing.assert_array_equal(picker.simulate(states[::-1], actions[::-1])[::-1], whole)


def test_starts_and_goals_are_the_originals(task):
    states, goals = drawn(task, 200)
    places = task.object(states)
    assert (np.abs(places[:, :2] - task.home[:2]) <= 0.15).all()
    assert (np.linalg.norm(places[:, :2] - task.home[:2], axis=1) >= 0.1).all()
    assert (np.abs(goals[:, 3:5] - task.home[:2]) <= 0.15).all() and np.ptp(goals[:, 3:5], axis=0).min() > 0.28
    air = goals[:, 5] > 0.43
    assert not task.success(states, goals).any()
    assert 0.35 < air.mean() < 0.6 and goals[:, 5].max() > 0.75 if task.grips else not air.any()
    np.testing.assert_array_equal(goals[air, :3], goals[air, 3:])


def test_a_state_at_the_goal_succeeds_looks_like_it_and_stays(task):
    _, goals = drawn(task, 12)
    for asked in (["object"], ["gripper"], ["gripper", "object"]):
        task.ask(asked)
        there = task.at_goal(goals)
        np.testing.assert_allclose(task.achieved_goal(there), goals, atol=1e-9)
        assert task.success(there, goals).all()
        np.testing.assert_allclose(task.cost(there, goals), 0.0, atol=1e-9)
    task.see(task.offered[:-1])
    seen, wanted = task.observe(there), task.goal_observation(goals)
    for name in wanted:
        np.testing.assert_allclose(seen[name], wanted[name], atol=1e-6, err_msg=name)
    task.see(list(wanted)[:-2])  # as by default
    np.testing.assert_allclose(task.keypoints(there), task.goal_keypoints(goals), atol=1e-9)
    after = task.simulate(there, np.zeros((12, 3, task.physics.action_size)))[:, -1]
    assert task.success(after, goals).all(), "held in the air, or on the table"


def test_goals_ask_for_parts(task):
    states, goals = drawn(task, 1)
    goal = goals[0]
    gripper_there = task.at_goal(np.concatenate([goal[:3], task.object(states[0])]))
    for asked, reached in ((["object"], False), (["gripper"], True), (["gripper", "object"], False)):
        task.ask(asked)
        assert bool(task.success(gripper_there, goal)) is reached
        assert [name for name, part in task.goal_mask.items() if part.any()] == asked
    task.ask(["object"])
    near = task.at_goal(goal + [0, 0, 0, 0.03, 0, 0])
    assert task.success(near, goal) and not task.success(near, goal, share=0.5)


def test_the_expert_brings_the_gripper_where_it_is_asked_for(task):
    task.ask(["gripper", "object"])
    states, goals = drawn(task, 6)
    rngs = [np.random.default_rng(i) for i in range(6)]
    ways = HandlingExpert().towards_goals(task, states, goals, rngs, task.budget)[0]
    assert task.success(ways, goals[:, None]).any(axis=1).mean() >= 0.9


def test_contact_is_mujocos(task, runs):
    states = runs[0][:6, ::5].reshape(-1, task.state_size)
    data, found = mujoco.MjData(task.model), []
    hand = [task.model.geom(f"robot0:{side}_gripper_finger_link").id for side in "lr"]
    for state in states:
        mujoco.mj_setState(task.model, data, state, int(mujoco.mjtState.mjSTATE_FULLPHYSICS))
        mujoco.mj_fwdPosition(task.model, data)
        cube = task.model.geom("object0").id
        pairs = [set(contact.geom.tolist()) for contact in data.contact]
        found.append(any({cube, finger} in pairs for finger in hand))
    np.testing.assert_array_equal(task.readings(states)["contact"][:, 0], found)
    assert 0 < np.mean(found) < 1


@pytest.mark.parametrize("quarters", [0, 1, 2, 3])
def test_yaw_is_the_same_after_a_quarter_and_on_any_side(picker, quarters):
    state = picker.state.copy()
    turned = np.array([np.cos(0.15), 0.0, 0.0, np.sin(0.15)])  # 0.3 rad about the vertical
    side = [np.cos(np.pi / 4 * quarters), np.sin(np.pi / 4 * quarters), 0.0, 0.0]
    quat = np.empty(4)
    mujoco.mju_mulQuat(quat, turned, np.array(side))
    state[1 + picker.model.jnt_qposadr[-1] + 3 :][:4] = quat
    assert float(picker.yaw(state)) == pytest.approx(0.3)
    batch = picker.yaw(np.stack([state, picker.state])[:, None])
    np.testing.assert_allclose(batch[:, 0], [0.3, 0.0], atol=1e-12)


@pytest.mark.parametrize(
    ("goal", "words"),
    [
        (
            [1.3, 0.7, 0.5, 1.3, 0.7, 0.3],
            "the goal puts the object at a height of 0.300 m, which is inside of the table",
        ),
        ([1.3, 0.7, 0.5, 1.3, 0.7, -0.1], "at a height of -0.100 m, which is below the table: it must be at 0.415 m"),
        (
            [1.3, 0.7, 0.5, 1.9, 0.7, 0.425],
            r"the object at \[1.9, 0.7, 0.425\], outside of the workspace: .* \[1.05, 0.4,",
        ),
        ([1.3, 0.7, 0.5, 1.3, 0.7, 1.2], "outside of the workspace"),
    ],
)
def test_goals_that_cannot_be_are_refused(picker, goal, words):
    with pytest.raises(ValueError, match=words):
        picker.reset(seed=0, options={"goal": np.array(goal)})


@pytest.mark.parametrize("parts", [[], ["object", "object"], ["cube"]])
def test_unknown_parts_are_named(picker, parts):
    with pytest.raises(
        ValueError, match="goals of fetch_pick_and_place ask for gripper and object, or for one of them"
    ):
        picker.ask(parts)


@pytest.mark.parametrize("behaviour", [Handling(), HandlingExpert(noise=Handling().noise)], ids=["random", "expert"])
def test_behaviours_handle_the_cube_and_follow_from_the_seed(task, behaviour):
    def roll(count):
        rngs = [episode_rng(0, "collect", i) for i in range(count)]
        return behaviour.rollout(task, np.stack([task.sample_state(rng) for rng in rngs]), rngs, 80)

    states, actions = roll(10)
    assert actions.dtype == np.float32 and (np.abs(actions) <= 1).all()
    np.testing.assert_array_equal(task.simulate(states[:2, 0], actions[:2]), states[:2, 1:])
    np.testing.assert_array_equal(roll(2)[0], states[:2])
    contact = task.readings(states)["contact"][..., 0]
    assert contact.any(axis=1).mean() >= 0.9 and contact.mean() > 0.05
    place = task.object(states)
    assert (np.linalg.norm(place - place[:, :1], axis=-1).max(axis=1) > 0.03).mean() > 0.6, "the cube is moved"
    if task.grips:
        assert (place[..., 2] > 0.46).any(axis=1).mean() > 0.2, "and lifted"
    assert behaviour.describe()["noise"]["scale"] == 0.3


@pytest.mark.parametrize("behaviour", [Handling(), HandlingExpert()])
def test_a_task_without_an_object_is_refused(behaviour):
    task = envs.make("two_room")
    with pytest.raises(ValueError, match="two_room has no object to handle: the behaviour is for fetch_push"):
        behaviour.rollout(task, task.state[None], [np.random.default_rng(0)], 1)


def test_pictures_show_cube_and_fingers_and_no_goal(task):
    if (reason := available()) is not None:
        pytest.skip(reason)
    _, goals = drawn(task, 2)
    there = task.at_goal(goals[0])
    sensors = [sensor.name for sensor in task.sensors]
    task.see(["pixels"])
    for name in ("pixels", "pixels_side"):
        picture = task.observe(there)[name]
        task.goal = goals[1]
        np.testing.assert_array_equal(picture, task.observe(there)[name])
        red, green, blue = np.moveaxis(picture.astype(int), -1, 0)
        assert (red - green).max() > 60 and (blue - red).max() > 40, "fingers and cube"
        assert (green - np.maximum(red, blue)).max() < 10, "a green mark"
        np.testing.assert_array_equal(picture, task.goal_observation(goals[0])[name])
    task.see(sensors)
