"""The command line: `jepa-mpc COMMAND [hydra overrides]`.

To add a command, write a module in `commands` with `run(cfg)`, a `configs/COMMAND.yaml`, a line in `COMMANDS`, and its
place and examples in `reference/commands.py`. A command about data goes into `commands/data` and `DATA_COMMANDS`.
Heavy packages are imported only once the command is known, so that help is immediate.
"""

from __future__ import annotations

import gc
import importlib
import importlib.metadata
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import TYPE_CHECKING, Any

from .shell import interrupt
from .shell.did_you_mean import did_you_mean
from .shell.errors import print_error, report
from .shell.folders import cache_dir, config_dir
from .shell.overrides import choices, list_words, readable
from .shell.renamed import current
from .shell.shadowing import PACKAGES, PROGRAM

if TYPE_CHECKING:
    from omegaconf import DictConfig

# The help line of each command; `run` in the module of that name executes it.
COMMANDS = {
    "demo": "the whole pipeline: collect, train, plan, and one page with the results",
    "check": "say what is right and wrong with an environment or with recorded data, before an hour is spent",
    "collect": "roll out behaviours in a task and write a Minari dataset",
    "convert": "write recorded data as a LeRobot dataset",
    "picture": "draw what a task's cameras see at a goal, as files that plan and drive take",
    "train": "train a world model on a dataset",
    "plan": "plan with a trained model to held-out goals and measure success",
    "compare": "learning curves side by side, with final tables, statistics and published scores",
    "diagnose": "check whether a model is healthy, and what causes its failures",
    "drive": "control a simulator that runs in real time, with a web page to watch and steer",
    "replay": "recompute the plans in a robot's log, bit for bit",
    "bench": "run a suite of measurements: planners, latency, pairs of settings, limits, faults, the robot loop",
    "report": "one page from any tables of rows: failures, pictures, and what to do next",
    "card": "describe a model beside its file: robot, training, measured success, limits",
    "export": "write a trained model and its planner to one file for a robot",
    "list": "show what there is to choose from: tasks, models, planners, costs, sensors, suites and more",
    "doctor": "check versions, devices, rendering, folders and names, with the fix for each",
}

DATA_COMMANDS = ("check", "collect", "convert")  # modules in `commands/data`

# The long options that Hydra's own parser handles; any other word with two dashes is a mistake.
HYDRA_FLAGS = ("--help", "--hydra-help", "--multirun", "--cfg", "--resolve", "--package", "--info", "--config-dir")

HELP = {"--help", "-h"}

