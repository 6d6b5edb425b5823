"""Everything in README and docs run as written, in order within a page: slow.

Each page runs from the wheel, in a folder that is empty but for the files that its reader has; README also from a
clone, which git then finds as it was. To what would take hours, settings are added that make it short (`SHORT`): they
come after those of the page, and none of the page's own is replaced.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from experiments import build
from experiments.build import recipes
from worldmodel.models.checkpoint import save_model
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.observation import vector

from . import pages
from .pages import OWN, PAGES, ROOT, RUN, SETUP, Block, blocks, commands, settings, words

pytestmark = pytest.mark.slow

ONE_TASK = ("suite.tasks=[two_room]", "suite.seeds=[0]", "suite.plans=1", "suite.episodes=2")
FAST_LEARNER = (
    "online.steps=1000", "online.evaluate_every=1000", "online.evaluate_episodes=1", "online.seed_decisions=100",
    "training.batch=16", "planner.num_samples=32", "planner.num_elites=4", "planner.iterations=1",
)  # fmt: skip
CEILING = ("online.evaluate_episodes=1", "planner.num_samples=8", "planner.horizon=5")
REWARDS = {
    "td": FAST_LEARNER,
    "reward_free": ("online.offline_updates=20", "online.evaluate_episodes=1", "training.batch=16"),
    "sac": ("online.steps=1000", "online.evaluate_episodes=1"),
    "ppo": ("online.steps=1000", "online.evaluate_episodes=1"),
    "ceiling": CEILING,
}


def listed(name: str, overrides: Sequence[str]) -> str:
    """A setting that is a list of settings."""
    quoted = ",".join(f'"{each}"' for each in overrides)
    return f"{name}=[{quoted}]"


# Suites that train the full recipe where no model is find random ones here.
STAND_IN = "runs=runs/stand-in"
# What each suite is cut down to.
SUITES = {
    "goal": (*ONE_TASK, 'suite.overrides=["budget=smoke"]', "suite.simulated_episodes=1"),
    "planners": (*ONE_TASK, STAND_IN, "suite.budgets=[24,1280]", "suite.policies=[model]"),
    "latency": ("grid=quick", "suite.planners=[cem]"),
    "paired": (STAND_IN, "suite.episodes=2", "suite.plans=1"),
    "constraints": (STAND_IN, "suite.episodes=2", "suite.penalties=[10]", "~suite.cases.reacher_speed"),
    "delay": ("suite.episodes=2",),
    "rewards": (
        "suite.tasks=[dmc/cartpole-swingup,dmc/walker-walk]", "suite.methods=[td]",
        listed("suite.settings.td", FAST_LEARNER), listed("suite.settings.ceiling", CEILING),
    ),
    "fine_tuning": (
        "suite.tasks=[dmc/cartpole-swingup]", "suite.seeds=[0]", "suite.episodes=1", "suite.updates=5",
        "suite.steps=1000", "suite.evaluate_every=1000", listed("suite.settings", FAST_LEARNER[2:]),
    ),
    "stirred_tank": (
        "suite.changes=2", "suite.simulated_changes=1", "suite.disturbed_changes=1", "~suite.promises",
        listed("suite.overrides", ("budget=smoke",)),
    ),
    "representation": (
        "suite.tasks=[two_room]", "suite.conditions=[clean]", "suite.methods=[twin]", "suite.updates=[20]",
        "suite.episodes=2", "suite.held_out=2", listed("suite.overrides", ("budget=smoke", "observation.size=32")),
    ),
    "few_labels": (
        "suite.tasks=[two_room]", "suite.shares=[0.5]", "suite.methods=[joint]", "suite.episodes=2",
        listed("suite.overrides", ("budget=smoke", "observation.size=32")),
    ),
    "hostile_bundles": ("suite.files=20",),
    "soak": ("suite.steps=2000", "suite.kills=1"),
}  # fmt: skip
SUITES["goal_ablations"] = SUITES["memory"] = SUITES["training_curve"] = SUITES["goal"]


def short(command: str, chosen: dict[str, str]) -> tuple[str, ...]:
    """The settings that make a command short."""
    if "shipped" in chosen or command in ("compare", "convert", "doctor", "list", "replay", "report"):
        return ()
    if command == "bench":
        return SUITES[chosen.get("suite", "latency")]
    if command == "drive":
        return ("seconds=3", "port=18080")
    for group in ("objective", "method"):
        if chosen.get(group) in REWARDS:
            return REWARDS[chosen[group]]
    return ("budget=smoke",)


def lacks_sbx(text: str) -> bool:
    """Whether a command or a block needs sbx, which `make venv` leaves out, and it is missing."""
    wants = re.search(r"method=(sac|ppo)|suite\.(methods|policies)=\S*(sac|ppo)|baselines import sbx", text)
    return wants is not None and importlib.util.find_spec("sbx") is None


# Runs the blocks of Python that it is handed, one JSON line each, and answers with "" or the traceback.
SESSION = """
import contextlib, json, sys, traceback
namespace = {"__name__": "__main__"}
for line in sys.stdin:
    name, source = json.loads(line)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            exec(compile(source, name, "exec"), namespace)
        answer = ""
    except BaseException:
        answer = traceback.format_exc()
    print(json.dumps(answer), flush=True)
