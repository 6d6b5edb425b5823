"""Clips as Minari datasets: to learn from, and, with labels, to test any model on."""

from __future__ import annotations

import errno
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import gymnasium.spaces
import numpy as np
from numpy import ndarray

from ..collect import write_pictures
from ..dataset_folder import DATA_FILE, begin
from ..sensors import PIXELS, Sensor
from .card import test_card, training_card
from .course import FRAME_SECONDS
from .drawing import SIZE
from .properties import CASES
from .quadruplet import PAIRS
from .scene import LOOK
from .studio import Drawn, Studio

Progress = Callable[[int, int], None]
CARD = "README.md"
STATE_NAMES = (
    *(f"{body}_{axis}" for body in ("first", "second") for axis in ("x", "z", "turn")),
    "pusher_x",
    *(f"{body}_{axis}_velocity" for body in ("first", "second") for axis in ("x", "z", "turn")),
    "pusher_x_velocity",
    "screen_up",
)
_CLIP_BYTES = 60_000  # of a clip on disk: 36 kB measured
_TOGETHER = 256  # clips drawn and written at a time: 100 MB


def export_training(path: Path, seed: int, clips: int, progress: Progress | None = None, size: int = SIZE) -> None:
    """Write possible clips to a Minari dataset that `jepa-mpc train task=custom` reads.

    Args:
      path: of the new dataset; it is renamed into place when complete.
      seed: of the clips.
      clips: number of them.
      progress: called with the number of clips that are written, and of all.
      size: width and height of the pictures.

    Raises:
      FileExistsError: something is at `path` already.
      OSError: too little space on the disk.
    """
    with _Writing(path, {"kind": "possible", "seed": seed, "clips": clips}, size) as writing:
        for at in range(0, clips, _TOGETHER):
            numbers = range(at, min(at + _TOGETHER, clips))
            writing.add(writing.studio.possible(seed, numbers), [{} for _ in numbers])
            if progress is not None:
                progress(numbers.stop, clips)
        writing.card(training_card(seed, clips, size))


def export_test(
    path: Path,
    seed: int,
    pairs: int,
    cases: Sequence[tuple[str, str]] = CASES,
    progress: Progress | None = None,
    size: int = SIZE,
) -> None:
    """Write the test clips with their labels to a Minari dataset.

    Args:
      path: of the new dataset; it is renamed into place when complete.
      seed: of the clips.
      pairs: of each property and visibility, an even number: two are a quadruplet.
      cases: properties and visibilities.
      progress: called with the number of quadruplets that are written, and of all.
      size: width and height of the pictures.

    Raises:
      FileExistsError: something is at `path` already.
      OSError: too little space on the disk.
      ValueError: an odd number of pairs.
    """
    if pairs % 2 or pairs < 2:
        raise ValueError(f"pairs come in twos, since a quadruplet has two: give an even number; got {pairs}")
    with _Writing(path, {"kind": "test", "seed": seed, "clips": 2 * pairs * len(cases)}, size) as writing:
        done, total = 0, len(cases) * pairs // 2
        for name, visibility in cases:
            for at in range(0, pairs // 2, _TOGETHER // 4):
                numbers = range(at, min(at + _TOGETHER // 4, pairs // 2))
                drawn = writing.studio.quadruplets(name, visibility, seed, numbers)
                writing.add(drawn, [each for number in numbers for each in labels(name, visibility, number)])
                done += len(numbers)
                if progress is not None:
                    progress(done, total)
        writing.card(test_card(seed, pairs, cases, size))


def labels(name: str, visibility: str, number: int) -> list[dict[str, Any]]:
    """Labels of the four clips of a quadruplet.

    Args:
      name: of the property.
      visibility: `visible` or `occluded`.
      number: of the quadruplet.
    """
    pair = {clip: index for index, both in enumerate(PAIRS) for clip in both}
    return [
        {
            "case": CASES.index((name, visibility)),
            "possible": int(clip < 2),
            "quadruplet": number,
            "pair": 2 * number + pair[clip],
        }
        for clip in range(4)
    ]


class _Writing:
    """A dataset that is written next to its place, and renamed when complete."""

    def __init__(self, path: Path, made: Mapping[str, Any], size: int):
        if path.exists():
            raise FileExistsError(f"there is something at {path} already: choose another path or remove it")
        self._path, self._made, self._size = path, dict(made), size
        self.studio = Studio(size)

    def __enter__(self) -> _Writing:
        from minari.dataset.minari_storage import MinariStorage

        self._path.parent.mkdir(parents=True, exist_ok=True)
        place, needed = self._path.parent.resolve(), _CLIP_BYTES * int(self._made["clips"])
        if (free := shutil.disk_usage(place).free) < needed:
            raise OSError(
                errno.ENOSPC,
                f"{needed / 1e6:.0f} MB are needed at {place}, and {free / 1e6:.0f} MB are free; nothing was written",
            )
        self._partial = Path(tempfile.mkdtemp(prefix=f".{self._path.name}.", suffix=".partial", dir=place))
        picture = Sensor(PIXELS, (self._size, self._size, 3), "uint8", interpolates=False)
        box = gymnasium.spaces.Box(0, 255, picture.shape, np.uint8)
        actions = gymnasium.spaces.Box(-1.0, 1.0, (1,), np.float32)
        self._storage = MinariStorage.new(
            self._partial, gymnasium.spaces.Dict({PIXELS: box}), actions, data_format="hdf5", jpeg_encoding=False
        )
        task = {
            "task": "physics",
            "control_period": FRAME_SECONDS,
            "action_low": [-1.0],
            "action_high": [1.0],
            "action_size": 1,
            "observation_size": picture.size,
            "observation": [picture.describe()],
            "state_names": [*STATE_NAMES, *LOOK],
        }
        self._storage.update_metadata(
            {
                "dataset_id": f"jepa-mpc/physics-{self._made['kind']}-v0",
                "minari_version": version("minari"),
                "algorithm_name": str(self._made["kind"]),
                "task": json.dumps(task),
                "behaviour": json.dumps({"behaviour": "physics", "cases": [list(case) for case in CASES]}),
                "seed": int(self._made["seed"]),
            }
        )
        begin(self._partial / DATA_FILE)
        return self

    def add(self, drawn: Drawn, infos: Sequence[Mapping[str, Any]]) -> None:
        """Append clips with their labels."""
        from minari.data_collector import EpisodeBuffer

        steps = drawn.actions.shape[1]
        self._storage.update_episodes(
            EpisodeBuffer(
                observations={},
                actions=actions,
                rewards=np.zeros(steps, np.float32),
                terminations=np.zeros(steps, bool),
                truncations=np.arange(steps) == steps - 1,
                infos={"state": rows, **_repeated({**label, "event": int(event)} if label else {}, steps + 1)},
            )
            for actions, rows, event, label in zip(drawn.actions, drawn.rows, drawn.events, infos, strict=True)
        )
        write_pictures(self._partial / DATA_FILE, {PIXELS: drawn.pictures})

    def card(self, text: str) -> None:
        """Write the data card."""
        (self._partial / CARD).write_text(text, encoding="utf-8")

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        self.studio.close()
        if kind is None:
            self._partial.chmod(0o755)  # mkdtemp makes folders that only their owner can read
            self._partial.rename(self._path)
        else:
            shutil.rmtree(self._partial, ignore_errors=True)


def _repeated(label: Mapping[str, int], moments: int) -> dict[str, ndarray]:
    """Labels of a clip, the same at every moment, as Minari wants them."""
    return {name: np.full(moments, value, np.int64) for name, value in label.items()}
