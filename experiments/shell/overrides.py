"""Settings as words of a command line: written so that Hydra reads the same value, and read so that any path works.

Unless quoted, brackets, equals signs, commas and non-ASCII characters are syntax in Hydra's grammar, and OmegaConf
takes `${` for a reference; a shell adds its own special characters.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .plugins import installed
from .shadowing import PROGRAM

# Settings that name files or folders: their value is always a path and needs no quotes for Hydra.
PATHS = (
    "bundle",
    "calibration",
    "checkpoint",
    "curves",
    "data",
    "demonstrations",
    "goal",
    "log",
    "online.curves",
    "online.data",
    "online.start_from",
    "out",
    "results",
    "rows",
    "runs",
    "start_from",
    "suite.checkpoint",
    "suite.log",
    "telemetry",
)
_LISTS = ("curves", "data", "demonstrations", "rows")  # several may be given
_GROUPS = ("goal",)  # one for each sensor may be given
_PLAIN = re.compile(r"[A-Za-z_./][A-Za-z0-9_./-]*")
_RESERVED = ("null", "true", "false", "inf", "nan")
_UNSAFE_IN_DOUBLE_QUOTES = frozenset('"$`\\!')


def command_line(command: str, settings: Mapping[str, Any], words: Sequence[str] = ()) -> str:
    """A command to paste into a shell, `jepa-mpc COMMAND key=value ...`, quoted for the shell and for Hydra.

    Args:
      command: a command of the program.
      settings: values by key; strings and paths are taken literally, including special characters.
      words: further overrides, already written for Hydra.
    """
    return " ".join(
        [PROGRAM, command, *(shell_word(override(*each)) for each in settings.items()), *map(shell_word, words)]
    )


def override(key: str, value: Any) -> str:
    """`key=value` as Hydra reads it, not yet quoted for a shell."""
    return f"{key}={_text(value)}"


def shell_word(word: str) -> str:
    """`word` quoted for a POSIX shell; in double quotes where that is more readable than `shlex.quote`."""
    if "'" in word and not _UNSAFE_IN_DOUBLE_QUOTES & set(word):
        return f'"{word}"'
    return shlex.quote(word)


def readable(arguments: Sequence[str], multirun: bool) -> list[str]:
    """The words of a command line, with paths quoted for Hydra where necessary.

    A path that Hydra reads literally, or that is quoted already, is unchanged; `~/` becomes the home folder. In a
    multirun commas separate the values of a sweep.
    """
    return [_readable(argument, multirun) for argument in arguments]


def choices(argument: str) -> list[str]:
    """Overrides for an argument that chooses among what no file lists: tasks of a suite, plugins, sets of sensors."""
    return [each for word in suite_task(argument) for known in installed(word) for each in sensor_list(known)]


def list_words(arguments: Sequence[str]) -> list[str]:
    """Overrides for the words after `jepa-mpc list`, as in `sensors task=umaze`: `what=sensors` and `of=umaze`.

    `task` is a group of every other command, so Hydra does not let it be a plain setting.
    """
    first, *rest = [*arguments, ""]
    is_list = bool(first) and first != "all" and "=" not in first and not first.startswith("-")
    words = [f"what={first}", *rest] if is_list else list(arguments)
    return [f"of={word.removeprefix('task=')}" if word.startswith("task=") else word for word in words if word]


def sensor_list(argument: str) -> list[str]:
    """Overrides for `observation=[SENSOR,...]`; other arguments are unchanged.

    The recipe is that of pictures where there is one among them.
    """
    key, _, value = argument.partition("=")
    if key != "observation" or not value.startswith("["):
        return [argument]
    names = [name.strip() for name in value.strip("[]").split(",")]
    recipe = "pixels" if "pixels" in names else "state"
    return [f"observation={recipe}", f"observation.sensors=[{','.join(names)}]"]


def suite_task(argument: str) -> list[str]:
    """Overrides for `task=SUITE/NAME`, such as `task=dmc/walker-walk`; other arguments are unchanged.

    A sweep may name several of one kind.

    Raises:
      ValueError: a sweep mixes environments of several kinds, or such environments and our own tasks.
    """
    key, _, value = argument.partition("=")
    names = value.split(",")
    if key != "task" or "/" not in value:
        return [argument]
    if ours := [name for name in names if "/" not in name]:
        raise ValueError(
            f"{argument} mixes {ours[0]}, a task with goals, with environments of a suite: sweep over them in two "
            "commands"
        )
    goals = [name for name in names if name.startswith("goal/")]
    if goals and len(goals) < len(names):
        raise ValueError(
            f"{argument} mixes {goals[0]}, a task with goals, with tasks that have a reward: sweep over them in two "
            "commands"
        )
    return ["task=goal" if goals else "task=reward", f"task.name={value}"]


def _text(value: Any) -> str:
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return _string(str(value)) if isinstance(value, str | Path) else str(value)


def _string(text: str) -> str:
    """A string that Hydra and then OmegaConf read as `text`."""
    if _PLAIN.fullmatch(text) and text.lower() not in _RESERVED and not _is_number(text):
        return text
    from hydra.core.override_parser.types import Quote, QuotedString

    # Before a reference OmegaConf halves backslashes, and an odd one escapes the reference.
    literal = re.sub(r"(\\*)\$\{", lambda found: 2 * found[1] + r"\${", text)
    return QuotedString(literal, Quote.single).with_quotes()


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _readable(argument: str, multirun: bool) -> str:
    key, equals, value = argument.partition("=")
    if not equals or key.lstrip("+") not in PATHS or not value:
        return argument
    if value == "~" or value.startswith("~/"):  # not every shell replaces it after an equals sign
        value = str(Path(value).expanduser())
        argument = f"{key}={value}"
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    try:
        parsed = OverridesParser.create().parse_override(argument)
    except HydraException:
        return override(key, value)
    if parsed.is_sweep_override():
        return argument if multirun else override(key, value)
    meant = parsed.value()
    several = (isinstance(meant, list) and key in _LISTS) or (isinstance(meant, dict) and key in _GROUPS)
    if meant is None or isinstance(meant, str) or several:
        return argument
    return override(key, value)  # Hydra would read a number, a list or a truth value; here it is a name
