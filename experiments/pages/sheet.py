"""A sheet of pictures: a labelled row for each policy and camera, to compare the last moments with the goal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from jaxtyping import UInt8
from matplotlib.figure import Figure
from numpy import ndarray

from .figures import PRINT

MOST = 6  # pictures in a row, beside the goal's
_INCH = 1.15  # of a picture


def sheet(
    title: str,
    goal: Mapping[str, UInt8[ndarray, "h w 3"]],
    rows: Sequence[tuple[str, Mapping[str, Sequence[ndarray]]]],
) -> Figure:
    """Draw the goal at the left of each row, and the first last moments beside it.

    Args:
      title: of the figure.
      goal: picture of the goal by camera.
      rows: name of each row, and the last pictures of its episodes by camera.
    """
    lines = [(name, camera, pictures[camera]) for name, pictures in rows for camera in goal if camera in pictures]
    wide = 1 + max(min(MOST, len(pictures)) for _, _, pictures in lines)
    figure = Figure(figsize=(0.9 + _INCH * wide, 0.5 + _INCH * len(lines)))
    grid = figure.subplots(len(lines), wide, squeeze=False)
    left, top = 0.9 / figure.get_figwidth(), 1 - 0.5 / figure.get_figheight()
    figure.subplots_adjust(left=left, right=0.995, bottom=0.01, top=top, wspace=0.06, hspace=0.06)
    for number, ((name, camera, pictures), axes) in enumerate(zip(lines, grid, strict=True)):
        for column, place in enumerate(axes):
            picture = goal[camera] if column == 0 else pictures[column - 1] if column <= len(pictures) else None
            place.set_xticks([])
            place.set_yticks([])
            colour = PRINT.good if column == 0 else PRINT.line
            place.spines[:].set(color=colour, linewidth=2.0 if column == 0 else 1.0)
            if picture is None:
                place.axis("off")
            else:
                place.imshow(picture, interpolation="nearest")
            if number == 0:
                place.set_title("goal" if column == 0 else f"end {column}", fontsize=8, color=PRINT.muted, pad=3)
        label = name if len(goal) == 1 else f"{name}\n{camera}"
        axes[0].set_ylabel(label, rotation=0, ha="right", va="center", fontsize=8, color=PRINT.ink, labelpad=6)
    figure.text(0.01, 1 - 0.14 / figure.get_figheight(), title, fontsize=9, color=PRINT.ink, va="center")
    return figure
