"""Table of `jepa-mpc bench suite=expectation`: its row, and what is printed of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from rich.table import Table

IDENTITY = ("property", "visibility", "method", "seed")
CONTROLS = ("pixels", "oracle")  # methods without a model


@dataclass(frozen=True, kw_only=True)
class ExpectationRow:
    """One method on one property, in view or behind the screen."""

    property: str
    visibility: str  # visible or occluded
    method: str  # a recipe of the suite, pixels or oracle
    seed: int  # of the clips, the weights and the training
    pairs: int
    accuracy: float  # share of pairs whose impossible clip surprises more; a tie is half
    auroc: float  # of single clips
    threshold_accuracy: float  # of single clips, at the conformal threshold
    command: str

    def identity(self) -> tuple[str, str, str, int]:
        """The fields of `IDENTITY`."""
        return self.property, self.visibility, self.method, self.seed


MEAN = "mean"


def columns(rows: Sequence[ExpectationRow]) -> tuple[list[str], list[list[str]]]:
    """Header and lines of a table: a line for each property and visibility, pairwise accuracies by method.

    Accuracies are means over seeds; so are AUROC and accuracy at the threshold, which are those of the first method.
    Models come before what they are compared with, whatever was measured last.
    """
    methods = sorted({row.method: None for row in rows}, key=lambda method: (method in CONTROLS, method != "jepa"))
    first, lines = methods[0], []
    for visibility in dict.fromkeys(row.visibility for row in rows):
        some = [row for row in rows if row.visibility == visibility]
        names = list(dict.fromkeys(row.property for row in some))
        for name in [*names, MEAN] if len(names) > 1 else names:
            here = [row for row in some if name in (MEAN, row.property)]
            own = [row for row in here if row.method == first]
            lines.append(
                [
                    name,
                    visibility,
                    *(_mean([row.accuracy for row in here if row.method == method], 100) for method in methods),
                    _mean([row.auroc for row in own], 1),
                    _mean([row.threshold_accuracy for row in own], 100),
                ]
            )
    return ["property", "visibility", *methods, f"AUROC {first}", f"at threshold {first}"], lines


def table(rows: Sequence[ExpectationRow]) -> Table:
    """The table of `columns`, to print."""
    header, lines = columns(rows)
    result = Table(box=None, pad_edge=False, padding=(0, 1))
    for number, name in enumerate(header):
        justify: Any = "left" if number < 2 else "right"
        result.add_column(name, justify=justify, overflow="fold")
    for line in lines:
        result.add_row(*line)
    return result


def _mean(values: Sequence[float], scale: int) -> str:
    if not values:
        return ""
    return f"{scale * fmean(values):.1f}" if scale > 1 else f"{fmean(values):.3f}"
