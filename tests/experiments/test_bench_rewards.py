"""The suite that fills the table of learning curves."""

import pytest

from experiments import cli, curves

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
    assert "must each name something to measure" in capfd.readouterr().err
