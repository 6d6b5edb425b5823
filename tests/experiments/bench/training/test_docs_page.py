import pytest

from experiments.bench.training import curve, docs_page
from experiments.bench.training.profile import Profile, rows_of
from experiments.bench.training.profile_rows import IDENTITY, ProfileRow
from experiments.bench.training.rows import IDENTITY as SPEED_IDENTITY
from experiments.bench.training.rows import SpeedRow
from experiments.bench.training.trace import PRODUCTS, Spent
from experiments.pages.figures import COLOURS
from experiments.records import table_file
from experiments.records.results import IDENTITY as RESULT_IDENTITY
from experiments.records.results import Row

MADE = {"cpu": {"model": "A CPU", "cores": 2}, "system": "Linux x86_64", "device": None}
ROW = {"task": "two_room", "episodes": 100, "gflops": None, "sgemm_share": None, "command": ""}


def test_the_page_shows_what_was_measured():
    """`python -m experiments.bench.training.docs_page` writes the tables anew."""
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, docs_page.RESULTS) == text


def test_the_page_is_written_from_rows(tmp_path):
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, tmp_path).count("Not measured yet: `jepa-mpc bench suite=") == 3
    rows = [
        SpeedRow(version="before", seed=0, train_seconds=80.0, successes=99, **ROW),
        SpeedRow(version="now", seed=0, train_seconds=20.0, successes=98, **{**ROW, "gflops": 1234.0}),
        SpeedRow(version="now", seed=1, train_seconds=30.0, successes=100, **{**ROW, "gflops": 1234.0}),
    ]
    table_file.add(tmp_path / "training_speed.csv", SpeedRow, rows, SPEED_IDENTITY, MADE)
    found = rows_of(Profile(0.01, 2e8, {PRODUCTS: Spent(0.06, 40)}, 10), "two_room", "joint", 100.0)
    table_file.add(tmp_path / "training_profile.csv", ProfileRow, found, IDENTITY, MADE)
    lengths = {"early_stop": (20.0, 70), "eighth": (11.0, 10), "": (80.0, 99), "half": (43.0, 80)}
    rows = [
        Row(
            task="umaze",
            policy=policy,
            variant=name,
            seed=0,
            train_seconds=t,
            successes=n,
            success_rate=n / 100,
            episodes=100,
        )
        for name, (t, n) in lengths.items()
        for policy in ("model", "reflex")
    ]
    table_file.add(tmp_path / "training_curve.csv", Row, rows[:-1], RESULT_IDENTITY, MADE)
    page = docs_page.page(text, tmp_path)
    assert "| task | acts by | eighth | half | default | early_stop |" in page
    assert "| umaze | planner | 10%, 11 s | 80%, 43 s | 99%, 80 s | 70%, 20 s |" in page
    assert "| umaze | reflex | 10%, 11 s |  | 99%, 80 s | 70%, 20 s |" in page
    assert "| two_room | 80.0 s | 20.0 s | 0.25 | 1,234 |  | 99.0% (94.6–99.8) | 99.0% (96.4–99.7) |" in page
    assert "| two_room | joint | 10.00 | 0.200 | 20 | 20% | 100% |" in page
    assert page.count("Measured on A CPU, 2 cores, Linux x86_64.") == 3
    assert docs_page.page(page, tmp_path) == page
    with pytest.raises(ValueError, match="needs a line <!-- training_profile -->"):
        docs_page.page(text.replace("<!-- training_profile -->", ""), tmp_path)


def test_the_figure_has_a_line_for_each_task_and_policy():
    rows = [
        Row(task=task, policy=policy, variant=name, train_seconds=t, success_rate=t / 100, ci_low=0.1, ci_high=0.9)
        for task in ("two_room", "umaze")
        for policy in ("model", "reflex")
        for name, t in (("half", 40.0), ("", 80.0))
    ]
    svg = curve.drawn(rows).decode()
    assert svg.count("stroke-linecap: square") >= 4 and svg == curve.drawn(rows).decode()
    assert sum(colour in svg for colour in COLOURS) == 2