"""


@dataclass(frozen=True)
class Place:
    """A folder to work in, and the installation that commands and imports come from."""

    folder: Path
    environment: dict[str, str]
    program: str

    def run(self, line: Sequence[str]) -> None:
        """Run one command; its output is in the message where it fails."""
        done = subprocess.run(line, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=1800)
        assert done.returncode == 0, f"{shlex.join(line)}\n{done.stdout[-1500:]}\n{done.stderr[-3000:]}"

    def commands(self, block: Block) -> None:
        """Run a block of commands, made short."""
        for command in commands(block):
            if command.startswith(SETUP):
                continue
            program, *rest = words(command)
            if program == "jepa-mpc":
                chosen = settings(command)
                if lacks_sbx(command):
                    continue
                added = [each for each in short(rest[0], chosen) if each.partition("=")[0] not in chosen]
                self.run([self.program, *rest, *([] if "--help" in rest else added)])
            else:
                assert program == "python"
                self.run([sys.executable, *rest, *(["budget=smoke"] if "examples.own_" in command else [])])

    def page(self, blocks: Sequence[Block]) -> None:
        """Run a page from its beginning to its end; its Python is one session."""
        interpreter = [sys.executable, "-c", SESSION]
        with subprocess.Popen(
            interpreter, cwd=self.folder, env=self.environment, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        ) as session:
            assert session.stdin is not None and session.stdout is not None
            for block in blocks:
                if block.info == "sh":
                    self.commands(block)
                elif block.info == "python" and not lacks_sbx(block.text):
                    if block.file:
                        (self.folder / block.file).write_text(block.text)
                    session.stdin.write(json.dumps([str(block), block.text]) + "\n")
                    session.stdin.flush()
                    answer = json.loads(session.stdout.readline())
                    assert answer == "", answer
            session.stdin.close()


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, installed without what it depends on."""
    dist, site = tmp_path_factory.mktemp("dist"), tmp_path_factory.mktemp("site")
    build = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(dist)]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", str(site)]
    subprocess.run([*pip, *map(str, dist.glob("*.whl"))], check=True)
    return site


def environment(package: Path, home: Path) -> dict[str, str]:
    """Everything comes from `package`, and nothing is written to this user's folders but compiled programs."""
    data = home / "minari"
    data.mkdir(exist_ok=True)
    return {**os.environ, "PYTHONPATH": str(package), "MINARI_DATASETS_PATH": str(data)}


def stand_in(runs: Path, task: str) -> None:
    """A tiny random model that passes for the recipe's."""
    config = ModelConfig(observation=vector(4), action_size=2, latent_size=4, width=8, head_width=8, probe_size=2)
    metadata = {"recipe": recipes.recipe(build.compose("plan", f"task={task}"), 0), "task": {"task": task}}
    save_model(runs / f"{task}-seed0.safetensors", create(config, 0), config, metadata)


def prepare(place: Place, page: Path) -> None:
    """Make the files that the page's reader has, and the models that stand in for hours of training."""
    for task in ("two_room", "umaze"):
        stand_in(place.folder / "runs/stand-in", task)
    for name in OWN.get(page.name, ()):
        path = place.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".csv":
            pages.curves(path)
        elif path.suffix == ".safetensors":
            pages.model_of_logs(path, [place.program], place.environment)
        else:
            pages.own_logs(path)


TO_RUN = [page for page in PAGES if any(block.info in RUN for block in blocks(page))]


@pytest.mark.parametrize("page", TO_RUN, ids=lambda page: page.name)
def test_page_runs_from_the_wheel_in_a_foreign_folder(page: Path, installed: Path, tmp_path: Path) -> None:
    folder = tmp_path / "work"
    folder.mkdir()
    before = {path: path.stat().st_mtime_ns for path in installed.rglob("*") if path.suffix in (".csv", ".json")}
    place = Place(folder, environment(installed, tmp_path), str(installed / "bin" / "jepa-mpc"))
    prepare(place, page)
    place.page(blocks(page))
    assert before == {path: path.stat().st_mtime_ns for path in before}  # nothing shipped was touched


def clone(tmp_path: Path) -> Place:
    """A clone of the last commit, and the command of its environment."""
    folder = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(folder)], check=True)
    (folder / ".venv").symlink_to(sys.prefix)
    return Place(folder, environment(folder, tmp_path), str(Path(sys.executable).with_name("jepa-mpc")))


def test_readme_runs_from_a_clone_and_leaves_it_clean(tmp_path: Path) -> None:
    place = clone(tmp_path)
    exclude = place.folder / ".git/info/exclude"
    exclude.write_text("/.venv\n/my_planner.py\n/my_cost.py\n/reacher.bundle*\n/run.jsonl\n")
    shown = [block for block in blocks(ROOT / "README.md") if "results=experiments/results" not in block.text]
    prepare(place, ROOT / "README.md")
    place.page(shown)
    status = ["git", "status", "--porcelain"]
    assert subprocess.run(status, cwd=place.folder, capture_output=True, check=True).stdout == b""


def test_robot_is_set_up_as_written(tmp_path: Path) -> None:
    """A wheel from the checkout, four packages, and a bundle that plans; it needs a package index."""
    place = clone(tmp_path)
    page = blocks(ROOT / "docs/robot.md")
    index = next(place for place, block in enumerate(page) if "python3 -m venv robot" in block.text)
    place.run([place.program, *words(commands(page[0])[0])[1:]])  # export
    for block in page[: index + 1]:
        for command in commands(block):
            if command.startswith(SETUP):
                command = command.replace("python3 -m venv", f"{shlex.quote(sys.executable)} -m venv")
                done = subprocess.run(command, shell=True, cwd=place.folder, capture_output=True, text=True)
                if done.returncode and "pip install jax" in command:
                    pytest.skip(f"no package index: {done.stderr[-300:]}")
                assert done.returncode == 0, f"{command}\n{done.stderr}"
    (python,) = (block for block in page if block.info == "python")
    alone = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    robot = [str(place.folder / "robot/bin/python"), "-I", "-c", python.text]
    done = subprocess.run(robot, cwd=place.folder, env=alone, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
