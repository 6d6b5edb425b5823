"""Progress bars with an ETA, on standard error, for anything longer than two seconds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

COMPILING = "compiling, about a minute the first time"  # what is compiled is kept for later runs


@contextmanager
def progress_bar(what: str, total: int, compiles: bool = False) -> Iterator[Callable[[int, int], None]]:
    """A bar called `what`; call the result with what is done and the total so far.

    With `compiles` it says until the first progress that the program is being compiled: nothing moves meanwhile.
    """
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description:<22}"),
        BarColumn(bar_width=32),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("eta"),
        TimeRemainingColumn(),
        TextColumn("{task.fields[state]}"),
    )
    if compiles and not console.is_terminal:  # where a bar is drawn once, at its end
        console.print(f"{what}: {COMPILING}", markup=False, highlight=False, soft_wrap=True)
    with Progress(*columns, console=console) as progress:
        task = progress.add_task(what, total=total, state=COMPILING if compiles else "")
        first: int | None = None

        def show(done: int, total: int) -> None:
            nonlocal first
            moved = done > 0 if first is None else done > first
            first = done if first is None else first
            progress.update(task, completed=done, total=total, state="" if moved or not compiles else COMPILING)

        yield show