# Objects between two garbage collections. Imports and tracing allocate a million objects, which Python's default of 700
# searches so often that it costs a seventh of the start.
GARBAGE_THRESHOLD = 50_000


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted.

    Without `argv`, as the program, it also ends within two seconds of an interrupt.
    """
    if argv is not None:
        return _main(list(argv))
    try:
        interrupt.watch()
        code = _main(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to save
    except KeyboardInterrupt:
        interrupt.leave()
    if interrupt.happened():
        interrupt.leave(None)
    return code


def _main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("-h", "--help", "help"):
        return _help(rest)
    if command in ("-V", "--version"):
        sys.stdout.write(f"{PROGRAM} {importlib.metadata.version(PROGRAM)}\n")
        return 0
    if command not in COMMANDS:
        known = f"commands: {', '.join(COMMANDS)}"
        return print_error(f"{command!r} is not a command; {known}{did_you_mean(command, COMMANDS)}")
    if command == "list":
        rest = list_words(rest)
    for argument in rest:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in HYDRA_FLAGS:
            key = flag.lstrip("-").replace("-", "_")
            return print_error(f"{flag} is not an option: settings are written without dashes, as in {key}=VALUE")
        if argument.startswith("~") and "." not in argument:
            return print_error(f"{argument} removes settings that `{PROGRAM} {command}` needs: leave it out")
    multirun = bool({"-m", "--multirun"} & set(rest))
    prepare_process()
    try:
        rest = readable([each for argument in current(rest) for each in choices(argument)], multirun)
        if HELP & set(rest):
            from .reference import help

            sys.stdout.write(help.command(command, COMMANDS[command], rest, whole="all" in rest))
        else:
            _run_hydra(command, rest)
    except KeyboardInterrupt:
        return print_error(interrupt.SENTENCE, code=interrupt.CODE)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        return _report(error, command, rest)
    return 0


def _report(error: Exception, command: str, rest: Sequence[str]) -> int:
    """Print the error and return its exit code; after an interrupt, report that instead."""
    if interrupt.happened():
        return print_error(interrupt.SENTENCE, code=interrupt.CODE)
    return report(error, command, rest)


def command_module(command: str) -> ModuleType:
    """Module whose `run` executes the command."""
    room = ".commands.data" if command in DATA_COMMANDS else ".commands"
    return importlib.import_module(f"{room}.{command}", __package__)


def _help(rest: Sequence[str]) -> int:
    """Print the help of the program; with `all`, every setting of every command."""
    from .reference import help

    if "all" in rest:
        from .reference.page import markdown

        sys.stdout.write(markdown(COMMANDS))
    else:
        sys.stdout.write(help.program(COMMANDS))
    return 0


def prepare_process() -> None:
    """Set process-wide state that no library should set: garbage collection, the compilation cache, the log levels."""
    gc.set_threshold(GARBAGE_THRESHOLD, 10, 10)
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # for `_target_=my_module.MyPlanner`; last, so that it hides no installed package
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # Otherwise imageio-ffmpeg starts its encoder by a plain fork, which may deadlock in a process that runs JAX.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors instead of printing them; `_report` prints them
    from rich.console import Console
    from rich.logging import RichHandler

    handler = RichHandler(console=Console(stderr=True), show_path=False, log_time_format="%H:%M:%S")
    logging.basicConfig(level=logging.WARNING, format="%(message)s", handlers=[handler])
    for name in (*PACKAGES, "hydra"):
        logging.getLogger(name).setLevel(logging.INFO)


def _run_hydra(command: str, rest: Sequence[str]) -> None:
    """Compose the command's configuration and run it, once or for each job of a multirun."""
    import hydra
    from hydra.core.hydra_config import HydraConfig

    from .shell.limits import check
    from .shell.outputs import check_outputs

    settings = [
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
        "hydra.output_subdir=null",
        "hydra.run.dir=.",
        "hydra.sweep.dir=runs/multirun",
        "hydra.sweep.subdir=.",
        f"hydra.job.name={command}",
    ]

    def job(cfg: DictConfig) -> None:
        try:
            check(cfg)
            check_outputs(cfg)
            code = _run(command_module(command), command, cfg)
        except Exception as error:
            # Hydra would print its own lines and continue with the next job; it lets SystemExit pass.
            raise SystemExit(_report(error, command, rest)) from error
        if code:
            raise SystemExit(code)
        if "jax" in sys.modules:  # the jobs of a multirun share this process, where compiled programs accumulate
            sys.modules["jax"].clear_caches()

    entry: Callable[[], None] = hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)
    argv = sys.argv
    # argparse needs the overrides in one piece, wherever the user put `-m`.
    overrides = [argument for argument in rest if "=" in argument and not argument.startswith("-")]
    flags = [argument for argument in rest if argument not in overrides]
    sys.argv = [f"{PROGRAM} {command}", *settings, *overrides, *flags]
    try:
        entry()
    finally:
        sys.argv = argv
        HydraConfig.instance().cfg = None  # Hydra's `--info` leaves its own configuration behind


def _run(module: ModuleType, command: str, cfg: DictConfig) -> int:
    """Run the command and return its exit code; with `format=json`, print its result as a document.

    A command whose result is not a sequence of rows defines `document(cfg, result)`.
    """
    from .records import document

    if not document.is_wanted(cfg):
        return _exit_code(module, module.run(cfg))
    result, code = None, 0
    with document.tables_aside():
        try:
            result = module.run(cfg)
            code = _exit_code(module, result)
        except SystemExit as stop:  # a suite that broke a promise has its rows
            code = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
        made = getattr(module, "document", None)
        content = {"rows": document.rows_of(result)} if made is None else made(cfg, result)
    sys.stdout.write(document.text(command, code, content))
    return code


def _exit_code(module: ModuleType, result: Any) -> int:
    """The exit code of a command's result: `module.exit_code(result)` where the command defines it (doctor), else 0."""
    judge = getattr(module, "exit_code", None)
    return judge(result) if judge is not None else 0


if __name__ == "__main__":
    sys.exit(main())
