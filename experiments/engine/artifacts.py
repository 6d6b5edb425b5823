"""Files and rows of a step on their way between machines that share no disk."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ..records import table_file

Files = dict[str, bytes]  # by their path below a folder

_PASSING = (".partial", ".training.")  # in names of files that are of use to nobody but their writer


class Merged(Protocol):
    """A table whose rows come from several machines."""

    def merge(self, files: Files, results: Path) -> None:
        """Add rows that another machine measured, from its files, to the table in the folder `results`."""


@dataclass(frozen=True)
class TableFile:
    """A table that steps add rows to.

    Args:
      name: of the file in the folder `results`.
      kind: dataclass of its rows.
      identity: fields that identify a row.
      digits: of numbers; None: all.
    """

    name: str
    kind: type[Any]
    identity: tuple[str, ...]
    digits: int | None = 4

    def merge(self, files: Files, results: Path) -> None:
        """Add rows that another machine measured, each with its manifest.

        Args:
          files: the table and its manifests, as `packed` read them.
          results: folder of the table.
        """
        with tempfile.TemporaryDirectory() as place:
            unpack(files, Path(place), ())
            theirs = Path(place) / self.name
            rows = table_file.read(theirs, self.kind)
            identities = {tuple(getattr(row, name) for name in self.identity): row for row in rows}
            made = table_file.manifests_by_row(theirs, identities)
            for identity, row in identities.items():
                table_file.add(results / self.name, self.kind, [row], self.identity, made[identity], self.digits)


def packed(path: Path, root: Path) -> Files:
    """Contents of a file, or of all files in a folder, without those that are not finished.

    Args:
      path: below `root`; empty where nothing is there.
      root: that paths are relative to.
    """
    found = [path] if path.is_file() else sorted(each for each in path.rglob("*") if each.is_file())
    names = {each: str(each.relative_to(root)) for each in found}
    return {
        name: each.read_bytes()
        for each, name in names.items()
        if not any(word in name for word in _PASSING) and not name.startswith(".")
    }


def unpack(files: Mapping[str, bytes], root: Path, units: Collection[str]) -> None:
    """Write files below a folder, each file and each unit whole or not at all.

    Args:
      files: by their path below it.
      root: the folder, made if missing.
      units: folders below it that are of use with all their files alone, such as datasets. One that exists stays.
    """
    root.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=root, prefix=".arriving-") as place:
        for name, content in files.items():
            file = Path(place) / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(content)
        inside = {unit: [name for name in files if Path(unit) in Path(name).parents] for unit in units}
        whole = {unit for unit, names in inside.items() if names}
        moved = {name for unit in whole for name in inside[unit]}
        for name in (*whole, *(name for name in files if name not in moved)):
            target = root / name
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_dir():
                shutil.move(Path(place) / name, target)
