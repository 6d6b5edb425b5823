"""The page of the suite: scores, and for each case twin clips as film strips with the surprise at each picture."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import imageio.v3 as imageio
import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray

from envs.physics.quadruplet import PAIRS
from worldmodel.files import write_atomically

from ...pages.frame import manifest_section, page
from ...pages.lines import Line, Point, key, lines
from ...pages.markup import section, table
from ...pages.provenance import made
from ...pages.scale import Scale
from .examples import Example, load
from .rows import ExpectationRow, columns

PAGE = "expectation.html"
_EVERY = 2  # pictures of a strip
_BAR = 3  # pixels of the line over the pictures from the event on
_POSSIBLE, _IMPOSSIBLE, _EVENT = (46, 160, 90), (205, 40, 40), (130, 140, 150)


def write_page(folder: Path, rows: Sequence[ExpectationRow], manifest: Mapping[str, Any]) -> Path:
    """Write the page next to the suite's files; returns its path.

    Args:
      folder: of the suite's files.
      rows: measured.
      manifest: of this run.
    """
    seed = min(row.seed for row in rows)
    method = rows[0].method
    chosen = {(row.property, row.visibility): row for row in rows if row.seed == seed and row.method == method}
    found = [each for each in load(folder, seed) if (each.property, each.visibility) in chosen]
    strips = [_case(each, method, chosen[each.property, each.visibility]) for each in found if method in each.curves]
    legend = key({"possible": (2, False), "impossible": (1, False), "event": (0, True)})
    lead = (
        "The first pair of each case. Twins are the same up to the event, from which on the pictures have a bar: green "
        "for the possible ending, red for the impossible one. Every second picture is shown."
    )
    sections = [
        _scores(rows),
        section(f"Clips, and the surprise of {escape(method)}", lead, legend + "".join(strips)) if strips else "",
        manifest_section(manifest),
    ]
    summary = "Is the impossible more surprising than the possible?"
    text = page("jepa-mpc: violation of expectation", "bench suite=expectation", summary, sections, made([manifest]))
    path = folder / PAGE
    write_atomically(path, text.encode())
    return path


def _scores(rows: Sequence[ExpectationRow]) -> str:
    header, body = columns(rows)
    marked = [
        f'<tr role="row"><th role="rowheader" scope="row">{escape(line[0])}</th>'
        + "".join(
            f'<td role="cell" data-label="{escape(name)}">{escape(text)}</td>'
            for number, (name, text) in enumerate(zip(header, line, strict=True))
            if number
        )
        + "</tr>"
        for line in body
    ]
    lead = "Pairs whose impossible clip surprises more, in per cent; guessing is right in 50. Means over seeds."
    return section("Scores", lead, table(list(map(escape, header)), marked, kind="compact"))


def _case(example: Example, method: str, row: ExpectationRow) -> str:
    fine, impossible = PAIRS[0]
    curves = example.curves[method]
    strip = _film(example.pictures[[fine, impossible]], example.event)
    title = f"{example.property}, {example.visibility}"
    alt = f"{title}: the possible clip above, the impossible one below"
    picture = (
        f'<img src="data:image/png;base64,{base64.b64encode(strip).decode()}" alt="{escape(alt)}" '
        'style="display:block;width:100%;image-rendering:pixelated">'
    )
    note = f"{100 * row.accuracy:.1f} % of {row.pairs} pairs, AUROC {row.auroc:.3f}"
    chart = lines(
        "",
        [
            _curve("possible", curves[fine], 2),
            _curve("impossible", curves[impossible], 1),
            Line("event", tuple(Point(example.event, y, "event") for y in _ends(curves)), quoted=True, faint=True),
        ],
        Scale(0.0, float(curves.shape[1] - 1)),
        Scale.of([0.0, *curves[[fine, impossible]].ravel()], zero=True, log=False),
        "picture",
        "surprise",
    )
    return f'<h3>{escape(title)}</h3><p class="lead">{escape(note)}</p>{picture}<div class="plots one">{chart}</div>'


def _curve(name: str, values: Float[ndarray, "T"], style: int) -> Line:
    points = tuple(
        Point(index, float(each), f"{name}, picture {index}: {each:.2f}") for index, each in enumerate(values)
    )
    return Line(name, points, style)


def _ends(curves: Float[ndarray, "4 T"]) -> tuple[float, float]:
    fine, impossible = PAIRS[0]
    return 0.0, float(max(curves[fine].max(), curves[impossible].max()))


def _film(pictures: UInt8[ndarray, "2 T h w 3"], event: int) -> bytes:
    """PNG of two strips, one above the other."""
    bands = []
    for clip, colour in zip(pictures, (_POSSIBLE, _IMPOSSIBLE), strict=True):
        frames = []
        for index in range(0, len(clip), _EVERY):
            bar = np.empty((_BAR, clip.shape[2], 3), np.uint8)
            bar[:] = colour if index >= event else _EVENT
            frame = np.concatenate([bar, clip[index]])
            frames.append(np.pad(frame, ((0, 0), (0, 1), (0, 0)), constant_values=255))
        bands.append(np.pad(np.concatenate(frames, axis=1), ((0, 2), (0, 0), (0, 0)), constant_values=255))
    buffer = io.BytesIO()
    imageio.imwrite(buffer, np.concatenate(bands), extension=".png")
    return buffer.getvalue()
