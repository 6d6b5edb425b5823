import copy

import pytest

from experiments import cli
from experiments.build.learned import learned
from experiments.build.reward_metadata import check_metadata
from worldmodel.models.checkpoint import load_reward_model, save_reward_model

from ..reward_recipe import save_random_reward_model


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    return save_random_reward_model(tmp_path_factory.mktemp("rewards") / "m.safetensors")


def put(key, value):
    """A change of the metadata at a dotted key; without a value, the key goes."""

    def change(metadata):
        *path, last = key.split(".")
        for name in path:
            metadata = metadata[name]
        metadata.pop(last) if value is ... else metadata.update({last: value})

    return change


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (put("task", ...), "names no task"),
        (put("task", 7), "names no task"),
        (put("discount", float("nan")), "has nan as its discount"),
        (put("discount", "0.9"), "has '0.9' as its discount"),
        (put("settings", ...), "lacks the settings that it was trained with"),
        (put("settings.online", [1]), "lacks the settings that it was trained with"),
        (put("settings.planner.num_samples", 10**9), "has 1000000000 as planner.num_samples"),
        (put("settings.planner.horizon", float("inf")), "has inf as planner.horizon"),
        (put("settings.online.action_repeat", 10**9), "has 1000000000 as online.action_repeat"),
        (
            put("settings.planner._target_", "os.path"),
            "plans with 'os.path', which is not part of jepa-mpc: add planner=NAME",
        ),
        (put("settings.planner._target_", 7), "plans with 7, which is not part of jepa-mpc"),
    ],
)
def test_settings_in_a_header_are_checked(checkpoint, change, words):
    metadata = copy.deepcopy(load_reward_model(checkpoint).metadata)
    check_metadata(checkpoint, metadata)
    change(metadata)
    with pytest.raises(ValueError, match=words):
        check_metadata(checkpoint, metadata)


def test_a_file_does_not_choose_what_is_imported(checkpoint, tmp_path, monkeypatch, capfd):
    """Nor does it run a script of the user's that happens to have the name."""
    (tmp_path / "payload.py").write_text("raise SystemExit('imported')")
    monkeypatch.syspath_prepend(tmp_path)
    loaded = load_reward_model(checkpoint)
    metadata = copy.deepcopy(loaded.metadata)
    metadata["settings"]["planner"] = {"_target_": "payload.Planner"}
    path = tmp_path / "m.safetensors"
    save_reward_model(path, loaded.model.params, loaded.model.config, metadata)
    assert cli.main(["plan", f"checkpoint={path}"]) == 2
    assert "plans with 'payload.Planner', which is not part of jepa-mpc" in capfd.readouterr().err
    assert learned(path, "planner=cem").cfg.planner._target_ == "planning.CEM"
