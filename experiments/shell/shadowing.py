"""Is a package of ours hidden by somebody else's of the same name?

`worldmodel`, `planning`, `envs` and `experiments` are generic names, and Python takes the first one on `sys.path`: a
user's own `envs/` beside a notebook hides ours. That must be one clear sentence, not a missing attribute much later.
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
    """A package of ours, and the file that Python imports, or would import, in its place."""

    name: str
    file: Path

    def __str__(self) -> str:
        thing = self.file.parent if self.file.name == "__init__.py" else self.file
        return (
            f"{thing} hides jepa-mpc's own package `{self.name}`: rename it, or move it out of the folder that Python "
            "searches first (the notebook's or script's folder, or PYTHONPATH)"
        )


def hidden_packages() -> list[Collision]:
    """The packages of ours in whose place this process imports something else."""
    found = []
    for name in PACKAGES:
        spec = find_spec(name)
        # A folder without __init__.py has no origin, and gives way to a package later on the path.
        if spec is not None and spec.origin is not None and Path(spec.origin).resolve() != ROOT / name / "__init__.py":
            found.append(Collision(name, Path(spec.origin)))
    return found


def collisions_in(folder: Path) -> list[Collision]:
    """What in `folder` would hide a package of ours from a notebook or a script that lies there."""
    if folder.resolve() == ROOT:
        return []
    candidates = [(name, file) for name in PACKAGES for file in (folder / name / "__init__.py", folder / f"{name}.py")]
    return [Collision(name, file) for name, file in candidates if file.is_file()]


def require_own_packages() -> None:
    """Raise ImportError, in one sentence, if a package of ours is hidden.

    The console script runs nobody else's code, so there our own folder goes first instead.
    """
    hidden = hidden_packages()
    if not hidden:
        return
    if Path(sys.argv[0]).stem == PROGRAM:
        sys.path.insert(0, str(ROOT))
        return
    raise ImportError(str(hidden[0]))
