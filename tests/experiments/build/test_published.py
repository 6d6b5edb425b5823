"""The checkpoints that come along: small, whole, and as good as their rows say."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

import envs
from experiments import build
from experiments.build import published
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import ModelPolicy
from experiments.records.results import read_csv
from worldmodel.models.checkpoint import load_model, save_model, with_members
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

ROWS = published.FOLDER.parent / "results" / "published.csv"
CONFIG = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8, ensemble=3)
EPISODES = 6


def test_fewer_members_are_the_first_ones():
    model = create(CONFIG, 0)
    for index, member in enumerate(model.predictor.members):
        member.output.bias[...] = member.output.bias[...] + index
    smaller, config = with_members(model, CONFIG, 2)
    assert config == dataclasses.replace(CONFIG, ensemble=2) and len(smaller.predictor.members) == 2
    latent, block = jax.random.normal(jax.random.key(0), (2, 5, 4)), jax.numpy.ones((5, 3, 2))
    np.testing.assert_array_equal(smaller.predict(latent, block).latent, model.predict(latent, block).latent)
    with pytest.raises(ValueError, match="members must lie between 1 and the 3 that the model has; got 4"):
        with_members(model, CONFIG, 4)


def test_half_precision_rounds_matrices_alone(tmp_path):
    model = create(CONFIG, 0)
    model.encoder.normalizer.fit(np.full((3, 4), 1e6) + np.arange(12.0).reshape(3, 4))
    sizes = {}
    for half in (False, True):
        path = tmp_path / f"{half}.safetensors"
        save_model(path, model, CONFIG, {}, half=half)
        loaded = load_model(path).model.module()
        np.testing.assert_array_equal(loaded.encoder.normalizer.mean[...], model.encoder.normalizer.mean[...])
        kernel, whole = loaded.encoder.mlp.inputs[0].kernel[...], model.encoder.mlp.inputs[0].kernel[...]
        assert kernel.dtype == np.float32
        np.testing.assert_allclose(kernel, whole, rtol=1e-3 if half else 0)
        assert np.array_equal(kernel, whole) != half
        sizes[half] = path.stat().st_size
    assert sizes[True] < sizes[False]


def test_a_trained_model_is_published_under_its_task(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    trained = tmp_path / "runs" / "m.safetensors"
    save_model(
        trained, create(CONFIG, 0), CONFIG, {"task": {"task": "umaze"}, "history": [1, 2], "recipe": {"seed": 0}}
    )
    assert published.publish(trained) == tmp_path / "umaze.safetensors"
    checkpoint = load_model(published.checkpoint_file("published", "umaze"))
    assert checkpoint.model.ensemble == 2 and checkpoint.metadata == {"task": {"task": "umaze"}, "recipe": {"seed": 0}}
    assert published.checkpoint_file("runs/x.safetensors", "umaze") == Path("runs/x.safetensors")
    with pytest.raises(ValueError, match="no checkpoint of reacher ships with jepa-mpc, only of umaze"):
        published.checkpoint_file("published", "reacher")


def test_a_model_of_pictures_is_published_beside_that_of_states(tmp_path, monkeypatch):
    monkeypatch.setattr(published, "FOLDER", tmp_path)
    trained = tmp_path / "runs" / "m.safetensors"
    known = {"task": {"task": "umaze"}, "recipe": {"observation": {"sensors": ["pixels"]}}}
    save_model(trained, create(CONFIG, 0), CONFIG, known)
    assert published.publish(trained) == tmp_path / "umaze-pixels.safetensors"
    assert published.checkpoint_file("published", "umaze", ["pixels"]) == tmp_path / "umaze-pixels.safetensors"
    with pytest.raises(ValueError, match="no checkpoint of umaze ships with jepa-mpc, only of no task"):
        published.checkpoint_file("published", "umaze")
    with pytest.raises(ValueError, match="no checkpoint of reacher from pixels ships with jepa-mpc, only of umaze"):
        published.checkpoint_file("published", "reacher", ["pixels"])


@pytest.mark.parametrize(
    ("task", "seen"),
    [*((task, "") for task in published.tasks()), *((task, "pixels") for task in published.tasks(["pixels"]))],
)
def test_what_comes_along_is_small_and_for_its_task(task, seen):
    path = published.checkpoint_file("published", task, seen.split("_") if seen else None)
    assert path.stat().st_size <= (2_000_000 if seen else 1_000_000)
    checkpoint = load_model(path)
    assert checkpoint.metadata["task"]["task"] == task
    of_model = [row for row in read_csv(ROWS) if (row.task, row.policy) == (task, "model")]
    assert [row.episodes for row in of_model if row.observation == (seen or "state")] == [100]


def test_a_controller_on_one_of_them_needs_no_training_and_no_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    task, controller = envs.make("reacher"), build.controller("published", "planner.num_samples=16", task="reacher")
    assert controller.agent.planner.num_samples == 16
    observation, info = task.reset(seed=7)
    controller.reset(goal=task.goal_observation(info["goal"]), seed=0)
    assert task.action_space.contains(controller.act(observation))


@pytest.mark.parametrize(
    ("checkpoint", "task", "message"),
    [
        ("published", None, r'"published" needs a task: add task="reacher", or another of reacher, two_room, umaze'),
        ("published", "fetch_reach", "no checkpoint of fetch_reach ships with jepa-mpc, only of reacher"),
        (published.FOLDER / "umaze.safetensors", "reacher", 'for the task umaze, not reacher: pass task="umaze"'),
    ],
)  # fmt: skip
def test_a_controller_that_cannot_be_is_refused_in_a_sentence(checkpoint, task, message):
    with pytest.raises(ValueError, match=message):
        build.controller(checkpoint, task=task)


def test_one_of_them_earns_a_part_of_its_row():
    """The first episodes of the row; one may end otherwise on a machine that rounds otherwise."""
    row = next(row for row in read_csv(ROWS) if (row.task, row.policy) == ("reacher", "model"))
    task = envs.make(row.task)
    model = load_model(published.checkpoint_file("published", row.task)).model
    agent = build.agent(build.compose("plan", f"task={row.task}"), model, task)
    assert row.seed is not None
    records = run_episodes(task, ModelPolicy(agent, row.seed), honest(task, EPISODES, row.seed))
    assert sum(record.success for record in records) >= EPISODES * row.success_rate - 1
