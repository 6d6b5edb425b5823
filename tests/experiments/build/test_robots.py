"""A model saved from Python says which robot it is for, or the commands say what is missing."""

import pytest

from experiments import build
from experiments.commands import export
from planning.control import Bundle
from worldmodel import ModelConfig, create, freeze, save_model, vector

CONFIG = ModelConfig(observation=vector(3), action_size=2, latent_size=4, width=8, head_width=8, policy=False)
ROBOT = {"task": "point", "action_low": [-1, -1], "action_high": [1, 1], "control_period": 0.1}


def saved(path, metadata=None):
    save_model(path, freeze(create(CONFIG, 0), CONFIG), metadata=metadata)
    return path


def test_a_model_saved_from_python_is_exported_by_the_command(tmp_path):
    path = saved(tmp_path / "point.safetensors", {"task": ROBOT})
    export.run(build.compose("export", f"checkpoint={path}", f"out={tmp_path / 'point.bundle'}", "planner.horizon=3"))
    contract = Bundle.load(tmp_path / "point.bundle").contract
    assert (contract.task, contract.control_period, contract.action_size) == ("point", 0.1, 2)


@pytest.mark.parametrize(
    ("metadata", "missing"),
    [(None, "task, action_low, action_high, control_period"), ({"task": {"task": "point"}}, "action_low, action_high")],
)
def test_a_file_without_its_robot_is_refused_with_the_fix(tmp_path, metadata, missing):
    path = saved(tmp_path / "point.safetensors", metadata)
    with pytest.raises(ValueError, match=f"does not describe its robot .{missing}.*save_model.path, model, metadata="):
        export.run(build.compose("export", f"checkpoint={path}", f"out={tmp_path / 'point.bundle'}"))
    with pytest.raises(ValueError, match="does not describe its robot"):
        build.controller(path)


def test_a_module_needs_its_config(tmp_path):
    with pytest.raises(ValueError, match="give save_model its config, or freeze it first"):
        save_model(tmp_path / "point.safetensors", create(CONFIG, 0))
