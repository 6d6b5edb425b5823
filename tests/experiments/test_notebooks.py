"""The sources of the notebooks, run as scripts on a small budget, and what is committed of them."""

from __future__ import annotations

import json
import re
from pathlib import Path

import jax
import numpy as np
import pytest

import experiments
from envs.vision.camera import available

FOLDER = Path(experiments.__file__).parent / "notebooks"
SETTINGS = '# %% tags=["parameters"]\n'
SMALL = ["model.width=16", "model.encoder_width=16", "model.critic_width=16", "model.policy_width=16"]
SMALL += ["training.batch=8", "online.seed_decisions=100", "online.actor=policy"]
BUDGETS = {
    "compare_with_rl": {
        "TASK": "gym/Pendulum-v1", "ACTION_REPEAT": 2, "STEPS": 200, "EVALUATE_EVERY": 100, "EPISODES": 1,
        "SETTINGS": SMALL,
    },
    "change_the_goal": {"EPISODES": 3, "SAC_STEPS": 200, "PLANNER": ["planner.num_samples=16"]},
    "another_object": {"EPISODES": 12, "TRAINING": ["budget=smoke"], "PLANNER": ["planner.num_samples=16"]},
    "what_did_the_model_learn": {"EPISODES": 8, "STEPS": 40, "CELLS": 12},
    "from_pictures": {"EPISODES": 3, "REMEMBERED": 4, "PLANNER": ["planner.num_samples=32"]},
}  # fmt: skip


def run(name: str, settings: dict[str, object]) -> None:
    """Execute a source as a script whose settings, which it gives once, in the cell of that tag, are others."""
    path = FOLDER / f"{name}.py"
    before, cell, after = path.read_text(encoding="utf-8").partition(SETTINGS)
    given, rest = after.split("\n# %%", 1)
    for setting, value in settings.items():
        given, found = re.subn(rf"(?m)^{setting} = .*$", lambda _, it=f"{setting} = {value!r}": it, given)
        assert found == 1, f"{path.name} gives {setting} {found} times"
    code = compile(f"{before}{cell}{given}\n# %%{rest}", str(path), "exec")
    with jax.numpy_rank_promotion("allow"), jax.numpy_dtype_promotion("standard"):  # as users have it, and sbx wants it
        exec(code, {"__name__": "__main__"})


# Of tensorflow_probability, which comes with the extra `baselines` where that is installed.
of_baselines = pytest.mark.filterwarnings("ignore:jax.core.pytype_aval_mappings is deprecated:DeprecationWarning")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_there_is_a_budget_for_each_source():
    assert {path.stem for path in FOLDER.glob("*.py")} == {*BUDGETS, "render"}


@of_baselines
def test_learning_beside_rl(capsys):
    run("compare_with_rl", BUDGETS["compare_with_rl"])
    rows = Path("runs/notebooks/gym-Pendulum-v1.csv").read_text().splitlines()
    own = [row.split(",") for row in rows if row.startswith("jepa-mpc,")]
    assert [row[3] for row in own] == ["0", "100", "200"]
    told = capsys.readouterr().out
    assert "## Return at 200 environment steps" in told and "| Pendulum-v1 |" in told.replace("gym/", "")
    assert pictures() == ["compare_seconds.png", "compare_steps.png"]


@of_baselines
def test_another_goal_and_another_cost(capsys):
    run("change_the_goal", BUDGETS["change_the_goal"])
    told = capsys.readouterr().out
    reached = dict(re.findall(r"(model, .*?)  +(\d) of 3", told))
    assert len(reached) == 4 and min(reached.values()) >= "2", told  # one may end otherwise where it rounds otherwise
    assert "goal_model.png" in pictures()


def test_another_object_and_another_precision(capsys):
    run("another_object", BUDGETS["another_object"])
    reached = re.findall(
        r"(block and pusher|the block|the pusher), \d+ mm and \d+° +(\d) +(\d)\n", capsys.readouterr().out
    )
    assert [question for question, *_ in reached] == [
        name for name in ("block and pusher", "the block", "the pusher") for _ in "12"
    ]
    counts = np.array([count for _, *count in reached], int).reshape(3, 2, 2)  # question, precision, policy
    assert (counts[:, 0] >= counts[:, 1]).all()  # what is reached more precisely is reached
    assert counts[2, 0, 1] > counts[2, 1, 1]  # random motion meets the pusher's goal, seldom precisely
    assert pictures() == ["object_own_goal.png", "object_questions.png"]


def test_from_pictures(capsys):
    if (reason := available()) is not None:
        pytest.skip(reason)
    run("from_pictures", BUDGETS["from_pictures"])
    said = capsys.readouterr().out
    assert re.search(r"[23] of 3 goals reached", said), said
    assert float(re.search(r"(\d+) times the median error", said).group(1)) > 5, said
    names = ("came", "embedding", "episode", "expected", "surprise")
    assert pictures() == [f"pictures_{name}.png" for name in names]


def test_what_it_learned(capsys):
    run("what_did_the_model_learn", BUDGETS["what_did_the_model_learn"])
    told = capsys.readouterr().out
    scores = [float(score) for score in re.findall(r"R² (\S+)", told)]
    assert len(scores) == 4 and min(scores[:2]) > 0.9, told  # so few episodes tell little of speeds
    assert pictures() == [f"learned_{name}.png" for name in ("distance", "future", "places", "surprise")]


@pytest.mark.parametrize("name", sorted(path.stem for path in FOLDER.glob("*.ipynb")))
def test_what_is_committed_is_of_this_source(name):
    """Made again with `make notebooks` whenever a cell has changed."""
    path = FOLDER / f"{name}.ipynb"
    assert path.stat().st_size < 600_000
    cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    shown = [line.lstrip("# ") for cell in cells for line in "".join(cell["source"]).splitlines()]
    written = [line.lstrip("# ") for line in source.splitlines() if not line.startswith("# %%")]
    assert list(filter(None, shown)) == list(filter(None, written))
    code = [cell for cell in cells if cell["cell_type"] == "code"]
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    assert not [o for cell in code for o in cell["outputs"] if o["output_type"] == "error" or o.get("name") == "stderr"]
    assert sum("image/png" in output.get("data", {}) for cell in code for output in cell["outputs"]) >= 2


def pictures() -> list[str]:
    """Those that were drawn, each of them more than an empty page."""
    drawn = sorted(Path("runs/notebooks").glob("*.png"))
    assert all(path.stat().st_size > 5000 for path in drawn)
    return [path.name for path in drawn]
