"""Error reports: one sentence and exit code 2 for a user's mistake, a traceback and code 1 for a bug."""

from __future__ import annotations

import dis
import os
import re
import sys
import traceback
from collections.abc import Sequence

from .did_you_mean import did_you_mean
from .overrides import override, shell_word
from .plugins import KINDS, TASK, plugins
from .shadowing import PACKAGES, PROGRAM
from .wrong_setting import first_rejected, invalid_choice


def report(error: Exception, command: str, rest: Sequence[str]) -> int:
    """Print one sentence for a user's mistake, a traceback for a bug; return the exit code."""
    if isinstance(error, BrokenPipeError):  # as in `| head`: the reader has closed the pipe
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    sentence = _sentence(error, command, rest)
    if sentence is None or os.environ.get("JEPA_MPC_DEBUG"):
        traceback.print_exception(error)
    return 1 if sentence is None else print_error(sentence)


def _sentence(error: Exception, command: str, rest: Sequence[str]) -> str | None:
    """The sentence for the user, or None for a bug."""
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
    from omegaconf.errors import (
        ConfigKeyError,
        GrammarParseError,
        InterpolationResolutionError,
        MissingMandatoryValue,
    )

    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options is not None:
            group, _, choice = missing.rpartition("/")
            choices = sorted({*options, *plugins(group).names()} - {TASK}) if group in KINDS else sorted(options)
            known = f"{group} can be {', '.join(choices)}"
            return f"{group}={choice} is not known: {known}{did_you_mean(choice, choices)}"
        case ValueError() if "Config group override must be a string" in str(error):
            return invalid_choice(rest)
        case OverrideParseException():
            return _unreadable(str(error.override))
        case ConfigCompositionException() if several := re.match(
            "Ambiguous value for argument '(.*?)' 1", _joined(error)
        ):
            return f"{several[1]} has several values: add -m to run once for each"
        case ConfigCompositionException():
            return first_rejected(command, rest) or str(error)
        case InterpolationResolutionError() | GrammarParseError():
            return (
                f"{str(error).splitlines()[0]}: ${{...}} stands for another setting; to mean these characters, write "
                rf"'KEY=\${{...}}'"
            )
        case ConfigKeyError() if any(word.startswith("~") for word in rest):
            return f"{error.full_key} is missing: leave out the ~ that removes it"
        case MissingMandatoryValue():
            return f"{error.full_key} has no value yet: add {error.full_key}=VALUE to `{PROGRAM} {command}`"
        case OSError(strerror=str(reason)):
            return f"{error.filename}: {reason}" if error.filename else reason
        case OSError() if str(error):
            return str(error)
        case ValueError() | ImportError() | FloatingPointError() if _raised_by_us(error):
            return str(error)
    return None


def _joined(error: Exception) -> str:
    return " ".join(str(error).split())


def _raised_by_us(error: Exception) -> bool:
    """Whether a `raise` statement in our own packages raised the error, with a sentence meant for the user.

    NumPy, JAX and the interpreter raise the same types; from there they are bugs and need a traceback.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    frame = trace.tb_frame
    by_statement = frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return by_statement and frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES


def _unreadable(word: str) -> str:
    """The sentence on a word that Hydra's grammar rejects, with the quotes that it accepts."""
    key, equals, value = word.partition("=")
    if not equals or not key:
        return f"{word!r} is not a setting: write key=value, with quotes around special characters"
    return f"{word} has special characters: write {shell_word(override(key, value))} if it is meant as text"


def print_error(sentence: str, code: int = 2) -> int:
    """Print one sentence to standard error and return the exit code."""
    sys.stderr.write(f"{PROGRAM}: {' '.join(sentence.split())}\n")
    return code
