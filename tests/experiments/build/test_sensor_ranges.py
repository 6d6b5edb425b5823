import numpy as np
import pytest

from experiments import build
from experiments.build.published import checkpoint_file
from experiments.build.sensor_ranges import contract_words, sensor_range
from worldmodel.models.checkpoint import load_model


def test_the_range_is_that_of_the_data():
    assert sensor_range(np.float32([[0, 5], [2, -1]])) == {"sensor_range": [[0.0, -1.0], [2.0, 5.0]]}


def test_a_checkpoint_of_an_earlier_version_gives_a_range_around_what_it_has_seen():
    loaded = load_model(checkpoint_file("published", "reacher"))
    loaded.metadata.pop("sensor_range", None)
    words = contract_words(loaded)
    mean = np.asarray(loaded.model.module().encoder.normalizer.mean[...])
    assert (np.asarray(words["sensor_low"]) < mean).all() and (np.asarray(words["sensor_high"]) > mean).all()
    known = contract_words(type(loaded)(loaded.model, {**loaded.metadata, **sensor_range(np.zeros((3, mean.size)))}))
    assert known["sensor_low"] == known["sensor_high"] == (0.0,) * mean.size


def test_a_controller_refuses_a_goal_and_a_reading_that_no_training_data_had():
    controller = build.controller("published", task="two_room")
    goal = np.zeros(controller.engine.contract.observation_size, np.float32)
    controller.reset(goal=goal)
    with pytest.raises(ValueError, match="the goal is implausible: element 0 is 1e"):
        controller.reset(goal=np.r_[1e10, goal[1:]])
    with pytest.raises(ValueError, match="the observation is implausible: element 1 is -1e"):
        controller.act(np.r_[goal[:1], -1e10, goal[2:]])
