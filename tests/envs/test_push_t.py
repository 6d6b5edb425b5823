"""The world of push_t is that of its peers, its closed forms are those of its simulator, and its expert solves it."""

import mujoco
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import envs
from envs import tee
from envs.behaviours import ColouredNoise
from envs.goal_parts import HasOffset, HasParts, asking
from envs.push_t import PushT
from envs.pushing import NORMALS, POINTS, Pushers, PushExpert, towards, way_round
from envs.vision.camera import available


@pytest.fixture(scope="module")
def task():
    return PushT()


def rngs(count, seed=0):
    return [np.random.default_rng([seed, index]) for index in range(count)]


def starts(task, count, seed=0):
    return np.stack([task.sample_state(rng) for rng in rngs(count, seed)])


@pytest.fixture(scope="module")
def pushed(task):
    """States and actions of 24 episodes of random pushes."""
    return Pushers().rollout(task, starts(task, 24), rngs(24), 60)


def test_gymnasium_finds_nothing_to_complain_about():
    check_env(envs.make("push_t", render_mode="rgb_array"))


def test_step_simulate_and_plain_physics_agree_bit_for_bit(task, pushed):
    states, actions = pushed
    wide = task.simulate(states[:, 0], actions)
    np.testing.assert_array_equal(wide, states[:, 1:])
    np.testing.assert_array_equal(task.simulate(states[::-1, 20], actions[::-1, 20:])[::-1], states[:, 21:])
    chosen = int(np.argmax(task.readings(states)["contact"].sum(axis=(1, 2))))
    data, seen = mujoco.MjData(task.model), np.empty(task.state_size)
    full = int(mujoco.mjtState.mjSTATE_FULLPHYSICS)
    task.reset(seed=0, options={"state": states[chosen, 0], "goal": np.zeros(5)})
    mujoco.mj_setState(task.model, data, states[chosen, 0], full)
    for action, after in zip(actions[chosen], states[chosen, 1:], strict=True):
        observation, *_ = task.step(action)
        task.physics.command(data, action.astype(np.float64))
        for _ in range(task.physics.substeps):
            mujoco.mj_step(task.model, data)
        mujoco.mj_getState(task.model, data, seen, full)
        np.testing.assert_array_equal(seen, after)
        np.testing.assert_array_equal(task.get_state(), after)
        for name, values in task.observe(after).items():
            np.testing.assert_array_equal(observation[name], values)
    assert not np.array_equal(task.block(states[chosen, 0]), task.block(states[chosen, -1]))


def test_nothing_resists_the_pusher_and_nothing_carries_the_block_on(task, pushed):
    states, actions = pushed
    away = states[:, 0].copy()
    away[:, 3:5] = np.where(task.pusher(away) > 0.256, 0.1, 0.41)  # the block elsewhere
    free = task.simulate(away, actions[:, :10])
    touched = task.readings(states[:, 1:11])["contact"][..., 0] > 0
    assert touched.any()
    np.testing.assert_allclose(task.pusher(free), task.pusher(states[:, 1:11]), atol=2e-3)
    halted = states[:, 30].copy()
    halted[:, 6:8] = 0.0  # the pusher stands still, where the block may still move
    following = task.simulate(halted, np.zeros((len(halted), 3, 2)))
    slid = np.abs(task.block(following[:, -1]) - task.block(halted))
    assert slid[:, :2].max() < 5e-3
    np.testing.assert_array_equal(following[:, -1, 8:].round(5), 0.0)


def test_the_block_stays_on_the_table(pushed, task):
    corners = tee.corners(task.block(pushed[0]))
    assert corners.min() > -0.012 and corners.max() < 0.524


def test_a_short_push_does_what_the_closed_form_says(task):
    """Square pushes of 8 mm in the middle of the table, at every point of the outline."""
    block = np.tile([0.256, 0.256, 0.7], (len(POINTS), 1))
    begin = tee.out_of(block, POINTS + (tee.PUSHER_RADIUS + 5e-4) * NORMALS)
    end = tee.out_of(block, POINTS + (tee.PUSHER_RADIUS - 8e-3) * NORMALS)
    qpos = np.concatenate([begin, block], axis=1)
    states = task.pack(qpos, np.zeros_like(qpos))
    for _ in range(12):
        action = np.clip((end - task.pusher(states)) / 0.1, -0.3, 0.3)
        states = task.simulate(states, action[:, None])[:, 0]
    expected = tee.pushed(block, POINTS, NORMALS, np.full(len(POINTS), 8e-3))
    assert np.linalg.norm(expected[:, :2] - block[:, :2], axis=1).min() > 1e-3
    np.testing.assert_allclose(task.block(states)[:, :2], expected[:, :2], atol=1.5e-3)
    np.testing.assert_allclose(task.block(states)[:, 2], expected[:, 2], atol=np.radians(2.0))


