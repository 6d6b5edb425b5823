"""The page of `jepa-mpc report`, in a real browser: of every table that ships, and of tables with something wrong."""

from __future__ import annotations

import html
import json
import re
from pathlib import Path

import pytest

from experiments.bench.shipped import FOLDER
from experiments.build import compose
from experiments.cli import main
from experiments.commands import report
from experiments.pages.provenance import DIGITS
from experiments.records import results, table_file
from experiments.records.curves import CurveRow
from experiments.records.intervals import wilson
from experiments.records.results import Row, Value

SHIPPED = sorted(FOLDER.rglob("*.csv"))
HOSTILE = "</script></title><img src=x onerror='window.hit=1'>\"&$title${x}`"


def made(commit="1234567890abcdef", dirty=False, suite=None, promises=None):
    """A manifest."""
    chosen = {} if suite is None else {"suite": {"name": suite, **({} if promises is None else {"promises": promises})}}
    return {
        "command": f"jepa-mpc bench suite={suite}",
        "config": chosen,
        "git": {"commit": commit, "dirty": dirty},
        "cpu": {"model": "a processor", "cores": 2},
        "system": "Linux x86_64",
        "time": "2026-11-20T10:00:00+00:00",
    }


def goal(policy, successes, episodes=100, seed=0, task="two_room", **more):
    """A row of a goal task."""
    low, high = wilson(successes, episodes)
    planner = "cem" if policy in ("model", "oracle", "ceiling") else ""
    values = {"observation": "state", "protocol": "honest", "planner": planner, **more}
    return Row(
        task=task, policy=policy, seed=seed, episodes=episodes, successes=successes, success_rate=successes / episodes,
        ci_low=low, ci_high=high, command="jepa-mpc bench suite=goal", **values,
    )  # fmt: skip


def page_of(tmp_path, *overrides):
    """The text of the page that the command writes, its markup as a reader sees it."""
    out = report.run(compose("report", f"out='{tmp_path / 'report.html'}'", *overrides))
    return html.unescape(re.sub(r"<[^>]+>", "\n", out.read_text().partition("<main>")[2]))


@pytest.fixture(scope="module")
def everything(tmp_path_factory):
    """The page of all rows that ship, those of the GPU included."""
    out = tmp_path_factory.mktemp("report") / "report.html"
    return report.run(compose("report", f"rows=['{FOLDER}','{FOLDER / 'gpu'}']", f"out='{out}'"))


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: str(path.relative_to(FOLDER)))
def test_every_committed_table_makes_a_page_that_names_its_commit(path, tmp_path):
    text = page_of(tmp_path, f"rows=['{path}']")
    stored = json.loads(path.with_suffix(".manifest.json").read_text())
    manifests = stored.values() if isinstance(stored, dict) else [entry["manifest"] for entry in stored]
    newest = max(manifests, key=lambda each: each["time"])
    top = text.partition(path.name)[0] + text.partition(path.name)[2][:1500]
    assert newest["git"]["commit"][:DIGITS] in top and newest["time"][:10] in top
    assert newest["cpu"]["model"] in top
    markup = (tmp_path / "report.html").read_text()
    assert markup.count('class="chart ') >= 1 and markup.count('class="mark') >= 1
    first = table_file.read_beside(path) and path.read_text().splitlines()[1].split(",")[0]
    assert first in text and "nan" not in text.lower().split()


@pytest.mark.parametrize(("width", "dark"), [(390, False), (360, True), (1280, False)])
def test_the_whole_page_fits_and_nothing_covers_another_thing(chromium, everything, width, dark):
    chromium.open(everything, width=width, dark=dark)
    assert chromium.problems == []
    assert [url for url in chromium.requests if not url.startswith("data:")] == [everything.as_uri()]
    assert chromium.overlaps() == []
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    chromium.evaluate("document.querySelectorAll('details').forEach(each => { each.open = true; })")
    assert chromium.evaluate("document.documentElement.scrollWidth") <= width
    assert chromium.evaluate("document.querySelectorAll('.mark:not([aria-label])').length") == 0
    assert chromium.evaluate("[...document.querySelectorAll('.mark')].every(mark => /\\d/.test(mark.ariaLabel))")
    assert chromium.evaluate("document.querySelectorAll('.mark').length") > 1000


