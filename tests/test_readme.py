"""README and docs show only rows that were measured, and the files that README names exist."""

import re
from pathlib import Path

import pytest

from experiments import build
from experiments.bench.goal.table import TIMES, markdown
from experiments.commands import compare
from experiments.comparison.tables import tables
from experiments.records.results import read_csv

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def of_state(file):
    return [row for row in read_csv(ROOT / "experiments/results" / file) if row.observation == "state"]


@pytest.mark.parametrize("protocol", ["honest", "strict"])
def test_tables_of_pictures_are_those_of_the_committed_rows(protocol):
    rows = [row for row in read_csv(ROOT / "experiments/results/goal.csv") if row.observation != "state"]
    expected, page = markdown(rows, protocol), (ROOT / "docs/pictures.md").read_text()
    assert expected in page, f"the table in docs/pictures.md is not that of goal.csv, which is:\n{expected}"


def test_table_is_that_of_the_committed_rows():
    expected = markdown(of_state("goal.csv"), "honest")
    assert expected in README, f"README's table is not that of experiments/results/goal.csv, which is:\n{expected}"


@pytest.mark.parametrize(
    ("rows", "protocol", "leave_out"),
    [("goal.csv", "lewm", ()), ("goal_ablations.csv", "honest", TIMES), ("gpu/goal.csv", "honest", ())],
)
def test_tables_of_benchmarks_are_those_of_the_committed_rows(rows, protocol, leave_out):
    expected = markdown(of_state(rows), protocol, leave_out)
    page = (ROOT / "docs/benchmarks.md").read_text()
    assert expected in page, f"the table in docs/benchmarks.md is not that of {rows}, which is:\n{expected}"


def test_learning_from_rewards_is_shown_as_it_was_measured(tmp_path):
    found = compare.run(build.compose("compare", f"out={tmp_path}"))
    _, table, note, *_ = tables(found)[0].markdown().split("\n\n")
    assert table in README, f"README's table is not what `jepa-mpc compare` says:\n{table}\n{note}"


def test_files_it_points_to_exist():
    files = set(re.findall(r"`((?:worldmodel|planning|envs|experiments|configs|tests)/[\w/.]+)`", README))
    missing = [file for file in files if "NAME" not in file and not (ROOT / file).exists()]
    assert files and not missing
