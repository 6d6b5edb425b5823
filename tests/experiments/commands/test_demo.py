"""The demo: what it says in advance, the episode that it shows during training, and that this changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import envs
from experiments import build
from experiments.build import recipes
from experiments.commands import demo
from experiments.evaluation import policy
from experiments.pages.preview import outcome
from experiments.records.episodes import EpisodeRecord
from experiments.training import offline
from experiments.training.ensure import ensure_model
from experiments.training.preview import Preview
from worldmodel.models.checkpoint import load_model

from ...worldmodel.small import trainer
from ..recipe import settings

MODEL = "two_room-seed0.safetensors"


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A demo with a preview: its folder, the pages in their order, what it said, and the programs compiled by then."""
    folder, pages, said, programs = tmp_path_factory.mktemp("runs"), [], [], []
    with pytest.MonkeyPatch.context() as patch:
        real = demo.write_report

        def write(path, report):
            programs.append((policy._reset_many._cache_size(), policy._step_many._cache_size()))
            pages.append((real(path, report).read_text(), (folder / MODEL).exists()))
            return path

        patch.setattr(demo, "write_report", write)
        patch.setattr(demo, "say", said.append)
        demo.run(settings("demo", folder, "preview=60", "policies=[model,noop]"))
    return folder, pages, said, programs


def test_an_episode_is_shown_once_while_training_goes_on(shown):
    folder, pages, said, _ = shown
    (early, finished), (final, _) = pages
    assert not finished, "the page is there before the model is"
    assert "This is a preview of an unfinished model: after" in early and "(update 60 of 120)" in early
    assert early.count('role="img"') >= 2 and "Learning curves" in early
    assert "unfinished" not in final and "Does it reach its goals?" in final
    assert (folder / "report.html").read_text() == final
    (line,) = [line for line in said if line.startswith("preview: ")]
    assert "(update 60 of 120) a first planned episode" in line and str(folder / "report.html") in line


def test_the_preview_does_not_change_the_model_by_a_bit(shown, tmp_path):
    folder, *_ = shown
    data = f"data='{folder}/two_room-seed0-data'"
    plain = ensure_model(settings("demo", tmp_path, "preview=null", data), 0)
    previewed = load_model(folder / MODEL)
    assert all(np.array_equal(a, b) for a, b in zip(plain.model.params, previewed.model.params, strict=True))
    assert plain.metadata["history"] == previewed.metadata["history"]


def test_the_evaluation_uses_the_programs_of_the_preview(shown):
    *_, programs = shown
    assert programs[0] == programs[1]


def test_a_second_run_says_what_it_uses_again_and_trains_nothing(shown, monkeypatch):
    folder, *_ = shown
    said = []
    monkeypatch.setattr(demo, "say", said.append)
    monkeypatch.setattr(demo, "film", lambda *arguments: (None, ""))
    demo.run(settings("demo", folder, "preview=60", "policies=[noop]"))
    assert f"the dataset is there already and used again: {folder}/two_room-seed0-data" in said
    assert f"the model is there already and used again: {folder}/{MODEL}" in said
    assert not [line for line in said if line.startswith("preview")]
    assert json.loads((folder / "results.json").read_text())["manifest"]["run"]["reused"] == [
        "the dataset",
        "the model",
    ]


def test_the_time_of_the_preview_is_no_time_of_training(shown, tmp_path, monkeypatch):
    folder, *_ = shown
    now, seen = [0.0], []

    def show(unfinished):
        now[0] += 1000.0
        seen.append((unfinished.update, unfinished.total, unfinished.seconds))

    monkeypatch.setattr(offline, "time", SimpleNamespace(perf_counter=lambda: now[0]))
    cfg = settings("demo", tmp_path, f"data='{folder}/two_room-seed0-data'")
    assert ensure_model(cfg, 0, preview=Preview(60, show)).metadata["train_seconds"] == 0.0
    assert seen == [(60, 120, 0.0)]


def test_the_preview_is_due_after_its_updates():
    run = trainer(updates=20, frozen_updates=20, policy_updates=10)
    assert [Preview(30, print).due(run, update) for update in (10, 20, 30, 40)] == [False, False, True, True]
    late = [Preview(500, print).due(run, update) for update in (40, run.total)]
    assert late == [False, True], "a short training is shown at its end"


def record(tmp_path, *overrides, **run):
    """The record of a measured run with these settings."""
    config = build.compose("demo", *overrides)
    made = {
        "config": recipes.settings(config),
        "run": {"wall_s": 123.4, **run},
        "cpu": {"model": "ACME 1", "cores": 2},
        "device": "1 x cpu (cpu)",
        "system": "Linux x86_64",
    }
    path = tmp_path / "results" / "demo.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps({"rows": [], "manifest": made}))
    return path


def test_the_time_is_that_of_a_measured_run_on_its_machine(tmp_path):
    took = f"took 123 s on ACME 1, 2 cores, Linux x86_64 ({tmp_path.name}/results/demo.json)"
    path = record(tmp_path)
    estimate = demo.expected_time(build.compose("demo", "seed=3", "runs=here", "preview=null"), path)
    assert estimate == f"a whole run with these settings {took}"
    estimate = demo.expected_time(build.compose("demo", "episodes=7", "training.batch=64"), path)
    assert estimate == f"a whole run with other settings {took}; what differs here: episodes=7, training.batch=64"
    assert demo.expected_time(build.compose("demo", "budget=smoke"), path).endswith(" more")
    estimate = demo.expected_time(build.compose("demo", "task=reacher"), path)
    assert estimate == f"a whole run with task=two_room {took}; reacher was not timed"
    stopping = demo.expected_time(build.compose("demo", "early_stop.every=500"), path)
    assert "what differs here: early_stop.episodes=20, early_stop.every=500" in stopping


def test_no_time_is_said_that_was_not_measured(tmp_path):
    assert demo.expected_time(build.compose("demo"), tmp_path / "demo.json") == ""
    assert demo.expected_time(build.compose("demo"), record(tmp_path, reused=["the dataset"])) == ""


def test_the_committed_run_is_whole():
    assert "took " in demo.expected_time(build.compose("demo"))


def test_the_outcome_of_an_episode_says_how_far_it_was():
    task = envs.make("two_room")
    path = np.linspace([0.0, 0.0], [0.3, 0.4], 11)
    goal = np.array([0.6, 0.8])
    states = np.zeros((11, task.state_size))
    episode = EpisodeRecord("model", False, path[:, None], goal[None], states, goal)
    assert outcome(task, episode) == "did not reach its goal in 10 steps: 1 m away at the start, 0.5 m at the end"
    reached = replace(episode, success=True)
    assert outcome(task, reached) == "reached its goal, 1 m away, after 10 steps"
    tank = envs.make("stirred_tank")
    goal = np.zeros(tank.goal_size)
    states = np.zeros((4, tank.state_size))
    away = float(np.linalg.norm(tank.achieved_goal(states)[0] - goal))
    unseen = EpisodeRecord("model", True, None, None, states, goal, achieved=tank.achieved_goal(states))
    assert outcome(tank, unseen) == f"reached its goal, {away:.2g} away, after 3 steps"
