import dataclasses
import re
from functools import cache

import pytest
from omegaconf import OmegaConf

from experiments import build
from experiments.bench import data_steps
from experiments.bench.latency.points import rollouts
from experiments.bench.planners import (
    docs_page,
)
from experiments.bench.planners import (
    figure as planners_figure,
)
from experiments.bench.planners import (
    points as planners_grid,
)
from experiments.bench.planners import (
    rows as planners_table,
)
from experiments.bench.planners import (
    suite as bench_planners,
)
from experiments.bench.planners.curves import Reference, comparable, curve, needed, needed_text, tight_steps
from experiments.bench.planners.points import Split
from experiments.bench.planners.rows import Entry, Run
from experiments.commands import bench
from experiments.engine.artifacts import packed
from experiments.shell.folders import config_dir
from planning import CEM, ICEM, MPPI, Gradient

from ...recipe import save_random_models

SPLIT = Split({1: 2, 48: 3, 1280: 5}, descent=3)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs")
    save_random_models(folder, 0, 1)
    return folder


CHOSEN = ("suite.tasks=[two_room]", "suite.planners=[cem_plain]", "suite.budgets=[24]", "suite.seeds=[0]")
SMALL = ("suite.policies=[model]", "suite.episodes=2", "suite.simulated_episodes=1", "suite.plans=0")


@cache
def composed():
    return build.compose("bench", "suite=planners", *CHOSEN, *SMALL)


def settings(results, *overrides):
    """The suite's settings, small: Hydra composes them once, since that takes longer than the tests do."""
    base = composed().copy()
    OmegaConf.set_struct(base, False)  # as `+` does
    return OmegaConf.merge(base, OmegaConf.from_dotlist([f"results='{results}'", *overrides]))


@pytest.fixture
def fake(monkeypatch):
    """Runs at once; the list of what was run, and of what the agent plans with."""
    seen = []

    def measure(cfg, point, agent):
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append((point.planner, point.policy, point.seed, point.plan_budget))
        episodes = bench_planners.episodes_of(cfg, point.policy)
        return run(**dataclasses.asdict(point), settings=repr(agent.planner), steps=(30, None, *[9] * (episodes - 2)))

    monkeypatch.setattr(bench_planners, "measure", measure)
    monkeypatch.setattr(planners_figure, "draw", lambda rows, table, reference: None)
    monkeypatch.setattr(bench_planners, "recipe_agent", lambda cfg, task, seed: StubAgent())
    for module, name in ((data_steps, "ensure_data"), (bench_planners, "ensure_model")):
        monkeypatch.setattr(module, name, lambda cfg, seed: None)
    return seen


@dataclasses.dataclass(frozen=True)
class StubAgent:
    planner: object = None


def run(**values):
    base = {"task": "two_room", "policy": "model", "planner": "cem", "seed": 0, "plan_budget": 24, "evaluations": 24}
    more = {"num_samples": 12, "iterations": 2, "budget": 80, "settings": "", "steps": (1, None), "plan_ms_p50": None}
    return Run(**{**base, **more, **values})


def test_a_model_and_the_true_dynamics_are_measured(runs, tmp_path, capsys):
    cfg = settings(tmp_path, f"runs='{runs}'", "suite.policies=[model,oracle]", "suite.plans=2")
    rows = bench.run(cfg)
    assert [(row.policy, row.budget) for row in rows] == [("model", 80), ("model", 38), ("oracle", 80), ("oracle", 38)]
    assert {(row.evaluations, row.num_samples, row.iterations) for row in rows} == {(24, 12, 2)}
    assert [row.episodes for row in rows] == [2, 2, 1, 1]
    assert all(0 <= row.ci_low <= row.success_rate <= row.ci_high <= 1 for row in rows)
    assert [row.plan_ms_p50 is not None for row in rows] == [True, True, False, False]
    assert "two_room, oracle: success (%) within 80 / 38 steps" in capsys.readouterr().out
    assert {path.name for path in tmp_path.iterdir()} == {
        f"planners.{kind}" for kind in ("csv", "manifest.json", "png", "svg")
    }
    again = planners_table.read(tmp_path / "planners.csv")
    assert [row.successes for row in again] == [row.successes for row in rows]


