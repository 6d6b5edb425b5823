"""Data and settings that cannot work: named in one sentence, and nothing that was won is lost."""

from __future__ import annotations

import json
import logging
import shutil
from dataclasses import replace

import numpy as np
import pytest

import envs
from experiments.commands import diagnose, plan, train
from experiments.commands.data import collect
from experiments.pages.report import health_section
from experiments.training import offline
from experiments.training.data_checks import check_checkpoint, check_data, check_moves, check_range
from experiments.training.given_data import describe_logs
from experiments.training.health import UNMEASURED, collapse, judged
from worldmodel.data.dataset import load
from worldmodel.data.episodes import EpisodeData
from worldmodel.models.checkpoint import load_model, save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from .recipe import save_random_models, settings

LOGS = {
    "control_period": 0.05,
    "action_low": [-1.0],
    "action_high": [1.0],
    "sensors": ["x", "y"],
    "sensor_units": ["m", "m"],
    "actuators": ["a"],
}


def logs(folder, observations, actions, **changes):
    folder.mkdir(exist_ok=True)
    (folder / "dataset.json").write_text(json.dumps({**LOGS, **changes}))
    for index, (seen, taken) in enumerate(zip(observations, actions, strict=True)):
        np.savez(folder / f"e{index}.npz", observations=seen, actions=taken)
    return folder


NAMELESS = {"sensors": [], "sensor_units": [], "actuators": []}


def moving(rng, steps=40):
    return rng.normal(size=(steps + 1, 2)), rng.uniform(-1, 1, size=(steps, 1))


FEWER = (
    "model.ensemble=1",
    "model.policy=false",
    "training.critic_updates=0",
    "training.policy_updates=0",
)  # parts to compile


def custom(folder, data, *overrides):
    return settings("train", folder, "task=custom", f"data='{data}'", *overrides)


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "data"
    collect.run(settings("collect", folder.parent, f"out='{folder}'"))
    return folder


@pytest.mark.parametrize("still", ["sensor", "actuator"])
def test_data_that_stand_still_are_refused(tmp_path, still):
    seen, taken = moving(np.random.default_rng(0))
    constant = (np.full_like(seen, 3.0), taken) if still == "sensor" else (seen, np.zeros_like(taken))
    folder = logs(tmp_path / "logs", *([each] * 2 for each in constant))
    with pytest.raises(ValueError, match=f"stand still: no {still} deviates by more than rounding"):
        train.run(custom(tmp_path, folder))


def test_one_sensor_that_stands_still_is_named(caplog):
    seen, taken = moving(np.random.default_rng(0))
    seen[:, 0] *= 1e-5  # a sensor in units of its own moves, too
    seen[:, 1] = 3.0
    seen[::2, 1] += 2e-7
    metadata = {"task": json.dumps(LOGS)}
    check_moves(EpisodeData.of([seen], [taken], ([-1], [1]), metadata=metadata), "here")
    assert "sensor 1 (y) never moves in here" in caplog.text
    assert "sensor 0" not in caplog.text and "actuator" not in caplog.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"control_period": 0.02}, "the dataset here has a control period of 20 ms, and the model has 50 ms"),
        ({"sensors": ["x", "z"]}, r"has z as sensors\[1\], and the model has y"),
        ({"actuators": ["b"]}, r"has b as actuators\[0\], and the model has a"),
        ({"sensor_units": ["m", "cm"]}, r"has cm as sensor_units\[1\], and the model has m"),
    ],
)
def test_data_of_another_robot_are_named(changes, message):
    seen, taken = moving(np.random.default_rng(0))
    other = EpisodeData.of([seen], [taken], ([-1], [1]), metadata={"task": json.dumps({**LOGS, **changes})})
    with pytest.raises(ValueError, match=message):
        check_data(other, LOGS, "here", owner="the model")
    for words in ("no JSON", '{"control_period": "50ms", "sensors": "xy"}', "[1]"):
        silent = EpisodeData.of([seen], [taken], ([-1], [1]), metadata={"task": words})
        check_data(silent, LOGS, "here", owner="the model")
    wider = EpisodeData.of([seen], [taken], ([-1], [2]))
    with pytest.raises(ValueError, match=r"has action_high\[0\] at 2, and the model at 1"):
        check_data(wider, LOGS, "here", owner="the model")
    small = {**LOGS, "action_low": [-1e-7], "action_high": [1e-7]}
    check_data(EpisodeData.of([seen], [taken], ([-1e-7], [1.00001e-7])), small, "here", owner="the model")
    with pytest.raises(ValueError, match=r"has action_high\[0\] at 2e-07, and the model at 1e-07"):
        check_data(EpisodeData.of([seen], [taken], ([-1e-7], [2e-7])), small, "here", owner="the model")
    with pytest.raises(ValueError, match="has actions of 1 numbers, and the model has 2"):
        check_data(silent, {**LOGS, "action_size": 2}, "here", owner="the model")


