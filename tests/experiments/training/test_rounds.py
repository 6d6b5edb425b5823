"""Learning on: several datasets at once, the weights of a model to begin with, demonstrations, windows with contact."""

from __future__ import annotations

import json
import shutil

import h5py
import numpy as np
import pytest
from flax import nnx

from experiments import build, cli
from experiments.build.recipes import recipe
from experiments.training.ensure import collect_data, ensure_data, visited
from experiments.training.given_data import load_for_training
from experiments.training.offline import train_model
from experiments.training.prepared import prepare
from worldmodel.models.checkpoint import load_model
from worldmodel.models.tensors import leaves_of, name_of

from ..recipe import TINY, settings

SHORT = [
    "training.updates=20",
    "training.frozen_updates=20",
    "training.critic_updates=20",
    "training.policy_updates=20",
    "collection.episodes=6",
    "collection.steps=40",
]


def weights(file):
    return {name_of(path): np.asarray(leaf) for path, leaf in leaves_of(nnx.state(load_model(file).model.module()))}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A folder with a tiny model, its data, data of its reflex, and demonstrations."""
    folder = tmp_path_factory.mktemp("runs")
    cfg = settings("train", folder, "task=two_room", *SHORT)
    train_model(cfg, 0, ensure_data(cfg, 0), folder / "first.safetensors")
    words = [f"checkpoint='{folder / 'first.safetensors'}'", "behaviour=reflex"]
    collect_data(settings("collect", folder, "task=two_room", *SHORT, *words), 1, folder / "second")
    collect_data(settings("collect", folder, "task=two_room", *SHORT, "behaviour=expert"), 2, folder / "expert")
    return folder


def words(runs):
    first, second = runs / "two_room-seed0-data", runs / "second"
    given = [f"data=['{first}','{second}']", f"demonstrations='{runs / 'expert'}'"]
    return ["task=two_room", *SHORT, *given, f"start_from='{runs / 'first.safetensors'}'"]


def test_a_round_goes_on_from_the_model_on_all_data(runs, tmp_path):
    cfg = settings("train", tmp_path, *words(runs), "objective.cloning=1.0", "training.learning_rate=1e-7")
    out = tmp_path / "round.safetensors"
    train_model(cfg, 0, ensure_data(cfg, 0), out)
    before, after = weights(runs / "first.safetensors"), weights(out)
    assert all(np.allclose(after[name], value, atol=1e-3) for name, value in before.items())
    assert any(not np.array_equal(after[name], value) for name, value in before.items())
    known = load_model(out).metadata
    mixture = json.loads(known["data"]["behaviour"])
    assert [each["behaviour"] for each in mixture["parts"]] == ["mixture", "reflex", "expert"]
    assert known["data"]["total_episodes"] == 18 and known["env_steps"] == 18 * 40
    assert known["recipe"]["start_from"].endswith("first.safetensors") and len(known["recipe"]["data"]) == 2
    assert any("cloning" in entry for entry in known["history"]) and known["recipe"]["objective"]["descent"] == 1.0


def test_demonstrations_are_marked_and_the_rest_is_not(runs, tmp_path):
    cfg = settings("train", tmp_path, *words(runs))
    data = load_for_training(cfg, ensure_data(cfg, 0), 0)
    np.testing.assert_array_equal(data.demonstrated, np.arange(data.rows) >= 12 * 41)
    assert data.name(17) == f"episode 5 of {runs / 'expert'}"
    trainer = prepare(cfg, 0, data, "x").trainer
    state = trainer.init()
    assert float(trainer.batches("critic", state).windows.share) == 0.0
    assert trainer.batches("policy", state).windows.favoured is None  # nothing imitates
    imitating = prepare(settings("train", tmp_path, *words(runs), "objective.cloning=1.0"), 0, data, "x").trainer
    assert imitating.batches("policy", state).windows.share == 0.5
    task = build.goal_tasks.of(cfg)
    assert len(visited(task, ensure_data(cfg, 0))) == 12 * 41


def test_demonstrations_of_another_program_need_the_sensors_and_actions_alone(runs, tmp_path, caplog):
    """Without our metadata, and without simulator states: the model then has no probe."""
    shutil.copytree(runs / "expert", tmp_path / "person")
    known = json.loads((tmp_path / "person" / "metadata.json").read_text())
    known["dataset_id"], ours = "person/rooms-v0", ("task", "behaviour", "seed")
    (tmp_path / "person" / "metadata.json").write_text(
        json.dumps({name: known[name] for name in known if name not in ours})
    )
    with h5py.File(tmp_path / "person" / "main_data.hdf5", "r+") as file:
        for episode in file.values():
            del episode["infos"]
    given = [f"data='{runs / 'two_room-seed0-data'}'", f"demonstrations='{tmp_path / 'person'}'"]
    cfg = settings("train", tmp_path, "task=two_room", *SHORT, *given)
    data = load_for_training(cfg, ensure_data(cfg, 0), 0)
    assert data.states is None and data.demonstrated.sum() == 6 * 41 and data.episodes == 12
    assert data.metadata["dataset_id"] == "jepa-mpc/two_room-v0 and person/rooms-v0"
    assert "person holds no simulator states" in caplog.text
    assert prepare(cfg, 0, data, "x").model.probe_size == 0


def test_one_dataset_is_the_recipe_that_it_was(tmp_path):
    one = recipe(settings("train", tmp_path, "task=two_room", "data=some/folder"), 0)
    assert one["data"] == "some/folder" and not {"start_from", "demonstrations"} & set(one)
    assert recipe(settings("train", tmp_path, "task=two_room", "data=[some/folder]"), 0) == one
    assert recipe(settings("train", tmp_path, "task=two_room", "data=[a,b]"), 0)["data"] == ["a", "b"]


@pytest.fixture(scope="module")
def pushed(tmp_path_factory):
    """Data of push_t."""
    folder = tmp_path_factory.mktemp("pushed")
    cfg = settings("collect", folder, "task=push_t", "collection.episodes=3", "collection.steps=60")
    return collect_data(cfg, 0, folder / "data").path


def test_contact_is_seen_in_the_states_of_the_data(pushed, tmp_path):
    horizon = "planner.horizon=10"
    cfg = settings("train", tmp_path, "task=push_t", horizon, f"data='{pushed}'", "training.contact_share=0.5")
    data = load_for_training(cfg, ensure_data(cfg, 0), 0)
    sampler = prepare(cfg, 0, data, pushed).trainer.sampler
    touching = build.goal_tasks.of(cfg).touching(data.states)
    span = sampler.blocks * sampler.action_block
    for start in np.asarray(sampler.starts).tolist():
        assert (start in sampler.favoured) == touching[start : start + span + 1].any()
    assert sampler.share == 0.5


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        (
            ["training.contact_share=0.5"],
            "training.contact_share draws windows with contact, and two_room has no sensor",
        ),
        (["data=[FIRST,FIRST]"], "two_room-seed0-data is given twice: name it once"),
        (["data=[FIRST,PUSHED]"], "is of the task push_t, and"),
        (["demonstrations=PUSHED"], "is of the task push_t, and"),
        (
            ["model.width=16"],
            "the model to begin with has width=32 and not 16: training goes on with a model of the same",
        ),
        (["task=reacher", "start_from=START"], "was trained for the task two_room, and this is task=reacher"),
        (["objective.cloning=1.0", "model.policy=false"], "objective.cloning needs a policy that imitates"),
        (["start_from=nothing.safetensors"], "nothing.safetensors"),
        (["data=[FIRST,3]"], "3"),
    ],
)
def test_what_does_not_fit_is_one_sentence(changed, said, runs, pushed, tmp_path, capfd):
    places = {"FIRST": runs / "two_room-seed0-data", "PUSHED": pushed, "START": runs / "first.safetensors"}
    given = changed if "task=reacher" in changed else [*words(runs), *changed]
    for name, place in places.items():
        given = [word.replace(name, f"'{place}'") for word in given]
    assert cli.main(["train", *TINY, f"runs={tmp_path}", f"out={tmp_path / 'out.safetensors'}", *SHORT, *given]) == 2
    assert said in capfd.readouterr().err
    assert not (tmp_path / "out.safetensors").exists()


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (["method=td", "task=dmc/cartpole-swingup", "start_from=a"], "this is method=td: it has online.start_from"),
        (
            ["method=gcbc", "start_from=a"],
            "start_from belongs to method=jepa and method=video, and this is method=gcbc: leave",
        ),
        (["method=gcbc", "demonstrations=[a,b]"], "demonstrations belongs to method=jepa and method=video"),
        (
            ["method=gcbc", "training.contact_share=0.5"],
            "training.contact_share belongs to method=jepa and method=video",
        ),
        (["data=[]"], "data must be a path, or a list of paths as in [a,b]; got []"),
        (["training.contact_share=1"], "training.contact_share must be at least 0 and less than 1; got 1"),
    ],
)
def test_settings_of_other_methods_are_refused(given, said, tmp_path, capfd):
    assert cli.main(["train", f"runs={tmp_path}", *given]) == 2
    assert said in capfd.readouterr().err
