"""The fenced blocks of README and docs: what each is, and what a stranger types from it.

The first word after the three backticks is the language, for whoever renders the page. Together with the rest of the
line it says what the tests do with the block:

  sh                   commands, run as written, in order
  python               run as written, after the page's earlier ones; with `# name.py` in its first line it is that file
  sh title="WHY"       not run, but every command composes; the title, which the site shows, says why: it takes hours
  python title="WHY"   not run: it needs what no test has (a robot, ROS)
  text, json           no program
"""

from __future__ import annotations

import json
import re
import shlex
import subprocess
from dataclasses import dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
RUN = ("sh", "python")
SHOWN = re.compile(r'text|json|(sh|python) title="[^"]+"')
# What sets up an environment is no command of ours: `make` and pip.
SETUP = ("make ", "source ", ".venv/bin/pip ", "python3 -m venv ", "robot/bin/pip ")


@dataclass(frozen=True)
class Block:
    """One fenced block."""

    page: str
    line: int
    info: str
    text: str

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def file(self) -> str | None:
        """The file that the reader saves it as."""
        found = re.match(r"# (\w+\.py)\n", self.text)
        return found.group(1) if found else None


def blocks(page: Path) -> list[Block]:
    """Every fenced block of a page, whatever its language."""
    found, opened = [], None
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), start=1):
        fence = re.match(r"\s*```(.*)", line)
        if fence is None:
            if opened is not None:
                opened[2].append(line)
        elif opened is None:
            opened = (number, fence.group(1).strip(), list[str]())
        else:
            found.append(Block(page.name, opened[0], opened[1], "\n".join(opened[2]) + "\n"))
            opened = None
    assert opened is None, f"{page.name}:{opened[0]} opens a block that never ends"
    return found


def commands(block: Block) -> list[str]:
    """The commands of a block, each in one line."""
    lines = block.text.replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def words(command: str) -> list[str]:
    """The words of a command as a shell reads them, without its comment."""
    return shlex.split(command, comments=True)


def settings(command: str) -> dict[str, str]:
    """The settings of a `jepa-mpc` command by name."""
    pairs = [word.partition("=") for word in words(command)[2:] if "=" in word]
    return {key.lstrip("+"): value for key, _, value in pairs}


# Files that a reader of the page has before it begins, and how a test makes them.


def own_logs(folder: Path, episodes: int = 40, steps: int = 60) -> None:
    """A robot's log as docs/own_logs.md describes it: two joints that turn as they are pushed."""
    (description,) = (each.text for each in blocks(ROOT / "docs/own_logs.md") if each.info == "json")
    folder.mkdir(parents=True)
    (folder / "dataset.json").write_text(description)
    said, rng = json.loads(description), np.random.default_rng(0)
    for episode in range(episodes):
        readings, pushes = [rng.uniform(-1, 1, 4)], rng.uniform(said["action_low"], said["action_high"], (steps, 2))
        for push in pushes:
            angles, speeds = readings[-1][:2], readings[-1][2:]
            speeds = 0.9 * speeds + said["control_period"] * push
            readings.append(np.concatenate([angles + said["control_period"] * speeds, speeds]))
        observations, actions = np.asarray(readings, np.float32), pushes.astype(np.float32)
        np.savez(folder / f"{episode:03d}.npz", observations=observations, actions=actions)


def curves(path: Path) -> None:
    """A table of learning curves: `mine.csv` has one method, any other file the rest."""
    head, *rows = (ROOT / "experiments/results/dmc_curves.csv").read_text().splitlines()
    mine = [row for row in rows if row.startswith("jepa-mpc,") == (path.stem == "mine")]
    path.write_text("\n".join([head, *mine, ""]))


def model_of_logs(path: Path, run: list[str], environment: dict[str, str]) -> None:
    """A model learned from a robot's own logs."""
    own_logs(path.parent / "logs")
    learn = ["train", "task=custom", f"data={path.parent / 'logs'}", f"out={path}", "budget=smoke"]
    subprocess.run([*run, *learn], check=True, env=environment, capture_output=True)


OWN = {
    "compare.md": ("mine.csv", "theirs.csv"),
    "diagnose.md": ("held_out", "runs/my_arm.safetensors"),
    "lerobot.md": ("my_logs",),
    "own_logs.md": ("my_logs",),
    "report.md": ("mine.csv", "theirs.csv"),
}