def test_values_of_a_dot_are_shown_at_the_pointer(chromium, tmp_path):
    page_of(tmp_path, f"rows=['{FOLDER / 'goal.csv'}']", "where={task: two_room, observation: state, protocol: honest}")
    chromium.open(tmp_path / "report.html")
    label = chromium.evaluate("document.querySelector('.lane.own .dot').closest('.mark').ariaLabel")
    assert label.startswith("model, cem\n98.7 % (95 % interval 96.6 to 99.5)\n300 episodes, 3 seeds")
    seeds = chromium.evaluate(
        "[...document.querySelector('.lane.own').querySelectorAll('.part')].map(e => e.ariaLabel)"
    )
    assert len(seeds) == 3 and seeds[0].startswith("model, cem\nseed 0: ")


def test_a_broken_promise_is_at_the_top(chromium, tmp_path):
    path = tmp_path / "robot_loop.csv"
    suite = made(suite="soak", promises={"soak_unsafe": 0, "soak_needless": 0, "soak_never": 1})
    results.append_values(path, [Value("soak_unsafe", 3.0, "count"), Value("soak_needless", 0.0, "count")], suite)
    results.append_values(path, [Value("a_time", 3.0, "ms"), Value("b_time", 4.0, "ms")], made(suite="start"))
    text = page_of(tmp_path, f"rows=['{path}']")
    first = "soak_unsafe is 3, and at most 0 was promised"
    assert text.index("What is wrong") < text.index(first) < text.index("soak_never was promised")
    assert text.index("soak_never was promised") < text.index("Suite soak")
    assert text.count("✗ broken") == 1 and text.count("✓ kept") == 1
    assert text.count("jepa-mpc bench suite=soak redo=true") >= 2, "with the failure, and in what to do next"
    chromium.open(tmp_path / "report.html")
    assert chromium.evaluate("document.querySelector('main section').textContent").count("✗ failed") == 1
    assert chromium.evaluate("document.querySelector('main section li').className") == "serious"
    selected = page_of(tmp_path, f"rows=['{path}']", "where={case: soak_needless}")
    assert "soak_never" not in selected, "of a selection nothing is missing"


def test_a_table_in_order_says_so_and_no_more(tmp_path):
    path = tmp_path / "robot_loop.csv"
    values = [Value("soak_unsafe", 0.0, "count"), Value("soak_steps", 9.0, "steps")]
    results.append_values(path, values, made(suite="soak", promises={"soak_unsafe": 0}))
    text = page_of(tmp_path, f"rows=['{path}']")
    assert "No promise is broken" in text and "What is wrong" not in text


def test_models_out_of_line_with_their_references_come_first(tmp_path):
    path = tmp_path / "goal.csv"
    rows = [goal("model", 60), goal("oracle", 100), goal("random", 12), goal("noop", 0)]
    rows += [goal(policy, count, task="umaze") for policy, count in (("model", 97), ("oracle", 99))]
    results.append_csv(path, rows, made(suite="goal"))
    text = " ".join(page_of(tmp_path, f"rows=['{path}']").split())
    problems = text.partition("Success")[0]
    assert "two_room: the model reached 60 % of its goals and the oracle 100 %, 40 points more" in problems
    assert "random actions reach more than 5 % of the goals (12 % in two_room)" in problems
    assert "umaze: no row of random (random actions), noop (no action)" in problems
    assert "suite.tasks=[umaze]" in problems and "umaze: the model reached" not in problems
    steps = text.partition("What to do next")[2]
    assert "two_room and umaze lack the seeds 1 and 2" in steps and "'suite.seeds=[1,2]'" in steps
    assert steps.count("jepa-mpc diagnose task=two_room") == 1, "what is wrong with it, and what to look into"


