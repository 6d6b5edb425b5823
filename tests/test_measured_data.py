"""Numbers in docs/recording.md and docs/tutorial_environment.md are those of the data and of the committed rows."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import envs
from envs.behaviours import Behaviour
from experiments.build import compose, make
from experiments.checks.goals import Recorded
from experiments.checks.recording import motion
from experiments.checks.signals import Signals
from experiments.records.results import read_csv

ROOT = Path(__file__).parents[1]
REACHER = "goal/experiments.examples.hold_reacher:HoldReacher-v0"
PAGE = (ROOT / "docs/recording.md").read_text()
ROWS = re.findall(
    r"^\| (Gymnasium's Reacher, `\w+`|`\w+`, as collected) \| ([\d.]+) % \| ([\d.]+) % \|$", PAGE, re.MULTILINE
)


def test_the_table_has_rows():
    assert len(ROWS) == 6


@pytest.mark.parametrize(("name", "rest", "speed"), ROWS, ids=[name for name, *_ in ROWS])
def test_recorded_data_are_as_the_page_says(name, rest, speed):
    word = name.split("`")[1]
    words = (f"task={REACHER}", f"behaviour={word}") if name.startswith("Gym") else (f"task={word}",)
    behaviour: Behaviour = make(compose("collect", *words).behaviour, "behaviour")
    data = Recorded(envs.make(REACHER if name.startswith("Gym") else word), behaviour, 100, 200).data
    found = [100 * (each.value or 0.0) for each in motion(data, Signals.of(data))]
    assert found == pytest.approx([float(rest), float(speed)], abs=0.3)


def test_the_tutorials_table_is_that_of_the_committed_rows():
    page = (ROOT / "docs/tutorial_environment.md").read_text()
    for row in read_csv(ROOT / "experiments/results/own_environment.csv"):
        success = f"{100 * row.success_rate:.1f} % ({100 * row.ci_low:.1f}–{100 * row.ci_high:.1f})"
        assert f"| {row.policy} | {success} | {row.episodes} |" in page
        assert row.task == "goal/my_arm:ReachArm-v0"


def test_what_models_of_both_sets_held_is_that_of_the_committed_rows():
    rows = [row for row in read_csv(ROOT / "experiments/results/recording.csv") if row.policy == "model"]
    assert [row.variant for row in rows] == ["coloured_noise", "varied"]
    for row in rows:
        assert row.task == REACHER and f"| `{row.variant}` | {row.successes} | {row.episodes} |" in PAGE
