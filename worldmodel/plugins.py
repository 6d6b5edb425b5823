"""What installed packages add to jepa-mpc: names from their metadata, and objects that are imported when asked for.

A package declares an entry point in one of the groups `jepa_mpc.tasks`, `jepa_mpc.planners`, `jepa_mpc.costs` and
`jepa_mpc.encoders`. `envs/plugins.py` is the same file: the libraries do not import one another.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from typing import Any

PREFIX = "jepa_mpc."


@dataclass(frozen=True)
class Plugin:
    """One entry point, and the package that it belongs to."""

    entry: EntryPoint
    package: str  # name and version

    @property
    def distribution(self) -> str:
        """The name of the package, as pip has it."""
        return self.package.partition(" ")[0]


@dataclass(frozen=True)
class Plugins:
    """The plugins of one kind.

    Args:
      kind: `task`, `planner`, `cost` or `encoder`.
      own: names of jepa-mpc's own, which no package may take.
    """

    kind: str
    own: Collection[str] = ()

    @property
    def group(self) -> str:
        """The group of the entry points."""
        return f"{PREFIX}{self.kind}s"

    def found(self) -> dict[str, list[Plugin]]:
        """Every plugin by name, without importing any."""
        by_name: dict[str, list[Plugin]] = {}
        for entry in entry_points(group=self.group):
            package = "an unknown package" if entry.dist is None else f"{entry.dist.name} {entry.dist.version}"
            plugin = Plugin(entry, package)
            if plugin not in by_name.setdefault(entry.name, []):  # a folder may be on the path twice
                by_name[entry.name].append(plugin)
        return by_name

    def names(self) -> tuple[str, ...]:
        """Names of the plugins, without importing any; those that jepa-mpc has itself are left out."""
        return tuple(sorted(set(self.found()) - set(self.own)))

    def check(self, name: str) -> None:
        """Raise ValueError where a package takes a name of jepa-mpc's own, or several take the same."""
        plugins = self.found().get(name, [])
        if plugins and name in self.own:
            raise ValueError(
                f"{plugins[0].package} registers the {self.kind} {name}, which is the name of one of jepa-mpc's own: "
                f"rename its entry point in {self.group}, or remove it with `pip uninstall {plugins[0].distribution}`"
            )
        if len({each.package for each in plugins}) > 1:
            packages = " and ".join(sorted(each.package for each in plugins))
            raise ValueError(
                f"{packages} each register the {self.kind} {name}: remove all but one of them with `pip uninstall`"
            )

    def load(self, name: str) -> Any:
        """The object of the plugin called `name`.

        Raises:
          KeyError: no package registers it.
          ValueError: several do, it is the name of one of jepa-mpc's own, or it cannot be imported.
        """
        plugin = self.found()[name][0]
        self.check(name)
        try:
            return plugin.entry.load()
        except Exception as error:
            raise ValueError(
                f"the {self.kind} {name} of {plugin.package} cannot be loaded from {plugin.entry.value} "
                f"({type(error).__name__}: {error}): repair or update that package, or remove it with "
                f"`pip uninstall {plugin.distribution}`"
            ) from error
