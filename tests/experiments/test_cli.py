"""The shell around the commands. `greet` is a whole command: a module, a YAML and a line in the table."""

from __future__ import annotations

import gc
import importlib
import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
from hydra import compose, initialize_config_dir
from hydra.core.hydra_config import HydraConfig

from experiments import cli
from experiments.records.manifest import command
from experiments.reference import commands, files, tree
from experiments.shell import plugins, wrong_setting
from experiments.shell.folders import config_dir

GREET = """
def run(cfg):
    seen.append((cfg.task.name, cfg.seed))
    if cfg.fail == "ours":
        raise ValueError("the dataset has 3 actions and the task 2: collect it again")
    if cfg.fail == "diverged":
        raise FloatingPointError("training diverged at update 3: lower training.learning_rate")
    if cfg.fail == "bug":
        int("not a number")
    if cfg.fail == "file":
        open("missing.json")
    if cfg.fail == "missing":
        cfg.checkpoint
    if cfg.fail == "interrupt":
        raise KeyboardInterrupt
    return cfg.code

def exit_code(result):
    return result
"""


@pytest.fixture
def seen(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """Adds the command `greet` to the table, and gives the list of its runs: (task, seed)."""
    configs = tmp_path / "configs"
    (configs / "task").mkdir(parents=True)
    (configs / "task" / "two_room.yaml").write_text(
        "# Two rooms.\nname: two_room\nradius: 0.1  # of the body, in metres\n"
    )
    (configs / "task" / "reward.yaml").write_text("name: ???\n")
    (configs / "task" / "umaze.yaml").write_text(
        "# A bent corridor.\nname: umaze\n# half its width, in metres\ncorridor: 0.2\n"
    )
    (configs / "greet.yaml").write_text(
        "defaults:\n  - task: two_room\n  - _self_\n"
        "seed: 0\nfail: ''\ncode: 0\ncheckpoint: ???\nformat: table\ncem:\n  num_samples: 8  # draws of one iteration\n"
    )
    module = ModuleType("experiments.commands.greet")
    runs: list[tuple[str, int]] = []
    module.__dict__["seen"] = runs
    exec(GREET, module.__dict__)
    monkeypatch.setitem(sys.modules, "experiments.commands.greet", module)
    monkeypatch.setitem(cli.COMMANDS, "greet", "says it's there: once, twice")
    for module_that_reads in (cli, wrong_setting, plugins, files, tree):
        monkeypatch.setattr(module_that_reads, "config_dir", lambda: configs)
    for name in (
        "JAX_COMPILATION_CACHE_DIR",
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS",
        "IMAGEIO_FFMPEG_NO_PREVENT_SIGINT",
        "HYDRA_FULL_ERROR",
    ):
        monkeypatch.setenv(name, "")  # so that the test's end takes away what the program sets
        monkeypatch.delenv(name)
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    return runs


def test_help_is_light_and_lists_every_command() -> None:
    code = (
        "import sys; from experiments.cli import main; code = main(['--help'])\n"
        "heavy = {'jax', 'hydra', 'omegaconf', 'numpy', 'mujoco', 'rich'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for name, line in cli.COMMANDS.items():
        assert f"  {name} " in done.stdout
        assert line in done.stdout


def test_no_argument_is_help_and_version_is_the_distribution(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 0
    assert "usage: jepa-mpc COMMAND" in capsys.readouterr().out
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"jepa-mpc {importlib.metadata.version('jepa-mpc')}\n"


def test_settings_reach_the_command_and_nothing_is_left_behind(seen: list) -> None:
    assert cli.main(["greet", "task=umaze", "seed=4"]) == 0
    assert seen == [("umaze", 4)]
    assert os.listdir() == []


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            ["gret"],
            f"'gret' is not a command; commands: {', '.join(cli.COMMANDS)}, greet; did you mean greet?",
        ),
        (
            ["greet", "task=two_rom"],
            "task=two_rom is not known: task can be reward, two_room, umaze; did you mean two_room?",
        ),
        (
            ["greet", "seed=1", "cem.num_sample=3"],
            "cem.num_sample is not a setting of `jepa-mpc greet`; did you mean cem.num_samples?; "
            "`jepa-mpc greet --help` lists its settings",
        ),
        (
            ["greet", "tsk=umaze"],
            "tsk is not a setting of `jepa-mpc greet`; did you mean task?; `jepa-mpc greet --help` lists its settings",
        ),
        (
            ["greet", "task=umaze", "task.corridor=0.3", "sede=1"],
            "sede is not a setting of `jepa-mpc greet`; did you mean seed?; `jepa-mpc greet --help` lists its settings",
        ),
        (["greet", "--seed=1"], "--seed is not an option: settings are written without dashes, as in seed=VALUE"),
        (
            ["greet", "seed=[1"],
            """seed=[1 has special characters: write "seed='[1'" if it is meant as text""",
        ),
        (["greet", "fail=ä"], """fail=ä has special characters: write "fail='ä'" if it is meant as text"""),
        (
            ["greet", "task=umaze", "cem.num_samples=3", "task.corridr=1", "seed=3"],
            "task.corridr is not a setting of `jepa-mpc greet`; did you mean task.corridor?; "
            "`jepa-mpc greet --help` lists its settings",
        ),
        (["greet", "seed"], "'seed' is not a setting: write key=value, with quotes around special characters"),
        (["greet", "task=5"], "task=5 is not known: task can be reward, two_room, umaze"),
        (["greet", "seed=1,2"], "seed=1,2 has several values: add -m to run once for each"),
        (["greet", "~task"], "~task removes settings that `jepa-mpc greet` needs: leave it out"),
        (
            ["greet", "-m", "task=two_room,dmc/b"],
            "task=two_room,dmc/b mixes two_room, a task with goals, with environments of a suite: sweep over them in "
            "two commands",
        ),
        (["greet", "fail=ours"], "the dataset has 3 actions and the task 2: collect it again"),
        (["greet", "fail=diverged"], "training diverged at update 3: lower training.learning_rate"),
        (["greet", "fail=file"], "missing.json: No such file or directory"),
        (["greet", "fail=missing"], "checkpoint has no value yet: add checkpoint=VALUE to `jepa-mpc greet`"),
    ],
)
def test_a_mistake_is_one_sentence_and_code_2(
    seen: list, capsys: pytest.CaptureFixture[str], arguments: list[str], sentence: str
) -> None:
    assert cli.main(arguments) == 2
    assert capsys.readouterr() == ("", f"jepa-mpc: {sentence}\n")


