"""The walls of the design, held by reading every import, wherever in a file it stands."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
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


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_of_its_own_are_relative(package: str) -> None:
    absolute = [
        f"{file.relative_to(ROOT)}:{line}"
        for file in sources(package)
        if not {"notebooks", "examples"} & set(file.parts)  # these are scripts of a user's
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


@pytest.mark.parametrize("package", LIBRARIES)
def test_libraries_do_not_print(package: str) -> None:
    printing = [
        f"{file.relative_to(ROOT)}:{node.lineno}"
        for file in sources(package)
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    ]
    assert not printing


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
