import csv
import dataclasses
from dataclasses import replace
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest
from omegaconf import OmegaConf

import envs
from experiments import build
from experiments.bench.goal import constraints
from experiments.bench.goal.constraints import broken, feasible
from experiments.commands import bench
from experiments.evaluation.goals.protocols import honest
from experiments.training.prepared import probe_targets
from planning import AccelerationLimit, Imagined, JerkLimit, JointLimits, KeepOut, SpeedLimit
from worldmodel.models.freeze import ModelFunction, freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

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
    kept = feasible(task, DISC, replace(pairs, states=states, goals=goals))
    np.testing.assert_array_equal(kept.goals, goals[2:])


def test_every_way_of_telling_is_measured_and_written(tmp_path, monkeypatch):
    seen = {}

    def measure(cfg, name, task, checkpoint, pairs, limit, seed):
        built, weights = build.costs(cfg)
        seen[name] = (weights.get("penalty"), build.constraints(cfg))
        return 0.5, 0.25, 1.0

    monkeypatch.setattr(constraints, "measure_variant", measure)
    monkeypatch.setattr(constraints, "ensure_model", lambda cfg, seed: None)
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


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ("{_target_: planning.AccelerationLimit, limit: 50}", AccelerationLimit(50.0)),
        ("{_target_: planning.JerkLimit, limit: 2000}", JerkLimit(2000.0)),
        (
            "{_target_: planning.JointLimits, low: [-.inf, -2.8], high: [.inf, 2.8], root: [0, 0]}",
            JointLimits((-np.inf, -2.8), (np.inf, 2.8), (0.0, 0.0)),
        ),
    ],
)
def test_limits_are_made_of_settings(settings, expected):
    cfg = build.compose("plan", "task=reacher")
    OmegaConf.set_struct(cfg, False)
    cfg.constraint.limit = OmegaConf.create(settings)
    made = build.constraints(cfg)["limit"]
    assert type(made) is type(expected)
    for field in dataclasses.fields(made):
        np.testing.assert_array_equal(getattr(made, field.name), getattr(expected, field.name))


class Identity(ModelFunction):
    def __call__(self, params, *args):
        return args[0]


def test_the_joints_of_the_reacher_are_read_from_the_points_that_its_probe_learns():
    task = envs.make("reacher")
    angles = np.random.default_rng(0).uniform([-3, -2.7], [3, 2.7], (50, 2))
    states = task.pack(angles, np.zeros((50, 2)))
    decoded = jnp.asarray(probe_targets(task, states))
    config = ModelConfig(observation=vector(6), action_size=2, probe_size=4, latent_size=4, width=8, head_width=8)
    frozen = freeze(create(config, 0), config)
    model = replace(frozen, heads=replace(frozen.heads, probe=Identity("probe", config)))
    root = tuple(float(each) for each in task.scene().root)
    spec = build.action_spec(task)
    for row, (shoulder, wrist) in zip(decoded, angles, strict=True):
        imagined = Imagined(row, row[None, None], row, jnp.zeros((1, 1, 2)))
        limits = JointLimits((shoulder - 0.5, -1.0), (shoulder + 0.5, 1.0), root)
        margin = float(limits(model, imagined, spec)[0])
        np.testing.assert_allclose(margin, max(abs(wrist) - 1.0, -0.5), atol=1e-4)
