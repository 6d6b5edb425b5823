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
HANDS = ("push_t", "fetch_push", "fetch_pick_and_place", "cube_single", "giant_maze")  # on a page of their own
# What each page shows: a table of rows, of one observation under one protocol, without some columns.
SHOWN = [
    ("docs/results.md", "goal.csv", STATE, "honest", ()),
    ("docs/results.md", "goal.csv", PICTURES, "honest", ()),
    ("docs/benchmarks.md", "goal.csv", STATE, "lewm", ()),
    ("docs/benchmarks.md", "goal.csv", PICTURES, "lewm", TIMES),
    ("docs/benchmarks.md", "goal_ablations.csv", STATE, "honest", TIMES),
    ("docs/benchmarks.md", "gpu/goal.csv", STATE, "honest", ()),
    ("docs/memory.md", "memory.csv", PICTURES, "honest", TIMES),
    ("docs/memory.md", "memory.csv", PICTURES, "strict", TIMES),
    ("docs/pictures.md", "goal.csv", PICTURES, "honest", ()),
    ("docs/pictures.md", "sensors.csv", "pixels_proprio", "honest", TIMES),
    ("docs/pictures.md", "goal.csv", PICTURES, "strict", ()),
]


def rows_of(file, observation, hands=False):
    rows = read_csv(ROOT / "experiments/results" / file)
    return [row for row in rows if row.observation == observation and (row.task in HANDS) is hands]


def shows(page, table):
    assert table in (ROOT / page).read_text(), (
        f"the table in {page} is not that of the committed rows, which is:\n{table}"
    )


@pytest.mark.parametrize(("page", "file", "observation", "protocol", "leave_out"), SHOWN)
def test_tables_are_those_of_the_committed_rows(page, file, observation, protocol, leave_out):
    shows(page, markdown(rows_of(file, observation), protocol, leave_out))


@pytest.mark.parametrize("protocol", ["honest", "strict"])
def test_tables_of_tasks_with_objects_are_those_of_the_committed_rows(protocol):
    shows("docs/hands.md", markdown(rows_of("goal.csv", STATE, hands=True), protocol))


@pytest.fixture(scope="module")
def returns(tmp_path_factory):
    found = compare.run(build.compose("compare", f"out={tmp_path_factory.mktemp('compare')}"))
    return tables(found)[0].markdown().split("\n\n")[1]


def test_learning_from_rewards_is_shown_as_it_was_measured(returns):
    shows("docs/results.md", returns)


RATE = re.compile(r"[\d.]+% \([\d.]+–[\d.]+\)")
# Lines of comparisons with other projects that quote rows of ours: page, beginning, and the rows of its numbers.
README, COMPARISON = "README.md", "docs/comparison.md"
QUOTED = {
    (README, "| **jepa-mpc** | pictures"): (PICTURES, "lewm", "model", ["two_room", "reacher"]),
    (README, "| **jepa-mpc** | state"): (STATE, "lewm", "model", ["two_room", "reacher"]),
    (COMPARISON, "| **jepa-mpc, from state** | **"): (STATE, "lewm", "model", ["two_room", "reacher"]),
    (COMPARISON, "| **jepa-mpc, from pictures** | **"): (PICTURES, "lewm", "model", ["two_room", "reacher"]),
    (COMPARISON, "| random here |"): (STATE, "lewm", "random", ["two_room", "reacher"]),
    (COMPARISON, "| **jepa-mpc, from pictures 64 × 64** | **"): (PICTURES, "strict", "model", ["two_room", "reacher"]),
    (COMPARISON, "In the mazes"): (PICTURES, "strict", "model", ["umaze", "medium_maze"]),
    (COMPARISON, "| **jepa-mpc, from state, own"): (STATE, "honest", "model", ["umaze", "medium_maze"]),
    (COMPARISON, "| **jepa-mpc, from pictures 64 × 64, `honest`"): (
        PICTURES,
        "honest",
        "model",
        ["umaze", "medium_maze"],
    ),
}


@pytest.mark.parametrize(("page", "start"), QUOTED)
def test_comparisons_quote_rows(page, start):
    observation, protocol, policy, tasks = QUOTED[page, start]
    rows = [row for row in rows_of("goal.csv", observation) if (row.protocol, row.policy) == (protocol, policy)]
    pooled = [pool([row for row in rows if row.task == task and row.planner in ("", "cem")]) for task in tasks]
    expected = [f"{each.success_rate:.1%} ({100 * each.ci_low:.1f}–{100 * each.ci_high:.1f})" for each in pooled]
    (line,) = [line for line in (ROOT / page).read_text().splitlines() if line.startswith(start)]
    assert RATE.findall(line) == expected


@pytest.mark.parametrize("observation", [PICTURES, STATE])
def test_readme_states_the_latency_and_the_size_of_the_rows(observation):
    rows = [row for row in rows_of("goal.csv", observation) if row.policy == "model" and row.planner == "cem"]
    rows = [row for row in rows if row.protocol == "honest" and row.task in ("two_room", "reacher")]
    start = f"| **jepa-mpc** | {'pictures' if observation == PICTURES else 'state'}"
    (line,) = [line for line in (ROOT / README).read_text().splitlines() if line.startswith(start)]
    milliseconds, millions = re.search(r"\| ([\d.]+) ms \| ([\d.]+) M \|", line).groups()
    low, high = (f(row.plan_ms_p50 for row in rows) for f in (min, max))
    assert low - 0.6 <= float(milliseconds) <= high + 0.6
    assert all(float(millions) == pytest.approx(row.parameters / 1e6, abs=0.006) for row in rows)
