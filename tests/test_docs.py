"""README and docs, as a stranger uses them: blocks are classified, commands compose, files exist, Python compiles.

`test_docs_run.py` runs everything.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from experiments import cli

from .pages import OWN, PAGES, ROOT, RUN, SETUP, SHOWN, Block, blocks, commands, settings, words

BLOCKS = [block for page in PAGES for block in blocks(page)]
COMMANDS = [
    pytest.param(block, command, id=f"{block}-{index}")
    for block in BLOCKS
    if block.info.partition(" ")[0] == "sh"
    for index, command in enumerate(commands(block))
]
INLINE = [
    pytest.param(page.name, " ".join(code.split()), id=f"{page.name}-{index}")
    for page in PAGES
    for index, code in enumerate(
        re.findall(r"`(jepa-mpc \w[^`]*)`", re.sub(r"```.*?```", "", page.read_text(), flags=re.S))
    )
]
# Settings that name a file to read, and those that name one that is written.
READ = (
    "checkpoint",
    "goal",
    "bundle",
    "log",
    "data",
    "calibration",
    "online.data",
    "online.start_from",
    "suite.checkpoint",
)
WRITTEN = ("out", "results", "telemetry", "online.curves")


@pytest.mark.parametrize("block", BLOCKS, ids=str)
def test_every_block_says_what_it_is(block: Block) -> None:
    known = block.info in RUN or SHOWN.fullmatch(block.info)
    assert known, f'{block}: {block.info!r} is none of sh, python, either with title="WHY" if it is not run, text, json'


@pytest.mark.parametrize("block", [each for each in BLOCKS if each.info.startswith("python")], ids=str)
def test_python_compiles(block: Block) -> None:
    compile(block.text, str(block), "exec")


def jobs(rest: list[str]) -> list[str]:
    """The settings of a multirun's first job: Hydra shows no other."""
    if "-m" not in rest:
        return rest
    return [word if "${" in word else word.partition(",")[0] for word in rest if word != "-m"]


@pytest.mark.parametrize(("block", "command"), COMMANDS)
def test_commands_compose(block: Block, command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    if not command.startswith(SETUP) and not command.startswith("python -m "):
        composes(str(block), command, capsys, tmp_path)


@pytest.mark.parametrize(("page", "command"), INLINE)
def test_commands_in_sentences_compose(
    page: str, command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    composes(page, command, capsys, tmp_path)


def composes(where: str, command: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Fail unless Hydra composes the command's settings."""
    program, name, *rest = words(command)
    assert program == "jepa-mpc" and name in cli.COMMANDS, f"{where}: nobody has the command {command!r}"
    if "--help" in rest:
        return
    before = Path.cwd()
    os.chdir(tmp_path)
    try:
        code = cli.main([name, *jobs(rest), "--cfg", "job"])
    finally:
        os.chdir(before)
    said = capsys.readouterr()
    assert code == 0, f"{where}: {command}\n{said.err}"
    assert said.out.strip()


def test_setup_commands_exist() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for block in BLOCKS:
        for command in commands(block) if block.info == "sh" else []:
            if command.startswith("make "):
                assert set(words(command)[1:]) <= targets, f"{block}: {command}"
            if command.startswith("python -m "):
                module = words(command)[2]
                assert (ROOT / f"{module.replace('.', '/')}.py").is_file(), f"{block}: {command}"


def made_by(command: str) -> list[str]:
    """The files that a command leaves behind, as far as later ones on the page read them."""
    chosen, name = settings(command), words(command)[1]
    made = [chosen[key] for key in WRITTEN if key in chosen]
    task = "-".join(
        [
            chosen.get("task", "two_room").replace("/", "-").replace(":", "-"),
            *([chosen["observation"]] if "observation" in chosen else []),
        ]
    )
    if name in ("train", "plan") and "out" not in chosen:
        made.append(f"{chosen.get('runs', 'runs')}/{task}-seed{chosen.get('seed', '0')}.safetensors")
    if name == "bench" and chosen.get("suite") == "rewards":
        made.append("runs/rewards/jepa-mpc-dmc-walker-walk-0.safetensors")
    return made


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_files_that_are_read_exist_or_were_made_on_the_page(page: Path) -> None:
    known = {"published", *OWN.get(page.name, ())}
    for block in blocks(page):
        if block.info == "python":
            known.update(re.findall(r'(?:create_dataset|save|save_model)\("([^"]+)"', block.text))
            for name in re.findall(r'"([\w./-]+\.(?:bundle|safetensors|csv|jsonl))"', block.text):
                assert name in known or "Path(" in block.text, f"{block}: {name} is nowhere on the page before"
        for command in commands(block) if block.info == "sh" else []:
            if command.startswith("python -m experiments.examples.own_videos "):
                known.add(f"{words(command)[3]}/logs")
            if not command.startswith("jepa-mpc "):
                continue
            chosen = settings(command)
            read = [value for key, value in chosen.items() if key in READ]
            read += [
                name for key in ("curves", "rows") for name in chosen.get(key, "[]").strip("[]").split(",") if name
            ]
            for name in read:
                assert name in known or (ROOT / name).exists(), f"{block}: {name} is nowhere on the page before"
            known.update(made_by(command))


PLANNED = 'assert float(plan.cost) < 2.5, "the plan of no actions costs 5"'
POINT = """
from worldmodel import load
assert load("runs/point").steps == 100 * 40
assert point.name == "goal/Point" and point.success(point.state, point.achieved_goal(point.state))
"""
MODEL = """
action = controller.act([0.0, 0.0])
assert action[0] > 0.1 and action[1] < -0.1, f"{action} does not lead towards the goal"
assert (48, 32) in [leaf.shape for leaf in jax.tree.leaves(model.params)], "the layer of Averages is not in the model"
"""
# What holds after the Python of a page that needs no file.
AFTER = {
    "README.md": "assert task.action_space.contains(action)",
    "docs/quickstart.md": 'assert info["success"] or truncated',
    "docs/extending.md": PLANNED + POINT + MODEL,
}


@pytest.mark.parametrize("page", AFTER)
def test_short_python_runs(page: str, tmp_path: Path) -> None:
    names_a_file = re.compile(r'"[\w./-]+\.(bundle|safetensors|csv)"')
    python = [each for each in blocks(ROOT / page) if each.info == "python"]
    short = [each.text for each in python if not names_a_file.search(each.text)]
    script = tmp_path / "page.py"
    script.write_text("\n".join([*short, AFTER[page]]))
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert short and done.returncode == 0, done.stderr[-2000:]
