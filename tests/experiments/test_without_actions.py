"""`method=video`: from a folder in which few actions were recorded to a bundle, and what other methods say to it."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.build import compose
from experiments.cards.card import card_file
from experiments.commands import export, plan, train
from experiments.commands.data import check, collect
from experiments.training.given_data import load_for_model, load_for_training
from planning.control import Bundle
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from ..worldmodel.data.filming import describe, write_video
from .recipe import TINY, settings

STEPS, SIZE = 24, 16
SMALL = ("task=custom", "observation=pixels", "observation.size=16", "observation.features=16", "model.train_blocks=2")
FAST = ("model.policy=false", "model.ensemble=2", "training.critic_updates=0", "training.batch=16")


def filmed(folder, name, rng, log=True, actions=True):
    """An episode of a block that moves as it is pushed, in a folder of its own."""
    (folder / name).mkdir()
    pushes = rng.uniform(-1, 1, STEPS)
    places = 8 + np.cumsum(np.concatenate([[0.0], pushes])).clip(-7, 7)
    frames = np.full((STEPS + 1, SIZE, SIZE, 3), 30, np.uint8)
    for number, (frame, place) in enumerate(zip(frames, places, strict=True)):
        frame[:2] = 40 + 8 * number  # no frame is that before
        frame[4:10, int(place) - 1 : int(place) + 2] = 240
    write_video(folder / name / "front.mp4", list(frames))
    if log:
        cells = [f"{place:.3f},{push}" for place, push in zip(places, [*(f"{p:.4f}" for p in pushes), ""], strict=True)]
        lines = ["x,u", *cells] if actions else ["x", *(each.partition(",")[0] for each in cells)]
        (folder / name / "log.csv").write_text("\n".join(lines))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two labelled episodes, one with a log without actions, and three that nobody logged."""
    rng, place = np.random.default_rng(0), describe(tmp_path_factory.mktemp("logs"))
    for number in range(2):
        filmed(place, f"labelled_{number}", rng)
    filmed(place, "watched", rng, actions=False)
    for number in range(3):
        filmed(place, f"seen_{number}", rng, log=False)
    return place


@pytest.mark.slow  # trains a model
def test_train_and_export(folder, tmp_path, capsys):
    cfg = settings("train", tmp_path, "method=video", *SMALL, *FAST, f"data='{folder}'")
    trained = train.run(cfg)
    file = tmp_path / "custom-pixels-seed0-video.safetensors"
    assert trained.metadata["labelled_steps"] == 2 * STEPS and trained.metadata["env_steps"] == 6 * STEPS
    assert trained.metadata["health"]["labelled_share"] == pytest.approx(1 / 3)
    assert trained.metadata["health"]["label_agreement"] <= 1
    assert trained.model.config.latent_action == 4 and trained.model.config.code_size == 4
    card = card_file(file).read_text()
    assert f"| actions | recorded in {2 * STEPS} of {6 * STEPS} steps |" in card
    assert "| labelled_share | 0.333 |" in card
    bundle = tmp_path / "filmed.bundle"
    planner = [word for word in TINY if word.startswith("planner.")]
    export.run(settings("export", tmp_path, *SMALL[:3], *planner, f"checkpoint='{file}'", f"out='{bundle}'"))
    assert Bundle.load(bundle).contract.action_size == 1
    again = train.run(cfg)  # loaded, not trained again
    assert again.metadata["train_seconds"] == trained.metadata["train_seconds"]
    judged = load_for_model(trained, folder)  # by what actions do
    assert judged.names == ("labelled_0/log.csv", "labelled_1/log.csv") and judged.is_labelled


@pytest.mark.parametrize("method", ["jepa", "gcbc"])
def test_other_methods_name_the_one_that_learns_without_actions(folder, tmp_path, method):
    cfg = settings("train", tmp_path, f"method={method}", "task=custom", "observation=pixels", "observation.size=16")
    with pytest.raises(ValueError, match=rf"of {STEPS} of 72 steps .* watched/log.csv, and method={method} .*=video"):
        load_for_training(cfg, folder, 0)


def test_hidden_labels_are_left_out_by_jepa_and_missing_to_video(tmp_path):
    cfg = settings("collect", tmp_path, "task=two_room")
    collect.run(cfg)
    words = ("task=two_room", "labels=0.25")
    hidden = load_for_training(settings("train", tmp_path, "method=video", *words), tmp_path / "two_room-seed0-data", 0)
    alone = load_for_training(settings("train", tmp_path, *words), tmp_path / "two_room-seed0-data", 0)
    assert hidden.episodes == 40 and alone.episodes == 10
    assert hidden.labelled_steps == alone.labelled_steps == alone.steps == 600
    np.testing.assert_array_equal(hidden.labelled_episodes().actions, alone.actions)
    with pytest.raises(ValueError, match="labels hides actions of .* and method=gcbc, and this is method=td"):
        train.run(compose("train", "method=td", "task=dmc/cartpole-swingup", "labels=0.5"))


def test_a_folder_of_videos_is_checked(folder, tmp_path):
    found = check.run(settings("check", tmp_path, *SMALL[:3], f"data='{folder}'"))
    read = next(each for each in found if each.name == "read")
    assert read.state == "pass" and f"the actions of {2 * STEPS} of {6 * STEPS} steps" in read.found


def test_a_model_that_knows_no_action_does_not_plan(tmp_path):
    config = ModelConfig(observation=vector(4), action_size=1, latent_size=4, width=8, head_width=8, policy=False)
    file = tmp_path / "seen.safetensors"
    save_model(file, create(config, 0), config, {"labelled_steps": 0, "env_steps": 100, "task": {"task": "custom"}})
    assert load_model(file).metadata["labelled_steps"] == 0
    words = ("task=custom", f"checkpoint='{file}'")
    for command, run in (("plan", plan.run), ("export", export.run)):
        more = (f"data='{tmp_path}'",) if command == "plan" else ()
        with pytest.raises(ValueError, match="seen.safetensors learned from no recorded action, and does not know"):
            run(settings(command, tmp_path, *words, *more))
