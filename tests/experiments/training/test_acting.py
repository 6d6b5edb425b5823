"""`jepa-mpc collect behaviour=planner checkpoint=FILE`: a model's planner or reflex makes the data."""

from __future__ import annotations

import json

import minari
import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise
from envs.pursuit import acted_by
from experiments import cli
from experiments.build import make
from experiments.evaluation.goals.protocols import Pairs, honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.reactive import reflex
from experiments.training import ensure
from experiments.training.ensure import acting, collect_data
from worldmodel.models.checkpoint import load_model

from ..recipe import TINY, save_random_models, settings

SIZES = ["collection.episodes=5", "collection.steps=12"]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    """File of a random model, which has a reflex."""
    runs = tmp_path_factory.mktemp("models")
    save_random_models(runs, 0)
    return runs / "two_room-seed0.safetensors"


def collected(folder, model, actor, *words):
    cfg = settings("collect", folder, "task=two_room", f"behaviour={actor}", f"checkpoint='{model}'", *SIZES, *words)
    return collect_data(cfg, 0, folder / "data").path


def episodes(path):
    dataset = minari.MinariDataset(path)
    return dataset.storage.metadata, list(dataset.iterate_episodes())


@pytest.mark.parametrize("actor", ["planner", "reflex"])
def test_batches_change_nothing_and_the_dataset_names_the_model(actor, model, tmp_path, monkeypatch):
    metadata, whole = episodes(collected(tmp_path / "a", model, actor))
    monkeypatch.setattr(ensure, "_PLANNED", 3)  # the last batch is smaller, and filled up
    _, parts = episodes(collected(tmp_path / "b", model, actor))
    task = envs.make("two_room")
    assert len(whole) == 5
    for one, other in zip(whole, parts, strict=True):
        np.testing.assert_array_equal(one.actions, other.actions)
        states = one.infos["state"]
        np.testing.assert_array_equal(task.simulate(states[:1], one.actions[None])[0], states[1:])
    behaviour = json.loads(metadata["behaviour"])
    assert behaviour["behaviour"] == metadata["algorithm_name"] == actor
    assert behaviour["model"] == model.name and len(behaviour["weights"]) == 12


def test_what_acts_is_the_models_policy_towards_the_goal_of_the_moment(model, tmp_path):
    """Without noise the reflex of the data is that of the model, for the goals that the behaviour drew."""
    cfg = settings("collect", tmp_path, "task=two_room", "behaviour=reflex", f"checkpoint='{model}'", *SIZES)
    behaviour = acting(cfg, make(cfg.behaviour, "behaviour"), 0)
    pursuer, goals = behaviour.by, []

    class Watched:
        def __getattr__(self, name):
            return getattr(pursuer, name)

        def begin(self, drawn, numbers):
            goals.append(drawn.copy())
            pursuer.begin(drawn, numbers)

    quiet = type(behaviour)(actor="reflex", noise=ColouredNoise(scale=0.0))
    task, rngs = envs.make("two_room"), [np.random.default_rng(index) for index in range(3)]
    start = np.stack([task.sample_state(rng) for rng in rngs])
    states, _ = acted_by(quiet, {"reflex": Watched()}).rollout(task, start, rngs, 9)
    records = run_episodes(task, reflex(load_model(model).model), Pairs("x", start, goals[0], 9))
    for record, path in zip(records, states, strict=True):
        np.testing.assert_allclose(record.states, path[: len(record.states)], atol=1e-6)


@pytest.mark.parametrize("actor", ["planner", "reflex"])
def test_another_goal_counts_at_once_and_in_its_episode_alone(actor, model, tmp_path):
    cfg = settings("collect", tmp_path, "task=two_room", f"behaviour={actor}", f"checkpoint='{model}'", *SIZES)
    pursuer = acting(cfg, make(cfg.behaviour, "behaviour"), 0).by
    task, rngs = envs.make("two_room"), [np.random.default_rng(index) for index in range(3)]
    states, first, second = (
        np.stack([draw(rng) for rng in rngs]) for draw in (task.sample_state, *[task.sample_goal] * 2)
    )
    numbers, which = np.arange(3), np.array([False, True, False])

    def begun(goals):
        pursuer.begin(goals, numbers)
        pursuer.act(states, rngs)

    begun(first)
    before = pursuer.act(states, rngs)
    begun(first)
    pursuer.redirect(np.where(which[:, None], second, first), which)
    after = pursuer.act(states, rngs)
    np.testing.assert_array_equal(before[~which], after[~which])
    assert not np.allclose(before[which], after[which])
    if actor == "reflex":
        pursuer.begin(second, numbers)
        np.testing.assert_allclose(pursuer.act(states, rngs)[which], after[which], atol=1e-6)


def test_no_start_is_one_of_an_evaluation(model, tmp_path):
    _, found = episodes(collected(tmp_path, model, "reflex"))
    starts = {each.infos["state"][0].tobytes() for each in found}
    assert not starts & {each.tobytes() for each in honest(envs.make("two_room"), 50, 0).states}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["behaviour=planner"], "behaviour=planner acts by a model: collect with"),
        (["checkpoint=MODEL"], "is a model that acts, and this behaviour needs none: add behaviour=planner or"),
        (["task=reacher", "behaviour=planner", "checkpoint=MODEL"], "was trained for the task two_room, and"),
        (["behaviour=planner", "checkpoint=none.safetensors"], "none.safetensors"),
        (["behaviour=planner", "behaviour.actor=expert"], "behaviour.actor must be one of planner, reflex"),
        (["behaviour=planner", "behaviour.near=2"], "behaviour.near must be at least 0 and at most 1; got 2"),
    ],
)
def test_what_cannot_act_is_refused(words, said, model, tmp_path, capfd):
    words = [word.replace("MODEL", str(model)) for word in words]
    assert cli.main(["collect", f"runs={tmp_path}", f"out={tmp_path / 'data'}", *TINY, *SIZES, *words]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "data").exists()
