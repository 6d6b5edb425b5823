"""Two models on tiny pictures, killed on the way; and what their representations hold."""

from __future__ import annotations

import jax
import numpy as np
import pytest

import envs
from envs.behaviours import ColouredNoise
from envs.vision.camera import available
from experiments import build
from experiments.bench import model_rows
from experiments.bench.goal import outcomes
from experiments.bench.representation import suite as bench_representation
from experiments.bench.representation.measures import latents_of, measures
from experiments.commands import bench
from experiments.evaluation.moments import spec_of
from worldmodel.data.episodes import EpisodeData
from worldmodel.models.checkpoint import load_model
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import sized

from ...recipe import TINY

SHAPE = (
    "model.train_blocks=2",
    "model.depth=1",
    "model.ensemble=1",
    "model.policy=false",
    "training.updates_per_call=10",
    "training.frozen_updates=10",
    "training.critic_updates=0",
    "training.policy_updates=0",
    "observation.size=16",
    "observation.features=8",
    "collection.episodes=8",
    "collection.steps=40",
)
CHOSEN = (
    "suite.tasks=[two_room]",
    "suite.conditions=[body,light,clean]",
    "suite.updates=[10]",
    "suite.episodes=2",
    "suite.held_out=4",
)


@pytest.fixture(scope="module", autouse=True)
def drawing():
    """Pictures can be drawn; and programs stay, since all models here have the same shapes."""
    if (reason := available()) is not None:
        pytest.skip(reason)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(jax, "clear_caches", lambda: None)
        yield


