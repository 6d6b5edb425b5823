"""`planner=landmarks`, from the data to a bundle: landmarks are goals at rest, and a bundle plans along them."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

import envs
from experiments import cli
from experiments.build import agent_for, compose
from experiments.evaluation.moments import goal_rows, repeated
from experiments.records.results import read_csv
from planning import ActionSpec
from planning import landmarks as searched
from planning.control import Controller, LiveEngine
from worldmodel.data.dataset import load
from worldmodel.models.checkpoint import load_model
from worldmodel.nets import landmarks as measured

from ..recipe import TINY

PLANNER = [
    "planner=landmarks",
    "planner.horizon=9",
    "planner.lower.num_samples=16",
    "planner.lower.num_elites=4",
    "planner.lower.iterations=1",
]
LANDMARKS = ["model.landmarks=50", *(word for word in TINY if not word.startswith("planner.")), *PLANNER]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    words = ["plan", "task=two_room", f"runs={folder}", f"results={folder / 'rows.csv'}", "policies=[model]"]
    assert cli.main([*words, *LANDMARKS]) == 0
    return folder


def test_landmarks_are_places_at_rest(runs):
    model, data = load_model(runs / "two_room-seed0.safetensors").model, load(runs / "two_room-seed0-data")
    task = envs.make("two_room")
    graph = model.heads.landmarks(model.params)
    rows = goal_rows(task, task.achieved_goal(data.states))
    places = np.asarray(model.encode(model.params, jnp.asarray(repeated(rows, model.history))))
    apart = np.linalg.norm(np.asarray(graph.latents)[:, None] - places[None], axis=-1)
    assert len(graph.latents) == 50 and apart.min(axis=1).max() < 1e-4


def test_training_and_planning_agree_on_where_no_way_leads():
    assert measured.NO_WAY == searched.NO_WAY


def test_its_rows_and_its_bundle_are_those_of_any_planner(runs, tmp_path):
    assert {row.planner for row in read_csv(runs / "rows.csv")} == {"landmarks"}
    file, out = runs / "two_room-seed0.safetensors", tmp_path / "room.bundle"
    assert cli.main(["export", f"checkpoint='{file}'", f"out='{out}'", *PLANNER]) == 0
    model, task = load_model(file).model, envs.make("two_room")
    spec = ActionSpec.of(task.action_space.low, task.action_space.high, task.control_period)
    live = LiveEngine(agent_for(compose("export", f"checkpoint='{file}'", *PLANNER), model, spec))
    control, rng = Controller.load(out), np.random.default_rng(0)
    start, goal = task.sample_pair(rng)
    row = goal_rows(task, goal)
    control.reset(goal=row, seed=5)
    state = live.begin(row, 5, 0)
    for _ in range(3):
        seen = task.observe(start)
        action, state = live.step(state, seen)
        np.testing.assert_array_equal(control.act(seen), action)