def test_the_shape_is_that_of_the_model(task):
    """Distances to the T by MuJoCo: of spheres like the pusher's, on rays through the arena."""
    points = np.random.default_rng(0).uniform(-0.15, 0.15, (200, 2))
    for point in points:
        data = mujoco.MjData(task.model)
        data.qpos[:] = [*(0.256 + tee.rotated(point, np.array(0.4))), 0.256, 0.256, 0.4]
        mujoco.mj_kinematics(task.model, data)
        sphere = task.model.geom("pusher").id
        gaps = [
            mujoco.mj_geomDistance(task.model, data, sphere, task.model.geom(n).id, 1.0, None) for n in ("bar", "stem")
        ]
        found = float(tee.clearance(point))
        if found > tee.PUSHER_RADIUS:
            assert min(gaps) == pytest.approx(found - tee.PUSHER_RADIUS, abs=1e-6)
    assert task.model.body("block").inertia[2] / task.model.body("block").mass[0] == pytest.approx(
        tee.GYRATION**2, rel=1e-3
    )
    assert tee.clearance(POINTS) == pytest.approx(0.0, abs=1e-12)


def test_coverage_is_the_shared_area():
    pose = np.array([0.2, 0.3, 0.5])
    area = 0.12 * 0.03 + 0.03 * 0.09
    assert tee.coverage(pose, pose) == pytest.approx(1.0)
    assert tee.coverage(pose, pose + [0.3, 0, 0]) == 0.0
    upright, beside = np.array([0.2, 0.2, 0.0]), np.array([0.21, 0.2, 0.0])
    assert tee.coverage(upright, beside) == pytest.approx((0.11 * 0.03 + 0.02 * 0.09) / area)
    grid = np.stack(np.meshgrid(*[np.linspace(-0.1, 0.1, 401)] * 2), axis=-1).reshape(-1, 2) + pose[:2]
    other = np.array([0.215, 0.29, 1.2])
    both = [tee.clearance(tee.into(each, grid)) < 0 for each in (pose, other)]
    assert tee.coverage(pose, other) == pytest.approx(np.sum(both[0] & both[1]) / np.sum(both[1]), abs=0.01)


def test_a_goal_is_a_state_and_a_state_is_a_goal(task, pushed):
    states = pushed[0][:, -1]
    goals = task.achieved_goal(states)
    again = task.at_goal(goals)
    np.testing.assert_allclose(task.achieved_goal(again), goals, atol=1e-12)
    np.testing.assert_allclose(task.keypoints(states), task.goal_keypoints(goals), atol=1e-12)
    assert task.success(again, goals).all()
    np.testing.assert_allclose(task.cost(again, goals), 0.0, atol=1e-9)
    seen, wanted = task.observe(states), task.goal_observation(goals)
    for name in ("pusher", "block", "pusher_in_block"):
        np.testing.assert_allclose(seen[name], wanted[name], atol=1e-6)
    assert not wanted["pusher_velocity"].any()
    assert np.abs(seen["block"][:, 2]).max() <= np.pi


def test_success_counts_the_parts_that_are_asked_for(task):
    goal = np.array([0.1, 0.1, 0.3, 0.3, 3.1])
    near = task.at_goal(goal + [0.0, 0.01, 0.0, 0.01, 0.3])  # the angle passes through 180 degrees
    far = task.at_goal(goal + [0.3, 0.0, 0.0, 0.01, 0.0])
    turned = task.at_goal(goal + [0.0, 0.0, 0.0, 0.0, 0.4])
    both = task.at_goal(goal + [0.0, 0.015, 0.0, 0.015, 0.0])
    judged = [bool(task.success(each, goal)) for each in (near, far, turned, both)]
    assert judged == [True, False, False, False]
    block = asking(task, ["block"])
    assert [bool(block.success(each, goal)) for each in (near, far, turned, both)] == [True, True, False, True]
    assert not block.success(near, goal, 0.5)
    hand = asking(task, ["pusher"])
    assert [bool(hand.success(each, goal)) for each in (near, far, turned, both)] == [True, False, True, True]
    assert block.goal_mask["block"].all() and not block.goal_mask["pusher"].any()
    assert task.asked == ("pusher", "block") and isinstance(task, HasParts) and isinstance(task, HasOffset)