@pytest.mark.parametrize("arguments", [["+task=umaze"], ["hydra.job.nme=x"]])
def test_other_mistakes_in_settings_have_no_traceback(
    seen: list, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    assert cli.main(["greet", *arguments]) == 2
    told = capsys.readouterr().err
    assert told.count("\n") == 1
    assert arguments[0].lstrip("+").partition("=")[0] in told


def test_a_bug_keeps_its_traceback(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "fail=bug"]) == 1
    told = capsys.readouterr().err
    assert "Traceback" in told
    assert "invalid literal for int()" in told


def test_debug_shows_where_a_sentence_came_from(
    seen: list, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JEPA_MPC_DEBUG", "1")
    assert cli.main(["greet", "fail=ours"]) == 2
    assert "Traceback" in capsys.readouterr().err


def test_an_interruption_is_one_sentence(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "fail=interrupt"]) == 130
    assert capsys.readouterr().err == "jepa-mpc: interrupted; every file that was complete is kept\n"


def test_a_command_can_find_fault_with_its_result(seen: list) -> None:
    assert cli.main(["greet", "code=1"]) == 1


def test_a_reader_that_leaves_early_is_no_error(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "experiments.cli", "doctor", "--help"]
    with subprocess.Popen(command, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None and running.stderr is not None
        running.stdout.close()
        told = running.stderr.read()
    assert (running.returncode, told) == (0, "")


@pytest.mark.parametrize("flags", [["-m", "seed=1,2"], ["seed=1,2", "--multirun"]])
def test_multirun_runs_each_value(seen: list, flags: list[str]) -> None:
    assert cli.main(["greet", "task=umaze", *flags]) == 0
    assert seen == [("umaze", 1), ("umaze", 2)]
    assert os.listdir() == ["runs"]


def test_multirun_prints_a_document_for_each_job(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "-m", "seed=1,2", "format=json"]) == 0
    made = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(each["command"], each["exit_code"], each["rows"]) for each in made] == [("greet", 0, [])] * 2


