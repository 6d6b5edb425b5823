"""Each fault does what it says from its onset on, and not a bit before."""

import subprocess
import sys

import numpy as np
import pytest

from envs import Task, faults, make

STEPS, ONSET = 12, 5
PHYSICS = ("teleport", "half_gain", "double_damping", "wall")


def moving(task, n=6, seed=0):
    """Starts away from walls that are pushed one way: everything is in motion at the onset."""
    rng = np.random.default_rng(seed)
    states = np.stack([task.sample_state(rng) for _ in range(n)])
    actions = np.repeat(rng.choice([-0.6, 0.6], (n, 1, task.physics.action_size)), STEPS, axis=1).astype(np.float32)
    return states, actions


@pytest.fixture(scope="module")
def whole(task):
    states, actions = moving(task)
    return states, actions, task.simulate(states, actions.astype(np.float64))


def broken(task, whole, fault, onset=ONSET, seed=0):
    if fault not in faults.names(task):
        pytest.skip(f"{task.name} cannot have {fault}")
    states, actions, _ = whole
    return faults.simulate_with(task, fault, onset, states, actions, np.random.default_rng(seed))


@pytest.mark.parametrize("fault", faults.FAULTS)
def test_nothing_changes_before_the_onset(task, whole, fault):
    _, _, truth = whole
    reading = broken(task, whole, fault)
    np.testing.assert_array_equal(reading.states[:, :ONSET], truth[:, :ONSET])
    np.testing.assert_array_equal(reading.observations[:, :ONSET], task.observe(truth)[:, :ONSET])
    assert (reading.ages[:, :ONSET] == 0).all()


@pytest.mark.parametrize("end", ["", "_2s"])
def test_a_sensor_is_missing_for_two_seconds_or_for_good_and_no_other(end):
    task, steps = make("two_room_sensors"), 50
    states = np.stack([task.sample_state(np.random.default_rng(seed)) for seed in range(2)])
    actions = np.zeros((2, steps, 2), np.float32)
    truth = task.observe(task.simulate(states, actions.astype(np.float64)))
    for sensor, other in (("position", "velocity"), ("velocity", "position")):
        fault = f"missing_{sensor}{end}"
        assert fault in faults.names(task)
        found = faults.simulate_with(task, fault, ONSET, states, actions, np.random.default_rng(0)).observations
        whole = faults.simulate_with(task, "wall", steps, states, actions, np.random.default_rng(0)).observations
        gone = np.zeros(steps, bool)
        gone[ONSET : None if not end else ONSET + 40] = True  # 2 s of 0.05 s each
        np.testing.assert_array_equal(found[other], whole[other])
        np.testing.assert_array_equal(found[sensor][:, ~gone], whole[sensor][:, ~gone])
        if sensor == "position":
            assert np.isnan(found["position"][:, gone]).all()
            np.testing.assert_array_equal(found["position"][:, ~gone], truth["position"][:, ~gone])
        else:  # optional: absent
            assert not found["velocity"][:, gone].any() and not found["velocity_present"][:, gone].any()
    assert faults.Missing.of(task, "teleport") is None
    plain = faults.without(make("two_room"), np.ones((1, 4), np.float32), "state")
    assert np.isnan(plain).all()


@pytest.mark.parametrize("fault", PHYSICS)
def test_physical_faults_change_the_truth_and_the_sensors_tell_it(task, whole, fault):
    _, _, truth = whole
    reading = broken(task, whole, fault)
    after = ONSET + (fault == "wall")  # which stands a control period ahead
    differing = (reading.states[:, after:] != truth[:, after:]).any(axis=-1).all(axis=1)
    assert differing.sum() >= 4  # an episode that a real wall stopped by chance may well show nothing
    np.testing.assert_array_equal(reading.observations, task.observe(reading.states))
    assert (reading.ages == 0).all()


@pytest.mark.parametrize("fault", [name for name in faults.FAULTS if name not in PHYSICS])
def test_faults_of_sensors_leave_the_truth_alone(task, whole, fault):
    _, _, truth = whole
    np.testing.assert_array_equal(broken(task, whole, fault).states, truth)


