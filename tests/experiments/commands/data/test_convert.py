import json

import pytest

from experiments.cli import main
from experiments.commands import train

from ....pages import own_logs
from ...recipe import settings


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    home = tmp_path_factory.mktemp("converted")
    own_logs(home / "logs", episodes=12, steps=30)
    assert main(["convert", f"data='{home / 'logs'}'", f"out='{home / 'out'}'", "instruction='turn the joints'"]) == 0
    return home


def test_logs_are_converted_checked_and_learned_from(converted, tmp_path, capsys):
    assert main(["check", f"data='{converted / 'out'}'", "format=json"]) == main(
        ["check", f"data='{converted / 'logs'}'", "format=json"]
    )
    lerobot, logs = (json.loads(line) for line in capsys.readouterr().out.splitlines() if line.startswith("{"))
    states = [{row["name"]: row["state"] for row in each["rows"]} for each in (lerobot, logs)]
    assert states[0] == states[1] and states[0]["read"] == "pass"
    cfg = settings("train", tmp_path, "task=custom", f"data='{converted / 'out'}'")
    trained = train.run(cfg)
    described = trained.metadata["task"]
    assert (described["task"], described["control_period"]) == ("my_arm", 0.05)
    assert described["sensors"] == ["q1", "q2", "dq1", "dq2"] and described["action_low"] == [-2, -2]


def test_what_it_prints_and_refuses(converted, tmp_path, capsys):
    capsys.readouterr()
    arguments = ["convert", f"data='{converted / 'logs'}'", f"out='{tmp_path / 'new'}'"]
    assert main(arguments) == 0
    assert "12 episodes, 372 frames at 20 a second" in capsys.readouterr().out
    assert main(arguments) == 2 and "something at" in capsys.readouterr().err
    assert main(["convert", "data=[a,b]", "out=c"]) == 2 and "data must be the folder" in capsys.readouterr().err
    assert main(["convert", "data=null", "out=c"]) == 2 and "data must be the folder" in capsys.readouterr().err
    assert main(["convert", "data=a", "out=null"]) == 2 and "out must be the folder" in capsys.readouterr().err
