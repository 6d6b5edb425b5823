"""The walls of the design, held by reading every import, wherever in a file it stands."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
LIBRARIES = ("worldmodel", "planning", "envs")
PACKAGES = (*LIBRARIES, "experiments")
FORBIDDEN = {
    "worldmodel": {"mujoco", "dm_control", "gymnasium_robotics", "hydra", "omegaconf"},
    "planning": {"flax", "minari", "mujoco", "dm_control", "gymnasium", "gymnasium_robotics", "hydra", "omegaconf"},
    "envs": {"jax", "jaxlib", "flax", "optax", "hydra", "omegaconf"},
    "experiments": set(),
}

# The rooms of each package, ground floor first: a room imports from those before it, never from those behind. What is
# not in a room of its own (`.`) stands where the list says. Names with a point are rooms inside rooms.
ORDER = {
    "worldmodel": [".", "data", "nets", "models", "losses", "training", "diagnostics"],
    "planning": [".", "control"],
    "planning.control": ["log", "engine", "bundle", "worker", "loop", "."],
    "envs": ["sensors", "pipes", "cores", "vision", ".", "physics", "suites", "registry"],
    "experiments": [
        "shell",
        "reference",
        "records",
        "engine",
        "build",
        "watching",
        "pictures",
        "evaluation",
        "baselines",
        "checks",
        "training",
        "cards",
        "pages",
        "diagnosis",
        "comparison",
        "driving",
        "bench",
        "reporting",
        "commands",
        ".",
        "examples",
        "notebooks",
    ],
    "experiments.evaluation": [".", "goals", "rewards"],
    "experiments.training": [".", "online", "run"],
    "experiments.driving": ["simulator", "view", "."],
    "experiments.bench": [
        "missing",
        "data_steps",
        "choices",
        "budgets",
        "flops",
        "markers",
        "latency",
        "planners",
        "goal",
        "training",
        "model_rows",
        "representation",
        "expectation",
        "few_labels",
        "rewards",
        "robot",
        "scale",
        "shipped",
    ],
}
MOST_FILES = 16  # in a room; the roots of planning and envs are shelves of planners and of tasks
SHELVES = ("planning", "envs")
MOST_LINES = 300  # of a file


def sources(package: str) -> list[Path]:
    found = sorted((ROOT / package).rglob("*.py"))
    assert found, f"{package} holds no Python"
    return found


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """Line and top-level name of every absolute import, those in functions and behind TYPE_CHECKING among them."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name.partition(".")[0]) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.lineno, str(node.module).partition(".")[0]
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in ("importlib.import_module", "__import__"):
            named = node.args[0] if node.args else None
            if isinstance(named, ast.Constant) and not str(named.value).startswith("."):
                yield node.lineno, str(named.value).partition(".")[0]


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_stay_inside_the_walls(package: str) -> None:
    others = set(LIBRARIES) - {package} if package in LIBRARIES else set()
    experiments = {"experiments"} if package in LIBRARIES else set()
    crossings = [
        f"{file.relative_to(ROOT)}:{line} imports {name}"
        for file in sources(package)
        for line, name in imports(ast.parse(file.read_text()))
        if name in FORBIDDEN[package] | others | experiments
    ]
    assert not crossings


def test_a_robot_needs_no_words_for_annotations() -> None:
    """planning takes them from planning/arrays.py, which does without jaxtyping where it is not installed."""
    direct = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sources("planning")
        if file.name != "arrays.py"
        for line, name in imports(ast.parse(file.read_text()))
        if name == "jaxtyping"
    ]
    assert not direct


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_of_its_own_are_relative(package: str) -> None:
    absolute = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sources(package)
        if not {"notebooks", "examples"} & set(file.parts)  # these are scripts as a user writes them
        for line, name in imports(ast.parse(file.read_text()))
        if name == package
    ]
    assert not absolute


@pytest.mark.parametrize("package", PACKAGES)
def test_relative_imports_do_not_leave_the_package(package: str) -> None:
    leaving = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sources(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.ImportFrom) and node.level >= len(file.relative_to(ROOT).parts)
    ]
    assert not leaving


