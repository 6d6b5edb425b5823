"""README and docs show only rows that were measured."""

import re
from pathlib import Path

import pytest

from experiments import build
from experiments.bench.goal.table import TIMES, markdown
from experiments.commands import compare
from experiments.comparison.tables import tables
from experiments.records.intervals import pool
from experiments.records.results import read_csv

ROOT = Path(__file__).parents[1]
PICTURES, STATE = "pixels", "state"
# What each page shows: a table of rows, of one observation under one protocol, without some columns.
SHOWN = [
    ("README.md", "goal.csv", STATE, "honest", ()),
    ("docs/results.md", "goal.csv", STATE, "honest", ()),
    ("docs/results.md", "goal.csv", PICTURES, "honest", ()),
    ("docs/benchmarks.md", "goal.csv", STATE, "lewm", ()),
    ("docs/benchmarks.md", "goal_ablations.csv", STATE, "honest", TIMES),
    ("docs/benchmarks.md", "gpu/goal.csv", STATE, "honest", ()),
    ("docs/pictures.md", "goal.csv", PICTURES, "honest", ()),
    ("docs/pictures.md", "goal.csv", PICTURES, "strict", ()),
]


def rows_of(file, observation):
    return [row for row in read_csv(ROOT / "experiments/results" / file) if row.observation == observation]


def shows(page, table):
    assert table in (ROOT / page).read_text(), (
        f"the table in {page} is not that of the committed rows, which is:\n{table}"
    )


@pytest.mark.parametrize(("page", "file", "observation", "protocol", "leave_out"), SHOWN)
def test_tables_are_those_of_the_committed_rows(page, file, observation, protocol, leave_out):
    shows(page, markdown(rows_of(file, observation), protocol, leave_out))


@pytest.fixture(scope="module")
def returns(tmp_path_factory):
    found = compare.run(build.compose("compare", f"out={tmp_path_factory.mktemp('compare')}"))
    return tables(found)[0].markdown().split("\n\n")[1]


@pytest.mark.parametrize("page", ["README.md", "docs/results.md"])
def test_learning_from_rewards_is_shown_as_it_was_measured(page, returns):
    shows(page, returns)


RATE = re.compile(r"[\d.]+% \([\d.]+–[\d.]+\)")
# Lines of the comparison with other projects that quote rows of ours: how each begins, and the rows of its numbers.
QUOTED = {
    "| **jepa-mpc, from state** | **": (STATE, "lewm", "model", ["two_room", "reacher"]),
    "| random here |": (STATE, "lewm", "random", ["two_room", "reacher"]),
    "| **jepa-mpc, from pictures 64 × 64** | **": (PICTURES, "strict", "model", ["two_room", "reacher"]),
    "In the mazes": (PICTURES, "strict", "model", ["umaze", "medium_maze"]),
    "| **jepa-mpc, from state, own": (STATE, "honest", "model", ["umaze", "medium_maze"]),
    "| **jepa-mpc, from pictures 64 × 64, `honest`": (PICTURES, "honest", "model", ["umaze", "medium_maze"]),
}


@pytest.mark.parametrize("start", QUOTED)
def test_the_comparison_quotes_rows(start):
    observation, protocol, policy, tasks = QUOTED[start]
    rows = [row for row in rows_of("goal.csv", observation) if (row.protocol, row.policy) == (protocol, policy)]
    pooled = [pool([row for row in rows if row.task == task and row.planner in ("", "cem")]) for task in tasks]
    expected = [f"{each.success_rate:.1%} ({100 * each.ci_low:.1f}–{100 * each.ci_high:.1f})" for each in pooled]
    (line,) = [line for line in (ROOT / "docs/comparison.md").read_text().splitlines() if line.startswith(start)]
    assert RATE.findall(line) == expected
