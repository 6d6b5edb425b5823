"""The settings in `configs/`, with the meaning that the comments there give them.

A comment is what a user reads in help and documentation, so it is written once, beside the default:

    # What the file is for: its title, in the lines before the first setting.
    updates: 2500        # the meaning of this setting, with its unit
    # Or, where it is longer, the meaning stands in the lines above.
    batch: 256
    base: {a: 1, b: 2}   # of all settings in this line
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from ..shell.folders import config_dir
from ..shell.limits import FREE, leaves

_GLOBAL = "@package _global_"
_KEY = re.compile(r"( *)([A-Za-z_][\w/@ ]*):(?=\s|$)(.*)")
_INTERNAL = ("method", "objective", "suite.name", "task.name")  # what choosing the group sets


@dataclass(frozen=True)
class Setting:
    """One setting of a file: its whole key, its value there, and its meaning; empty where the file gives none."""

    key: str
    value: Any
    meaning: str


@dataclass(frozen=True)
class SettingsFile:
    """One file of settings: that of a command (`group` is empty), or one choice of a group."""

    group: str  # such as planner/parameterization
    name: str
    title: str
    settings: tuple[Setting, ...]
    defaults: tuple[str, ...]  # the entries of its list of defaults, as `planner: cem` or `base`

    @property
    def parents(self) -> tuple[str, ...]:
        """Files of the same group whose settings this one takes over and changes."""
        return tuple(each.partition("@")[0] for each in self.defaults if ":" not in each and each != "_self_")

    @property
    def first_sentence(self) -> str:
        """The beginning of the title."""
        return re.split(r"(?<=[a-z\]`)])\. ", self.title)[0].rstrip(".")


def read(path: Path, group: str = "") -> SettingsFile:
    """Read one file.

    Args:
      path: a YAML file.
      group: the folder that it lies in, relative to the folder of settings.
    """
    text = path.read_text(encoding="utf-8")
    tree: Any = OmegaConf.to_container(OmegaConf.load(path)) or {}
    defaults = tuple(_default(each) for each in tree.pop("defaults", []))
    prefix = "" if _GLOBAL in text or not group else group.replace("/", ".") + "."
    title, comments = _comments(text)
    settings = tuple(Setting(prefix + key, value, _meaning(key, comments)) for key, value in settings_of(tree, prefix))
    return SettingsFile(group, path.stem, title, settings, defaults)


def all_files() -> tuple[SettingsFile, ...]:
    """Every file of settings: those of commands, then those of groups."""
    return _all_files(config_dir())


@cache
def _all_files(folder: Path) -> tuple[SettingsFile, ...]:
    paths = sorted(folder.rglob("*.yaml"), key=lambda path: (path.parent != folder, path.parent.as_posix(), path.stem))
    return tuple(read(path, _group(path, folder)) for path in paths)


def choices(group: str) -> list[SettingsFile]:
    """The files of a group, such as `planner`."""
    return [each for each in all_files() if each.group == group]


def command_file(name: str) -> SettingsFile:
    """The file of a command."""
    return next(each for each in all_files() if not each.group and each.name == name)


def meaning(key: str, chosen: Mapping[str, str] | None = None) -> str:
    """The meaning of a setting; empty where no file gives one.

    Args:
      key: the whole key.
      chosen: the choice of each group, whose files count before others.
    """
    chosen, home = chosen or {}, key.rpartition(".")[0].replace(".", "/")
    files = sorted(all_files(), key=lambda each: (chosen.get(each.group) != each.name, each.group != home))
    found = (setting.meaning for each in files for setting in each.settings if setting.key == key and setting.meaning)
    return next(found, "")


def own_meaning(file: SettingsFile, setting: Setting) -> str:
    """The meaning of a setting in one file: its own comment there, its parent's, or that of another choice.

    Suites give the same name to different things, so a suite has only its own and its parent's.
    """
    if setting.meaning:
        return setting.meaning
    same = {each.name: each for each in choices(file.group)}
    for parent in (same[name] for name in file.parents if name in same):
        for each in parent.settings:
            if each.key == setting.key and each.meaning:
                return each.meaning
    if file.group == "suite":
        return ""
    for sibling in same.values() if file.group else ():
        if found := next((each.meaning for each in sibling.settings if each.key == setting.key), ""):
            return found
    return meaning(setting.key, {file.group: file.name})


def _group(path: Path, folder: Path) -> str:
    parent = path.parent.relative_to(folder).as_posix()
    return "" if parent == "." else parent


def _default(entry: Any) -> str:
    """An entry of a list of defaults as one word."""
    if isinstance(entry, str):
        return entry
    ((key, value),) = entry.items()
    return f"{key}: {value}"


def settings_of(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Key, without the prefix, and value of each setting; of a group whose names users choose, the group."""
    nested: Any = tree
    for name in reversed(prefix.rstrip(".").split(".") if prefix else []):
        nested = {name: nested}
    found = {key: value for key, value in leaves(nested) if key.startswith(prefix)}
    roots = {each.rstrip(".") for each in FREE}
    for key, value in found.items():
        inside = any(key.startswith(root + ".") for root in roots)
        is_group = (
            isinstance(value, dict) and value and key not in roots and any(k.startswith(key + ".") for k in found)
        )
        if not inside and not is_group and not key.endswith("_target_") and key not in _INTERNAL:
            yield key.removeprefix(prefix), value


def _meaning(key: str, comments: Mapping[str, tuple[str, bool]]) -> str:
    """The comment of a key, or of the line that holds it."""
    own, _ = comments.get(key, ("", False))
    parent = key.rpartition(".")[0]
    while not own and parent:
        above, is_line = comments.get(parent, ("", False))
        own = above if is_line else ""
        parent = parent.rpartition(".")[0]
    return own


def _comments(text: str) -> tuple[str, dict[str, tuple[str, bool]]]:
    """The title of a file, and by key its comment and whether the key holds a mapping in one line."""
    title: list[str] = []
    above: list[str] = []
    found: dict[str, tuple[str, bool]] = {}
    path: list[tuple[int, str]] = []  # indentation and name of the keys that are open
    is_title, skipped = True, -1
    for line in text.splitlines():
        words = line.strip()
        if words.startswith("#"):
            comment = words.lstrip("# ").strip()
            if comment != _GLOBAL:
                (title if is_title else above).append(comment)
            continue
        match = _KEY.match(line)
        indent = len(line) - len(line.lstrip())
        if not words or match is None or (0 <= skipped < indent):
            above = [] if not words else above
            skipped = indent if words.startswith("-") and skipped < 0 else skipped
            continue
        is_title, skipped = False, -1
        path = [each for each in path if each[0] < indent]
        path.append((indent, match[2].strip()))
        value, comment = _split(match[3])
        meaning = " ".join([*above, *filter(None, [comment])])
        above = []
        found[".".join(name for _, name in path)] = (meaning, value.startswith("{"))
    return " ".join(title), found


def _split(value: str) -> tuple[str, str]:
    """A value and the comment behind it."""
    quote = ""
    for place, letter in enumerate(value):
        if quote:
            quote = "" if letter == quote else quote
        elif letter in "\"'" and value[:place].strip() in ("", "[", "{"):
            quote = letter
        elif letter == "#" and (place == 0 or value[place - 1] == " "):
            return value[:place].strip(), value[place + 1 :].strip()
    return value.strip(), ""
