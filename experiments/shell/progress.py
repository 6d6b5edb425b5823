"""Progress bars with an ETA, on standard error, for anything longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

COMPILING = "compiling, about a minute the first time"  # compiled programs are cached for later runs


@contextmanager
def progress_bar(what: str, total: int, compiles: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar labelled `what`; call the result with the number done and the current total.

    With `compiles`, a line above the bar announces the compilation that it waits for.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
    )
    if compiles:
        console.print(f"{what}: {COMPILING}", markup=False, highlight=False, soft_wrap=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total)
        yield lambda done, total: progress.update(task, completed=done, total=total)
