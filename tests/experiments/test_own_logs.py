import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiments.build.recipes import recipe
from experiments.examples import own_logs
from experiments.training.given_data import describe_logs
from worldmodel.data.dataset import load

from .recipe import settings

ROOT = Path(__file__).parents[2]
DESCRIPTION = {
    "control_period": 0.05,
    "action_low": [-1, -2],
    "action_high": [1.0, 2.0],
    "sensors": ["x", "y", "z"],
    "actuators": ["a", "b"],
}


def folder(tmp_path, **changes):
    (tmp_path / "dataset.json").write_text(json.dumps({**DESCRIPTION, **changes}))
    return tmp_path


def npz(tmp_path, name="e0.npz", steps=4, **changes):
    arrays = {"observations": np.ones((steps + 1, 3)), "actions": np.full((steps, 2), 0.5), **changes}
    np.savez(tmp_path / name, **{key: value for key, value in arrays.items() if value is not None})


def test_npz_and_csv_give_the_same_episodes(tmp_path):
    rng = np.random.default_rng(0)
    observations = rng.normal(size=(5, 3)).astype(np.float32)
    actions = rng.uniform(-1, 1, size=(4, 2)).astype(np.float32)
    positions = observations[:, :1] * 2
    folder(tmp_path, positions=["tip"])
    npz(tmp_path, observations=observations, actions=actions, positions=positions)
    lines = ["b,x,y,z,a,tip"]
    for step in range(5):
        a, b = actions[step] if step < 4 else ("", "")
        lines.append(",".join(str(each) for each in (b, *observations[step], a, positions[step, 0])))
    (tmp_path / "e1.csv").write_text("\n".join(lines))
    data = load(tmp_path)
    assert data.episodes == 2 and data.steps == 8
    for first in (0, 5):
        np.testing.assert_allclose(data.observations[first : first + 5], observations, rtol=1e-6)
        np.testing.assert_allclose(data.actions[first : first + 4], actions, rtol=1e-6)
        np.testing.assert_allclose(data.states[first : first + 5], positions, rtol=1e-6)
    np.testing.assert_array_equal(data.last, [4] * 5 + [9] * 5)
    np.testing.assert_array_equal(data.action_low, [-1, -2])
    description = describe_logs(settings("train", tmp_path, "task=custom"), data, tmp_path)
    assert description["sensors"] == ["x", "y", "z"] and description["control_period"] == 0.05
    other = settings("train", tmp_path, "task=custom", "control_period=0.1")
    assert describe_logs(other, data, tmp_path)["control_period"] == 0.1


@pytest.mark.parametrize(
    ("changes", "arrays", "words"),
    [
        ({"control_period": 0}, {}, "control_period must be positive seconds; got 0"),
        ({"action_low": [5, 5]}, {}, "two finite lists of one length, in this order"),
        ({"action_low": ["a", "b"]}, {}, "must be lists of numbers"),
        ({"extra": 1}, {}, "unknown field extra"),
        ({"sensors": ["x"]}, {}, "sensors has 1 words for 3 sensors"),
        ({"actuators": ["a"]}, {}, "actuators has 1 words for 2 actuators"),
        ({"sensors": "xyz"}, {}, "sensors must be a list of strings"),
        ({}, {"observations": None}, "expected observations"),
        ({}, {"observations": np.ones((4, 3))}, "4 observations for 4 actions"),
        ({}, {"observations": np.full((5, 3), np.nan)}, "observations at step 0 that is not finite"),
        (
            {},
            {"actions": np.full((4, 2), 3.0)},
            "the action at step 0 is 3 in dimension 0, and its bounds are -1 and 1",
        ),
        ({}, {"actions": np.ones((4, 3))}, r"expected \[T\+1, O\]"),
        ({}, {"positions": np.ones((2, 2))}, "one row for each observation"),
        ({}, {"observations": np.array([{}] * 5)}, "not an npz file of numbers"),
    ],
)
def test_logs_that_do_not_follow_the_schema_are_refused(tmp_path, changes, arrays, words):
    npz(folder(tmp_path, **changes), **arrays)
    with pytest.raises(ValueError, match=words):
        load(tmp_path)


def test_files_that_do_not_fit_each_other_are_refused(tmp_path):
    folder(tmp_path)
    with pytest.raises(ValueError, match="holds no episode"):
        load(tmp_path)
    npz(tmp_path)
    npz(tmp_path, "e1.npz", observations=np.ones((5, 2)))
    with pytest.raises(ValueError, match="e1.npz has 2 sensors, and e0.npz has 3"):
        load(tmp_path)
    (tmp_path / "e1.npz").unlink()
    (tmp_path / "e1.csv").write_text("x,y\n1,2\n")
    with pytest.raises(ValueError, match="no column z"):
        load(tmp_path)
    (tmp_path / "e1.csv").write_text("x,y,z,a,b\n1,2,3,0,zero\n1,2,3,,\n")
    with pytest.raises(ValueError, match=r"e1.csv, line 2 has the cell 'zero', which is not a number, in its column b"):
        load(tmp_path)
    (tmp_path / "e1.csv").unlink()
    (tmp_path / "dataset.json").write_text("[")
    with pytest.raises(ValueError, match="is not JSON"):
        load(tmp_path)


def test_custom_needs_data(tmp_path):
    from experiments.training.ensure import ensure_data

    with pytest.raises(ValueError, match="add data=FOLDER"):
        ensure_data(settings("train", tmp_path, "task=custom"), 0)
    assert recipe(settings("train", tmp_path, "task=custom", "data=logs"), 0)["data"] == "logs"


WITHOUT_SIMULATOR = """
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in {"mujoco", "dm_control", "gymnasium_robotics"}:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
sys.meta_path.insert(0, Blocked())
from pathlib import Path
from experiments.examples import own_logs
small = ["budget=smoke", "model.latent_size=8", "model.width=32", "model.head_width=16", "model.train_blocks=3",
         "planner.num_samples=32", "planner.iterations=2", "training.updates=400", "training.updates_per_call=100"]
print(own_logs.main(Path(sys.argv[1]), *small))
"""


@pytest.mark.slow  # trains a model in a process of its own
def test_the_worked_example_needs_no_simulator(tmp_path):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])}
    command = [sys.executable, "-c", WITHOUT_SIMULATOR, str(tmp_path / "cart")]
    done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert float(done.stdout.splitlines()[-1]) < 0.25
    assert own_logs.PERIOD == 0.05
