"""`jepa-mpc card`: write the card of a model from its file and from tables of results."""

from __future__ import annotations

from pathlib import Path

from omegaconf import DictConfig

from worldmodel.files import write_atomically

from ..build.published import PUBLISHED, checkpoint_file
from ..cards.card import card_file, made, text
from ..cards.measured import beside
from ..cards.published import RESULTS
from ..shell.say import say


def run(cfg: DictConfig) -> Path:
    """Write the card, keeping the licence and the notes of an earlier one, and print where it is.

    Raises:
      FileNotFoundError: the checkpoint or a table of results is missing.
      ValueError: the file is no model.
    """
    model = checkpoint_file(cfg.checkpoint, cfg.task.name, cfg.observation.sensors)
    published = cfg.checkpoint == PUBLISHED
    out = Path(cfg.out) if cfg.out else Path(card_file(model).name) if published else card_file(model)
    tables = [RESULTS] if published else beside(model)
    if cfg.results is not None:
        tables.append(Path(cfg.results))
        if not tables[-1].is_file():
            raise FileNotFoundError(f"there is no table of results at {tables[-1]}: make one with `jepa-mpc plan`")
    write_atomically(out, made(model, tables, text(out)))
    say(f"card: {out}")
    return out
