"""A moving picture of planning: what the camera sees, the plans that a model imagines, and the one that is executed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, final

import numpy as np
from jaxtyping import Float, UInt8
from numpy import ndarray
from PIL import Image, ImageDraw, ImageFont

from envs.task import Scene

Colour = tuple[int, int, int]
CARD: Colour = (22, 27, 38)
FLOOR: Colour = (36, 43, 57)
WALL: Colour = (108, 122, 148)
BODY: Colour = (255, 138, 92)
GOAL: Colour = (74, 214, 160)
BEST: Colour = (255, 214, 102)
CHEAP: Colour = (112, 170, 255)
WORD: Colour = (226, 232, 242)
QUIET: Colour = (146, 157, 178)

WIDTH, HEIGHT, MARGIN, VIEW, SEEN, GOAL_SIZE = 736, 500, 24, 408, 256, 128  # pixels
_FINE = 2  # drawn this many times larger, and brought down for smooth edges


@dataclass(frozen=True, eq=False)
class Moment:
    """One control step: C candidates of the planner's first iteration, and the plan that came of all of them."""

    seen: UInt8[ndarray, "h w 3"]  # by the camera
    body: Float[ndarray, "2"]
    candidates: Float[ndarray, "C L 2"]  # imagined positions, the present first
    costs: Float[ndarray, "C"]
    best: Float[ndarray, "L 2"]
    reached: bool


@dataclass(frozen=True, eq=False)
class Episode:
    """Moments from a start to a goal."""

    moments: Sequence[Moment]
    goal: Float[ndarray, "2"]
    goal_seen: UInt8[ndarray, "h w 3"]


