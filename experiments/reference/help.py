"""Help of the program and of each command, as text."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from ..shell.shadowing import PROGRAM
from .commands import EXAMPLES, FIRST, PURPOSES

if TYPE_CHECKING:
    from .tree import Tree

WIDEST, FEWEST = 120, 60  # columns
_COLUMN = 26  # of the first one


def width() -> int:
    """Columns of the terminal, within limits; 100 where there is none."""
    return max(FEWEST, min(shutil.get_terminal_size((100, 24)).columns, WIDEST))


def program(commands: Mapping[str, str]) -> str:
    """Help of the program: its commands by purpose, with examples. Imports nothing that takes time.

    Args:
      commands: the line of each command.
    """
    placed = {name for names in PURPOSES.values() for name in names}
    others = tuple(name for name in commands if name not in placed)
    lines = [
        f"usage: {PROGRAM} COMMAND [key=value ...]",
        "",
        "Planning with a world model in representation space.",
        "",
    ]
    for purpose, names in {**PURPOSES, "Other": others}.items():
        if known := [name for name in names if name in commands]:
            lines += [purpose, *(f"  {name:<10}{commands[name]}" for name in known), ""]
    lines += ["Examples", *examples(FIRST), ""]
    lines += [
        f"{PROGRAM} COMMAND --help       its settings; `--help all` with those of its groups",
        f"{PROGRAM} COMMAND -m k=a,b     once for each value",
        f"{PROGRAM} --help all           every setting of every command; {PROGRAM} --version",
        "",
        "With JEPA_MPC_DEBUG=1 in the environment every error has its traceback.",
    ]
    return "\n".join(lines) + "\n"


def examples(lines: Sequence[tuple[str, str]]) -> list[str]:
    """Lines of examples, each a command and what it does."""
    columns, found = width() - 2, []
    fitting = [command for command, what in lines if len(command) + len(what) + 4 <= columns]
    column = min(max(map(len, fitting), default=0), columns - max(len(what) for _, what in lines) - 4)
    for command, what in lines:
        if len(command) + len(what) + 4 > columns:
            found += [f"  {command}", f"      # {what}"]
        else:
            found.append(f"  {command:<{column}}  # {what}")
    return found


def command(name: str, line: str, words: Sequence[str], whole: bool = False) -> str:
    """Help of a command.

    Args:
      name: of the command.
      line: what it does.
      words: overrides on the command line, whose values and groups are shown.
      whole: whether to explain the settings of all groups.

    Raises:
      Exception: an override that the command rejects, as Hydra raises it.
    """
    from .tree import Tree  # imports hydra

    tree = Tree.of(name, words)
    lines = [
        f"usage: {PROGRAM} {name} {'[LIST] ' if name == 'list' else ''}[key=value ...]",
        "",
        *_wrapped(f"{line[0].upper()}{line[1:]}.", ""),
    ]
    if name in EXAMPLES:
        lines += ["", *examples(EXAMPLES[name])]
    if tree.own:
        lines += ["", "Settings, with their defaults", *_settings(tree, tree.own, whole)]
    for group in tree.groups if whole else tree.asked_for:
        lines += [
            "",
            f"{group}={tree.chosen[group]}: {tree.title(group)}",
            *_settings(tree, tree.of_group(group), True),
        ]
    if tree.groups:
        lines += ["", f"Groups, with their choices; `{PROGRAM} {name} {_example(tree)} --help` explains one"]
        for group in tree.groups:
            lines += _entry(f"{group}={tree.chosen[group]}", ", ".join(tree.choices(group)))
    if tree.shared and whole:
        lines += ["", "Settings that several commands share", *_settings(tree, tree.shared, True)]
    elif tree.shared:
        shown = " ".join(f"{key}={tree.value(key)}" for key in tree.shared)
        lines += [
            "",
            f"Shared with other commands; `{PROGRAM} {name} --help all` explains them",
            *_wrapped(shown, "  "),
        ]
    return "\n".join(lines) + "\n"


def _settings(tree: Tree, keys: Sequence[str], whole: bool) -> list[str]:
    lines = []
    for key in keys:
        text = tree.meaning(key)
        if (may := tree.allowed(key)) and whole:
            text = f"{text} [{may}]"
        elif tree.unnamed_choices(key):
            text = f"{text} ({', '.join(tree.unnamed_choices(key))})"
        entry = _entry(f"{key}={tree.value(key)}", text)
        lines += entry if whole or len(entry) <= 2 else [entry[0], entry[1][: width() - 2].rstrip(" ,;:") + " …"]
    return lines


def _entry(head: str, text: str) -> list[str]:
    """A head and a text beside it, wrapped under one another."""
    space = " " * (_COLUMN + 2)
    first = f"  {head:<{_COLUMN - 2}}  " if len(head) <= _COLUMN - 2 else f"  {head}  "
    return textwrap.wrap(text, width(), initial_indent=first, subsequent_indent=space, break_long_words=False) or [
        first
    ]


def _wrapped(text: str, indent: str) -> list[str]:
    return textwrap.wrap(
        text, width(), initial_indent=indent, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False
    )


def _example(tree: Tree) -> str:
    group = "planner" if "planner" in tree.groups else tree.groups[0]
    return f"{group}={tree.chosen[group]}"