def test_an_interrupted_run_goes_on_where_it_stopped(tmp_path, fake):
    wanted = settings(tmp_path, "suite.planners=[cem_plain,icem]", "suite.budgets=[24,48]")
    with pytest.raises(KeyboardInterrupt):
        bench.run(wanted)
    assert len(planners_table.read(tmp_path / "planners.csv")) == 2 * 3
    fake.clear()
    rows = bench.run(wanted)
    assert fake == [("icem", "model", 0, 48)]
    assert len(rows) == 2 * 4
    (entry,) = planners_table.read_entries(tmp_path / "planners.csv")  # of one command: one manifest
    assert len(entry.runs) == 4
    fake.clear()
    bench.run(wanted)
    assert not fake


def test_a_point_is_measured_again_with_other_settings_more_episodes_or_redo(tmp_path, fake):
    bench.run(settings(tmp_path, "suite.episodes=3"))
    bench.run(settings(tmp_path, "suite.episodes=2"))
    assert len(fake) == 1
    bench.run(settings(tmp_path, "suite.episodes=4"))
    assert len(fake) == 2
    bench.run(settings(tmp_path, "suite.episodes=4", "suite.entries.cem_plain.momentum=0.5"))
    assert len(fake) == 3
    fake.clear()
    bench.run(settings(tmp_path, "suite.episodes=4", "suite.entries.cem_plain.momentum=0.5", "redo=true"))
    assert len(fake) == 1
    (entry,) = planners_table.read_entries(tmp_path / "planners.csv")  # what was replaced is gone, its manifest too
    assert len(entry.runs) == 1 and len(entry.runs[0].steps) == 4


def test_a_dry_run_writes_nothing(tmp_path, fake):
    bench.run(settings(tmp_path / "results", f"runs='{tmp_path / 'runs'}'", "dry_run=true"))
    assert not fake and not list(tmp_path.iterdir())


def test_runs_of_other_machines_join_the_table(tmp_path):
    there, here = tmp_path / "there", tmp_path / "here"
    for folder in (there, here):
        folder.mkdir()
    planners_table.add(here / "planners.csv", Entry({"command": "x", "time": "1"}, (run(), run(seed=1))), {})
    planners_table.add(there / "planners.csv", Entry({"command": "x", "time": "2"}, (run(seed=1, steps=(5, 6)),)), {})
    planners_table.PlannersTable("planners.csv", {"two_room": 5}).merge(packed(there, there), here)
    (entry,) = planners_table.read_entries(here / "planners.csv")
    assert [each.steps for each in entry.runs] == [(1, None), (5, 6)]
    assert len(planners_table.read(here / "planners.csv")) == 4


def test_rows_follow_from_the_episodes_also_at_other_tight_steps(tmp_path, fake):
    bench.run(settings(tmp_path, "suite.tight.two_room=30"))
    rows = bench.run(settings(tmp_path, "suite.tight.two_room=29"))
    assert len(fake) == 1
    assert [(row.budget, row.successes, row.steps_mean) for row in rows] == [(80, 1, 30.0), (29, 0, None)]
    assert run(steps=(30, None, 10)).row(30, "x").successes == 2


@pytest.fixture(scope="module")
def planners():
    return planners_grid.planners(build.compose("bench", "suite=planners"))


@pytest.mark.parametrize("plan_budget", [24, 31, 48, 96, 192, 384, 768, 1280])
def test_a_plan_takes_no_more_than_its_budget(planners, plan_budget):
    iterations = 2 if plan_budget < 48 else 5 if plan_budget == 1280 else 3
    for name, planner in planners.items():
        fitted = SPLIT.fitted(planner, plan_budget)
        assert type(fitted) is type(planner)
        count = SPLIT.evaluations(fitted)
        assert 0 < count <= plan_budget
        if name == "gradient":
            assert count == 3 * fitted.num_starts * fitted.iterations
            assert plan_budget - count < 3 * max(fitted.iterations, fitted.num_starts)
            continue
        assert count == sum(fitted.sizes()) and fitted.iterations == iterations
        assert plan_budget - count < 2 * iterations  # one sample more would be too many
        assert fitted.horizon == planner.horizon and fitted.noise_beta == planner.noise_beta


def test_a_population_that_shrinks_is_counted_whole():
    fitted = SPLIT.fitted(ICEM(), 96)
    more = dataclasses.replace(fitted, num_samples=fitted.num_samples + 1)
    assert rollouts(fitted) <= 96 < rollouts(more)
    assert fitted.num_samples > 32 > fitted.sizes()[-1]
    assert fitted.num_elites == fitted.num_samples // 4  # as by default


