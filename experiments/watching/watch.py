"""All that watches one training run: its table of scalars, and the writers that the settings name."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, final

from omegaconf import DictConfig, OmegaConf

from ..build.settings import make
from ..shell.did_you_mean import did_you_mean
from .scalars import ScalarTable, scalars_file
from .tensorboard import TensorBoard
from .writer import MetricWriter, Run

logger = logging.getLogger(__name__)

WRITERS: dict[str, type[MetricWriter]] = {"tensorboard": TensorBoard}


def writers(cfg: DictConfig) -> list[MetricWriter]:
    """Make the writers of the setting `watch`, which are not started yet.

    Raises:
      ValueError: an unknown name, or a class that is no writer.
      ImportError: a writer's package is not installed.
    """
    asked = cfg.get("watch")
    return [_writer(each) for each in ([] if asked is None else asked)]


def _writer(asked: Any) -> MetricWriter:
    if not isinstance(asked, DictConfig):
        if asked not in WRITERS:
            raise ValueError(
                f"watch={asked} is no writer: choose from {', '.join(WRITERS)}{did_you_mean(str(asked), WRITERS)}, or "
                "give a class of your own as in 'watch={_target_: my_module.MyWriter}' (docs/watching.md)"
            )
        return WRITERS[asked]()
    made: Any = make(asked, "watch")
    if missing := [name for name in ("start", "write", "close") if not callable(getattr(made, name, None))]:
        raise ValueError(
            f"watch._target_={asked['_target_']} has no method {' and no '.join(missing)}: a writer has start(run), "
            "write(step, scalars) and close() (docs/watching.md)"
        )
    return made


@final
class Watch:
    """Takes the scalars of one run: writes them to its table, then gives them to each writer.

    A writer that fails is reported once and left out; the table is the one that counts, and its errors are raised.

    Args:
      table: of the run.
      run: description of the training for the writers.
      chosen: the writers.

    Raises:
      ImportError: a writer misses a package.
    """

    def __init__(self, table: ScalarTable, run: Run, chosen: Sequence[MetricWriter] = ()):
        self._table, self._run, self._writers = table, run, list(chosen)
        for writer in chosen:
            self._try(writer, "start", run)

    @classmethod
    def of(cls, cfg: DictConfig, model: Path, resumed_at: int) -> Watch:
        """Watch the training of a model.

        Args:
          cfg: the settings of the command.
          model: its file.
          resumed_at: step at which the training goes on; 0: a new one.

        Raises:
          ValueError: an unknown writer.
          ImportError: a writer misses a package.
        """
        settings: Any = OmegaConf.to_container(cfg, resolve=True)
        run = Run(model.stem, model.parent, settings, resumed_at)
        return cls(ScalarTable(scalars_file(model), resumed_at), run, writers(cfg))

    def write(self, step: int, scalars: Mapping[str, float]) -> None:
        """Take the scalars of one step."""
        values = {name: float(value) for name, value in scalars.items()}
        self._table.write(step, values)
        for writer in [*self._writers]:
            self._try(writer, "write", step, values)

    def flush(self) -> None:
        """Bring the table to disk; before a training state is saved, so that a resumed run finds its rows."""
        self._table.flush()

    def close(self) -> None:
        """End the run."""
        try:
            self._table.flush()
        finally:
            for writer in [*self._writers]:
                self._try(writer, "close")
            self._writers.clear()

    def __enter__(self) -> Watch:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _try(self, writer: MetricWriter, method: str, *arguments: Any) -> None:
        try:
            getattr(writer, method)(*arguments)
        except Exception as error:
            if method == "start" and isinstance(error, ImportError):
                raise
            self._writers = [each for each in self._writers if each is not writer]
            logger.warning(
                "%s failed in %s (%s: %s): %s is trained without it, and its scalars are in the table beside the model",
                type(writer).__name__,
                method,
                type(error).__name__,
                error,
                self._run.name,
            )
