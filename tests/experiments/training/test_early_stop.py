"""Early stopping: when it checks, what it skips, and that a resumed run decides alike."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import envs
from envs.streams import episode_rng
from experiments import build, cli
from experiments.bench.goal import points
from experiments.build.published import checkpoint_file
from experiments.build.recipes import recipe
from experiments.commands import train
from experiments.evaluation.goals.protocols import honest, selection
from experiments.training import early_stop, offline
from experiments.training.cloning import cloning_recipe
from experiments.training.early_stop import EarlyStop, EarlyStopping
from worldmodel.models.checkpoint import load_model

from ...worldmodel.small import SMALL, trainer
from ..recipe import settings

LENGTHS = {"updates": 40, "frozen_updates": 20, "critic_updates": 40, "policy_updates": 20}
STOPPING = (
    "training.updates=60",
    "training.frozen_updates=20",
    "training.critic_updates=80",
    "training.policy_updates=20",
    "early_stop.every=20",
    "early_stop.episodes=6",
    "early_stop.successes=1",
)


def near(task, episodes, seed):
    """Pairs so close that an untrained model reaches some of them."""
    pairs = selection(task, episodes, seed)
    rngs = [episode_rng(seed, "select", episode) for episode in range(episodes)]
    away = np.stack([0.115 * np.array([np.cos(a), np.sin(a)]) for a in (rng.uniform(0, 6.28) for rng in rngs)])
    return replace(pairs, goals=task.achieved_goal(pairs.states) + away, budget=25)


def stopped_by(monkeypatch, successes, **changes):
    """Train a small model whose checks find these numbers of successes, one after the other."""
    found = iter(successes)

    def run_episodes(task, policy, pairs, model):
        count = next(found)
        return [SimpleNamespace(success=number < count) for number in range(len(pairs))]

    monkeypatch.setattr(early_stop, "run_episodes", run_episodes)
    run, history = trainer(**LENGTHS), []
    config = EarlyStop(**{"every": 10, "episodes": 5, "successes": 4, **changes})
    stopping = EarlyStopping(config, run, SMALL, lambda model: SimpleNamespace(model=model), envs.make("two_room"), 0)
    kept = {}

    def after(state, metrics):
        kept[int(state.update)] = jax.tree.map(jnp.copy, state)
        history.append(int(state.update))
        return stopping(state)

    return run.train(run.init(), after), stopping.checks, history, kept


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_a_stage_ends_once_enough_goals_are_reached_and_the_next_one_begins(monkeypatch):
    final, checks, history, kept = stopped_by(monkeypatch, [3, 4, 0, 5])
    assert [(each["update"], each["stage"], each["successes"], each["stopped"]) for each in checks] == [
        (10, "joint", 3, False),
        (20, "joint", 4, True),
        (70, "critic", 0, False),
        (80, "critic", 5, True),
    ]
    assert {each["episodes"] for each in checks} == {5}
    assert history == [10, 20, 50, 60, 70, 80, 110, 120], "the rest of both stages is left out, the policy is not"
    assert same(final.params["distance_head"], kept[80].params["distance_head"])
    assert not same(final.params["policy_head"], kept[80].params["policy_head"])


def test_without_enough_success_nothing_changes(monkeypatch):
    final, checks, history, _ = stopped_by(monkeypatch, [3] * 6)
    assert [each["update"] for each in checks] == [10, 20, 30, 70, 80, 90], "none at a stage's end, none elsewhere"
    assert len(history) == 12
    run = trainer(**LENGTHS)
    assert same(final, run.train(run.init()))


@pytest.mark.slow  # trains twice
def test_a_resumed_run_decides_alike(tmp_path, monkeypatch):
    """Killed after every call that is saved, and resumed: the same checks, the same update, the same bits."""
    monkeypatch.setattr(early_stop, "selection", near)
    whole = train.run(settings("train", tmp_path / "whole", *STOPPING))
    checks = whole.metadata["early_stop"]
    stopped = [each for each in checks if each["stopped"]]
    assert stopped, checks
    assert all(each["successes"] >= 1 for each in stopped)
    assert all(not each["successes"] for each in checks if not each["stopped"])
    steps = [entry["step"] for entry in whole.metadata["history"]]
    assert len(steps) < 180 / 20 and steps[-1] == 180, "stages were cut short, and the policy's was not"

    monkeypatch.setattr(offline, "CHECKPOINT_SECONDS", -1.0)
    real, kills = offline.save_training, []

    def save_and_stop(*arguments):
        real(*arguments)
        kills.append(int(arguments[1].update))
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "save_training", save_and_stop)
    cfg = settings("train", tmp_path / "killed", *STOPPING)
    while len(kills) < len(steps):
        with pytest.raises(KeyboardInterrupt):
            train.run(cfg)
    monkeypatch.setattr(offline, "save_training", real)
    resumed = train.run(cfg)
    assert resumed.metadata["early_stop"] == checks
    assert [entry["step"] for entry in resumed.metadata["history"]] == steps
    assert all(np.array_equal(a, b) for a, b in zip(resumed.model.params, whole.model.params, strict=True))


def test_a_training_state_is_not_resumed_with_other_checks(tmp_path, monkeypatch):
    monkeypatch.setattr(early_stop, "selection", near)
    monkeypatch.setattr(offline, "CHECKPOINT_SECONDS", -1.0)
    real = offline.save_training

    def save_and_stop(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr(offline, "save_training", save_and_stop)
    with pytest.raises(KeyboardInterrupt):
        train.run(settings("train", tmp_path, *STOPPING))
    for other in ("early_stop.successes=4", "early_stop.every=null", "planner.iterations=1"):
        with pytest.raises(ValueError, match="belongs to a run with early_stop="):
            train.run(settings("train", tmp_path, *STOPPING, other))


def test_no_pair_of_an_evaluation_is_in_a_check():
    task = envs.make("two_room")
    ours = [selection(task, 50, seed) for seed in range(3)]
    theirs = [honest(task, 200, seed) for seed in range(3)]
    drawn = {(*state, *goal) for pairs in ours for state, goal in zip(pairs.states, pairs.goals, strict=True)}
    assert len(drawn) == 150, "each seed has its own"
    assert not drawn & {
        (*state, *goal) for pairs in theirs for state, goal in zip(pairs.states, pairs.goals, strict=True)
    }
    assert not {*ours[0].numbers} & {*theirs[0].numbers}, "nor are sensor noise and the plans' random numbers"
    np.testing.assert_array_equal(selection(task, 5, 1).goals, ours[1].goals[:5])


def test_the_recipe_names_it_only_where_it_is_on():
    off, on = build.compose("train"), build.compose("train", "early_stop.every=500")
    assert "early_stop" not in recipe(off, 0)
    stored = recipe(on, 0)["early_stop"]
    assert (stored["every"], stored["episodes"], stored["successes"]) == (500, 20, 20)
    assert stored["planning"]["planner"]["iterations"] == on.planner.iterations and "cost" in stored["planning"]
    network = {"width": 8, "depth": 1}
    assert cloning_recipe(on, 0, network) == cloning_recipe(off, 0, network), "of the world model alone"


def test_a_row_of_the_suite_names_it_only_where_it_is_on():
    cfg = build.compose("bench", "suite=goal_ablations", "suite.tasks=[two_room]", "suite.seeds=[0]")
    found = {each.recipe.variant: each for each in points.points(cfg, points.recipes(cfg))}
    assert "early_stop" not in found[""].settings
    assert "early_stop.every=500" in found["early_stop"].settings
    assert not found["early_stop"].same_settings(found[""].settings)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["task=custom", "data=logs"], "early_stop plans in a simulator, which task=custom does not have"),
        (["early_stop.successes=21"], "early_stop.successes must be at most early_stop.episodes; got 21 and 20"),
        (["early_stop.every=0"], "early_stop.every must be at least 1; got 0"),
        (["method=gcbc"], "early_stop belongs to method=jepa and method=video, and this is method=gcbc"),
    ],
)
def test_what_cannot_be_checked_is_refused_at_once(words, said, tmp_path, capfd):
    assert cli.main(["train", f"runs={tmp_path}", "early_stop.every=100", *words]) == 2
    assert said in capfd.readouterr().err
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("every", "said"),
    [
        (15, "early_stop.every must be a multiple of training.updates_per_call; got 15 and 10"),
        (40, "early_stop.every=40 checks nothing, since it counts updates of the stages joint of 40 and critic of 40"),
    ],
)
def test_checks_that_would_never_come_are_refused(every, said):
    config = EarlyStop(every=every, episodes=1, successes=1)
    with pytest.raises(ValueError, match=said):
        EarlyStopping(
            config, trainer(**LENGTHS), SMALL, lambda model: SimpleNamespace(model=model), envs.make("two_room"), 0
        )


def test_a_measured_precision_does_not_decide():
    """A resumed run might measure otherwise."""
    model = load_model(checkpoint_file("published", "two_room")).model
    cfg, task = build.compose("train", "precision=auto"), envs.make("two_room")
    assert early_stop.selection_agent(cfg, task)(model).precision == "float32"
