"""A model of several sensors without some of them."""

import csv

import numpy as np
import pytest

import envs
from envs.vision.camera import available
from experiments import build
from experiments.bench.goal.sensors import ImpairedTask, Impairment, impairments
from experiments.commands import bench
from experiments.evaluation.moments import rows_of
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import sized
from worldmodel.observation import ObservationSpec, vector


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


@pytest.fixture(scope="module")
def task():
    task = envs.make("fetch_reach")
    task.see(["pixels", "proprio"], 16)
    yield task
    task.close()


def test_each_sensor_alone_and_cameras_together(task):
    spec = ObservationSpec.of(task.sensors)
    found = {each.variant: (each.missing, each.black) for each in impairments(spec)}
    assert found == {
        "": ((), ()),
        "only_pixels": (("proprio",), ()),
        "only_proprio": (("pixels", "pixels_side"), ()),
        "black_pixels": ((), ("pixels", "pixels_side")),
    }
    with pytest.raises(ValueError, match="leaves sensors out, and the model has state alone"):
        list(impairments(vector(4)))


def test_a_model_sees_nothing_of_a_missing_sensor_and_goals_are_complete(task):
    spec = sized(ObservationSpec.of(task.sensors), "components", None)
    config = ModelConfig(observation=spec, action_size=task.action_space.shape[0], latent_size=4, width=8, head_width=8)
    model = freeze(create(config, 0), config)
    rng = np.random.default_rng(0)
    states = np.stack([task.sample_state(rng) for _ in range(2)])
    blind = ImpairedTask(task, Impairment("only_proprio", missing=("pixels", "pixels_side")))
    rows = rows_of(task, blind.observe(states), model)
    for name in ("pixels", "pixels_side"):
        assert not rows[:, spec.slices[name]].any() and not rows[:, spec.flags[name]].any()
    np.testing.assert_array_equal(rows[:, spec.slices["proprio"]], task.observe(states)["proprio"])
    black = ImpairedTask(task, Impairment("black_pixels", black=("pixels",)))
    assert not black.observe(states)["pixels"].any() and black.observe(states)["pixels_present"].all()
    goal = task.sample_goal(rng)
    np.testing.assert_array_equal(blind.goal_observation(goal)["pixels"], task.goal_observation(goal)["pixels"])


@pytest.mark.slow  # trains models of two tasks; the cells are those of the suite `goal`
def test_rows_say_what_was_missing(tmp_path):
    small = ("suite.tasks=[two_room]", "suite.episodes=2", 'suite.overrides=["budget=smoke","observation.size=16"]')
    chosen = (f"runs='{tmp_path}'", f"results='{tmp_path}'")
    rows = bench.run(build.compose("bench", "suite=sensors", *small, *chosen))
    assert [row.variant for row in rows] == ["", "only_pixels", "only_proprio", "black_pixels"]
    assert {(row.observation, row.episodes) for row in rows} == {("pixels_proprio", 2)}
    with (tmp_path / "sensors.csv").open(newline="") as file:
        assert [row["variant"] for row in csv.DictReader(file)] == [row.variant for row in rows]
