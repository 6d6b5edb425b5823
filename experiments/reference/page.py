"""The configuration reference, docs/configuration.md, from the same files as help: `make reference` writes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from ..shell.shadowing import PROGRAM
from . import files
from .allowed import allowed, shown
from .files import Setting, SettingsFile

_LONGEST = 60  # letters of a default that is shown whole
_HEAD = f"""# Configuration reference

Every setting of every command, with its default, what it may be, and what it means. `{PROGRAM} --help all` prints this
page, and `{PROGRAM} plan --help all` the part of one command, with the values that its command line gives. The page is
made from the comments in `configs/` by `make reference`.

A setting is written `key=value`, and a choice of a group `group=choice`:

```sh
{PROGRAM} plan task=umaze checkpoint=published planner=icem planner.num_samples=64
```

A list is written `[a,b]`, and nothing `null`, which the meanings below call *empty*. With `-m` a command runs once for
each of several values: `-m planner.iterations=1,2`. A key that is not there yet is added with a `+`:
`+constraint.rate={{_target_: planning.RateLimit, limit: 10}}`. Costs, constraints and planners of your own
have further settings, the fields of their classes.
"""
_SHARED = ("base",)


def markdown(commands: Mapping[str, str]) -> str:
    """The page.

    Args:
      commands: the line of each command.
    """
    parts = [_HEAD, "## Commands\n"]
    for name, line in commands.items():
        file = files.command_file(name)
        parts.append(f"### {name}\n\n{line[0].upper()}{line[1:]}.\n")
        if file.settings:
            parts.append(_table(file, file.settings))
        parts.append(_used(file))
    parts.append("## Shared settings\n")
    sharing = [name for name in commands if set(_SHARED) & set(files.command_file(name).parents)]
    parts.append(f"Of {', '.join(f'`{name}`' for name in sharing)}.\n")
    parts += [_table(each, each.settings) for each in files.choices("") if each.name in _SHARED]
    parts.append("## Groups\n")
    for group in dict.fromkeys(each.group for each in files.all_files() if each.group):
        users = [name for name in commands if group in _groups(files.command_file(name))]
        parts.append(_group(group, users))
    return "\n".join(filter(None, parts))


def _group(group: str, users: Sequence[str]) -> str:
    """The part of a group: its choices, and the settings of each."""
    parts = [f"### {group}\n"]
    if users:
        parts.append(f"Of {', '.join(f'`{name}`' for name in users)}.\n")
    for file in files.choices(group):
        parts.append(f"#### {group}={file.name}\n\n{_escaped(file.title)}\n")
        own = [each for each in file.settings if each.meaning or not _global(file, each)]
        also = [each for each in file.settings if each not in own]
        if own:
            parts.append(_table(file, own))
        if also:
            parts.append(f"Also sets {', '.join(f'`{each.key}={shown(each.value)}`' for each in also)}.\n")
    return "\n".join(parts)


def _global(file: SettingsFile, setting: Setting) -> bool:
    """Whether the setting belongs to another group than the file's, which only gives it a value."""
    return not setting.key.startswith(file.group.replace("/", ".") + ".") and file.group != "budget"


def _table(file: SettingsFile, settings: Iterable[Setting]) -> str:
    lines = ["| setting | default | may be | meaning |", "|---|---|---|---|"]
    for each in settings:
        default = "*to be given*" if each.value == "???" else f"`{_shortened(shown(each.value))}`"
        meaning = _escaped(files.own_meaning(file, each))
        lines.append(f"| `{each.key}` | {default} | {_escaped(allowed(each.key, each.value))} | {meaning} |")
    return "\n".join([*lines, ""])


def _used(file: SettingsFile) -> str:
    """The line on what else a command takes."""
    groups = [f"[{group}](#{group.replace('/', '')})" for group in _groups(file)]
    shared = "the [shared settings](#shared-settings)" if set(_SHARED) & set(file.parents) else ""
    also = " and ".join(filter(None, [shared, f"the groups {', '.join(groups)}" if groups else ""]))
    return f"Also takes {also}.\n" if also else ""


def _groups(file: SettingsFile) -> list[str]:
    """The groups that a file's list of defaults names, and those that these name in turn."""
    found: list[str] = []
    for entry in file.defaults:
        name, colon, choice = entry.partition(": ")
        name = name.removeprefix("optional ").removeprefix("override ").lstrip("/")
        if not colon:
            found += [each for parent in files.choices(file.group) if parent.name == name for each in _groups(parent)]
            continue
        group = name if files.choices(name) else f"{file.group}/{name}"
        found.append(group)
        found += [each for inner in files.choices(group) for each in _groups(inner)]
    return list(dict.fromkeys(found))


def _shortened(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 2].rstrip() + " …"


def _escaped(text: str) -> str:
    """A text for a table of Markdown."""
    return text.replace("|", "\\|").replace("<", "&lt;")
