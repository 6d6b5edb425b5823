"""The comments in `configs/` are the one source of what settings mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import cli
from experiments.reference import files, page
from experiments.reference.allowed import allowed, shown
from experiments.shell.shadowing import ROOT

EXAMPLE = """# @package _global_
# What the file is for. And when
# to use it.
defaults:
  - _self_

seed: 0               # of the data
# A longer meaning,
name: 'a # b'         # in two parts
text: "#1"
base: {a: 1, b: 2}    # both of them
nested:               # of the group
  deeper:
    size: 64          # in pixels
    list: [1, 2]
  own:
    - name: 3         # inside a list

# Above an empty line: no meaning.

bare: null
"""


def test_comments_beside_above_and_of_a_line(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE)
    found = files.read(path, "group")
    assert found.title == "What the file is for. And when to use it."
    assert found.first_sentence == "What the file is for"
    assert {each.key: each.meaning for each in found.settings} == {
        "seed": "of the data",
        "name": "A longer meaning, in two parts",
        "text": "",
        "base.a": "both of them",
        "base.b": "both of them",
        "nested.deeper.size": "in pixels",
        "nested.deeper.list": "",
        "nested.own": "",
        "bare": "",
    }
    assert found.settings[2].value == "#1"


@pytest.mark.parametrize("file", files.all_files(), ids=lambda file: f"{file.group}-{file.name}")
def test_every_file_has_a_title_and_every_setting_a_meaning(file: files.SettingsFile) -> None:
    assert file.title, "say in the first lines what it is for"
    without = [each.key for each in file.settings if not files.own_meaning(file, each)]
    assert not without, "write a comment beside them, with the unit"


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_every_setting_of_a_command_says_what_it_may_be(name: str) -> None:
    file = files.command_file(name)
    assert [each.key for each in file.settings if not allowed(each.key, each.value)] == []


def test_the_configuration_reference_is_current() -> None:
    assert (ROOT / "docs" / "configuration.md").read_text() == page.markdown(cli.COMMANDS), (
        "make it again with `make reference`"
    )


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("seed", 0, "whole number, 0 to 4294967295"),
        ("planner.horizon", 15, "whole number, 1 or more"),
        ("training.learning_rate", 0.1, "number, more than 0"),
        ("objective.expectile", 0.3, "number, more than 0, less than 1"),
        ("objective.dropout", 0.2, "number, 0 or more, less than 1"),
        ("objective.bootstrap", 0.8, "number, more than 0, 1 at most"),
        ("precision", "float32", "float32, bfloat16 or auto"),
        ("view", False, "true or false"),
        ("checkpoint", None, "path or null"),
        ("members", 1, "whole number, 1 or more or null"),
        ("episodes", 100, "whole number, 1 or more"),
        ("platforms", ["cpu"], "list of cpu and cuda, not empty"),
        ("suite.priorities", [1, 2], "list of whole numbers, 0 or more each, 2 or more of them"),
        ("constraint", {}, "settings by name"),
        ("planner.of_my_own", 1, ""),
    ],
)
def test_what_a_setting_may_be(key: str, value: object, words: str) -> None:
    assert allowed(key, value) == words


def test_values_as_they_are_typed() -> None:
    assert [shown(each) for each in (None, True, "", [1, [2.5, "a"]], {"a": None})] == [
        "null",
        "true",
        "''",
        "[1,[2.5,a]]",
        "{a: null}",
    ]
