"""`_target_=my_module.MyClass` finds a module in the current folder, and nothing there hides a package of ours."""

import os
import subprocess
import sys

import pytest

from experiments import cli
from experiments.shell.shadowing import ROOT

COST = """
from dataclasses import dataclass
from functools import partial
import jax, jax.numpy as jnp

@partial(jax.tree_util.register_dataclass, data_fields=[], meta_fields=[])
@dataclass(frozen=True)
class Smoothness:
    def __call__(self, model, imagined, spec):
        return jnp.sum(jnp.square(jnp.diff(imagined.actions, axis=1)), axis=(1, 2))
"""
SCRIPT = "import sys; sys.path = sys.path[1:]; from experiments.cli import main; sys.exit(main())"
WORDS = ["export", "task=reacher", "checkpoint=published", "out=own.bundle", "planner.num_samples=16"]


def call(folder, *words):
    """The command as its console script runs it: with the current folder nowhere on the path."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", SCRIPT, *words]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def test_a_cost_of_ones_own_is_found(tmp_path):
    (tmp_path / "my_module.py").write_text(COST)
    for name in ("planning", "numpy"):  # what is installed comes first
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise RuntimeError('the wrong package')")
    done = call(tmp_path, *WORDS, "+cost.smooth={_target_: my_module.Smoothness, weight: 0.1}")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "own.bundle").is_file()


def test_a_module_that_is_nowhere_is_said_so(tmp_path):
    done = call(tmp_path, *WORDS, "+cost.smooth={_target_: my_module.Smoothness}")
    assert done.returncode == 2
    assert "cost.smooth._target_=my_module.Smoothness cannot be imported: give the dotted name of a class in a" in (
        " ".join(done.stderr.split())
    )


@pytest.mark.parametrize("already", [True, False])
def test_the_current_folder_comes_last_and_once(already, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = [str(tmp_path), *sys.path] if already else list(sys.path)
    monkeypatch.setattr(sys, "path", list(path))
    for name in ("JAX_COMPILATION_CACHE_DIR", "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "HYDRA_FULL_ERROR"):
        monkeypatch.setenv(name, os.environ.get(name, "0"))
    cli.prepare_process()
    assert sys.path == (path if already else [*path, str(tmp_path)])