def test_a_reading_far_from_all_others_is_named(caplog):
    """It sets the scale, and all that the sensor ever tells is lost beside it."""
    rng = np.random.default_rng(0)
    seen, taken = zip(*(moving(rng) for _ in range(3)), strict=True)

    def check(value, where="seen"):
        changed = [each.copy() for each in seen], [each.copy() for each in taken]
        (changed[0] if where == "seen" else changed[1])[1][7, 0] = value
        bounds = ([-np.inf], [np.inf]) if where == "unbounded" else ([-1], [1])
        check_range(
            EpisodeData.of(*changed, bounds, metadata={"task": json.dumps(LOGS)}, names=["a", "b", "c"]), "here"
        )

    check(20.0)
    assert not caplog.text, "noise of many standard deviations is no fault"
    check(1e6)
    assert "sensor 0 (x) reads 1e+06 in b at step 7 of here, and lies between" in caplog.text
    with pytest.raises(ValueError, match=r"sensor 0 \(x\) reads 1e\+30 in b at step 7 of here: leave the episode out"):
        check(1e30)
    with pytest.raises(
        ValueError, match=r"actuator 0 \(a\) gets 1.5 in b at step 7 of here, and its bounds are -1 and 1"
    ):
        check(1.5, "taken")
    check(1.5, "unbounded")


def test_a_control_period_that_the_data_contradict_is_told(tmp_path, caplog):
    seen, taken = moving(np.random.default_rng(0))
    folder = logs(tmp_path / "logs", [seen] * 2, [taken] * 2)
    for seconds, told in ((0.05, False), (0.02, True)):
        describe_logs(custom(tmp_path, folder, f"control_period={seconds}"), load(folder), "here")
        assert ("the data in here say 50 ms a step, and control_period=0.02 counts" in caplog.text) is told


def test_foreign_metadata_under_our_name_are_no_description(data):
    cfg = custom(data.parent, data, "control_period=0.05")
    known = load(data)
    foreign = replace(known, metadata={**known.metadata, "task": "pick up the cube"})
    assert describe_logs(cfg, foreign, data)["control_period"] == 0.05
    with pytest.raises(ValueError, match="do not say how often actions are taken: add control_period=SECONDS"):
        describe_logs(custom(data.parent, data), foreign, data)


def test_diagnose_refuses_data_that_stand_still(tmp_path):
    save_random_models(tmp_path, 0)
    seen, taken = np.zeros((41, 4)), np.random.default_rng(0).uniform(-1, 1, size=(40, 2))
    still = logs(tmp_path / "still", [seen] * 2, [taken] * 2, action_low=[-1] * 2, action_high=[1] * 2, **NAMELESS)
    model = tmp_path / "two_room-seed0.safetensors"
    with pytest.raises(ValueError, match="stand still: no sensor"):
        diagnose.run(settings("diagnose", tmp_path, "task=custom", f"checkpoint='{model}'", f"data='{still}'"))


def test_what_could_not_be_measured_is_not_blamed_on_the_model():
    found = judged({"critic_rank": float("nan"), "euclid_rank": float("nan")})
    assert [each.fix for each in found] == [UNMEASURED] * 2
    assert "1 of 1 outside the healthy range" in health_section(found), "what has no range cannot lie outside of it"


def test_logs_without_their_description_are_named(tmp_path):
    np.savez(tmp_path / "e0.npz", observations=np.zeros((3, 2)), actions=np.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"has logs and no dataset.json next to them: docs/own_logs.md"):
        load(tmp_path)
    (tmp_path / "dataset.json").write_text(json.dumps({"action_low": [-1.0], "action_high": [1.0]}))
    with pytest.raises(ValueError, match="dataset.json lacks control_period: see"):
        load(tmp_path)


