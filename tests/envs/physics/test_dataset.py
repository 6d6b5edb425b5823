"""Clips as Minari datasets, read by Minari and by the product."""

import json

import minari
import numpy as np
import pytest

from envs.physics.course import FRAME_SECONDS, FRAMES
from envs.physics.dataset import CARD, export_test, export_training
from envs.physics.properties import CASES
from envs.vision.camera import available
from worldmodel.data.dataset import load

SIZE = 16


@pytest.fixture(scope="module", autouse=True)
def drawing():
    if (reason := available()) is not None:
        pytest.skip(reason)


def test_clips_to_learn_from(tmp_path):
    seen = []
    export_training(tmp_path / "clips", 0, 5, lambda done, total: seen.append((done, total)), SIZE)
    data = load(tmp_path / "clips")
    assert data.episodes == 5 and data.readings["pixels"].shape == (5 * FRAMES, SIZE, SIZE, 3)
    assert data.action_low.tolist() == [-1] and data.actions.shape == (5 * FRAMES, 1)
    described = json.loads(data.metadata["task"])
    assert described["control_period"] == FRAME_SECONDS
    assert data.states is not None and data.states.shape[1] == len(described["state_names"])
    assert "Nothing in it" in (tmp_path / "clips" / CARD).read_text().replace("\n", " ") and seen == [(5, 5)]
    with pytest.raises(FileExistsError, match="choose another path"):
        export_training(tmp_path / "clips", 0, 5, size=SIZE)


def test_labelled_clips(tmp_path):
    cases = [("permanence", "occluded"), ("agency_reversed", "visible")]
    export_test(tmp_path / "test", 0, 4, cases, size=SIZE)
    episodes = list(minari.MinariDataset(tmp_path / "test").iterate_episodes())
    assert len(episodes) == 2 * 2 * 4
    infos = [{name: values[0] for name, values in each.infos.items() if name != "state"} for each in episodes]
    assert [each["case"] for each in infos] == [CASES.index(case) for case in cases for _ in range(8)]
    pairs = [(each["case"], each["pair"]) for each in infos]
    for pair in set(pairs):
        twins = [number for number, each in enumerate(pairs) if each == pair]
        assert [int(infos[number]["possible"]) for number in twins] == [1, 0]
        one, other = (episodes[number].observations["pixels"] for number in twins)
        event = infos[twins[0]]["event"]
        np.testing.assert_array_equal(one[:event], other[:event])
    card = (tmp_path / "test" / CARD).read_text()
    assert "| 2 | " not in card and "agency_reversed" in card and "gravity" in card


def test_an_odd_number_of_pairs(tmp_path):
    with pytest.raises(ValueError, match="give an even number; got 3"):
        export_test(tmp_path / "test", 0, 3, size=SIZE)
    assert not (tmp_path / "test").exists()