@pytest.mark.parametrize(
    ("parts", "message"), [([], "got none"), (["block", "block"], "block, block"), (["cup"], "got cup")]
)
def test_unknown_parts_are_named(task, parts, message):
    with pytest.raises(ValueError, match=f"ask for pusher and block.*{message}"):
        task.ask(parts)


def test_a_task_without_parts_says_so():
    with pytest.raises(ValueError, match="a goal of two_room is asked for as a whole"):
        asking(envs.make("two_room"), ["block"])
    whole = envs.make("two_room")
    assert asking(whole, []) is whole


def test_a_drawn_pair_moves_the_block_and_follows_from_its_generator(task):
    for offset in (10, 40):
        state, goal = task.sample_pair_at(np.random.default_rng(3), offset)
        again = task.sample_pair_at(np.random.default_rng(3), offset)
        np.testing.assert_array_equal(state, again[0])
        np.testing.assert_array_equal(goal, again[1])
        assert not asking(task, ["block"]).success(state, goal)


def test_an_episode_depends_on_its_own_generator_alone(task):
    for behaviour in (Pushers(), PushExpert(random=0.3, noise=ColouredNoise(scale=0.2))):
        wide = behaviour.rollout(task, starts(task, 4), rngs(4, 1), 40)
        alone = behaviour.rollout(task, starts(task, 4)[2:3], rngs(4, 1)[2:3], 40)
        for all_of_them, one in zip(wide, alone, strict=True):
            np.testing.assert_array_equal(all_of_them[2:3], one)


def test_random_pushes_meet_the_block_again_and_again(task, pushed):
    contact = task.readings(pushed[0])["contact"][..., 0]
    assert contact.mean() > 0.15 and (contact.max(axis=1) > 0).mean() > 0.9


def test_the_expert_reaches_95_percent_of_the_goals(task):
    pairs = [task.sample_pair(rng) for rng in rngs(24, 5)]
    begin, goals = (np.stack(each) for each in zip(*pairs, strict=True))
    states, _ = PushExpert().towards_goals(task, begin, goals, rngs(24), task.budget)
    assert task.success(states, goals[:, None]).any(axis=1).sum() >= 23
    assert not task.success(begin, goals).any()


def test_the_way_round_does_not_touch_the_block(task):
    block = np.tile([0.256, 0.256, 0.3], (len(POINTS), 1))
    target = tee.out_of(block, POINTS + (tee.PUSHER_RADIUS + 0.01) * NORMALS)
    begin = tee.out_of(block, np.tile([0.0, 0.11], (len(POINTS), 1)))
    states = task.pack(np.concatenate([begin, block], axis=1), np.zeros((len(POINTS), 5)))
    for _ in range(30):
        pusher = task.pusher(states)
        action = towards(pusher, task.pusher_velocity(states), way_round(pusher, task.block(states), target))
        states = task.simulate(states, action[:, None])[:, 0]
    np.testing.assert_allclose(task.block(states), block, atol=3e-3)
    np.testing.assert_allclose(task.pusher(states), target, atol=4e-3)


def test_behaviours_need_a_block():
    task = envs.make("two_room")
    for behaviour in (Pushers(), PushExpert()):
        with pytest.raises(ValueError, match="two_room has no block to push"):
            behaviour.rollout(task, np.stack([task.sample_state(np.random.default_rng(0))]), rngs(1), 3)


def test_pictures_show_pusher_and_block_and_not_the_goal(task):
    if (reason := available()) is not None:
        pytest.skip(reason)
    seeing = PushT()
    seeing.see(["pixels"])
    state, goal = task.sample_pair(np.random.default_rng(0))
    seeing.reset(seed=0, options={"state": state, "goal": goal})
    before = seeing.observe(state)["pixels"]
    seeing.goal = seeing.achieved_goal(state)
    np.testing.assert_array_equal(before, seeing.observe(state)["pixels"])
    assert not np.array_equal(before, seeing.goal_observation(goal)["pixels"])
    seeing.close()
