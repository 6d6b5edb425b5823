"""Earlier names of settings: understood, and said once what to write instead."""

from __future__ import annotations

import logging

import pytest

from experiments import build, cli
from experiments.shell import renamed
from experiments.shell.renamed import current


@pytest.fixture(autouse=True)
def nothing_said_yet():
    renamed.announce.cache_clear()


@pytest.mark.parametrize(
    ("words", "new"),
    [
        (["objective=td"], ["method=td"]),
        (["seed=1", "objective=sac", "task=reward"], ["seed=1", "method=sac", "task=reward"]),
        (["objective=ppo"], ["method=ppo"]),
        (["objective=true_dynamics"], ["method=ceiling"]),
        (["objective=reward_free"], ["method=td", "objective=reward_free"]),
        (["-m", "objective=td,sac,true_dynamics"], ["-m", "method=td,sac,ceiling"]),
        (["-m", "objective=jepa,td"], ["-m", "method=jepa,td"]),
        (["-m", "objective=reward_free,td"], ["-m", "method=td", "objective=reward_free,reward"]),
        (["method=td", "objective=td"], ["method=td"]),
        (["suite.methods=[td,true_dynamics]"], ["suite.methods=[td,ceiling]"]),
        (["suite.settings.true_dynamics=[seed=1]"], ["suite.settings.ceiling=[seed=1]"]),
    ],
)
def test_an_earlier_name_is_replaced_and_said_once(words, new, caplog):
    assert current(words) == new
    assert current(words) == new
    (said,) = caplog.records
    assert said.levelno == logging.WARNING and "is an earlier name: write " in said.message


@pytest.mark.parametrize(
    "words",
    [["objective=jepa"], ["method=td", "objective=reward_free"], ["objective.sigreg=0.1"], ["--help"], ["seed=1"]],
)
def test_current_names_stay_without_a_word(words, caplog):
    assert current(words) == words
    assert not caplog.records


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["method=sac", "objective=td"], "objective=td is an earlier name of method=td, which contradicts method=sac"),
        (["objective=jepa,reward_free"], "objective=jepa,reward_free names objectives of several methods"),
    ],
)
def test_a_contradiction_is_refused(words, said):
    with pytest.raises(ValueError, match=said):
        current(words)


def test_both_spellings_compose_to_the_same_settings():
    task = ("task=reward", "task.name=gym/Pendulum-v1")
    for earlier, now in (
        (["objective=td"], ["method=td"]),
        (["objective=reward_free"], ["method=td", "objective=reward_free"]),
        (["objective=true_dynamics"], ["method=ceiling"]),
    ):
        assert build.compose("train", *earlier, *task) == build.compose("train", *now, *task)


def test_the_command_says_what_to_write(capfd, caplog):
    words = ["task=gym/Pendulum-v1", "online.steps=0"]
    assert cli.main(["train", "objective=true_dynamics", *words]) == 2
    assert "online.steps must be at least 1" in capfd.readouterr().err
    said = "objective=true_dynamics is an earlier name: write method=ceiling"
    assert [record.message for record in caplog.records] == [said]
    assert cli.main(["train", "method=ceiling", *words]) == 2
    assert len(caplog.records) == 1
