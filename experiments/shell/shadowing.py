"""Detection of a foreign package that hides one of ours.

`worldmodel`, `planning`, `envs` and `experiments` are generic names, and Python imports the first match on `sys.path`:
a user's own `envs/` next to a notebook hides ours. That must give one clear sentence, not a missing attribute later.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

PACKAGES = ("worldmodel", "planning", "envs", "experiments")
ROOT = Path(__file__).resolve().parents[2]
PROGRAM = "jepa-mpc"


@dataclass(frozen=True)
class Collision:
    """A package of ours and the file that Python imports, or would import, in its place."""

    name: str
    file: Path

    def __str__(self) -> str:
        thing = self.file.parent if self.file.name == "__init__.py" else self.file
        return (
            f"{thing} hides jepa-mpc's own package `{self.name}`: rename it, or move it out of the folder that Python "
            "searches first (the notebook's or script's folder, or PYTHONPATH)"
        )


def hidden_packages() -> list[Collision]:
    """The packages of ours that this process imports from elsewhere."""
    found = []
    for name in PACKAGES:
        spec = find_spec(name)
        # A folder without __init__.py has no origin and yields to a package later on the path.
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != ROOT / name / "__init__.py":
            found.append(Collision(name, Path(spec.origin)))
    return found


def collisions_in(folder: Path) -> list[Collision]:
    """The files in `folder` that would hide a package of ours from a notebook or script there."""
    if folder.resolve() == ROOT:
        return []
    candidates = [(name, file) for name in PACKAGES for file in (folder / name / "__init__.py", folder / f"{name}.py")]
    return [Collision(name, file) for name, file in candidates if file.is_file()]


def require_own_packages() -> None:
    """Raise ImportError, with one sentence, if a package of ours is hidden.

    The console script runs no user code, so there our own folder is put first instead.
    """
    hidden = hidden_packages()
    if not hidden:
        return
    if Path(sys.argv[0]).stem == PROGRAM:
        sys.path.insert(0, str(ROOT))
        return
    raise ImportError(str(hidden[0]))
