"""Actions that act late, to the physics step, and plans that know it."""

from __future__ import annotations

import csv

import numpy as np
import pytest

import envs
from experiments import build
from experiments.bench.robot import delay as bench_delay
from experiments.commands import bench
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import ModelPolicy
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

PLANNER = ("planner.num_samples=16", "planner.num_elites=4", "planner.iterations=1", "planner.horizon=9")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = ModelConfig(observation=vector(6), action_size=2, latent_size=8, width=16, head_width=8)
    path = tmp_path_factory.mktemp("delay") / "reacher.safetensors"
    save_model(path, create(config, 0), config, {"task": envs.make("reacher").describe()})
    return path


@pytest.fixture(scope="module")
def parts(checkpoint):
    task = envs.make("reacher")
    return task, build.agent(build.compose("plan", "task=reacher", *PLANNER), load_model(checkpoint).model, task)


def test_an_action_acts_so_many_physics_steps_later():
    """Periods of 3 steps, 4 steps late: the first of each period's steps still has the action before the last."""
    pipeline = bench_delay.Pipeline(np.zeros(1), 1, late=4, substeps=3)
    acting = np.concatenate([pipeline.send(np.array([[float(step)]])) for step in range(1, 5)], axis=1)[0, :, 0]
    np.testing.assert_array_equal(acting, [0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 3, 3])


def test_what_is_committed_is_the_mean_of_each_period():
    pipeline = bench_delay.Pipeline(np.zeros(1), 1, late=4, substeps=3)
    for action in (3.0, 6.0):
        pipeline.send(np.array([[action]]))
    np.testing.assert_allclose(pipeline.committed(2)[0, :, 0], [(3 + 6 + 6) / 3, 6.0])
    acting = pipeline.send(np.array([[9.0]]))
    assert acting.mean() == (3 + 6 + 6) / 3


def test_without_a_delay_it_is_the_ordinary_evaluation(parts):
    task, agent = parts
    pairs = honest(task, 2, 0)
    records = run_episodes(task, ModelPolicy(agent, 0), pairs)
    for compensate in (False, True):
        reached = bench_delay.DelayedLoop(task, agent, 0.0, compensate, 0).run(pairs, "test")
        np.testing.assert_array_equal(reached, [record.success for record in records])


def test_compensated_plans_begin_with_what_is_committed(parts, monkeypatch):
    task, agent = parts
    seen = []

    def step(agent, states, observations, active, offset):
        sent, states = plain(agent, states, observations, active, offset)
        seen.append((np.asarray(states.plan.actions), np.asarray(sent), int(offset)))
        return sent, states

    plain = bench_delay._step
    monkeypatch.setattr(bench_delay, "_step", step)
    bench_delay.DelayedLoop(task, agent, 0.08, True, 0).run(honest(task, 2, 0), "test")
    assert len(seen) > 5
    for index, (plan, sent, offset) in enumerate(seen[2:], start=2):
        assert offset == 2  # periods of 40 ms
        np.testing.assert_array_equal(plan[:, 0], seen[index - 2][1])
        np.testing.assert_array_equal(plan[:, 1], seen[index - 1][1])
        np.testing.assert_array_equal(plan[:, 2], sent)


def test_the_suite_writes_its_three_rows(checkpoint, tmp_path):
    overrides = f"suite.overrides={[*PLANNER]}"
    settings = (
        "suite=delay",
        f"suite.checkpoint='{checkpoint}'",
        "suite.episodes=2",
        f"results='{tmp_path}'",
        overrides,
    )
    bench.run(build.compose("bench", *settings))
    with (tmp_path / "robot_loop.csv").open() as file:
        rows = {row["case"]: row["unit"] for row in csv.DictReader(file)}
    assert rows == {f"delay_40ms_success_{mode}": "share" for mode in ("none", "off", "on")}


@pytest.mark.parametrize(
    "delay, sentence", [(0.03, "physics steps of 20 ms; got 30 ms"), (1.0, "plans of 9 steps end before a delay")]
)
def test_delays_that_cannot_be_are_told(parts, delay, sentence):
    with pytest.raises(ValueError, match=sentence):
        bench_delay.DelayedLoop(*parts, delay, True, 0)