def test_elites_keep_their_share_and_a_descent_counts_as_three():
    assert SPLIT.fitted(CEM(), 1280) == CEM(num_samples=256, iterations=5, num_elites=24)
    assert SPLIT.fitted(Gradient(), 384) == Gradient(num_starts=10)
    assert SPLIT.evaluations(Gradient(num_starts=10)) == 360
    assert SPLIT.fitted(Gradient(), 24) == Gradient(num_starts=1, iterations=8)
    with pytest.raises(ValueError, match="2 evaluations a plan are too few for MPPI"):
        SPLIT.fitted(MPPI(), 2)


def test_the_reference_is_the_method_of_textbooks(planners):
    cfg = build.compose("bench", "suite=planners")
    plain = Split.of(cfg).fitted(planners["cem_plain"], 1280)
    expected = CEM(num_samples=256, iterations=5, num_elites=24, noise_beta=0.0, num_keep=0, momentum=0.0, min_std=0.0)
    assert plain == expected
    assert cfg.suite.reference == {"planner": "cem_plain", "budget": 1280}


def test_what_has_no_meaning_is_left_out_and_what_is_too_small_is_told(tmp_path, caplog):
    cfg = settings(tmp_path, "suite.planners=[gradient,cem]", "suite.budgets=[2,96]", "suite.policies=[model,oracle]")
    points = planners_grid.points(cfg, planners_grid.planners(cfg))
    assert [(point.planner, point.policy) for point in points] == [
        ("gradient", "model"),
        ("cem", "model"),
        ("cem", "oracle"),
    ]
    assert "cem is left out: 2 evaluations a plan are too few for CEM" in caplog.text


def rows_of(*runs):
    return [run.row(budget, "x") for run in runs for budget in (80, 20)]


def test_the_evaluations_needed_are_the_fewest_that_reach_the_reference():
    of_seeds = [
        run(planner="cem_plain", plan_budget=1280, evaluations=1280, seed=s, steps=(10, 15, 70)) for s in (0, 1)
    ]
    worse = [run(seed=s, plan_budget=24, evaluations=24, steps=(10, 75, 70)) for s in (0, 1)]
    equal = [run(seed=s, plan_budget=96, evaluations=90, steps=(10, 15, None)) for s in (0, 1)]
    fewer = [run(plan_budget=48, evaluations=48, steps=(10, 15, 16))]  # of one seed alone: other episodes
    rows = rows_of(*of_seeds, *worse, *equal, *fewer)
    (reference,) = curve(rows, "two_room", "model", "cem_plain", 20)
    assert (reference.episodes, reference.successes, reference.seeds) == (6, 4, (0, 1))
    points = curve(rows, "two_room", "model", "cem", 20)
    assert [point.evaluations for point in points] == [24, 48, 90]
    assert [point.evaluations for point in comparable(points, reference)] == [24, 90]
    assert needed(points, reference).evaluations == 90
    at = Reference("cem_plain", 1280)
    assert needed_text(rows, "two_room", "model", "cem", 20, at) == "90 (7%)"
    assert needed_text(rows, "two_room", "model", "cem", 80, at) == "24 (2%)"
    assert needed_text(rows_of(*of_seeds, *worse), "two_room", "model", "cem", 20, at) == "> 24"
    assert needed_text(rows_of(*of_seeds, *fewer), "two_room", "model", "cem", 20, at) == ""
    assert needed_text(rows, "two_room", "oracle", "cem", 20, at) == ""


def test_tight_steps_are_those_of_the_share():
    runs = [run(steps=(10, 20, 30, None)), run(steps=(10, 20, 40, 50), seed=1)]
    assert tight_steps(runs, 0.75) == 40
    assert tight_steps(runs, 0.5) == 20
    assert tight_steps([run(steps=(None, None))], 0.75) == 1