@final
class Film:
    """Draws episodes as frames of one size.

    Args:
      scene: of the task.
      notes: lines beside the picture of the goal.
    """

    def __init__(self, scene: Scene, notes: Sequence[str]):
        self._scene, self._notes = scene, tuple(notes)
        low, high = np.asarray(scene.low, float), np.asarray(scene.high, float)
        side = 1.1 * float((high - low).max())
        self._middle, self._scale = (low + high) / 2, _FINE * VIEW / side
        self._room = self._drawn_room()
        self._fonts = {size: ImageFont.load_default(size * _FINE) for size in (13, 15)}

    def frames(self, episodes: Sequence[Episode], hold: int) -> list[Image.Image]:
        """Frames of all episodes, one a control step, with `hold` more at the end of each."""
        drawn = []
        for episode in episodes:
            for step in range(len(episode.moments)):
                drawn.append(self._frame(episode, step))
            drawn += [drawn[-1]] * hold
        return drawn

    def _frame(self, episode: Episode, step: int) -> Image.Image:
        moment = episode.moments[step]
        card = Image.new("RGBA", (_FINE * WIDTH, _FINE * HEIGHT), (0, 0, 0, 0))
        pen = ImageDraw.Draw(card)
        pen.rounded_rectangle((0, 0, _FINE * WIDTH - 1, _FINE * HEIGHT - 1), _FINE * 14, CARD)
        top, right = MARGIN + 26, MARGIN + SEEN + 24
        self._write(pen, (MARGIN, MARGIN - 4), "what the camera sees", 15, WORD)
        self._picture(card, moment.seen, (MARGIN, top), SEEN)
        self._write(pen, (right, MARGIN - 4), "what the model imagines", 15, WORD)
        card.paste(self._view(episode, step), (_FINE * right, _FINE * top))
        below = top + VIEW - GOAL_SIZE
        self._picture(card, episode.goal_seen, (MARGIN, below), GOAL_SIZE)
        beside = MARGIN + GOAL_SIZE + 14
        self._write(pen, (beside, below - 2), "the goal, a picture", 13, WORD)
        for line, words in enumerate((*self._notes, f"step {step + 1}")):
            self._write(pen, (beside, below + 22 + 19 * line), words, 13, QUIET)
        if moment.reached:
            self._write(pen, (beside, below + 22 + 19 * (len(self._notes) + 1)), "reached", 15, GOAL)
        self._legend(pen, right, top + VIEW + 9)
        return card.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)

    def _view(self, episode: Episode, step: int) -> Image.Image:
        """The room from above, with the plans from this moment on."""
        moment, view = episode.moments[step], self._room.copy()
        pen, radius = ImageDraw.Draw(view, "RGBA"), max(self._scene.radius * self._scale, 6 * _FINE)
        trail = np.stack([each.body for each in episode.moments[: step + 1]])
        if not moment.reached:
            order = np.argsort(-moment.costs)  # the cheapest last, on top
            for place, index in enumerate(order):
                share = place / max(1, len(order) - 1)
                colour = tuple(int(low + share * (high - low)) for low, high in zip(FLOOR, CHEAP, strict=True))
                self._line(pen, moment.candidates[index], (*colour, 110 + int(110 * share)), 1.4)
        self._line(pen, trail, (*BODY, 150), 2.6)
        if not moment.reached:
            self._line(pen, moment.best, (*BEST, 255), 3.6)
        x, y = self._at(episode.goal)
        ring = 1.5 * radius
        pen.ellipse((x - ring, y - ring, x + ring, y + ring), outline=(*GOAL, 255), width=3 * _FINE)
        x, y = self._at(moment.body)
        pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(*BODY, 255))
        return view

    def _drawn_room(self) -> Image.Image:
        room = Image.new("RGB", (_FINE * VIEW, _FINE * VIEW), FLOOR)
        pen = ImageDraw.Draw(room)
        for x, y, half_width, half_height in self._scene.walls:
            left, top = self._at(np.array([x - half_width, y + half_height]))
            right, bottom = self._at(np.array([x + half_width, y - half_height]))
            pen.rectangle((left, top, right, bottom), fill=WALL)
        return room

    def _at(self, point: Float[ndarray, "2"]) -> tuple[float, float]:
        x, y = (np.asarray(point, float) - self._middle) * self._scale
        return _FINE * VIEW / 2 + float(x), _FINE * VIEW / 2 - float(y)

    def _line(self, pen: Any, points: Float[ndarray, "L 2"], colour: tuple[int, ...], width: float) -> None:
        if len(points) > 1:
            pen.line([self._at(point) for point in points], fill=colour, width=round(width * _FINE), joint="curve")

    def _legend(self, pen: Any, left: int, top: int) -> None:
        for offset, colour, words in (
            (0, BODY, "robot"), (74, GOAL, "goal"), (140, CHEAP, "some candidates"), (272, BEST, "the plan taken"),
        ):  # fmt: skip
            x, y = _FINE * (left + offset), _FINE * (top + 8)
            pen.ellipse((x, y - 5 * _FINE, x + 10 * _FINE, y + 5 * _FINE), fill=colour)
            self._write(pen, (left + offset + 16, top), words, 13, QUIET)

    def _picture(self, card: Image.Image, picture: UInt8[ndarray, "h w 3"], at: tuple[int, int], size: int) -> None:
        """A camera's picture, with its pixels visible."""
        large = Image.fromarray(picture).resize((_FINE * size, _FINE * size), Image.Resampling.NEAREST)
        card.paste(large, (_FINE * at[0], _FINE * at[1]))

    def _write(self, pen: Any, at: tuple[int, int], words: str, size: int, colour: Colour) -> None:
        pen.text((_FINE * at[0], _FINE * at[1]), words, font=self._fonts[size], fill=colour)


def webp(frames: Sequence[Image.Image], milliseconds: int, quality: int = 70) -> bytes:
    """Frames as an animated WebP that repeats for ever; equal frames in a row become one that stays longer."""
    shown: list[Image.Image] = []
    times: list[int] = []
    for frame in frames:
        if shown and frame is shown[-1]:
            times[-1] += milliseconds
        else:
            shown.append(frame)
            times.append(milliseconds)
    file = io.BytesIO()
    options: Any = {"save_all": True, "append_images": shown[1:], "duration": times, "loop": 0}
    shown[0].save(file, "WEBP", **options, quality=quality, method=6, allow_mixed=True)
    return file.getvalue()
