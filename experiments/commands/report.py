"""`jepa-mpc report`: one page from any tables of rows, with what is wrong first and what to do next last."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from omegaconf import DictConfig, OmegaConf

from worldmodel.files import write_atomically

from ..records.manifest import command
from ..reporting.page import findings, render
from ..reporting.pooling import pooled
from ..reporting.tables import files, read, selected
from ..shell.say import say

OWN = Path("runs/bench")  # where `jepa-mpc bench` writes


def run(cfg: DictConfig) -> Path:
    """Write the page and return its path.

    Raises:
      FileNotFoundError: a table or a folder that does not exist.
      ValueError: a damaged table, or a selection without rows.
    """
    paths, source = files([str(each) for each in cfg.rows], OWN)
    where: Mapping[str, Any] = OmegaConf.to_container(cfg.where, resolve=True) if cfg.where else {}  # type: ignore[assignment]
    tables = selected([read(path) for path in paths], where) if where else [read(path) for path in paths]
    out = Path(cfg.out)
    write_atomically(out, render(tables, source, where, command()))
    for each in findings(tables, [pooled(table) for table in tables], not where):
        if each.serious:
            say(f"{each.place}: {each.text}")
    count = sum(len(table.rows) for table in tables)
    say(f"page: {out} ({count:,} row{'' if count == 1 else 's'}, {source})")
    return out