def test_a_sweep_goes_over_environments_of_suites(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    """Their names have a slash, which a file's name cannot have."""
    assert cli.main(["greet", "-m", "task=dmc/walker-walk,gym/Ant-v5", "seed=3"]) == 0
    assert seen == [("dmc/walker-walk", 3), ("gym/Ant-v5", 3)]


def test_a_path_needs_no_quotes_of_hydras(seen: list, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[tuple[str, str]] = []
    monkeypatch.setattr(
        sys.modules["experiments.commands.greet"], "run", lambda cfg: told.append((str(cfg.checkpoint), command()))
    )
    assert cli.main(["greet", "checkpoint=größe (1)=a,b/it's {x}.safetensors"]) == 0
    ((path, printed),) = told
    assert path == "größe (1)=a,b/it's {x}.safetensors"
    again = shlex.split(printed)
    assert again[0] == "jepa-mpc" and cli.main(again[1:]) == 0
    assert told[1] == told[0]


def test_a_run_knows_the_command_that_repeats_it(seen: list, monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[str] = []
    monkeypatch.setattr(sys.modules["experiments.commands.greet"], "run", lambda cfg: told.append(command()))
    cli.main(["greet", "-m", "task=umaze", "seed=1,2"])
    assert told == ["jepa-mpc greet task=umaze seed=1", "jepa-mpc greet task=umaze seed=2"]


def test_multirun_stops_at_the_first_mistake(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "-m", "seed=1,2", "fail=ours"]) == 2
    assert seen == [("two_room", 1)]
    assert capsys.readouterr().err.count("collect it again") == 1


def test_help_of_a_command_shows_its_groups(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "--help"]) == 0
    shown = capsys.readouterr().out
    assert "usage: jepa-mpc greet [key=value ...]\n\nSays it's there: once, twice.\n" in shown
    assert re.search(r"task=two_room +dmc/DOMAIN-TASK, gym/ID, two_room, umaze\n", shown)
    assert re.search(r"cem.num_samples=8 +draws of one iteration\n", shown)
    assert "task.corridor" not in shown
    assert seen == []
    assert not HydraConfig.initialized()


def test_help_of_a_command_explains_the_groups_that_are_named(seen: list, capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["greet", "task=umaze", "seed=4", "--help"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"task=umaze: A bent corridor.\n  task.corridor=0.2 +half its width, in metres\n", shown)
    assert "seed=4 " in shown
    assert cli.main(["greet", "--help", "all"]) == 0
    assert re.search(r"task.radius=0.1 +of the body, in metres", capsys.readouterr().out)
    assert cli.main(["greet", "sede=1", "--help"]) == 2
    assert "did you mean seed?" in capsys.readouterr().err


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_the_first_screen_of_help_says_what_to_type(
    command: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In 40 lines of 100 columns: usage, what the command does, examples, and its own settings."""
    monkeypatch.setenv("COLUMNS", "100")
    assert cli.main([command, "--help"]) == 0
    shown = capsys.readouterr().out.splitlines()
    first = shown[:40]
    assert max(map(len, shown)) <= 100
    assert first[0].startswith(f"usage: jepa-mpc {command} ")
    line = cli.COMMANDS[command]
    assert f"{line[0].upper()}{line[1:]}." in " ".join(first)
    assert 2 <= sum(each.startswith(f"  jepa-mpc {command}") for each in first) <= 4
    for setting in files.command_file(command).settings:
        assert any(each.startswith(f"  {setting.key}=") for each in first), setting.key


@pytest.mark.parametrize("line", [*commands.FIRST, *(each for lines in commands.EXAMPLES.values() for each in lines)])
def test_examples_of_help_compose(
    line: tuple[str, str], capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    _, command, *words = shlex.split(line[0])
    assert cli.main([command, *words, *([] if "--help" in words else ["--cfg", "job"])]) == 0, capsys.readouterr().err


def test_every_command_has_a_place_in_help() -> None:
    assert {name for names in commands.PURPOSES.values() for name in names} >= set(cli.COMMANDS)
    assert set(commands.EXAMPLES) >= set(cli.COMMANDS)


def test_a_start_seldom_searches_for_garbage(seen: list) -> None:
    before = gc.get_threshold()
    try:
        gc.set_threshold(700, 10, 10)
        cli.main(["greet"])
        assert gc.get_threshold()[0] == cli.GARBAGE_THRESHOLD
    finally:
        gc.set_threshold(*before)


def test_compiled_programs_are_kept_where_the_user_says(seen: list, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/some/cache")
    cli.main(["greet"])
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "/some/cache/jepa-mpc/xla"
    assert os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] == "0"
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "mine")
    cli.main(["greet"])
    assert os.environ["JAX_COMPILATION_CACHE_DIR"] == "mine"


@pytest.mark.parametrize("command", cli.COMMANDS)
def test_every_command_is_there(command: str) -> None:
    assert callable(cli.command_module(command).run)


def test_every_choice_of_every_command_composes() -> None:
    configs = config_dir()
    tried = set()
    with initialize_config_dir(version_base="1.3", config_dir=str(configs)):
        for name in cli.COMMANDS:
            chosen = compose(name, return_hydra_config=True).hydra.runtime.choices
            groups = {group for group in chosen if not group.startswith("hydra/")} - tried
            for choice in (file for group in groups for file in (configs / group).glob("*.yaml")):
                assert compose(name, overrides=[f"{choice.parent.relative_to(configs)}={choice.stem}"])
            tried |= groups
        for choice in (configs / "preset").glob("*.yaml"):  # of method=td alone
            assert compose("train", overrides=["method=td", f"preset={choice.stem}"])
        tried.add("preset")
    assert tried == {str(folder.relative_to(configs)) for folder in configs.rglob("*") if folder.is_dir()}
