"""Surprise at the impossible, of models and of what they are compared with.

All methods of a seed learn from the same possible clips and are measured on the same quadruplets. Finished data, models
and rows are reused: a run that was killed goes on where it stopped, and a step that fails is reported while the others
continue.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from omegaconf import DictConfig
from rich.console import Console

from envs.physics.dataset import export_test, export_training
from envs.physics.studio import Drawn, Studio

from ...engine.artifacts import TableFile
from ...engine.run import run_steps
from ...engine.step import Step, exit_on_failure
from ...records import table_file
from ...records.manifest import command, manifest
from ...shell.progress import progress_bar
from ...shell.say import say
from ...training.ensure import ensure_model
from ..missing import missing
from ..training.settings import same_settings, stored_cells
from . import examples
from .cells import Cell, cells, check, data_folder, folder, identified, model_file, settings
from .controls import PixelSurprise, StateSurprise
from .page import write_page
from .rows import IDENTITY, ExpectationRow, table
from .scores import REDUCE, Scores, clip_scores, scores
from .surprise import BeliefSurprise, ModelSurprise, Subject

logger = logging.getLogger(__name__)

FILE = "expectation.csv"
_HELD_OUT = 1_000_000  # number of the first quadruplet that a threshold is fixed on


def run(cfg: DictConfig) -> list[ExpectationRow]:
    """Measure the rows that the table lacks, write each immediately, print the table and write the page.

    A stored row counts if it has the same settings and at least as many pairs.

    Raises:
      ValueError: a property, method or setting does not exist.
      SystemExit: with code 1, once all other steps are done, if a step failed.
    """
    check(cfg)
    requested = list(cells(cfg))
    if cfg.suite.export is not None:
        export(cfg, requested)
        return []
    with Suite(cfg) as suite:
        found = suite.steps(suite.to_measure(requested))
        failed = run_steps(cfg, __name__, found, TableFile(FILE, ExpectationRow, IDENTITY))
    wanted = {cell.identity for cell in requested}
    rows = [row for row in table_file.read(suite.path, ExpectationRow) if row.identity() in wanted]
    if rows:
        Console().print(table(rows))
        page = write_page(folder(cfg), rows, manifest(cfg, list(map(int, cfg.suite.seeds))))
        say(f"page: {page}")
    exit_on_failure(failed)
    return rows


def export(cfg: DictConfig, requested: Sequence[Cell]) -> None:
    """Write the clips of the first seed as two Minari datasets, each with its card: `possible` and `test`.

    Args:
      cfg: of the suite.
      requested: cells, whose properties the test clips are of.

    Raises:
      FileExistsError: one of them is there already.
    """
    place, seed, suite = Path(cfg.suite.export), int(cfg.suite.seeds[0]), cfg.suite
    cases = list(dict.fromkeys((cell.name, cell.visibility) for cell in requested))
    clips, quadruplets = int(suite.clips), len(cases) * int(suite.pairs) // 2
    for name in ("possible", "test"):
        if (place / name).exists():
            raise FileExistsError(f"there is something at {place / name} already: choose another folder or remove it")
    with progress_bar("possible clips", clips) as bar:
        export_training(place / "possible", seed, clips, bar)
    with progress_bar("test clips", quadruplets) as bar:
        export_test(place / "test", seed, int(suite.pairs), cases, bar)
    say(f"{clips} possible clips: {place / 'possible'}; {4 * quadruplets} labelled ones: {place / 'test'}")


class Suite:
    """Data, models and rows of one run of the suite, each created if missing. Its processes end with a `with` block."""

    def __init__(self, cfg: DictConfig):
        self.cfg = cfg
        self.path = Path(cfg.results) / FILE
        self._made = manifest(cfg, list(map(int, cfg.suite.seeds)))
        self._studio = Studio()
        self._settings: dict[tuple[str, int], DictConfig] = {}
        self._models: dict[tuple[str, int], Subject] = {}
        self._drawn: tuple[Any, Drawn, Drawn] | None = None  # the clips of the latest case
        self._possible: tuple[int, Drawn] | None = None  # those that models are calibrated on

    def __enter__(self) -> Suite:
        return self

    def __exit__(self, *_: object) -> None:
        self._studio.close()

    def settings(self, method: str, seed: int) -> DictConfig:
        """Settings of a model, composed once for all its rows."""
        if (method, seed) not in self._settings:
            self._settings[method, seed] = settings(self.cfg, method, seed)
        return self._settings[method, seed]

    def identified(self, cell: Cell) -> dict[str, Any]:
        """What determines a row besides its number of pairs."""
        return identified(self.cfg, cell, self.settings(cell.method, cell.seed) if cell.learned else None)

    def to_measure(self, requested: Sequence[Cell]) -> list[Cell]:
        """The cells without a row of the same settings and enough pairs; all of them with `redo`."""
        rows = {row.identity(): row for row in table_file.read(self.path, ExpectationRow)}
        stored = stored_cells(self.path)

        def is_measured(cell: Cell) -> bool:
            row = rows.get(cell.identity)
            enough = row is not None and row.pairs >= int(self.cfg.suite.pairs)
            return enough and same_settings(stored.get(cell.identity), self.identified(cell))

        return missing(requested, is_measured, bool(self.cfg.redo), "rows")

    def steps(self, todo: Sequence[Cell]) -> list[Step]:
        """Steps for the rows of `todo` and what they need: first the data and models, then the rows."""
        found: dict[str, Step] = {}
        for cell in todo:
            if not cell.learned or model_file(self.cfg, cell.method, cell.seed).exists():
                continue
            data, model = f"clips, seed {cell.seed}", f"{cell.method}, seed {cell.seed}: model"
            found.setdefault(data, Step(data, "data", partial(self.ensure_clips, cell.seed)))
            train = partial(self.train, cell.method, cell.seed)
            found.setdefault(model, Step(model, f"model {cell.method}", train, (data,)))
        for cell in todo:
            model = f"{cell.method}, seed {cell.seed}: model"
            needs = (model,) if model in found else ()
            found[str(cell)] = Step(str(cell), f"row {cell.method}", partial(self.measure, cell), needs)
        return list(found.values())

    def ensure_clips(self, seed: int) -> None:
        """Draw the clips to learn from, if they are missing.

        Raises:
          ValueError: other clips have their place.
        """
        path, clips = data_folder(self.cfg, seed), int(self.cfg.suite.clips)
        if not path.exists():
            with progress_bar(f"clips, seed {seed}", clips) as bar:
                export_training(path, seed, clips, bar)
            return
        known = json.loads((path / "metadata.json").read_text(encoding="utf-8"))
        if (known.get("total_episodes"), known.get("seed")) != (clips, seed):
            raise ValueError(
                f"{path} has {known.get('total_episodes')} clips of seed {known.get('seed')}, and {clips} of seed "
                f"{seed} are needed: remove it, or give this run another folder with runs=FOLDER"
            )

    def train(self, method: str, seed: int) -> Any:
        """The frozen model of a method, trained if missing."""
        return ensure_model(self.settings(method, seed), seed, model_file(self.cfg, method, seed)).model

    def measure(self, cell: Cell) -> None:
        """Measure one row and write it."""
        test, possible = self._clips(cell)
        found, curves = self._scored(cell, test, possible)
        examples.save(folder(self.cfg), cell, test, curves)
        row = ExpectationRow(
            property=cell.name,
            visibility=cell.visibility,
            method=cell.method,
            seed=cell.seed,
            pairs=found.pairs,
            accuracy=found.accuracy,
            auroc=found.auroc,
            threshold_accuracy=found.threshold_accuracy,
            command=command(),
        )
        made = {**self._made, "cell": self.identified(cell)}
        table_file.add(self.path, ExpectationRow, [row], IDENTITY, made)

    def _scored(self, cell: Cell, test: Drawn, possible: Drawn) -> tuple[Scores, Any]:
        """Scores, and the surprise at every picture of the test; of pixels those of the better of all variants."""
        rate, found = float(self.cfg.suite.false_alarm_rate), list[tuple[Scores, Any]]()
        for subject, of_pairs, of_clips in self._subjects(cell):
            curves, held = subject.surprise(test), subject.surprise(possible)
            pairs, singles = (clip_scores(curves, reduce).reshape(-1, 4) for reduce in (of_pairs, of_clips))
            found.append((scores(pairs, singles, clip_scores(held, of_clips), rate), curves))
        return max(found, key=lambda each: each[0].accuracy)

    def _subjects(self, cell: Cell) -> list[tuple[Subject, str, str]]:
        """What is surprised, and how surprise becomes one number a clip: within pairs, and of single clips."""
        if cell.method == "pixels":
            return [(PixelSurprise(linear), reduce, reduce) for linear in (False, True) for reduce in REDUCE]
        if cell.method == "oracle":
            return [(StateSurprise(), "max", "max")]
        suite = self.cfg.suite
        return [(self._model(cell.method, cell.seed), str(suite.pair_reduce), str(suite.clip_reduce))]

    def _model(self, method: str, seed: int) -> Subject:
        """A model with its usual errors."""
        if (method, seed) not in self._models:
            self._models = {key: each for key, each in self._models.items() if key[1] == seed}
            model, context = self.train(method, seed), int(self.cfg.suite.context)
            self._models[method, seed] = (
                BeliefSurprise(model, context)
                if model.config.belief
                else ModelSurprise.calibrated(model, int(self.cfg.suite.spans), context, self._calibration(seed))
            )
        return self._models[method, seed]

    def _calibration(self, seed: int) -> Drawn:
        """Possible clips on which the usual errors of a model without a belief are measured."""
        if self._possible is None or self._possible[0] != seed:
            numbers = range(int(self.cfg.suite.calibration_clips))
            self._possible = seed, self._studio.possible(seed, numbers, "validate")
        return self._possible[1]

    def _clips(self, cell: Cell) -> tuple[Drawn, Drawn]:
        """Test clips of a case, and possible ones that its threshold is fixed on; kept until the next case."""
        key = cell.name, cell.visibility, cell.seed
        if self._drawn is None or self._drawn[0] != key:
            self._drawn = None
            pairs, held = int(self.cfg.suite.pairs), int(self.cfg.suite.held_out)
            test = self._studio.quadruplets(*key, range(pairs // 2))
            numbers = range(_HELD_OUT, _HELD_OUT + -(-held // 2))
            possible = self._studio.quadruplets(*key, numbers, "validate", possible_only=True)
            self._drawn = key, test, possible.first(held)
        return self._drawn[1:]