def test_a_teleport_jumps_once_and_far_and_keeps_the_speed(task, whole):
    states, actions, truth = whole
    before = truth[:, ONSET - 1]
    rng = np.random.default_rng(1)
    scene = task.scene()
    for state in before:
        moved = faults.elsewhere(task, state, rng)
        distance = np.linalg.norm(task.keypoints(moved)[-1] - task.keypoints(state)[-1])
        assert distance >= 0.1 * np.linalg.norm(np.subtract(scene.high, scene.low))
        np.testing.assert_array_equal(task.qvel(moved), task.qvel(state))
    reading = broken(task, whole, "teleport")
    rest = actions[:, ONSET + 1 :].astype(np.float64)
    np.testing.assert_array_equal(reading.states[:, ONSET + 1 :], task.simulate(reading.states[:, ONSET], rest))


def test_half_the_gain_is_half_the_action(task, whole):
    states, actions, _ = whole
    halved = actions.astype(np.float64)
    halved[:, ONSET:] /= 2
    np.testing.assert_allclose(broken(task, whole, "half_gain").states, task.simulate(states, halved), atol=1e-9)


def test_double_damping_brakes_more(task):
    if task.model.neq:
        pytest.skip("its joints do not coast: a weld holds the hand")
    rng = np.random.default_rng(0)
    states = np.stack([task.sample_state(rng) for _ in range(4)])
    states[:, 1 + task.model.nq : 1 + task.model.nq + task.model.nv] = 0.1
    coast = np.zeros((4, 3, task.physics.action_size), np.float32)
    slow = faults.simulate_with(task, "double_damping", 0, states, coast, rng).states
    speed = np.abs(task.qvel(task.simulate(states, coast.astype(np.float64)))).sum(axis=-1)
    assert (np.abs(task.qvel(slow)).sum(axis=-1) < speed).all()


def test_a_wall_stops_the_fastest_joint_where_it_stands(task, whole):
    _, _, truth = whole
    reading = broken(task, whole, "wall")
    at_onset = truth[:, ONSET - 1]
    fastest = np.abs(task.qvel(at_onset)).argmax(axis=-1)
    rows = np.arange(len(fastest))
    position, velocity = task.qpos(at_onset)[rows, fastest], task.qvel(at_onset)[rows, fastest]
    travelled = (task.qpos(reading.states)[rows, :, fastest] - position[:, None]) * np.sign(velocity)[:, None]
    gap = np.abs(velocity) * task.control_period
    assert (travelled[:, ONSET:].max(axis=1) <= 2.5 * gap + 1e-3).all()  # soft, as all contacts are
    free = (task.qpos(truth)[rows, -1, fastest] - position) * np.sign(velocity)
    assert (free > 4 * gap).sum() >= 3  # there was no wall


def test_a_frozen_sensor_repeats_its_last_reading_as_if_it_were_new(task, whole):
    reading = broken(task, whole, "frozen_sensor")
    last = reading.observations[:, ONSET - 1 : ONSET]
    np.testing.assert_array_equal(reading.observations[:, ONSET:], np.repeat(last, STEPS - ONSET, axis=1))
    assert (reading.ages == 0).all()


def test_what_moves_vanishes_from_the_pictures_alone():
    from envs.vision.camera import available

    if (reason := available()) is not None:
        pytest.skip(reason)
    task = make("two_room")
    assert "vanish" not in faults.names(task)
    task.see(["pixels", "proprio"], size=16)
    try:
        states, actions = moving(task, n=3)
        truth = task.simulate(states, actions.astype(np.float64))
        seen = task.observe(truth)
        onset = np.array([2, 4, STEPS])
        reading = faults.simulate_with(task, "vanish", onset, states, actions, np.random.default_rng(0))
        np.testing.assert_array_equal(reading.states, truth)
        np.testing.assert_array_equal(reading.observations["proprio"], seen["proprio"])
        assert isinstance(seen, dict)
        for index, begin in enumerate(onset):
            pictures, shown = reading.observations["pixels"][index], seen["pixels"][index]
            np.testing.assert_array_equal(pictures[:begin], shown[:begin])
            assert (pictures[begin:] != shown[begin:]).any(axis=(1, 2, 3)).all()
            empty = pictures[begin:]
            assert (empty == empty[:1]).all()  # walls alone
            assert empty.size == 0 or (empty[0].astype(int)[..., 0] - empty[0][..., 1]).max() < 60, "a red body"
    finally:
        task.close()


