import csv

import numpy as np
import pytest

import envs
from envs.vision.camera import available
from experiments import build
from experiments.bench.robot.surprise import auroc, count_alarms, highest_after_onset
from experiments.commands import bench
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import sized
from worldmodel.observation import ObservationSpec

from ...recipe import save_random_models


def test_auroc_is_the_chance_to_score_higher():
    healthy = np.array([0.0, 1.0, 2.0, 3.0])
    assert auroc(healthy, np.array([4.0, 5.0])) == 1.0
    assert auroc(healthy, np.array([-1.0])) == 0.0
    assert auroc(healthy, np.array([1.5, 3.5])) == pytest.approx((2 + 4) / 8)
    assert auroc(healthy, healthy) == 0.5  # ties count half


def test_only_the_steps_after_the_onset_count():
    scores = np.array([[9.0, 1.0, 2.0, 3.0, 8.0], [0.0, 0.0, 0.0, 5.0, 9.0]])
    np.testing.assert_array_equal(highest_after_onset(scores, np.array([1, 3]), within=3), [3.0, 9.0])
    np.testing.assert_array_equal(highest_after_onset(scores, np.array([1, 3]), within=1), [1.0, 5.0])


def test_an_alarm_lasts_until_the_score_falls():
    above = np.array([[1, 1, 0, 1, 0], [0, 1, 1, 1, 1], [0, 0, 0, 0, 0]], bool)
    assert count_alarms(above) == 3


def test_a_random_model_is_measured_end_to_end(tmp_path):
    """From the closed loop to the values that are written."""
    save_random_models(tmp_path, 0)
    episodes = ("suite.calibration_episodes=8", "suite.undisturbed_episodes=4", "suite.episodes=3")
    small = (*episodes, "suite.length=14", "suite.onset=[4,6]", "~suite.promises")
    chosen = (
        "suite.tasks=[two_room]",
        "suite.faults=[teleport]",
        "suite.pictures_of=null",
        f"runs='{tmp_path}'",
        f"results='{tmp_path}'",
    )
    values = {each.case: each.value for each in bench.run(build.compose("bench", "suite=surprise", *small, *chosen))}
    assert 0 <= values["surprise_auroc_two_room_teleport"] <= 1
    assert 0 <= values["surprise_caught_two_room_teleport"] <= 1
    assert values["surprise_false_alarms_per_minute_two_room"] >= 0
    task = envs.make("two_room")
    assert values["surprise_undisturbed_minutes_two_room"] == pytest.approx(4 * 14 * task.control_period / 60)
    with (tmp_path / "robot_loop.csv").open(newline="") as file:
        assert {row["case"] for row in csv.DictReader(file)} == set(values)


def test_a_model_of_pictures_is_measured_with_faults_that_a_camera_sees(tmp_path):
    if (reason := available()) is not None:
        pytest.skip(reason)
    task = envs.make("two_room")
    task.see(["pixels"], size=16)
    sensors = sized(ObservationSpec.of(task.sensors), "components", None)
    config = ModelConfig(observation=sensors, action_size=2, latent_size=4, width=8, head_width=8)
    file = tmp_path / "seen.safetensors"
    save_model(file, create(config, 0), config, {"task": task.describe()})
    task.close()
    episodes = ("suite.calibration_episodes=8", "suite.undisturbed_episodes=4", "suite.episodes=3")
    small = (*episodes, "suite.length=14", "suite.onset=[4,6]", "~suite.promises")
    chosen = ("suite.tasks=[]", f"suite.checkpoint='{file}'", f"runs='{tmp_path}'", f"results='{tmp_path}'")
    values = {each.case: each.value for each in bench.run(build.compose("bench", "suite=surprise", *small, *chosen))}
    measured = ("auroc", "caught")
    faults = ("teleport", "freeze", "vanish")
    assert set(values) == {
        "surprise_pixels_false_alarms_per_minute",
        "surprise_pixels_undisturbed_minutes",
        *(f"surprise_pixels_{what}_{fault}" for what in measured for fault in faults),
    }
    assert all(0 <= values[f"surprise_pixels_{what}_{fault}"] <= 1 for what in measured for fault in faults)