def test_wide_intervals_ask_for_as_many_seeds_as_it_takes(tmp_path):
    path = tmp_path / "goal.csv"
    rows = [goal("model", 60, seed=seed) for seed in range(3)]
    rows += [goal(policy, 0, seed=seed) for seed in range(3) for policy in ("random", "noop")]
    results.append_csv(path, [*rows, goal("oracle", 60)], made(suite="goal"))
    steps = " ".join(page_of(tmp_path, f"rows=['{path}']").split()).partition("What to do next")[2]
    assert "wider than 10 points (two_room 54 to 65 %); 1 more seed would about do" in steps
    assert "'suite.seeds=[3]'" in steps and f"results={tmp_path}" in steps
    low, high = wilson(240, 400)
    assert high - low <= 0.10 < wilson(180, 300)[1] - wilson(180, 300)[0]


def test_a_weak_baseline_is_no_proof(tmp_path):
    path = tmp_path / "dmc_curves.csv"
    rows = [
        CurveRow(method=method, task="dmc/reacher-hard", seed=0, env_steps=steps, gradient_steps=1, wall_s=1.0,
                 mean_return=value, action_repeat=4, command="")
        for method, value in (("jepa-mpc", 970.0), ("sac", 2.0)) for steps in (0, 100_000)
    ]  # fmt: skip
    table_file.write(path, CurveRow, rows)
    text = " ".join(page_of(tmp_path, f"rows=['{path}']").split())
    assert "reacher-hard 2 here, 161 to 602 published" in text.partition("Return against")[0]
    assert "a lead over this sac is no proof" in text


def test_names_in_tables_are_text(chromium, tmp_path):
    path = tmp_path / "other.csv"
    cells = [HOSTILE.replace('"', '""'), "b"]
    path.write_text(
        "\n".join([f'name,"{cells[0]}",seed', *(f'"{cell}",{n + 1},0' for n, cell in enumerate(cells)), ""])
    )
    page_of(tmp_path, f"rows=['{path}']")
    chromium.open(tmp_path / "report.html")
    assert chromium.problems == []
    assert chromium.evaluate("document.querySelectorAll('main img').length + (window.hit || 0)") == 0
    assert chromium.evaluate("document.querySelector('.lane .name').textContent") == HOSTILE
    assert chromium.evaluate("document.querySelector('table.plain thead').textContent").startswith("name" + HOSTILE)
    chromium.open(tmp_path / "report.html", width=390)
    assert chromium.evaluate("document.documentElement.scrollWidth") <= 390


def test_the_usual_rows_are_ones_own_and_else_those_that_ship(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["report", "where={task: two_room, policy: [model, oracle]}"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "page: runs/report.html" in said and "rows that ship with jepa-mpc, measured on other machines" in said
    results.append_csv(Path("runs/bench/goal.csv"), [goal("model", 99)], made(suite="goal"))
    assert main(["report"]) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "(1 row, rows of runs/bench)" in said
    text = Path("runs/report.html").read_text()
    assert "jepa-mpc report" in text and "123456789" in text


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("rows=[none.csv]",), "there is no table of rows at none.csv"),
        (("rows=[empty]",), "rows=empty is a folder without .csv files"),
        (("where={colour: red}",), "where.colour is no column of these tables: choose from task, "),
        (("where={task: moon}",), "no row has task=moon; task can be two_room"),
        (("where=two_room",), "where must be settings by name"),
        (("rows=[bad.csv]",), "success_rate must be a number"),
        (("rows=[bare.csv]",), "bare.csv has no rows"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, monkeypatch, capsys, overrides, message):
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    results.append_csv(Path("goal.csv"), [goal("model", 99)], made(suite="goal"))
    Path("bad.csv").write_text(Path("goal.csv").read_text().replace("0.99", "much"))
    Path("bare.csv").write_text("task,seed\n")
    chosen = overrides if overrides[0].startswith("rows") else ("rows=[goal.csv]", *overrides)
    assert main(["report", *chosen]) == 2
    assert message in " ".join(capsys.readouterr().err.split())
    assert not Path("runs/report.html").exists()
