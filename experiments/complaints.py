"""What went wrong, for whom: a user's mistake in one sentence with exit code 2, a bug by its traceback with code 1."""

from __future__ import annotations

import dis
import os
import sys
import traceback
from collections.abc import Iterator, Sequence
from difflib import get_close_matches
from typing import Any

from .folders import config_dir
from .names import PACKAGES, PROGRAM


def report(error: Exception, command: str, rest: Sequence[str]) -> int:
    """Tell a user's mistake in one sentence, a bug by its traceback; return the exit code."""
    if isinstance(error, BrokenPipeError):  # as in `| head`: whoever read our output has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    sentence = _sentence(error, command, rest)
    if sentence is None or os.environ.get("JEPA_MPC_DEBUG"):
        traceback.print_exception(error)
    return 1 if sentence is None else complain(sentence)


def _sentence(error: Exception, command: str, rest: Sequence[str]) -> str | None:
    """What to tell the user, or None for a bug."""
    from hydra.errors import ConfigCompositionException, MissingConfigException, OverrideParseException
    from omegaconf.errors import MissingMandatoryValue

    match error:
        case MissingConfigException(missing_cfg_file=str(missing), options=options) if options is not None:
            group, _, choice = missing.rpartition("/")
            choices = sorted(options)
            known = f"{group} can be {', '.join(choices)}"
            return f"{group}={choice} is not known: {known}{did_you_mean(choice, choices)}"
        case OverrideParseException():
            return f"{error.override!r} is not a setting: write key=value, with quotes around special characters"
        case ConfigCompositionException():
            return _unknown_key(command, rest) or str(error)
        case MissingMandatoryValue():
            return f"{error.full_key} has no value yet: add {error.full_key}=VALUE to `{PROGRAM} {command}`"
        case OSError(strerror=str(reason)):
            return f"{error.filename}: {reason}" if error.filename else reason
        case OSError() if str(error):
            return str(error)
        case ValueError() | ImportError() | FloatingPointError() if _raised_by_us(error):
            return str(error)
    return None


def _raised_by_us(error: Exception) -> bool:
    """Whether a `raise` statement of our own packages made the error, with a sentence meant for the user.

    The same types also come out of NumPy, JAX and the interpreter, where they are bugs that need their traceback.
    """
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    if trace is None:
        return False
    frame = trace.tb_frame
    by_statement = frame.f_code.co_code[trace.tb_lasti] == dis.opmap["RAISE_VARARGS"]
    return by_statement and frame.f_globals.get("__name__", "").partition(".")[0] in PACKAGES


def _unknown_key(command: str, rest: Sequence[str]) -> str | None:
    """The first setting on the command line that the command does not have."""
    from hydra import compose, initialize_config_dir
    from omegaconf import OmegaConf

    with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
        cfg = compose(command, return_hydra_config=True)
        groups = [group for group in cfg.hydra.runtime.choices if not group.startswith("hydra/")]
        # Another choice of a group has other settings.
        chosen = [argument for argument in rest if argument.partition("=")[0] in groups and "," not in argument]
        cfg = compose(command, chosen, return_hydra_config=True)
    settings = OmegaConf.to_container(OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"]))
    known = sorted({*groups, *_dotted(settings)})
    for argument in rest:
        key = argument.partition("=")[0].partition("@")[0].lstrip("~")
        if "=" in argument and not key.startswith(("+", "-", "hydra")) and key not in known:
            mend = f"`{PROGRAM} {command} --help` lists what it has"
            return f"{key} is not a setting of `{PROGRAM} {command}`{did_you_mean(key, known)}; {mend}"
    return None


def _dotted(tree: Any, prefix: str = "") -> Iterator[str]:
    """Every key of a nested dictionary, as it is written on the command line."""
    for key, value in tree.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from _dotted(value, f"{prefix}{key}.")


def did_you_mean(word: str, choices: Any) -> str:
    """A hint to the one of the choices that the word comes close to, if there is one."""
    close = get_close_matches(word, list(choices), n=1)
    return f"; did you mean {close[0]}?" if close else ""


def complain(sentence: str, code: int = 2) -> int:
    """Say one sentence and return the exit code."""
    sys.stderr.write(f"{PROGRAM}: {' '.join(sentence.split())}\n")
    return code
