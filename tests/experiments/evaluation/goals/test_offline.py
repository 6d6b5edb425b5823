"""`plan task=custom`: a model of own logs, judged by what it imagines towards held-out goals."""

from __future__ import annotations

import json

import pytest

from experiments.cli import main
from experiments.commands import plan, train

from ....pages import own_logs
from ...recipe import settings

TINY = ("planner.horizon=9", "episodes=8", "held_out=10")


@pytest.fixture(scope="module")
def logs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("offline")
    own_logs(folder / "logs", episodes=30, steps=40)
    words = ("model.ensemble=1", "training.updates=200", "training.critic_updates=100")
    train.run(
        settings("train", folder, "task=custom", f"data='{folder}/logs'", f"out='{folder}/m.safetensors'", *words)
    )
    return folder


def planned(logs, *words):
    return plan.run(
        settings(
            "plan", logs, "task=custom", f"data='{logs}/logs'", f"checkpoint='{logs}/m.safetensors'", *TINY, *words
        )
    )


def test_rows_say_what_is_imagined_and_what_was_recorded(logs, capsys):
    found = planned(logs)
    said = " ".join(capsys.readouterr().out.split())
    rows = {row.name: row for row in found.rows}
    assert [name.rpartition(", ")[2] for name in rows] == ["imagined"] * 4 + ["recorded"] * 2
    assert "No success was measured" in said and "last 10 of 30 episodes" in said
    assert {row.pairs for row in found.rows} == {8} and found.horizon == 9
    # The logged actions differ from themselves by nothing, and the start is not nearer than itself.
    assert rows["logged actions, imagined"].action_error == 0 and rows["the start, recorded"].nearer == 0
    assert rows["random actions, imagined"].action_error > 0.3
    assert rows["the goal itself, recorded"].steps_left <= rows["the start, recorded"].steps_left
    stored = json.loads((logs / "m-offline.json").read_text())
    assert stored["rows"][0]["name"] == "plan, imagined" and stored["manifest"]["seeds"] == [0]


def test_a_plan_ends_nearer_than_random_actions(logs):
    rows = {row.name: row for row in planned(logs, "planner.iterations=6", "planner.num_samples=128").rows}
    assert rows["plan, imagined"].steps_left <= rows["random actions, imagined"].steps_left


def test_what_cannot_be_measured_gets_a_sentence(logs, capsys):
    with pytest.raises(ValueError, match="has no simulator, so nothing can be measured for results"):
        planned(logs, "results=rows.csv")
    with pytest.raises(ValueError, match="no held-out episode is longer than the planner's horizon of 60 steps"):
        planned(logs, "planner.horizon=60")
    assert main(["plan", "task=custom", f"checkpoint={logs}/m.safetensors"]) == 2
    assert "data=FOLDER" in capsys.readouterr().err
