"""Published returns on DeepMind Control, quoted from their authors' repositories, not measured here.

`dmc.csv` holds the means at 100k, 200k, 500k and a million environment steps (control steps, repeated actions
included), with the file of the repository that they were read from as `source`. Machines, action repeats and numbers of
evaluation episodes are those of the authors.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path

from ..records import table_file

FILE = Path(__file__).resolve().parent / "dmc.csv"
SUITE = "dmc/"
SHORT = {"ball_in_cup-catch": "cup-catch"}  # as the publications call it


@dataclass(frozen=True)
class PublishedScore:
    """The published return of one method on one task at one step."""

    method: str
    task: str  # without the suite: walker-walk
    step: int  # environment steps
    mean: float
    std: str  # over seeds, or the authors' substitute for it
    n_seeds: int | None  # None where it was not published
    seed_values: str  # returns of the seeds, separated by spaces; empty where only the mean was published
    source: str

    @property
    def seeds(self) -> tuple[float, ...]:
        """The returns of the single seeds; empty where only the mean was published."""
        return tuple(map(float, self.seed_values.split()))


def read(path: Path = FILE) -> list[PublishedScore]:
    """All published scores.

    Raises:
      FileNotFoundError: the shipped file is missing.
      ValueError: the file is damaged.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path.name}, the table of published scores, is missing: install jepa-mpc again")
    return table_file.read(path, PublishedScore)


def chosen(scores: Sequence[PublishedScore], methods: Sequence[str], tasks: Sequence[str]) -> list[PublishedScore]:
    """The scores of these methods, in this order, on tasks named as in our rows (`dmc/walker-walk`).

    Raises:
      ValueError: a method is not among the published ones.
    """
    known = list(dict.fromkeys(score.method for score in scores))
    for method in methods:
        if method not in known:
            close = get_close_matches(method, known, n=1)
            hint = f"; did you mean {close[0]!r}?" if close else ""
            raise ValueError(f"published has no method {method!r}: choose from {', '.join(map(repr, known))}{hint}")
    names = {published_name(task) for task in tasks}
    return [score for method in methods for score in scores if score.method == method and score.task in names]


def published_name(task: str) -> str | None:
    """The name of a task in publications; None outside DeepMind Control."""
    if not task.startswith(SUITE):
        return None
    name = task.removeprefix(SUITE)
    return SHORT.get(name, name)
