"""Several datasets as one: the same rows in order, episodes that stay apart, and one sentence where they do not fit."""

import json
from dataclasses import replace

import numpy as np
import pytest

from worldmodel.data.joined import joined
from worldmodel.data.windows import WindowSampler
from worldmodel.observation import ObservationSpec, Sensor

from ..small import episodes, pictured


def part(lengths, seed, **changes):
    data = episodes(lengths, seed)
    behaviour = json.dumps({"behaviour": f"b{seed}"})
    known = {"dataset_id": "d", "behaviour": behaviour, "seed": seed, "total_episodes": len(lengths), "task": "{}"}
    return replace(data, states=np.full((data.rows, 1), float(seed)), metadata=known, **changes)


def test_rows_follow_one_another_and_episodes_stay_apart():
    parts = [part([5, 9], 0), part([7], 1), part([4, 4], 2)]
    data = joined(parts, ["a", "b", "c"], demonstrations=[2])
    np.testing.assert_array_equal(data.readings["state"], np.concatenate([each.readings["state"] for each in parts]))
    np.testing.assert_array_equal(data.actions, np.concatenate([each.actions for each in parts]))
    np.testing.assert_array_equal(data.states[:, 0], np.repeat([0.0, 1.0, 2.0], [16, 8, 10]))
    assert data.episodes == 5 and data.first.dtype == np.int32
    assert [data.of_episode(each) for each in range(5)] == [
        slice(*ends) for ends in ((0, 6), (6, 16), (16, 24), (24, 29), (29, 34))
    ]
    assert data.name(2) == "episode 0 of b" and data.name(4) == "episode 1 of c"
    np.testing.assert_array_equal(data.demonstrated, np.arange(34) >= 24)
    assert data.last_episodes(3).demonstrated.tolist() == [False] * 8 + [True] * 10
    sampler = WindowSampler.of(data, 1, 2, 2)
    assert (np.asarray(data.last)[sampler.starts] - sampler.starts >= 4).all()


def test_the_metadata_say_what_was_mixed():
    data = joined([part([6, 6], 0), part([4], 1)], ["a", "b"])
    mixture = json.loads(data.metadata["behaviour"])
    assert mixture["shares"] == [0.75, 0.25] and mixture["parts"] == [{"behaviour": "b0"}, {"behaviour": "b1"}]
    assert (data.metadata["total_episodes"], data.metadata["seed"], data.metadata["dataset_id"]) == (3, [0, 1], "d")
    for known, name in (({}, "unknown"), ({"algorithm_name": "person", "behaviour": "no JSON"}, "person")):
        foreign = replace(part([4], 1), metadata=known)
        mixture = json.loads(joined([part([6], 0), foreign], ["a", "b"]).metadata["behaviour"])
        assert mixture["parts"][1] == {"behaviour": name}
    assert data.demonstrated is None


def test_states_are_kept_where_all_have_them_alone():
    assert joined([part([5], 0), replace(part([5], 1), states=None)], ["a", "b"]).states is None


def test_episodes_without_actions_are_left_out_with_their_mark():
    hidden = part([5, 6], 1)
    hidden.actions[:5] = np.nan
    data = joined([part([5], 0), hidden], ["a", "b"], demonstrations=[1]).labelled_episodes()
    assert data.demonstrated.tolist() == [False] * 6 + [True] * 7 and data.name(1) == "episode 1 of b"


def with_sensors(data, *sensors):
    return replace(
        data,
        readings={each.name: np.zeros((data.rows, *each.shape), "f4") for each in sensors},
        spec=ObservationSpec(sensors),
    )


def test_further_sensors_are_left_out_and_descriptions_are_those_of_the_first():
    angle = Sensor("state", (4,), period=(0.0, 0.0, 0.0, 6.28))
    first = with_sensors(part([5], 0), angle)
    more = with_sensors(part([5], 1), Sensor("contact", (1,)), Sensor("state", (4,)))
    data = joined([first, more], ["a", "b"])
    assert list(data.readings) == ["state"] and data.spec.sensors == (angle,)
    with pytest.raises(ValueError, match="a has the sensors state, and b has contact as well: give data of the same"):
        joined([more, first], ["b", "a"])
    with pytest.raises(ValueError, match=r"the sensor state reads float32\[4\] in b, and float32\[3\] in a"):
        joined([with_sensors(part([5], 0), Sensor("state", (3,))), more], ["a", "b"])


def test_pictures_are_the_same_and_stay_out_of_memory():
    parts = [pictured([5, 8], 0), pictured([6], 1)]
    data = joined(parts, ["a", "b"])
    assert isinstance(data.readings["pixels"], np.memmap)
    np.testing.assert_array_equal(data.readings["pixels"], np.concatenate([each.readings["pixels"] for each in parts]))


THREE = {"actions": np.zeros((6, 3), "f4"), "action_low": -np.ones(3, "f4"), "action_high": np.ones(3, "f4")}


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        (THREE, "b has actions of 3 numbers, and a of 2: give data of the same robot"),
        ({"action_low": np.array([-1, -2], "f4")}, r"b has actions from \[-1.0, -2.0\] to \[1.0, 1.0\], and a from"),
    ],
)
def test_other_actions_are_one_sentence(changes, said):
    with pytest.raises(ValueError, match=said):
        joined([part([5], 0), replace(part([5], 1), **changes)], ["a", "b"])
