"""The suite that fills the table of learning curves."""

from unittest.mock import Mock

import pytest

from experiments import cli
from experiments.records import curves

TINY = ["model.width=16", "model.encoder_width=16", "model.critic_width=16", "model.policy_width=16"]
TINY += ["online.steps=200", "online.seed_decisions=100", "online.evaluate_every=100", "online.slots=500"]
TINY += ["online.evaluate_episodes=1", "training.batch=8", "online.actor=policy"]


def bench(tmp_path, *words):
    where = [f"results={tmp_path}", f"runs={tmp_path / 'runs'}"]
    return cli.main(["bench", "suite=rewards", *where, "suite.tasks=[gym/Pendulum-v1]", *words])


def test_it_learns_what_is_missing_and_names_what_fails(tmp_path, capfd, caplog):
    told = f"suite.settings.td={TINY}"
    assert bench(tmp_path, told, "suite.methods=[td]") == 0, capfd.readouterr().err
    rows = curves.read(tmp_path / "dmc_curves.csv")
    assert [(row.method, row.task, row.seed, row.env_steps) for row in rows] == [
        ("jepa-mpc", "gym/Pendulum-v1", 0, 0),
        ("jepa-mpc", "gym/Pendulum-v1", 0, 100),
        ("jepa-mpc", "gym/Pendulum-v1", 0, 200),
    ]
    assert rows[0].command.startswith("jepa-mpc bench suite=rewards")
    assert bench(tmp_path, told, "suite.methods=[td]") == 0
    assert "1 of 1 runs are measured already" in caplog.text
    assert curves.read(tmp_path / "dmc_curves.csv") == rows
    # Measured again, it comes to the same.
    assert bench(tmp_path, told, "suite.methods=[td]", "redo=true") == 0
    again = curves.read(tmp_path / "dmc_curves.csv")
    assert [row.mean_return for row in again] == [row.mean_return for row in rows] and again != rows
    # A run that fails is named, and the others are done nevertheless.
    assert bench(tmp_path, told, "suite.methods=[td]", "suite.tasks=[gym/CartPole-v1,gym/Pendulum-v1]") == 1
    assert "failed: jepa-mpc gym/CartPole-v1 0" in caplog.text
    assert {row.task for row in curves.read(tmp_path / "dmc_curves.csv")} == {"gym/Pendulum-v1"}


@pytest.mark.parametrize("words", ["suite.methods=[]", "suite.tasks=[]", "suite.seeds=[]"])
def test_nothing_to_measure_is_refused(words, tmp_path, capfd):
    assert bench(tmp_path, words) == 2
    told = capfd.readouterr().err
    assert "must each name something to measure" in told or "suite.seeds is empty: name at least one" in told


def test_measured_again_a_run_keeps_its_rows_until_it_begins(tmp_path, monkeypatch):
    def row(seed):
        run = {"method": "jepa-mpc", "task": "gym/Pendulum-v1", "seed": seed, "command": "jepa-mpc bench"}
        return curves.CurveRow(
            **run, env_steps=200, gradient_steps=200, wall_s=1.0, mean_return=-900.0, action_repeat=1
        )

    for seed in (0, 1):
        curves.append(tmp_path / "dmc_curves.csv", row(seed), {})
    monkeypatch.setattr("experiments.training.run.run", interrupted := Mock(side_effect=KeyboardInterrupt))
    bench(tmp_path, f"suite.settings.td={TINY}", "suite.methods=[td]", "suite.seeds=[0,1]", "redo=true")
    interrupted.assert_called_once()
    assert curves.read(tmp_path / "dmc_curves.csv") == [row(1)]