def settings(folder, *words):
    listed = ",".join(f'"{each}"' for each in (*TINY, *SHAPE))
    places = (f"runs='{folder / 'runs'}'", f"results='{folder / 'results'}'")
    return build.compose("bench", "suite=representation", *CHOSEN, f"suite.overrides=[{listed}]", *places, *words)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """The folder, the rows, and the names of the steps of a first run, which was killed, and of the second one."""
    folder, ran = tmp_path_factory.mktemp("representation"), []
    cfg, real, trained = settings(folder, "suite.methods=[twin_inverse]"), outcomes.run_episodes, []
    run_steps, train = model_rows.run_steps, model_rows.ensure_model

    def killed_in_a_row(task, policy, pairs, model):
        if len(ran) == 1:
            raise KeyboardInterrupt
        return real(task, policy, pairs, model=model)

    def noted(cfg, module, steps, table):
        ran.append([step.name for step in steps])
        return run_steps(cfg, module, steps, table)

    def counted(cfg, seed, path):
        trained.append((path.name, path.exists()))
        return train(cfg, seed, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(outcomes, "run_episodes", killed_in_a_row)
        patch.setattr(model_rows, "run_steps", noted)
        patch.setattr(model_rows, "ensure_model", counted)
        with pytest.raises(KeyboardInterrupt):
            bench.run(cfg)
        rows = bench.run(cfg)
        again = bench.run(cfg)
    return folder, rows, again, ran, trained


def test_all_rows_are_measured_from_one_model_of_each_data(finished):
    folder, rows, again, _, trained = finished
    assert rows == again
    assert [(row.condition, row.method, row.updates, row.episodes) for row in rows] == [
        (condition, "twin_inverse", 10, 2) for condition in ("light", "clean", "body")
    ]
    assert all(row.r2_position is not None and row.r2_velocity is not None for row in rows)
    assert [row.leak is None for row in rows] == [False, True, False]
    assert sorted(path.name for path in (folder / "runs" / "representation").iterdir()) == ["body", "clean"]
    assert len([each for each in trained if not each[1]]) == 2


def test_a_killed_run_goes_on_where_it_stopped(finished):
    *_, ran, _ = finished
    place = "two_room, clean, seed 0"
    assert ran[0][:2] == [f"data of {place}", "twin_inverse on two_room, clean, 10 updates, seed 0: model"]
    assert not [name for name in ran[1] if "clean" in name and ("model" in name or "data" in name)]
    assert ran[2] == []


def test_other_settings_are_measured_again(finished):
    folder, *_ = finished
    words = ("suite.methods=[twin_inverse]", "suite.conditions=[clean]")
    for changed, lacking in ((), 0), (("suite.episodes=3",), 1), (("suite.held_out=5",), 1):
        cfg = settings(folder, *words, *changed)
        suite = bench_representation.Suite(cfg)
        assert len(suite.to_measure(list(bench_representation.cells(cfg)))) == lacking
    cfg = settings(folder, *words, 'suite.recipes.twin_inverse=["objective.sigreg=0.5"]')
    assert len(bench_representation.Suite(cfg).to_measure(list(bench_representation.cells(cfg)))) == 1


def test_rows_measured_in_shards_are_the_same(finished, tmp_path, monkeypatch):
    folder, rows, *_ = finished
    monkeypatch.setattr(model_rows, "TOGETHER", 1)
    words = ("suite.methods=[twin_inverse]", f"results='{tmp_path}'", "engine.evaluation_shards=2")
    cfg = settings(folder, *words, "suite.conditions=[light,clean]")
    shards, measure = [], bench_representation.Suite.measure_shard
    monkeypatch.setattr(
        bench_representation.Suite,
        "measure_shard",
        lambda self, cell, part: shards.append((cell.condition, part)) or measure(self, cell, part),
    )
    again = bench.run(cfg)
    assert shards == [(each, part) for each in ("light", "clean") for part in (range(0, 1), range(1, 2))]
    assert again == [row for row in rows if row.condition != "body"]
    place = folder / "runs" / "representation"
    assert sorted(path.name for path in place.iterdir()) == ["body", "clean"]


def test_the_decoder_is_part_of_the_twin(finished):
    folder = finished[0] / "runs" / "representation" / "body"
    model = load_model(folder / "two_room-pixels-seed0-twin_inverse-10.safetensors").model
    assert model.config.decoder and model.module().decoder.pictures["pixels"].count == 4


@pytest.fixture(scope="module")
def watched():
    task = envs.make("two_room")
    yield task
    task.close()


def test_a_model_measured_on_held_out_episodes(watched):
    """A random encoder of clean pictures has no leak; with a distractor in every pixel it has a large one."""
    watched.see(["pixels"], 16)
    config = ModelConfig(
        observation=sized(spec_of(watched), "components", None),
        action_size=2,
        latent_size=8,
        width=16,
        history=2,
        policy=False,
    )
    model = freeze(create(config, 0), config)
    clean = measures(model, watched, ColouredNoise(), 4, 20, seed=0)
    assert clean.leak is None and clean.r2_position is not None
    watched.see(["pixels"], 16, "strong_texture")
    strong = measures(model, watched, ColouredNoise(), 4, 20, seed=0)
    assert strong.leak is not None and strong.leak > 0.5
    assert measures(model, watched, ColouredNoise(), 4, 20, seed=0) == strong


def test_latents_do_not_look_back_beyond_their_episode(watched):
    watched.see(["pixels"], 16)
    config = ModelConfig(
        observation=sized(spec_of(watched), "components", None),
        action_size=2,
        latent_size=8,
        width=16,
        history=3,
        policy=False,
    )
    model = freeze(create(config, 0), config)
    pictures = np.random.default_rng(0).integers(0, 256, (2, 5, 16, 16, 3), np.uint8)
    observations = [{"pixels": each} for each in pictures]
    actions = np.zeros((2, 4, 2), np.float32)
    data = EpisodeData.of(observations, actions, (-np.ones(2), np.ones(2)), spec=spec_of(watched))
    both = latents_of(model, data, data.readings)
    second = EpisodeData.of(observations[1:], actions[1:], (-np.ones(2), np.ones(2)), spec=spec_of(watched))
    np.testing.assert_allclose(both[5:], latents_of(model, second, second.readings), atol=1e-5)
