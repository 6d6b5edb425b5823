"""Checkouts of two commits, and commands that run in one of them, each as a process of its own."""

from __future__ import annotations

import io
import logging
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ...shell.shadowing import ROOT

try:
    import fcntl
except ImportError:  # Windows has none
    fcntl = None  # type: ignore[assignment]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Checkout:
    """A checkout that commands run in."""

    name: str  # of its folder of runs
    folder: Path

    def run(self, command: str, overrides: Sequence[str], log: Path, cache: Path) -> None:
        """Run `jepa-mpc COMMAND OVERRIDES` with the packages of this checkout; the output is appended to `log`.

        Args:
          command: of the command line.
          overrides: Hydra's; paths in them are absolute, since the process works in the checkout.
          log: the file of the output; commands with logs in one folder wait for each other.
          cache: folder of compiled programs.

        Raises:
          ChildProcessError: the command failed; the message has its last line.
        """
        words = [sys.executable, "-m", "experiments.cli", command, *overrides]
        environment = {
            **os.environ,
            "PYTHONPATH": str(self.folder),
            "JAX_COMPILATION_CACHE_DIR": str(cache),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        }
        with log.open("a", encoding="utf-8") as output, _alone(log.parent) as inherited:
            output.write(f"$ jepa-mpc {shlex.join(words[3:])}\n")
            output.flush()
            code = subprocess.run(
                words,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=inherited,
            ).returncode
        if code:
            lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
            last = next((line.strip() for line in reversed(lines) if line.strip()), "")
            raise ChildProcessError(
                f"`{command}` of {self.name} ended with exit code {code}: {last}; the whole output is in {log}"
            )


def current() -> Checkout:
    """The checkout that this process runs."""
    return Checkout("now", ROOT)


def commit_of(name: str) -> str:
    """Full id of a commit of this repository.

    Raises:
      ValueError: there is no such commit, or this is no checkout.
    """
    try:
        return _git("rev-parse", "--verify", "--quiet", f"{name}^{{commit}}").decode().strip()
    except (OSError, subprocess.CalledProcessError):
        raise ValueError(
            f"suite.before must be a commit of the repository in {ROOT}, as in suite.before=HEAD~1; got {name!r}: "
            "fetch the history, or run the suite in a clone"
        ) from None


def checkout(commit: str, folder: Path) -> Checkout:
    """The files of a commit, below `folder`, written there unless they are there already.

    An archive and no `git worktree`: a killed run leaves nothing registered in the repository.
    """
    place = folder / commit
    if not place.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partly = Path(tempfile.mkdtemp(prefix="partly-", dir=folder))
        try:
            with tarfile.open(fileobj=io.BytesIO(_git("archive", "--format=tar", commit))) as files:
                files.extractall(partly, filter="data")
            partly.rename(place)
        except BaseException:
            shutil.rmtree(partly, ignore_errors=True)
            raise
    return Checkout(commit[:12], place)


@contextmanager
def _alone(folder: Path) -> Iterator[tuple[int, ...]]:
    """Wait until no other command runs in a folder, and give the descriptors that the next one inherits.

    The lock is released when the command ends. If only this process is killed, the command goes on: a suite that is
    started again must not train the same model beside it.
    """
    if fcntl is None:
        yield ()
        return
    with (folder / ".running.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            logger.info("waiting for a command of an earlier run that still works in %s", folder)
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield (lock.fileno(),)


def _git(*arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(ROOT), *arguments], capture_output=True, check=True).stdout
