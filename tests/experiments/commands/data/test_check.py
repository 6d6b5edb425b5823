"""`jepa-mpc check`, as it is typed, on environments with one thing wrong and on recorded data."""

from __future__ import annotations

import json
import sys

import gymnasium
import pytest

from experiments.cli import main

from ....envs.test_own_files import FILE
from ....pages import own_logs

GOOD = FILE.replace(
    """observation=gymnasium.spaces.Dict(
            place=POINT, grip=gymnasium.spaces.Discrete(3), grid=gymnasium.spaces.Box(-2.0, 2.0, (2, 2), np.float64)
        ),""",
    "observation=POINT,",
).replace('{"place": self.x.copy(), "grip": int(self.x[0] > 0), "grid": np.stack([self.x, -self.x])}', "self.x.copy()")
SMALL = ("sample=30", "collection.steps=100", "format=json")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    yield tmp_path
    sys.modules.pop("my_cart", None)
    gymnasium.registry.pop("Cart-v0", None)


def checked(capsys, *words: str) -> tuple[int, dict[str, dict]]:
    code = main(["check", *words])
    said = capsys.readouterr()
    assert said.out.strip(), said.err
    found = json.loads(said.out)
    assert found["exit_code"] == any(each["state"] == "fault" for each in found["rows"]) == bool(code)
    return code, {each["name"]: each for each in found["rows"]}


def test_a_good_environment_has_no_fault(folder, capsys):
    (folder / "my_cart.py").write_text(GOOD)
    code, found = checked(capsys, "task=goal/my_cart:Cart-v0", *SMALL)
    assert code == 0 and {name for name, each in found.items() if each["state"] != "pass"} <= {"goals within reach"}
    assert found["control period"]["found"] == "100 ms" and found["time limit"]["value"] == 20
    assert "75,000 steps of data" in found["speed"]["found"]


@pytest.mark.parametrize(
    ("old", "new", "name", "state"),
    [
        ("self.compute_reward(self.x, self.goal, {}), False", "-2.0, False", "reward", "fault"),
        ("self.x + 0.1 * action", "self.x + 0.1 * action + 0.01 * np.random.standard_normal(2)", "dynamics", "fault"),
        ("self.np_random.uniform(-1, 1, (2, 2))", "np.random.uniform(-1, 1, (2, 2))", "seed", "fault"),
        ("self.x, self.goal = self.np_random", "self.x = self.goal = self.np_random", "task", "fault"),
        (", max_episode_steps=20", "", "time limit", "warning"),
        (', "render_fps": 10', "", "control period", "warning"),
        ("> 0.05", "> 1.5", "success of random", "warning"),
        ("axis=-1) > 0.05", "ord=2) > 0.05", "batches", "warning"),
        ("self.np_random.uniform(-1, 1, (2, 2))", "np.array([[0.1, 0.2], [0.5, 0.6]])", "starts", "warning"),
        ("goal.copy()}", "goal}", "interface", "fault"),
    ],
)
def test_one_thing_wrong_is_named(folder, capsys, old, new, name, state):
    assert old in GOOD
    (folder / "my_cart.py").write_text(GOOD.replace(old, new))
    _, found = checked(capsys, "task=goal/my_cart:Cart-v0", *SMALL)
    assert found[name]["state"] == state and found[name]["fix"], found


def test_goals_out_of_reach(folder, capsys):
    far = GOOD.replace("np.clip(self.x + 0.1 * action, -2, 2)", "np.clip(self.x + 0.001 * action, -2, 2)")
    (folder / "my_cart.py").write_text(far)
    _, found = checked(capsys, "task=goal/my_cart:Cart-v0", *SMALL)
    assert found["goals within reach"]["state"] != "pass"


def test_a_task_of_ours_with_walls(folder, capsys):
    code, found = checked(capsys, "task=two_room", "sample=30", "format=json")
    assert code == 0 and found["walls"]["state"] == found["goals within reach"]["state"] == "pass"


def test_a_reward_task(folder, capsys):
    code, found = checked(capsys, "task=gym/Pendulum-v1", "format=json")
    assert code == 0 and found["reward"]["state"] == "pass" and "300 random decisions" in found["reward"]["found"]
    code, found = checked(capsys, "task=gym/CartPole-v1", "format=json")
    assert code == 1 and "Discrete(2)" in found["task"]["found"]


def test_a_folder_of_logs_in_words(folder, capsys):
    own_logs(folder / "my_logs")
    assert main(["check", "data=my_logs"]) == 0
    said = capsys.readouterr().out
    assert "near rest" in said and "warnings, 0 faults" in said


def test_logs_that_cannot_be_read(folder, capsys):
    own_logs(folder / "my_logs")
    (folder / "my_logs" / "dataset.json").write_text("{}")
    code, found = checked(capsys, "data=my_logs", "format=json")
    assert code == 1 and found["read"]["state"] == "fault"


def test_nothing_to_check(folder, capsys):
    assert main(["check"]) == 2
    assert "nothing to check: add task=NAME" in capsys.readouterr().err


def test_training_warns_of_coarse_data_in_one_line(folder, caplog):
    task = "task=goal/experiments.examples.hold_reacher:HoldReacher-v0"
    words = [task, "behaviour=coloured_noise", "budget=smoke", "model.latent_size=8", "model.width=32"]
    assert main(["train", *words, "model.head_width=16", "model.train_blocks=3", "model.ensemble=1"]) == 0
    (said,) = (record.getMessage() for record in caplog.records if "are near rest" in record.getMessage())
    assert "jepa-mpc check data=runs/goal-experiments" in said