def module_name(file: Path) -> str:
    return ".".join(file.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def module_imports(package: str) -> dict[str, set[str]]:
    """The modules of the package that each of its modules imports, wherever in the file."""
    files = {module_name(file): file for file in sources(package)}
    found: dict[str, set[str]] = {}
    for name, file in files.items():
        here = name.split(".") if file.name == "__init__.py" else name.split(".")[:-1]
        found[name] = set()
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.ImportFrom):
                continue
            base = here[: len(here) - node.level + 1] if node.level else []
            origin = ".".join([*base, *(node.module or "").split(".")]).strip(".")
            for alias in node.names:
                inner = f"{origin}.{alias.name}"
                found[name] |= {inner} if inner in files else {origin} & set(files)
        found[name].discard(name)
    return found


@pytest.mark.parametrize("package", ORDER)
def test_arrows_between_rooms_run_one_way(package: str) -> None:
    order = ORDER[package]

    def room(module: str) -> str | None:
        if not module.startswith(f"{package}."):
            return None  # outside, or the face of the package itself, which shows what is inside
        first = module.removeprefix(f"{package}.").partition(".")[0]
        return first if first in order else "."

    top = package.partition(".")[0]
    backwards, unplaced = [], set()
    for module, imported in module_imports(top).items():
        for other in imported:
            here, there = room(module), room(other)
            if here is None or there is None or here == there:
                continue
            unplaced |= {each for each in (here, there) if each not in order}
            if not unplaced and order.index(there) > order.index(here):
                backwards.append(f"{module} imports {other}")
    assert not unplaced, f"rooms without a place in ORDER[{package!r}]: {unplaced}"
    assert not backwards


@pytest.mark.parametrize("package", PACKAGES)
def test_no_modules_import_one_another_in_a_circle(package: str) -> None:
    graph = module_imports(package)
    while ground := [module for module, imported in graph.items() if not imported & graph.keys()]:
        for module in ground:
            del graph[module]
    left = {module: imported & graph.keys() for module, imported in graph.items()}
    assert not left, f"in a circle, or above one: {left}"


@pytest.mark.parametrize("package", PACKAGES)
def test_rooms_and_files_stay_small(package: str) -> None:
    folders = {file.parent for file in sources(package)}
    crowded = {
        str(folder.relative_to(ROOT)): len(files)
        for folder in folders
        if len(files := [file for file in folder.glob("*.py") if file.name != "__init__.py"]) > MOST_FILES
        and str(folder.relative_to(ROOT)) not in SHELVES
    }
    assert not crowded
    long = {
        str(file.relative_to(ROOT)): lines
        for file in sources(package)
        if "notebooks" not in file.parts and (lines := len(file.read_text().splitlines())) > MOST_LINES
    }
    assert not long


@pytest.mark.parametrize("package", LIBRARIES)
def test_libraries_do_not_print(package: str) -> None:
    printing = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sources(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


def test_pytest_enters_every_folder_of_tests(request: pytest.FixtureRequest) -> None:
    skipped = request.config.getini("norecursedirs")
    folders = {path.relative_to(ROOT).parent for path in (ROOT / "tests").rglob("test_*.py")}
    left_out = [folder for folder in folders if any(fnmatch(part, each) for part in folder.parts for each in skipped)]
    assert not left_out


IMPORT_ALL = """
import os, pkgutil, sys

def settings():
    return {key: value for key, value in os.environ.items() if key.startswith(("JAX", "XLA", "MUJOCO", "PYOPENGL"))}

before = settings()
package = __import__(sys.argv[1])
for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
    if "notebooks" not in module.name:
        __import__(module.name)
assert settings() == before, "importing chose a backend"
loaded = set(sys.modules)
assert not loaded & {"mujoco.egl", "mujoco.osmesa", "OpenGL.GL"}, "importing started OpenGL"
assert sys.argv[1] != "envs" or "jax" not in loaded, "envs brought jax along"
if "jax" in loaded:
    from jax._src import xla_bridge
    assert not xla_bridge.backends_are_initialized(), "importing started a JAX backend"
"""


@pytest.mark.parametrize("package", PACKAGES)
def test_importing_starts_nothing(package: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORT_ALL, package], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == ""
    assert done.stderr == ""
    assert list(tmp_path.iterdir()) == []
