"""Outcomes of a row's episodes: in shards of whole batches, resumed, and joined."""

from __future__ import annotations

import json
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import envs
from experiments.bench.goal import outcomes as module
from experiments.bench.goal.outcomes import Outcomes
from experiments.engine.step import Step
from experiments.evaluation.goals.protocols import honest

COUNT = st.integers(1, 300)


@given(COUNT, st.integers(1, 40), st.integers(1, 50))
def test_shards_are_whole_batches_in_order(episodes, together, shards):
    parts = Outcomes(None, "", episodes, together, shards).parts
    assert [each for part in parts for each in part] == list(range(episodes))
    assert len(parts) == min(shards, -(-episodes // together))
    assert all(part.start % together == 0 for part in parts)


@pytest.fixture(scope="module")
def pairs():
    return honest(envs.make("two_room"), 10, 0)


@pytest.fixture
def executed(monkeypatch):
    """Numbers of the pairs of each batch that was executed; a pair succeeds by its number."""
    batches = []

    def run_episodes(task, policy, batch, model):
        batches.append(list(batch.numbers))
        return [SimpleNamespace(success=number % 3 == 0) for number in batch.numbers]

    monkeypatch.setattr(module, "run_episodes", run_episodes)
    return batches


EXPECTED = [number % 3 == 0 for number in range(10)]


def files(folder):
    return sorted(each.name for each in folder.iterdir())


def test_the_batches_of_shards_are_those_of_the_undivided_row(tmp_path, pairs, executed):
    shown = []
    whole = Outcomes(tmp_path / "0.02.json", "a=1", 10, 3)
    assert whole.measure_all(None, None, pairs, lambda *of: shown.append(of)) == EXPECTED
    assert shown == [(0, 10), (3, 10), (6, 10), (9, 10), (10, 10)] and files(tmp_path) == ["0.02.json"]
    batches = executed.copy()
    shards, rest = replace(whole, shards=3), executed.clear()
    for part in reversed(shards.parts):
        shards.measure(part, None, None, pairs, lambda *of: rest)
    assert sorted(executed) == batches == [[0, 1, 2], [3, 4, 5], [6, 7, 8], [9]]
    executed.clear()
    shown.clear()
    assert shards.measure_all(None, None, pairs, lambda *of: shown.append(of)) == EXPECTED
    assert executed == [] and shown[-1] == (10, 10)


def test_a_shard_resumes_and_other_settings_count_for_nothing(tmp_path, pairs, executed):
    shards = Outcomes(tmp_path / "row.json", "a=1", 10, 2, shards=2)
    part = shards.parts[1]
    shards.file(part).write_text(json.dumps({"settings": "a=1", "solved": EXPECTED[4:6]}))
    assert shards.measure(part, None, None, pairs, lambda *of: None) == EXPECTED[4:]
    assert executed == [[6, 7], [8, 9]]
    executed.clear()
    replace(shards, settings="a=2").measure(part, None, None, pairs, lambda *of: None)
    assert executed == [[4, 5], [6, 7], [8, 9]]


def test_steps_are_those_of_the_shards_that_are_left_and_the_row(tmp_path, pairs, executed):
    row = Step("model on two_room", "rows of model", print, ("model",), (tmp_path / "model.safetensors",))
    shards = Outcomes(tmp_path / "row.json", "a=1", 10, 2, shards=2)
    assert replace(shards, shards=1).steps(row, print) == [row]
    measured = []
    first, second, joined = shards.steps(row, measured.append)
    assert (first.name, second.name) == ("model on two_room, episodes 0 to 3", "model on two_room, episodes 4 to 9")
    assert first.kind == second.kind == "rows of model, 1 of 2 shards" and first.needs == ("model",)
    assert joined.name == row.name and joined.kind == "rows of model, 2 shards joined" and joined.run is row.run
    assert joined.needs == ("model", first.name, second.name)
    assert joined.reads == (*row.reads, *joined.clears) and len(joined.clears) == 2
    second.run()
    assert measured == [range(4, 10)]
    shards.measure(range(0, 4), None, None, pairs, lambda *of: None)
    assert [each.name for each in shards.steps(row, print)] == [second.name, joined.name]
    joined.clear()
    assert files(tmp_path) == []


def test_noise_of_sensors_does_not_depend_on_the_shard():
    """Sensors of an episode draw by its number: real episodes in shards end where those of the whole row end."""
    from experiments.evaluation.goals.rollout import run_episodes
    from experiments.evaluation.policy import RandomPolicy

    task = envs.make("stirred_tank")
    pairs = replace(honest(task, 6, 0), budget=5)
    whole = run_episodes(task, RandomPolicy(0), pairs)
    part = run_episodes(task, RandomPolicy(0), pairs.part(4, 6))
    for one, other in zip(whole[4:], part, strict=True):
        np.testing.assert_array_equal(one.states, other.states)
