"""The suite of the stirred tank: its PID row, its disturbances, and all of it with a model that learned little."""

from __future__ import annotations

import csv

import numpy as np
import pytest
from omegaconf import OmegaConf

from envs.stirred_tank import StirredTank
from experiments.bench.goal import set_points
from experiments.bench.goal.set_points import Followed, PidPolicy, follow
from experiments.build import compose
from experiments.commands import bench, drive
from experiments.evaluation.goals.measure import make_policy
from experiments.evaluation.goals.protocols import honest

from ...recipe import TINY, settings


@pytest.fixture(scope="module")
def task():
    return StirredTank()


def test_the_pid_follows_set_points_and_chance_does_not(task):
    pairs = honest(task, 60, 0)
    pid = follow(task, PidPolicy(task), pairs)
    assert pid.errors.shape == (60, task.budget)
    assert pid.squared_error < 5 and pid.final_error < 0.5 and not pid.breached.any() and pid.reached.all()
    random = follow(task, make_policy("random", task, None, 0), pairs.first(20))
    assert random.squared_error > 50 and random.reached.mean() < 0.2


def test_a_change_is_the_same_alone_and_among_others(task):
    pairs = honest(task, 55, 0)
    whole, part = follow(task, PidPolicy(task), pairs), follow(task, PidPolicy(task), pairs.part(52, 54))
    np.testing.assert_array_equal(whole.errors[52:54], part.errors)
    np.testing.assert_array_equal(whole.first(3).errors, whole.errors[:3])


@pytest.mark.parametrize("kind", set_points.DISTURBANCES)
def test_a_disturbance_begins_at_its_onset(task, kind):
    pairs = honest(task, 10, 0)
    still, pushed = follow(task, PidPolicy(task), pairs), follow(task, PidPolicy(task), pairs, kind, 40)
    np.testing.assert_array_equal(still.errors[:, :40], pushed.errors[:, :40])
    assert pushed.errors[:, 40:50].mean() > 1.5 * still.errors[:, 40:50].mean()
    assert pushed.breached.any() == (kind == "cooling")  # a fifth of the cooling lost at once is more than it can hold


def test_breaches_and_errors_are_counted(task):
    errors = np.array([[1.0, 3.0], [5.0, 7.0]])
    found = Followed(errors, np.array([True, False]), np.array([False, True]))
    assert found.squared_error == 4.0 and found.final_error == 2.0
    values = {each.case: (each.value, each.unit) for each in set_points._values("model", found)}
    assert values["stirred_tank_breaches_model"] == (1.0, "of 2 changes")
    assert values["stirred_tank_success_model"] == (0.5, "share of 2 changes")


@pytest.mark.slow  # collects and trains
def test_the_suite_writes_every_row_and_drive_has_one_sentence(tmp_path):
    words = [*TINY, "planner.horizon=4", "model.train_blocks=2", "collection.episodes=8"]
    cfg = compose("bench", "suite=stirred_tank", f"runs='{tmp_path}'", f"results='{tmp_path}/rows'")
    suite = {"changes": 2, "simulated_changes": 1, "disturbed_changes": 1, "overrides": words}
    cfg = OmegaConf.merge(cfg, {"suite": suite})
    cfg.suite.promises = {}  # a model that learned little keeps none
    bench.run(cfg)
    rows = {
        row["case"]: row for row in csv.DictReader((tmp_path / "rows" / "stirred_tank.csv").read_text().splitlines())
    }
    for name in ("model", "pid", "oracle", "ceiling", "random", "model_feed", "pid_cooling"):
        assert float(rows[f"stirred_tank_squared_error_{name}"]["value"]) > 0
    assert rows["stirred_tank_breaches_oracle"]["unit"] == "of 1 changes"
    ratio = float(rows["stirred_tank_squared_error_model_to_oracle"]["value"])
    alone = float(rows["stirred_tank_squared_error_model_on_the_oracles"]["value"])
    assert ratio == pytest.approx(alone / float(rows["stirred_tank_squared_error_oracle"]["value"]), rel=1e-4)
    with pytest.raises(ValueError, match="steps MuJoCo itself.* stirred_tank is not such a task"):
        drive.run(settings("drive", tmp_path, "task=stirred_tank", "timing=ideal"))


def test_a_policy_that_does_not_exist_is_named(tmp_path):
    cfg = compose("bench", "suite=stirred_tank", f"runs='{tmp_path}'", "suite.policies=[modle]")
    with pytest.raises(ValueError, match="suite.policies has no row called 'modle': choose from model, pid"):
        bench.run(cfg)
