"""The command line: `jepa-mpc COMMAND [hydra overrides]`.

A new command is one module in `commands` with `run(cfg)`, one `configs/COMMAND.yaml`, and one line in `COMMANDS`.
Nothing heavy is imported before the command is known, so that help is immediate.
"""

from __future__ import annotations

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
from .shell.errors import complain, report
from .shell.folders import cache_dir, config_dir
from .shell.overrides import readable, suite_task
from .shell.renamed import current
from .shell.shadowing import PACKAGES, PROGRAM

if TYPE_CHECKING:
    from omegaconf import DictConfig

# The line of each in the help. `run` of the module of that name in `commands` does it.
COMMANDS = {
    "demo": "the main job: collect, train, plan, and one page that shows what came of it",
    "collect": "roll out behaviours in a task and write a Minari dataset",
    "train": "train a world model on a dataset",
    "plan": "plan with a trained model towards held-out goals and measure success",
    "compare": "learning curves side by side, final tables and statistics, beside published ones",
    "diagnose": "say whether a model is healthy, and whose fault its failures are",
    "drive": "drive a simulator that runs in real time, with a page to watch and steer",
    "replay": "make the plans in a robot's log again, bit for bit",
    "bench": "run a suite of measurements: planners, latency, pairs of settings, limits, faults, the robot loop",
    "export": "make one file for a robot of a trained model and a planner",
    "doctor": "check versions, devices, rendering, folders and names, with the fix for each",
}

# The long options that Hydra's own parser takes over; anything else with two dashes is a slip of the pen.
HYDRA_FLAGS = ("--help", "--hydra-help", "--multirun", "--cfg", "--resolve", "--package", "--info", "--config-dir")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code: 0 done, 1 failed, 2 called wrongly, 130 interrupted.

    As the program, without `argv`, it also ends within two seconds of an interrupt.
    """
    if argv is not None:
        return _main(list(argv))
    try:
        interrupt.watch()
        code = _main(sys.argv[1:])
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # nothing is left to be kept
    except KeyboardInterrupt:
        interrupt.leave()
    if interrupt.happened():
        interrupt.leave(None)
    return code


def _main(arguments: list[str]) -> int:
    command, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if command in ("-h", "--help", "help"):
        sys.stdout.write(_help())
        return 0
    if command in ("-V", "--version"):
        sys.stdout.write(f"{PROGRAM} {importlib.metadata.version(PROGRAM)}\n")
        return 0
    if command not in COMMANDS:
        known = f"commands: {', '.join(COMMANDS)}"
        return complain(f"{command!r} is not a command; {known}{did_you_mean(command, COMMANDS)}")
    for argument in rest:
        flag = argument.partition("=")[0]
        if flag.startswith("--") and flag not in HYDRA_FLAGS:
            key = flag.lstrip("-").replace("-", "_")
            return complain(f"{flag} is not an option: settings are written without dashes, as in {key}=VALUE")
        if argument.startswith("~") and "." not in argument:
            return complain(f"{argument} removes settings that `{PROGRAM} {command}` needs: leave it out")
    multirun = bool({"-m", "--multirun"} & set(rest))
    prepare_process()
    try:
        rest = readable([each for argument in current(rest) for each in suite_task(argument)], multirun)
        _run_hydra(command, rest)
    except KeyboardInterrupt:
        return complain(interrupt.SENTENCE, code=interrupt.CODE)
    except SystemExit as stop:
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except Exception as error:
        return _report(error, command, rest)
    return 0


def _report(error: Exception, command: str, rest: Sequence[str]) -> int:
    """Tell what went wrong; after an interrupt, that is what it comes from."""
    if interrupt.happened():
        return complain(interrupt.SENTENCE, code=interrupt.CODE)
    return report(error, command, rest)


def _help() -> str:
    width = max(map(len, COMMANDS)) + 2
    lines = "".join(f"  {name:<{width}}{line}\n" for name, line in COMMANDS.items())
    return (
        f"usage: {PROGRAM} COMMAND [key=value ...]\n\nPlanning with a world model in representation space.\n\n"
        f"commands:\n{lines}\n"
        f"{PROGRAM} COMMAND --help      its settings and their choices\n"
        f"{PROGRAM} COMMAND -m k=a,b    once for each value\n"
        f"{PROGRAM} --version\n\n"
        f"With JEPA_MPC_DEBUG=1 in the environment every error shows where it came from.\n"
    )


def prepare_process() -> None:
    """Set what belongs to the process and not to a library: the compilation cache, and who may log."""
    if (here := os.getcwd()) not in sys.path:
        sys.path.append(here)  # for `_target_=my_module.MyPlanner`; last, so that nothing installed is hidden
    os.environ.setdefault("JAX_COMPILATION_CACHE_DIR", str(cache_dir()))
    os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
    # Otherwise imageio-ffmpeg starts its encoder by a plain fork, which may deadlock in a process that runs JAX.
    os.environ.setdefault("IMAGEIO_FFMPEG_NO_PREVENT_SIGINT", "1")
    os.environ["HYDRA_FULL_ERROR"] = "1"  # Hydra raises its errors, and they are told below, rather than printing them
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

    quoted = COMMANDS[command].replace("'", "\\'")
    settings = [
        "hydra/job_logging=none",
        "hydra/hydra_logging=none",
        "hydra.output_subdir=null",
        "hydra.run.dir=.",
        "hydra.sweep.dir=runs/multirun",
        "hydra.sweep.subdir=.",
        f"hydra.job.name={command}",
        f"hydra.help.app_name='{PROGRAM} {command}'",
        f"hydra.help.header='{PROGRAM} {command}: {quoted}'",
        "hydra.help.footer=''",
    ]

    def job(cfg: DictConfig) -> None:
        try:
            check(cfg)
            check_outputs(cfg)
            module = importlib.import_module(f".commands.{command}", __package__)
            result = module.run(cfg)
        except Exception as error:
            # Hydra would print lines of its own and go on with the next job; SystemExit passes it untouched.
            raise SystemExit(_report(error, command, rest)) from error
        if code := _exit_code(module, result):
            raise SystemExit(code)
        if "jax" in sys.modules:  # the jobs of a multirun share this process, and compiled programs pile up
            sys.modules["jax"].clear_caches()

    entry: Callable[[], None] = hydra.main(config_path=str(config_dir()), config_name=command, version_base="1.3")(job)
    argv = sys.argv
    # argparse wants the overrides in one piece, wherever the user put `-m`.
    overrides = [argument for argument in rest if "=" in argument and not argument.startswith("-")]
    flags = [argument for argument in rest if argument not in overrides]
    sys.argv = [f"{PROGRAM} {command}", *settings, *overrides, *flags]
    try:
        entry()
    finally:
        sys.argv = argv
        HydraConfig.instance().cfg = None  # Hydra's help leaves its own behind


def _exit_code(module: ModuleType, result: Any) -> int:
    """A command that can find fault with its own result (doctor) offers `exit_code(result)`."""
    judge = getattr(module, "exit_code", None)
    return judge(result) if judge is not None else 0


if __name__ == "__main__":
    sys.exit(main())
