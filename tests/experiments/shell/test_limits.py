"""One wrong value for each setting of each command: found before anything begins, in one sentence that names it."""

from __future__ import annotations

import re

import pytest
from omegaconf import OmegaConf

from experiments import cli
from experiments.build import compose
from experiments.shell.folders import config_dir
from experiments.shell.limits import Flag, Group, Number, Places, Several, Whole, Word, check, kind_of, leaves

CONFIGS = config_dir()
# Names and values that users choose; a bench suite checks them.
FREE = ("ceiling", "suite.reference", "suite.cores", "grid.points")
CONTEXT = {"drive": {"timing": "delay"}, "compare": {"at": 1}, "bench": {"suite": {}}}  # what tells these commands


def settings():
    """Every setting in every file, once: (key, value, the command's file or "")."""
    found = {}
    for file in sorted(CONFIGS.rglob("*.yaml")):
        place = file.relative_to(CONFIGS).parent.parts
        prefix = () if "@package _global_" in file.read_text() else place
        tree = OmegaConf.to_container(OmegaConf.load(file))
        tree.pop("defaults", None)
        for name in reversed(prefix):
            tree = {name: tree}
        for key, value in leaves(tree):
            found.setdefault((key, type(value)), (key, value, "" if place else file.stem))
    return found.values()


def wrong_values(kind, value):
    """Values that nobody can mean by a setting of this kind."""
    if isinstance(kind, Whole):
        return [kind.low - 1, 1.5, "tru", True, [1], {"a": 1}]
    if isinstance(kind, Number):
        low = [] if kind.low == float("-inf") else [kind.low if kind.above else kind.low - 1]
        high = [] if kind.high == float("inf") else [kind.high if kind.below else kind.high + 1]
        return [*low, *high, "many", float("nan"), float("inf"), True, {"a": 1}]
    if isinstance(kind, Flag):
        return ["tru", 1, None if value is not None else 0]
    if isinstance(kind, Word):
        return [["a"], {"a": 1}, *(["flaot32"] if kind.choices else [])]
    if isinstance(kind, Places):
        return [{"a": 1}, True, [], [["a"]], ["a", True]]
    if isinstance(kind, Several):
        if isinstance(kind.each, Group):
            return [3, [3], "x"]
        return [{"a": 1}, *([[]] if kind.fewest else []), *([[-1], ["x"]] if isinstance(kind.each, Whole) else [])]
    return [3, "x", [1]]


def test_every_setting_says_what_it_may_be():
    unknown = {key for key, value, _ in settings() if kind_of(key, value) is None and not isinstance(value, dict)}
    unknown -= {key for key in unknown if key.startswith(FREE)}
    assert unknown == set()


def test_one_wrong_value_for_each_setting_is_one_sentence_that_names_it():
    tried, missed = 0, []
    for key, value, command in settings():
        kind = kind_of(key, value)
        if kind is None or command == "diagnose" or key.endswith("_target_"):
            continue
        for wrong in wrong_values(kind, value):
            if isinstance(wrong, dict) and (key.startswith("suite.") or key in ("baseline", "goal")):
                continue  # a group there in another suite
            cfg = OmegaConf.create(CONTEXT.get(command, {}))
            OmegaConf.update(cfg, key, wrong, merge=False)
            try:
                check(cfg)
                missed.append((key, wrong))
            except ValueError as error:
                tried += 1
                told = str(error)
                assert told == f"{key} is empty: name at least one" or re.match(f"{key} must .*; got .*$", told), told
    assert missed == []
    assert tried > 600


@pytest.mark.parametrize(
    ("command", "word", "key", "expected"),
    [
        ("plan", "policies=reflex", "policies", ["reflex"]),
        ("plan", "seeds=3", "seeds", [3]),
        ("export", "platforms=cpu", "platforms", ["cpu"]),
        ("compare", "methods=td", "methods", ["td"]),
    ],
)
def test_a_single_value_is_a_list_of_one(command, word, key, expected):
    assert OmegaConf.select(compose(command, word), key) == expected


@pytest.mark.parametrize(
    ("command", "words", "sentence"),
    [
        ("plan", ["episodes=0"], "episodes must be at least 1; got 0"),
        ("plan", ["planner.num_samples=-3"], "planner.num_samples must be at least 1; got -3"),
        ("drive", ["view=tru"], "view must be true or false; got 'tru'"),
        ("drive", ["timing=idael"], "timing must be one of ideal, delay, wallclock; did you mean ideal?; got 'idael'"),
        (
            "plan",
            ["precision=float16"],
            "precision must be one of float32, bfloat16, auto; did you mean bfloat16?; got 'float16'",
        ),
        ("train", ["training.learning_rate=0"], "training.learning_rate must be positive; got 0"),
        ("train", ["objective.expectile=1"], "objective.expectile must be more than 0 and less than 1; got 1"),
        ("plan", ["cost.distance=3"], "cost.distance must be settings by name, as in {name: value}; got 3"),
        ("plan", ["episodes=null"], "episodes must be a whole number; got null"),
    ],
)
def test_a_wrong_value_is_named(command, words, sentence):
    with pytest.raises(ValueError) as caught:
        compose(command, *words)
    assert str(caught.value) == sentence


def test_a_wrong_value_on_the_command_line_ends_it_before_it_begins(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", "training.learning_rate=0"]) == 2
    assert capsys.readouterr() == ("", "jepa-mpc: training.learning_rate must be positive; got 0\n")
    assert not list(tmp_path.iterdir())
