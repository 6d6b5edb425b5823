"""The settings of one command as Hydra composes them, with their meanings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from ..shell.folders import config_dir
from . import allowed as kinds
from . import files
from .files import SettingsFile

# What a choice of `task` stands for on the command line.
_TYPED = {"goal": ("goal/ID",), "reward": ("dmc/DOMAIN-TASK", "gym/ID"), "installed": ()}
_MISSING = "???"


@dataclass(frozen=True)
class Tree:
    """The settings of a command."""

    file: SettingsFile
    chosen: Mapping[str, str]  # the choice of each group
    asked_for: tuple[str, ...]  # groups that the command line names
    values: Any

    @classmethod
    def of(cls, command: str, words: Sequence[str]) -> Tree:
        """The settings of `jepa-mpc COMMAND WORDS`, which are composed as the command does it.

        Raises:
          HydraException: an override that the command rejects.
        """
        with initialize_config_dir(version_base="1.3", config_dir=str(config_dir())):
            cfg = compose(command, [word for word in words if "=" in word], return_hydra_config=True)
        found = {str(group): str(choice) for group, choice in cfg.hydra.runtime.choices.items()}
        chosen = {group: choice for group, choice in found.items() if not group.startswith("hydra/")}
        keys = [word.partition("=")[0].lstrip("+") for word in words]
        values = OmegaConf.masked_copy(cfg, [str(key) for key in cfg if key != "hydra"])
        return cls(files.command_file(command), chosen, tuple(key for key in keys if key in chosen), values)

    @property
    def groups(self) -> list[str]:
        """Groups that have something to choose, in the order of their names."""
        return sorted(group for group in self.chosen if len(files.choices(group)) > 1 and group != "recipe")

    @property
    def own(self) -> list[str]:
        """Keys of the command's own settings; of one without any, those that it shares."""
        return [each.key for each in self.file.settings]

    @property
    def shared(self) -> list[str]:
        """Keys of the settings that its file takes over from others, and of those that belong to no group."""
        parents = [each for each in files.choices("") if each.name in self.file.parents]
        budget = [each for each in files.choices("budget") if each.name == self.chosen.get("budget")]
        keys = [setting.key for each in (*parents, *budget) for setting in each.settings]
        heads = {group.partition("/")[0] for group in self.chosen}
        return [key for key in dict.fromkeys(keys) if key not in self.own and key.partition(".")[0] not in heads]

    def of_group(self, group: str) -> list[str]:
        """Keys of the settings that the chosen file of a group has."""
        chosen = next((each for each in files.choices(group) if each.name == self.chosen[group]), None)
        own = [] if chosen is None else [each.key for each in chosen.settings]
        home = group.replace("/", ".") + "."
        inner = [each.replace("/", ".") + "." for each in self.chosen if each.startswith(group + "/")]
        composed = [key for key in self._keys() if key.startswith(home) and not key.startswith(tuple(inner))]
        return [*dict.fromkeys([*own, *composed])]

    def choices(self, group: str) -> list[str]:
        """The choices of a group, as they are typed."""
        names = [each.name for each in files.choices(group)]
        return [word for name in names for word in (_TYPED.get(name, (name,)) if group == "task" else (name,))]

    def title(self, group: str) -> str:
        """The title of the chosen file of a group."""
        return next((each.title for each in files.choices(group) if each.name == self.chosen[group]), "")

    def meaning(self, key: str) -> str:
        """The meaning of a setting."""
        return next((each.meaning for each in self.file.settings if each.key == key and each.meaning), "") or (
            files.meaning(key, self.chosen)
        )

    def value(self, key: str) -> str:
        """The value of a setting, as it is typed; a name in capitals for one that has to be given."""
        value = self._raw(key)
        return key.rpartition(".")[2].upper() if value == _MISSING else kinds.shown(value)

    def allowed(self, key: str) -> str:
        """What a setting may be, in words."""
        return kinds.allowed(key, self._raw(key))

    def unnamed_choices(self, key: str) -> list[str]:
        """The words that a setting chooses from, where its meaning does not name them all; none of true and false."""
        words = kinds.choices(key, self._raw(key))
        text = self.meaning(key)
        return [] if words == ("true", "false") or all(word in text for word in words) else [*words]

    def _raw(self, key: str) -> Any:
        node = self.values
        for name in key.split("."):
            if not OmegaConf.is_dict(node) or name not in node:
                return None
            if OmegaConf.is_missing(node, name):
                return _MISSING
            node = node[name]
        return OmegaConf.to_container(node) if OmegaConf.is_config(node) else node

    def _keys(self) -> list[str]:
        plain: Any = OmegaConf.to_container(self.values)
        return [key for key, _ in files.settings_of(plain)]
