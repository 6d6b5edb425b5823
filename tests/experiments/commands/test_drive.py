"""The simulator's process, the loop around it, and how a drive ends."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import envs
from experiments.build import compose
from experiments.cli import main
from experiments.commands import drive
from experiments.driving.simulator.client import Setup, Simulator
from planning.control import RealtimeController
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

PLANNER = ("planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1", "planner.horizon=9")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    """A model that has learned nothing: it plans all the same."""
    task = envs.make("two_room")
    config = ModelConfig(observation=vector(4), action_size=2, probe_size=2, latent_size=8, width=16, head_width=8)
    path = tmp_path_factory.mktemp("drive") / "two_room.safetensors"
    save_model(path, create(config, 0), config, {"task": task.describe()})
    return path


def settings(checkpoint, *overrides):
    return compose("drive", "task=two_room", f"checkpoint='{checkpoint}'", *PLANNER, *overrides)


def lockstep(setup, state, actions):
    """What is seen at each control instant when `actions` [T, A] are the answers."""
    seen = []
    with Simulator(setup) as simulator:
        simulator.reset(state)
        for action in actions:
            (each,) = simulator.receive()
            seen.append(each)
            simulator.act(action, each.tick)
        seen.append(simulator.receive()[0])
    return seen


def episode(name, steps=12):
    task, rng = envs.make(name), np.random.default_rng(0)
    state, _ = task.sample_pair(rng)
    return task, state, rng.uniform(-1, 1, (steps, task.physics.action_size)).astype(np.float32)


# Arms are led by a mocap body or by inverse kinematics, not by their actuators.
NOT_DRIVEN = ("cube_single", "two_room_roofed", "two_room_sensors", "stirred_tank")


@pytest.mark.parametrize(
    "name", [name for name in envs.TASKS if not name.startswith("fetch_") and name not in NOT_DRIVEN]
)
def test_the_other_process_steps_the_very_same_physics(name):
    task, state, actions = episode(name)
    truth = task.simulate(state[None], actions[None].astype(np.float64))[0]
    seen = lockstep(Setup(name, real_time=False), state, actions)
    np.testing.assert_array_equal([each.state for each in seen[1:]], truth)
    ideal = task.observe(truth[2])
    for name in ideal if isinstance(ideal, dict) else ():
        np.testing.assert_array_equal(seen[3].observation[name], ideal[name])
    if not isinstance(ideal, dict):
        np.testing.assert_array_equal(seen[3].observation, ideal)
    np.testing.assert_allclose([each.stamp for each in seen], task.control_period * np.arange(len(seen)))


def test_a_delay_acts_within_a_control_period():
    """30 ms are three of the five physics steps of a period: the old action acts in those."""
    task, state, actions = episode("two_room")
    held = np.repeat(actions, 5, axis=0)
    acting = np.concatenate([np.zeros((3, 2), np.float32), held])[: len(held)].astype(np.float64)
    fine = type(task.physics)(task.model, 1)
    truth = fine.simulate(state[None], acting[None])[0, 4::5]
    seen = lockstep(Setup("two_room", real_time=False, delay=0.03), state, actions)
    np.testing.assert_array_equal([each.state for each in seen[1:]], truth)


def test_faults_begin_when_they_are_due():
    task, state, actions = episode("two_room")
    truth = task.simulate(state[None], actions[None].astype(np.float64))[0]
    for fault in ("teleport", "half_gain"):
        seen = lockstep(Setup("two_room", False, fault=fault, fault_at=0.2), state, actions)
        np.testing.assert_array_equal([each.state for each in seen[1:5]], truth[:4])
        assert (seen[5].state != truth[4]).any()
    seen = lockstep(Setup("two_room", False, fault="nan_sensor", fault_at=0.2), state, actions)
    assert [bool(np.isnan(each.observation).any()) for each in seen[3:7]] == [False, False, True, True]
    seen = lockstep(Setup("two_room", False, fault="dropped_observations", fault_at=0.2), state, actions)
    assert [each.arrived for each in seen[3:7]] == [True, True, False, False]


def test_real_time_waits_for_nobody_and_counts_what_is_late():
    task, state, actions = episode("two_room")
    for deadline, late in ((0.0, True), (1e9, False)):
        with Simulator(Setup("two_room", True, deadline=deadline)) as simulator:
            simulator.reset(state)
            ticks, counted = [], 0
            while len(ticks) < 30:
                for each in simulator.receive():
                    ticks.append(each.tick)
                    counted = each.late
                    if each.control and each.tick:
                        simulator.act(actions[0], each.tick)
            assert ticks == sorted(ticks) and ticks[-1] >= 29
            assert (counted > 0) == late


def test_an_action_that_is_no_number_is_not_applied():
    """The one before is held, as a drive does that gets no valid command."""
    task, state, actions = episode("two_room")
    broken, held = actions.copy(), actions.copy()
    broken[3, 0], held[3] = np.nan, actions[2]
    setup = Setup("two_room", real_time=False)
    seen, expected = lockstep(setup, state, broken), lockstep(setup, state, held)
    np.testing.assert_array_equal([each.state for each in seen], [each.state for each in expected])


def test_a_record_of_no_known_kind_ends_the_simulator():
    task, state, _ = episode("two_room")
    with Simulator(Setup("two_room", real_time=False)) as simulator:
        simulator.reset(state)
        simulator.receive()
        simulator._send(7, 0, None, None)
        with pytest.raises(ConnectionError, match="ended with exit code 1"):
            simulator.receive()


def test_a_dead_simulator_is_told():
    task, state, _ = episode("two_room")
    with Simulator(Setup("two_room", real_time=False)) as simulator:
        simulator.reset(state)
        simulator.receive()
        os.kill(simulator.pid, signal.SIGKILL)
        with pytest.raises(ConnectionError, match="was ended by SIGKILL after 1 physics records"):
            simulator.receive()


@pytest.mark.parametrize("timing", ["ideal", "delay"])
def test_virtual_time_is_deterministic(checkpoint, timing, capsys):
    def go():
        return drive.run(settings(checkpoint, f"timing={timing}", "episodes=1", "seconds=1"))

    first, second = go(), go()
    assert first.steps == second.steps >= 15 and first.sources == second.sources
    assert first.successes == second.successes
    assert first.sources["PLAN"] == sum(first.sources.values())
    assert "goals reached" in capsys.readouterr().out


def test_real_time_drives_with_a_planner_in_a_process_of_its_own(checkpoint):
    summary = drive.run(settings(checkpoint, "timing=wallclock", "seconds=1"))
    assert summary.seconds >= 1 and summary.steps >= 10
    assert summary.sources["PLAN"] + summary.sources["PREVIOUS_PLAN"] > 0 and summary.plan_ms


def interrupted(monkeypatch, checkpoint, what):
    """Run the command, and let `what(simulator)` happen at the third record."""
    simulators, receive = [], Simulator.receive

    def third(self):
        simulators.append(self)
        if len(simulators) == 3:
            what(self)
        return receive(self)

    monkeypatch.setattr(Simulator, "receive", third)
    arguments = ["drive", "task=two_room", f"checkpoint='{checkpoint}'", *PLANNER, "timing=ideal"]
    code = main(arguments)
    assert simulators[0]._process.poll() is not None, "the simulator outlived the command"
    return code


def test_an_interrupt_ends_it_with_a_summary(monkeypatch, checkpoint, capsys):
    def interrupt(_):
        raise KeyboardInterrupt

    assert interrupted(monkeypatch, checkpoint, interrupt) == 130
    assert "goals reached" in capsys.readouterr().out


def test_the_death_of_the_simulator_is_one_sentence(monkeypatch, checkpoint, capsys):
    assert interrupted(monkeypatch, checkpoint, lambda simulator: os.kill(simulator.pid, signal.SIGKILL)) == 2
    told = capsys.readouterr().err
    assert "the simulator's process was ended by SIGKILL" in told and "Traceback" not in told


def test_the_death_of_the_planner_is_one_sentence(monkeypatch, checkpoint, capsys):
    monkeypatch.setattr(RealtimeController, "failure", property(lambda self: "the planner's process does not start"))
    monkeypatch.setattr(RealtimeController, "failed", property(lambda self: True))
    assert main(["drive", "task=two_room", f"checkpoint='{checkpoint}'", *PLANNER, "timing=ideal"]) == 2
    told = capsys.readouterr().err
    assert "the planner's process does not start" in told and "Traceback" not in told


@pytest.mark.parametrize(
    "overrides, sentence",
    [
        (["timing=soon"], "timing must be one of ideal, delay, wallclock; got 'soon'"),
        (["timing=ideal", "delay_ms=40"], "timing=ideal has no delay"),
        (["timing=delay", "delay_ms=-1"], "delay_ms must not be negative; got -1"),
        (["timing=ideal", "fault=gremlins"], "fault=gremlins is not known: choose from teleport"),
        (["bundle=x.bundle"], "give a checkpoint or a bundle, not both"),
    ],
)
def test_settings_that_do_not_fit_are_told(checkpoint, overrides, sentence):
    with pytest.raises(ValueError, match=sentence):
        drive.run(settings(checkpoint, *overrides))


def test_an_arm_that_a_mocap_body_leads_is_not_driven():
    """Its fingers' actuators are not what the actions set."""
    with pytest.raises(ValueError, match="fetch_pick_and_place has no actuators that could be driven"):
        Simulator(Setup("fetch_pick_and_place", real_time=False))