def test_training_data_of_another_control_period_are_refused(data, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(data, other)
    metadata = json.loads((other / "metadata.json").read_text())
    description = {**json.loads(metadata["task"]), "control_period": 0.1}
    (other / "metadata.json").write_text(json.dumps({**metadata, "task": json.dumps(description)}))
    with pytest.raises(ValueError, match="has a control period of 100 ms, and two_room has 50 ms"):
        train.run(settings("train", tmp_path, f"data='{other}'"))


def test_a_run_does_not_go_on_with_other_data(data, tmp_path, monkeypatch):
    """Stopped, its data replaced by others under the same path, and started again."""
    place = tmp_path / "data"
    shutil.copytree(data, place)
    monkeypatch.setattr("experiments.training.offline.CHECKPOINT_SECONDS", -1.0)
    real = offline.save_training

    def save_and_stop(*arguments):
        real(*arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("experiments.training.offline.save_training", save_and_stop)
    cfg = settings("train", tmp_path, f"data='{place}'", *FEWER)
    with pytest.raises(KeyboardInterrupt):
        train.run(cfg)
    monkeypatch.setattr("experiments.training.offline.save_training", real)
    shutil.rmtree(place)
    collect.run(settings("collect", tmp_path, f"out='{place}'", "seed=1"))
    with pytest.raises(ValueError, match="belongs to a run with dataset=.*'checksum'"):
        train.run(cfg)


def test_a_critic_that_was_never_trained_is_none(tmp_path):
    """Nor is there the policy that would have learned from it: a plan or a reflex that follows noise looks like one."""
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8)
    metadata = {"task": envs.make("two_room").describe(), "objective": {"distance": 0.0}}
    save_model(tmp_path / "m.safetensors", create(config, 0), config, metadata)
    model = load_model(tmp_path / "m.safetensors").model
    assert model.heads.distance is None and model.heads.policy is None
    with pytest.raises(ValueError, match="train with the distance loss, or plan with GoalDistance"):
        plan.run(settings("plan", tmp_path, "task=two_room", f"checkpoint='{tmp_path / 'm.safetensors'}'"))


def test_divergence_keeps_the_last_good_model(data, tmp_path):
    broken = ("training.learning_rate=1e30", "training.updates=40", "training.updates_per_call=1")
    with pytest.raises(FloatingPointError, match="diverged at update 3 .* of update 1, is kept in .*diverged.safetens"):
        train.run(settings("train", tmp_path, f"data='{data}'", *broken, *FEWER))
    kept = load_model(tmp_path / "two_room-seed0.diverged.safetensors")
    assert max(float(np.abs(leaf).max()) for leaf in kept.model.params) < 1e3, "the weights before the first big step"
    assert kept.metadata["history"][0]["step"] == 1
    left = {path.name for path in tmp_path.glob("*.safetensors")}
    assert left == {"two_room-seed0.diverged.safetensors"}, "nothing is in the way of another learning rate"


def test_divergence_at_once_says_that_nothing_is_kept(data, tmp_path):
    broken = ("training.learning_rate=1e30", "training.frozen_updates=40", "training.updates_per_call=40")
    with pytest.raises(FloatingPointError, match="diverged at update 40 .* there was no good model before it"):
        train.run(settings("train", tmp_path, f"data='{data}'", *broken, *FEWER))
    assert not list(tmp_path.glob("*.safetensors"))


def test_training_warns_of_collapse_once(data, tmp_path, caplog):
    """Without what keeps features apart they collapse."""
    without = ("objective.sigreg=0", "objective.inverse=0", "objective.distance=0")
    longer = ("training.updates=400", "training.learning_rate=0.003")
    with caplog.at_level(logging.WARNING, logger="experiments"):
        train.run(settings("train", tmp_path, f"data='{data}'", *longer, *without, *FEWER))
    (warned,) = (record.message for record in caplog.records if "has collapsed" in record.message)
    assert "raise objective.sigreg or objective.inverse" in warned


@pytest.mark.parametrize(
    ("std", "rank", "words"),
    [
        (0.95, 18.0, None),
        (0.2, 14.0, None),  # inverse dynamics alone: the scale is free
        (0.01, 3.0, "features deviate by 0.01 on average"),
        (0.9, 1.1, "they use 1.1 dimensions in effect"),
    ],
)
def test_collapse_is_told_from_another_scale(std, rank, words):
    """Spreads as they were measured, and what is said of them."""
    told = collapse({"feature_std": std, "feature_std_min": std / 2, "rank": rank, "normality": 180.0})
    assert told is None if words is None else words in told


def test_a_model_is_not_planned_with_at_another_control_period(tmp_path):
    save_random_models(tmp_path, 0)
    path, task = tmp_path / "two_room-seed0.safetensors", envs.make("two_room").describe()
    model = load_model(path).model
    save_model(path, model.module(), model.config, {"task": {**task, "control_period": 0.02}})
    with pytest.raises(ValueError, match=r"two_room-seed0.safetensors has a control period of 20 ms, and two_room has"):
        plan.run(settings("plan", tmp_path, f"checkpoint='{path}'", "policies=[noop]"))
    check_checkpoint(task, task, path)
