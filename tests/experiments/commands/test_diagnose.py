"""`jepa-mpc diagnose` on a tiny model, and its parts on inputs whose answer is known."""

from __future__ import annotations

import json

import numpy as np
import pytest

import envs
from experiments import build
from experiments.commands import diagnose, train
from experiments.diagnosis.cost_landscape import Slice, slices
from experiments.diagnosis.diagnosis import Diagnosis
from experiments.diagnosis.distance_curve import Reach, of_script
from experiments.diagnosis.failure_attribution import FAULTS, Failure, blame
from experiments.diagnosis.figures import PROBES, alone, panels
from experiments.diagnosis.held_out import fresh
from experiments.evaluation.goals.policies import ScriptPolicy
from experiments.evaluation.goals.protocols import honest
from experiments.evaluation.goals.rollout import run_episodes
from experiments.evaluation.policy import NoopPolicy
from experiments.records.intervals import spearman
from worldmodel.models.checkpoint import load_model

from ..recipe import settings

FEWER = (
    "model.ensemble=2",
    "model.policy=false",
    "training.critic_updates=0",
    "training.policy_updates=0",
)  # parts to compile


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny model, trained."""
    folder = tmp_path_factory.mktemp("runs")
    train.run(settings("train", folder, *FEWER))
    return folder


@pytest.fixture(scope="module")
def found(runs):
    """A diagnosis of it, with the files it writes."""
    chosen = (f"checkpoint='{runs}/two_room-seed0.safetensors'", "held_out=8", "episodes=2", "simulated_episodes=1")
    return diagnose.run(settings("diagnose", runs, *chosen))


def test_the_report_holds_everything(runs, found, capsys):
    told = json.loads((runs / "two_room-seed0-diagnose.json").read_text())
    names = {item["name"] for item in told["figures"]}
    assert names == set(found.values) and len(names) > 15, "every value is explained"
    assert "disagreement_order" in names, "there are two members"
    bounded = [item for item in told["figures"] if (item["low"], item["high"]) != (None, None)]
    assert len(bounded) > 12 and all(item["fix"] for item in bounded)
    assert list(told["probes"]) == ["qpos[0]", "qpos[1]", "qvel[0]", "qvel[1]"]
    assert told["horizon"]["steps"] == [3, 6, 9] and len(told["horizon"]["model"]) == 3
    assert np.shape(told["landscapes"][0]["truth"]) == (15, 15)
    assert told["episodes"] == {"played": 2, "failed": found.failed}
    assert told["manifest"]["config"]["held_out"] == 8
    assert (runs / "two_room-seed0-diagnose.png").read_bytes().startswith(b"\x89PNG")
    page = (runs / "two_room-seed0-diagnose.html").read_text()
    assert page.count('<g class="mark">') >= 2 * 15 * 15 + 2 * 3, "values of both landscapes and of the horizon"
    assert page.index("What is wrong") < page.index("Step by step") < page.index("Is the representation healthy?")
    assert page.count("<svg") == 6 and "Whose fault are the failures?" in page and "landscape_regret" in page


def test_the_model_is_told_from_the_truth(found):
    """The true slice knows the wall and the bounds; forty updates do not."""
    truth = [each.truth for each in found.slices]
    assert all(np.isfinite(each).all() and np.ptp(each) > 0 for each in truth)
    assert -1 <= found.values["landscape_agreement"] <= 1
    assert 0 <= found.values["landscape_regret"] <= 1


def test_a_dataset_is_judged_by_its_end_and_needs_no_simulator(runs, capsys):
    data = f"data='{runs}/two_room-seed0-data'"
    chosen = (f"checkpoint='{runs}/two_room-seed0.safetensors'", data, "held_out=6", f"out='{runs}/custom'")
    found = diagnose.run(settings("diagnose", runs, "task=custom", *chosen))
    assert "the last 6 of 40 episodes" in capsys.readouterr().out
    assert found.slices == [] and found.episodes == 0
    assert found.reach.source == "6 episodes of the data, to their end"
    assert "probe_position" in found.values
    assert (runs / "custom.png").exists()


def test_data_of_another_robot_are_refused(runs, tmp_path):
    checkpoint = f"checkpoint='{runs}/two_room-seed0.safetensors'"
    with pytest.raises(ValueError, match="no simulator to make held-out data with: add data=FOLDER"):
        diagnose.run(settings("diagnose", runs, "task=custom", checkpoint))
    description = {"control_period": 0.05, "action_low": [-1, -1], "action_high": [1, 1]}
    (tmp_path / "dataset.json").write_text(json.dumps(description))
    np.savez(tmp_path / "e0.npz", observations=np.ones((5, 3)), actions=np.zeros((4, 2)))
    refused = settings("diagnose", runs, "task=custom", checkpoint, f"data='{tmp_path}'")
    with pytest.raises(ValueError, match="has observations of 3 numbers, and the model has 4"):
        diagnose.run(refused)
    (tmp_path / "dataset.json").write_text(json.dumps({**description, "control_period": 0.02}))
    np.savez(tmp_path / "e0.npz", observations=np.ones((5, 4)), actions=np.zeros((4, 2)))
    with pytest.raises(ValueError, match="has a control period of 20 ms, and the model has 50 ms"):
        diagnose.run(refused)


def test_failures_are_blamed_in_order():
    assert Failure(0, ceiling=False, oracle=None).fault == "planner or task"
    assert Failure(0, ceiling=True, oracle=False).fault == "representation or critic"
    assert Failure(0, ceiling=True, oracle=True).fault == "predictor"
    assert set(FAULTS) == {Failure(0, c, o).fault for c, o in ((False, None), (True, False), (True, True))}


def test_only_failures_are_played_again(runs):
    """Nobody reaches a goal without moving; the ceiling does, and then the oracle is asked."""
    task = envs.make("two_room")
    model = load_model(runs / "two_room-seed0.safetensors").model
    agent = build.agent(settings("plan", runs, "planner.horizon=15"), model, task)
    pairs = honest(task, 3, 0)
    failed = run_episodes(task, NoopPolicy(), pairs)
    judged = blame(task, agent, pairs, failed, seed=0, most=1)
    assert [each.episode for each in judged] == [0]
    assert judged[0].ceiling and judged[0].oracle is not None
    reached = run_episodes(task, ScriptPolicy(task), pairs)
    assert blame(task, agent, pairs, reached, seed=0, most=3) == []


def test_slices_of_a_gradient_planner_cannot_be_simulated(runs):
    chosen = (f"checkpoint='{runs}/two_room-seed0.safetensors'", "held_out=4", "episodes=0", f"out='{runs}/gradient'")
    cfg = build.compose("diagnose", "budget=smoke", "planner=gradient", "planner.horizon=9", f"runs='{runs}'", *chosen)
    found = diagnose.run(cfg)
    assert found.slices == [] and "landscape_regret" not in found.values


def _slice(model, truth):
    axis = np.linspace(-1, 1, 5)
    return Slice(("a", "b"), axis, axis, model, truth, (0.0, 0.0))


def test_slices_that_agree_and_that_do_not():
    truth = np.add.outer(np.linspace(-1, 1, 5) ** 2, np.linspace(-0.4, 1.6, 5) ** 2)
    same, mirrored = _slice(2 * truth + 7, truth), _slice(-truth, truth)
    assert (same.agreement, same.regret) == (pytest.approx(1.0), 0.0)
    assert (mirrored.agreement, mirrored.regret) == (pytest.approx(-1.0), 1.0)


def test_slices_vary_what_they_say(runs):
    """Rows are actuator 1 and columns actuator 0: pushing towards the goal is cheaper in the truth of a near goal."""
    task = envs.make("two_room")
    model = load_model(runs / "two_room-seed0.safetensors").model
    agent = build.agent(settings("plan", runs, "cost=goal_distance"), model, task)
    found = slices(task, agent, honest(task, 2, 0), 0, cells=5)
    assert found[0].model.shape == found[0].truth.shape == (5, 5)
    assert np.ptp(found[0].truth, axis=0).max() > 0 and np.ptp(found[0].truth, axis=1).max() > 0
    assert found[0].first.tolist() == [-1, -0.5, 0, 0.5, 1]


def test_saturation_is_where_a_curve_goes_flat():
    steps = np.tile(np.arange(60.0), 20)
    reach = Reach("made up", steps, {"critic": 2 * steps, "euclid": np.minimum(steps, 10.0)})
    assert reach.saturation("critic") / reach.longest == pytest.approx(0.75, abs=0.05)
    assert 6 < reach.saturation("euclid") < 14
    assert spearman(reach.distances["critic"], steps) == pytest.approx(1.0)


def test_spearman_is_that_of_ranks():
    assert spearman([1, 2, 3, 4], [1, 8, 27, 64]) == pytest.approx(1.0)
    assert spearman([1, 2, 3, 4], [4, 3, 2, 1]) == pytest.approx(-1.0)
    assert spearman([1, 1, 2, 3], [1, 2, 2, 3]) == pytest.approx(0.8333, abs=1e-4)  # ties, as scipy has it
    assert np.isnan(spearman([1, 1], [1, 2]))


def test_script_drives_end_at_their_goals(runs):
    model = load_model(runs / "two_room-seed0.safetensors").model
    reach = of_script(model, envs.make("two_room"), 4, 0)
    assert reach.source == "4 scripted drives"
    assert (reach.steps == 0).sum() == 4
    assert set(reach.distances) == {"critic", "euclid"}


def test_fresh_episodes_are_their_own_and_angles_are_read_as_they_turn():
    task, cfg = envs.make("reacher"), build.compose("diagnose", "task=reacher")
    held = fresh(task, build.make(cfg.behaviour, "behaviour"), 3, 20, 0)
    assert (held.data.episodes, held.data.steps) == (3, 60)
    assert list(held.targets) == ["sin qpos[0]", "cos qpos[0]", "qpos[1]", "qvel[0]", "qvel[1]"]
    again = fresh(task, build.make(cfg.behaviour, "behaviour"), 2, 20, 0)
    np.testing.assert_array_equal(held.data.observations[: len(again.data.observations)], again.data.observations)


def test_of_many_probes_those_that_are_judged_are_shown():
    names = [f"qvel[{index}]" for index in range(PROBES + 4)]
    sensed = {name: 1.0 if index >= PROBES else 0.1 for index, name in enumerate(names)}
    found = Diagnosis("task", "data", 3, 0.05, probes=dict.fromkeys(names, 0.9), sensed=sensed)
    panel, told = panels(found)["Linear probes"]
    assert told.endswith(f"{PROBES} of {PROBES + 4}")
    shown = [label.get_text() for label in alone(panel, found).axes[0].get_yticklabels()]
    assert shown[:4] == names[PROBES:] and len(shown) == PROBES
