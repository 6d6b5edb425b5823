"""Mutation test of the control loop: break one guard at a time and check that the soak test or the tests notice.

Each mutant changes one line of `planning/control` in a copy of the package. It is noticed if a short soak test, or
else the tests of the control loop, fail on it.
"""

from __future__ import annotations

import logging
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

from omegaconf import DictConfig

from ...records.manifest import manifest
from ...records.promises import require
from ...records.results import Value, append_values
from ...shell.folders import ROOT
from ...shell.progress import progress_bar

logger = logging.getLogger(__name__)
PACKAGES = ("planning", "worldmodel", "envs", "experiments", "configs")
UNUSED = ("results", "checkpoints", "notebooks")
TESTS = (
    "tests/planning/test_controller_faults.py",
    "tests/planning/control/test_realtime.py",
    "tests/planning/control/engine/test_goal.py",
    "tests/planning/control/engine/test_pictures.py",
    "tests/planning/control/test_frames.py",
    *(f"tests/planning/control/loop/test_{name}.py" for name in ("budget", "invariant", "limiter", "guards", "frozen")),
)
SOAK = (
    "import sys; from experiments.bench.robot.soak.loop import broken_promises; "
    "sys.exit(bool(broken_promises({steps}, {seed})))"
)


class Mutant(NamedTuple):
    """A line of `planning/control/FILE.py` and its replacement."""

    name: str
    file: str
    line: str
    becomes: str


def run(cfg: DictConfig) -> dict[str, str]:
    """Detector of each mutant: `soak`, `tests` or an empty string; writes rows `mutants*` if `cfg.results` is set.

    Raises:
      FileNotFoundError: this is not a checkout; an installed package has no tests.
      ValueError: a mutant is unknown, or its line is not in the code exactly once.
      RuntimeError: the soak test or the tests fail on the unchanged code, which makes the result meaningless.
      SystemExit: with code 1, if a mutant is not noticed.
    """
    if not (ROOT / TESTS[0]).is_file():
        raise FileNotFoundError(f"suite=mutants needs the tests of a checkout, but there is no {ROOT / TESTS[0]}")
    known = {str(name): Mutant(name=str(name), **values) for name, values in cfg.suite.mutants.items()}
    names = list(known) if cfg.suite.only is None else [str(name) for name in cfg.suite.only]
    if unknown := sorted(set(names) - set(known)):
        raise ValueError(f"suite.only names {', '.join(unknown)}, and the mutants are {', '.join(known)}")
    chosen = [known[name] for name in names]
    noticed: dict[str, str] = {}
    with progress_bar("mutants", len(chosen)) as bar, tempfile.TemporaryDirectory() as folder:
        if by := _noticed_by(None, Path(folder), int(cfg.suite.steps), int(cfg.seed)):
            raise RuntimeError(f"the unchanged code fails ({by}): fix that first")
        for number, mutant in enumerate(chosen, 1):
            noticed[mutant.name] = _noticed_by(mutant, Path(folder), int(cfg.suite.steps), int(cfg.seed))
            logger.info("%s: noticed by %s", mutant.name, noticed[mutant.name] or "neither")
            bar(number, len(chosen))
    counts = {who: sum(by == who for by in noticed.values()) for who in ("soak", "tests", "")}
    values = [
        Value("mutants", float(len(chosen)), "count"),
        Value("mutants_missed", float(counts[""]), "count"),
        Value("mutants_noticed_by_soak", float(counts["soak"]), "count"),
        Value("mutants_noticed_by_tests", float(counts["tests"]), "count"),
    ]
    if cfg.results:
        append_values(Path(cfg.results) / "robot_loop.csv", values, manifest(cfg, [int(cfg.seed)]))
    for name in (name for name, by in noticed.items() if not by):
        logger.error("the mutant %s was not noticed", name)
    require(cfg.suite, values)
    return noticed


def mutated(mutant: Mutant, source: str) -> str:
    """The source with the mutant's change.

    Raises:
      ValueError: its line is not in the source exactly once: the list is older than the code.
    """
    if source.count(mutant.line) != 1:
        raise ValueError(
            f"the mutant {mutant.name} needs its line of {mutant.file}.py exactly once, but it is there "
            f"{source.count(mutant.line)} times: {mutant.line!r}"
        )
    return source.replace(mutant.line, mutant.becomes)


def _noticed_by(mutant: Mutant | None, folder: Path, steps: int, seed: int) -> str:
    """The check that fails on the mutant (None: on the unchanged code): `soak`, `tests` or an empty string."""
    for package in PACKAGES:
        shutil.rmtree(folder / package, ignore_errors=True)
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__", *UNUSED))
    if mutant is not None:
        file = folder / "planning" / "control" / f"{mutant.file}.py"
        file.write_text(mutated(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
    soak = [sys.executable, "-c", SOAK.format(steps=steps, seed=seed)]
    if _run(soak, folder):
        return "soak"
    tests = [str(ROOT / test) for test in TESTS]
    options = ["-x", "-q", "-p", "no:cacheprovider", "--rootdir", str(ROOT), "-c", str(ROOT / "pyproject.toml")]
    return "tests" if _run([sys.executable, "-m", "pytest", *options, *tests], folder) else ""


def _run(command: list[str], folder: Path) -> int:
    """Exit code of a command that imports the packages in `folder`."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(folder),
        "PYTHONDONTWRITEBYTECODE": "1",
        "JAX_PLATFORMS": "cpu",
        "JAX_COMPILATION_CACHE_DIR": str(folder / "compiled"),  # no mutant changes the compiled programs
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=False).returncode