def test_a_broken_table_is_told_and_never_overwritten(tmp_path, fake):
    path, beside = tmp_path / "planners.csv", tmp_path / "planners.manifest.json"
    planners_table.add(path, Entry({"command": "x"}, (run(), run(seed=1))), {})
    table, stored = path.read_text(), beside.read_text()
    lines = table.splitlines()

    def refused(words):
        with pytest.raises(ValueError, match=words):
            planners_table.read_entries(path)

    path.write_text("\n".join([*lines[:2], "two_room,model"]))
    refused("planners.csv, line 3 has another number of cells than the 17 columns")
    path.write_text("planner,success\ncem,1\n")
    refused("planners.csv is another table: foreign columns")
    path.write_text("\n".join([*lines, lines[1].replace("cem", "mppi")]))
    refused("planners.manifest.json has no run for the row .*'mppi'.* of planners.csv: restore it")
    path.write_text(table)
    beside.write_text(stored[:-20])
    refused("planners.manifest.json is not the manifest of a table of planners")
    beside.unlink()
    refused("planners.manifest.json, which holds the episodes behind planners.csv, is missing")
    broken = "\n".join([lines[0], lines[1].replace(",24,", ",many,", 1), *lines[2:]])
    path.write_text(broken)
    with pytest.raises(ValueError, match="planners.csv, line 2: plan_budget must be a number; got 'many'"):
        bench.run(settings(tmp_path))
    assert path.read_text() == broken and not fake


@pytest.mark.parametrize(
    ("overrides", "words"),
    [
        (["suite.planners=[cme]"], "suite.planners has no planner called 'cme': choose from cem, .*, cem_plain"),
        (["suite.policies=[ceiling]"], "suite.policies has no policy called 'ceiling': choose from model, oracle"),
        (["suite.tight.two_room=null"], r"suite.tight has no number of steps for the task two_room: add \+suite.tight"),
        (["suite.tight.two_room=81"], "suite.tight.two_room must lie between 1 and the task's own 80 steps; got 81"),
        (["suite.seeds=[]"], "suite.seeds is empty: name at least one"),
        (["suite.episodes=0"], "suite.episodes must be at least 1; got 0"),
        (["suite.budgets=[2]"], "leave no planner anything to do: give more evaluations a plan"),
        (["suite.iterations={1: 0}"], "suite.iterations must give at least 1 iteration"),
        (["suite.entries.cem_plain.momentun=1"], "suite.entries.cem_plain.momentun is not a setting of CEM"),
        (["suite.entries.cem_plain.planner=cme"], "suite.entries.cem_plain.planner must name a planner: one of cem, "),
        (["suite.entries.cem={planner: cem}"], "suite.entries.cem has the name of a planner in configs/planner"),
    ],
)
def test_mistakes_are_one_sentence(tmp_path, overrides, words):
    with pytest.raises(ValueError, match=words):
        bench.run(settings(tmp_path, *overrides))
    assert not list(tmp_path.iterdir())


def test_the_figure_has_a_panel_for_each_task_and_budget_of_steps():
    points = [(budget, task, policy) for budget in (24, 96) for task in ("a", "b") for policy in ("model", "oracle")]
    runs = [run(plan_budget=b, evaluations=b, task=task, policy=policy) for b, task, policy in points]
    figure = planners_figure._figure(rows_of(*runs), Reference("cem", 96))
    titles = [panel.get_title(loc="left") for panel in figure.axes]
    assert titles == ["a: 80 steps", "b: 80 steps", "a: 20 steps", "b: 20 steps"]
    assert all(len(panel.lines) == 3 for panel in figure.axes)  # model, oracle, the reference's level


def test_the_page_shows_what_was_measured():
    """`python -m experiments.bench.planners.docs_page` writes the tables anew."""
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, docs_page.RESULTS) == text


def test_the_page_is_written_from_rows(tmp_path):
    text = docs_page.PAGE.read_text()
    assert docs_page.page(text, tmp_path).count("Not measured yet: `jepa-mpc bench suite=") == 2
    told = [run(planner="cem_plain", plan_budget=1280, evaluations=1280), run(plan_budget=96, evaluations=96)]
    planners_table.add(tmp_path / "planners.csv", Entry({"command": "x"}, tuple(told)), {"two_room": 20})
    page = docs_page.page(text, tmp_path)
    assert "| cem | 96 (8%) | 96 (8%) |" in page and "50.0% (9.5 – 90.5)" in page
    assert docs_page.page(page, tmp_path) == page
    with pytest.raises(ValueError, match="needs a line <!-- planners -->"):
        docs_page.page(text.replace("<!-- planners -->", ""), tmp_path)


def test_the_page_shows_the_committed_figure():
    assert "](planners.svg)" in docs_page.PAGE.read_text()
    assert docs_page.FIGURE.read_bytes() == (docs_page.RESULTS / "planners.svg").read_bytes()


def test_the_page_names_planners_that_exist():
    text = docs_page.PAGE.read_text()
    named = set(re.findall(r"`planner=(\w+)`", text))
    assert named == {file.stem for file in (config_dir() / "planner").glob("*.yaml")}
