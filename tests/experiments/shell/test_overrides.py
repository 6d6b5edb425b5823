"""Odd paths on the command line: what is printed runs as printed, and what is typed is understood."""

from __future__ import annotations

import shlex
from pathlib import Path

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import QuotedString
from hypothesis import given
from hypothesis import strategies as st
from omegaconf import OmegaConf

from experiments.build import compose
from experiments.commands import demo, train
from experiments.shell.overrides import PATHS, command_line, list_words, override, readable
from experiments.shell.say import say
from experiments.training.online import run as train_online

ODD = [
    "model (1).safetensors",
    "a=b.safetensors",
    "größe/ä ö.safetensors",
    "~/model",
    "model~",
    "-model",
    "a,b",
    "it's",
    'say "so"',
    "${oc.env:HOME}/x",
    "a\\${b}",
    "back\\slash\\",
    "[x]",
    "{a: b}",
    "null",
    "True",
    "1",
    "1e5",
    ".5",
    "a:b",
    "#hash!",
    "$HOME `id`",
    "choice(a,b)",
    " spaces ",
]


def value_of(word):
    """What the program is told by one word after the shell: Hydra's grammar first, OmegaConf's references then."""
    parsed = OverridesParser.create().parse_override(word)
    assert not parsed.is_sweep_override()
    value = parsed.value()
    return OmegaConf.create({"k": value.text if isinstance(value, QuotedString) else value}).k


def round_trip(text):
    words = shlex.split(command_line("plan", {"checkpoint": text, "task": "two_room"}))
    assert words[:2] == ["jepa-mpc", "plan"] and words[3:] == ["task=two_room"]
    assert value_of(words[2]) == text
    assert readable(words[2:], False) == words[2:], "what is written for Hydra is left alone"


@pytest.mark.parametrize("text", ODD)
def test_a_printed_path_means_itself(text):
    round_trip(text)


@given(st.text(st.sampled_from("aZ0.5_/-~=,:;()[]{}'\"\\$ #!%@+|&*?<>äß\t日e"), min_size=1, max_size=12))
def test_any_printed_path_means_itself(text):
    if text != "???":  # OmegaConf's word for a value that is missing
        round_trip(text)


@pytest.mark.parametrize("values", [[0, 1, 2], ["a", "b (1)"], [True, None, 0.5]])
def test_lists_are_printed(values):
    word = shlex.split(command_line("plan", {"seeds": values}))[2]
    assert value_of(word) == values


@pytest.mark.parametrize("text", [each for each in ODD if "${" not in each and not each.startswith(("~", " "))])
@pytest.mark.parametrize("key", ["checkpoint", "out", "online.curves"])
def test_a_typed_path_is_understood(key, text):
    """As a shell hands it over, without any quotes of Hydra's."""
    if text.lower() == "null":  # the word for none
        return
    (word,) = readable([f"{key}={text}"], False)
    assert value_of(word) == text.replace("\\\\", "\\")


def test_home_is_found_and_sweeps_and_references_stay():
    assert value_of(readable(["data=~/logs (1)"], False)[0]) == str(Path.home() / "logs (1)")
    assert value_of(readable(["data='~/logs'"], False)[0]) == "~/logs"
    assert readable(["checkpoint=a,b", "-m"], True) == ["checkpoint=a,b", "-m"]
    kept = ["out=runs/${task.name}", "curves=[a,b]", "checkpoint=null", "seed=(1)", "checkpoint='a (1)'", "out="]
    assert readable(kept, False) == kept


def test_a_path_is_a_setting_of_some_command():
    known = {
        line.partition(":")[0] for file in Path("configs").rglob("*.yaml") for line in file.read_text().split("\n")
    }
    assert {path.rpartition(".")[2] for path in PATHS} <= {line.strip() for line in known}


def test_overrides_keep_the_key():
    assert override("task", "dmc/walker-walk") == "task=dmc/walker-walk"
    assert override("online.curves", "mine (1).csv") == "online.curves='mine (1).csv'"


@pytest.mark.parametrize("text", ["a (1)/[x].safetensors", "größe/m.safetensors", "x" * 200 + " y"])
def test_what_commands_print_can_be_pasted(text, capsys):
    """The next command that training names, and a report's: whole, on one line, with every bracket."""
    train.next_command(Path(text), "two_room")
    train_online._tell("done", Path(text))
    say(train.next_command(Path(text), "two_room"))
    say(train.next_command(Path(text), "custom"))
    printed = [line.split(": ", 1)[1] for line in capsys.readouterr().out.splitlines() if ": jepa-mpc " in line]
    assert len(printed) == 3
    for line in printed:
        words = shlex.split(line)
        assert [value_of(word) for word in words if word.startswith("checkpoint=")] == [text]


def test_a_reports_commands_keep_its_settings(monkeypatch):
    """The second one plans with the model that is there, and trains the others like it."""
    job = OmegaConf.create({"overrides": {"task": ["budget=smoke", "seed=4", "runs='a (1)'", "planner.horizon=9"]}})
    monkeypatch.setattr(demo.HydraConfig, "initialized", lambda: True)
    monkeypatch.setattr(demo.HydraConfig, "get", lambda: job)
    cfg = OmegaConf.create({"task": {"name": "two_room"}, "seed": 4, "runs": "a (1)"})
    first, second = (shlex.split(line)[2:] for line in demo.next_commands(cfg, Path("a (1)/m.safetensors")))
    assert compose("plan", *first).checkpoint == "a (1)/m.safetensors"
    again = compose("plan", *second)
    assert (again.runs, list(again.seeds), again.planner.horizon) == ("a (1)", [4, 5, 6], 9)
    assert again.training.updates == compose("demo", "budget=smoke").training.updates


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        ([], []),
        (["tasks"], ["what=tasks"]),
        (["sensors", "task=dmc/walker-walk"], ["what=sensors", "of=dmc/walker-walk"]),
        (["what=models", "runs=a"], ["what=models", "runs=a"]),
        (["--help", "all"], ["--help", "all"]),
        (["format=json"], ["format=json"]),
    ],
)
def test_the_first_word_after_list_is_the_list(typed: list[str], meant: list[str]) -> None:
    assert list_words(typed) == meant