def test_readings_that_nobody_repeats_are_let_go():
    task = make("two_room")
    states, actions = moving(task, n=2)
    faulty = faults.Faulty(task, "delayed_observations", 3, states, np.random.default_rng(0))
    for step in range(STEPS):
        faulty.step(actions[:, step])
    kept = [index for index, seen in enumerate(faulty._seen) if len(seen)]
    assert kept == [3, *range(STEPS - faults.DELAY, STEPS + 1)]


def test_dropped_observations_grow_old(task, whole):
    reading = broken(task, whole, "dropped_observations")
    last = reading.observations[:, ONSET - 1 : ONSET]
    np.testing.assert_array_equal(reading.observations[:, ONSET:], np.repeat(last, STEPS - ONSET, axis=1))
    np.testing.assert_array_equal(reading.ages[:, ONSET:], np.tile(np.arange(1, STEPS - ONSET + 1), (6, 1)))


def test_delayed_observations_are_late_and_never_run_backwards(task, whole):
    _, _, truth = whole
    reading = broken(task, whole, "delayed_observations")
    late = ONSET + faults.DELAY
    np.testing.assert_array_equal(reading.observations[:, late:], task.observe(truth)[:, ONSET : STEPS - faults.DELAY])
    assert (reading.ages[:, late:] == faults.DELAY).all()
    assert (np.diff(np.arange(STEPS) - reading.ages, axis=1) >= 0).all()


def test_one_sensor_reads_nan_for_good(task, whole):
    nan = np.isnan(broken(task, whole, "nan_sensor").observations)
    assert not nan[:, :ONSET].any()
    assert (nan[:, ONSET:].sum(axis=-1) == 1).all() and (nan[:, ONSET:] == nan[:, -1:]).all()


def test_each_episode_has_its_own_onset_and_draws(task, whole):
    """An episode is the same alone, in a batch, and whenever the fault of another one begins."""
    states, actions, truth = whole
    onsets = np.array([0, 3, 5, STEPS + 1, 2, 7])
    many = faults.simulate_with(task, "teleport", onsets, states, actions, np.random.default_rng(7))
    np.testing.assert_array_equal(many.states[3], truth[3])
    few = faults.simulate_with(task, "teleport", onsets[:2], states[:2], actions[:2], np.random.default_rng(7))
    np.testing.assert_array_equal(many.states[:2], few.states)
    np.testing.assert_array_equal(many.states[1, :3], truth[1, :3])
    assert (many.states[1, 3:] != truth[1, 3:]).any()


def test_wrong_calls_are_told(task, whole):
    states, actions, _ = whole
    rng = np.random.default_rng(0)
    assert set(faults.FAULTS) - set(faults.names(task)) == {"vanish"} | (set() if task.model.nu else {"half_gain"})
    with pytest.raises(ValueError, match="there is no fault 'gremlins'"):
        faults.simulate_with(task, "gremlins", 0, states, actions, rng)
    with pytest.raises(ValueError, match="counted from 0; got -1"):
        faults.simulate_with(task, "wall", -1, states, actions, rng)


def test_breaking_one_task_leaves_the_others_whole(task, whole):
    states, actions, truth = whole
    for fault in {"half_gain", "double_damping", "wall"} & set(faults.names(task)):
        broken(task, whole, fault)
    np.testing.assert_array_equal(task.simulate(states, actions.astype(np.float64)), truth)


def test_faults_do_not_bring_jax():
    code = "import sys, envs.faults; assert 'jax' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_tasks_without_a_model_cannot_be_broken():
    foreign = type("Foreign", (Task,), {"__abstractmethods__": frozenset()})
    with pytest.raises(ValueError, match="Foreign has none"):
        faults.names(foreign())
