import csv
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import envs
from experiments import bench, bench_constraints, build
from experiments.bench_constraints import broken, keeping
from experiments.protocols import honest
from planning import KeepOut, SpeedLimit

DISC = KeepOut(center=(0.5, 0.0), radius=0.2)


def record(path):
    return SimpleNamespace(keypoints=np.asarray(path, float)[:, None, :])


def test_a_disc_is_broken_by_the_steps_that_end_inside():
    task = envs.make("two_room")
    path = [[0.5, 0.0], [0.5, 0.15], [0.5, 0.25], [0.9, 0.9]]  # the start does not count
    np.testing.assert_array_equal(broken(task, DISC, record(path)), [True, False, False])


def test_a_speed_is_that_of_one_control_step():
    task = envs.make("reacher")
    step = 0.36 * task.control_period
    path = [[0.0, 0.12], [0.9 * step, 0.12], [2.0 * step, 0.12]]
    np.testing.assert_array_equal(broken(task, SpeedLimit(0.36, point=0), record(path)), [False, True])


def test_pairs_that_begin_or_end_in_the_disc_are_left_out():
    task = envs.make("two_room")
    pairs = honest(task, 3, 0)
    goals = np.array([[0.5, 0.1], [-0.5, 0.0], [0.5, 0.3]])
    states = np.stack([task.pack(np.array(start), np.zeros(2)) for start in ([-0.5, 0.0], [0.4, 0.0], [-0.5, 0.5])])
    kept = keeping(task, DISC, replace(pairs, states=states, goals=goals))
    np.testing.assert_array_equal(kept.goals, goals[2:])


def test_every_way_of_telling_is_measured_and_written(tmp_path, monkeypatch):
    seen = {}

    def measure(cfg, name, task, checkpoint, pairs, limit, seed):
        built, weights = build.costs(cfg)
        seen[name] = (weights.get("penalty"), build.constraints(cfg))
        return 0.5, 0.25, 1.0

    monkeypatch.setattr(bench_constraints, "_measure", measure)
    monkeypatch.setattr(bench_constraints, "ensure_model", lambda cfg, seed: None)
    cfg = build.compose("bench", "suite=constraints", f"results='{tmp_path}'", "~suite.cases.reacher_speed")
    with pytest.raises(SystemExit) as stop:  # half of the guarded steps break the limit
        bench.run(cfg)
    assert stop.value.code == 1
    assert seen["untold"] == (None, {}) and seen["penalty_100"] == (100.0, {})
    assert seen["guarded"][1]["limit"] == KeepOut(center=(0.5, 0.0), radius=0.25)
    with (tmp_path / "robot_loop.csv").open(newline="") as file:
        rows = {row["case"]: (row["value"], row["unit"]) for row in csv.DictReader(file)}
    assert rows["constraint_violations_two_room_disc_guarded"] == ("0.5", "share of steps")
    assert rows["constraint_violations_two_room_disc_guarded_success"] == ("1", "share of episodes")
    assert len(rows) == 10
