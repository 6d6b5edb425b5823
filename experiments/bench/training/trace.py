"""Operations of a compiled program by kind, from a trace of JAX's profiler."""

from __future__ import annotations

import gzip
import json
import re
import tempfile
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax

# The first kind whose pattern is found in an operation's name, such as `bitcast_dynamic-update-slice_fusion.3`.
PRODUCTS, SLICES, COPIES, LOOPS, OTHER = "products", "slices", "copies", "loops", "other"
_PATTERNS = {
    PRODUCTS: re.compile(r"dot|ynn_fusion|onednn|gemm|matmul|convolution", re.IGNORECASE),
    SLICES: re.compile(r"slice|gather|scatter"),
    COPIES: re.compile(r"copy|transpose"),
}
KINDS = (PRODUCTS, SLICES, COPIES, LOOPS, OTHER)
_CONTAINER = re.compile(r"(while|call|conditional)(\.|$)")  # its time contains that of other operations


@dataclass(frozen=True)
class Operation:
    """One execution of an operation."""

    name: str
    start: float  # in microseconds
    end: float


@dataclass(frozen=True)
class Spent:
    """Time of all operations of one kind, summed over threads, and their number."""

    seconds: float
    operations: int


def record(run: Callable[[], Any]) -> list[Operation]:
    """The operations of the compiled programs that `run` executes; it has to wait for its results.

    Raises:
      ValueError: the profiler recorded no operation.
    """
    options = jax.profiler.ProfileOptions()
    options.python_tracer_level = 0  # Python's own calls would fill the trace
    with tempfile.TemporaryDirectory() as folder:
        with jax.profiler.trace(folder, profiler_options=options):
            run()
        found = [each for path in Path(folder).rglob("*.trace.json.gz") for each in read(path)]
    if not found:
        raise ValueError(
            "the profiler recorded no operation of a compiled program: its trace has no events with hlo_op"
        )
    return found


def read(path: Path) -> list[Operation]:
    """The operations in a `*.trace.json.gz` of the profiler."""
    events = json.loads(gzip.decompress(path.read_bytes()))["traceEvents"]
    return [
        Operation(event["args"]["hlo_op"], event["ts"], event["ts"] + event["dur"])
        for event in events
        if event.get("ph") == "X" and "hlo_op" in (event.get("args") or {})
    ]


def by_kind(operations: Sequence[Operation]) -> dict[str, Spent]:
    """Time and number of the operations of each of `KINDS`.

    Operations of several threads overlap, so the times may add up to more than the wall time. The time of loops is the
    wall time within a loop, a call or a branch during which no other operation runs.
    """
    containers = [each for each in operations if _CONTAINER.match(each.name)]
    others = [each for each in operations if not _CONTAINER.match(each.name)]
    found = {kind: [each for each in others if kind_of(each.name) == kind] for kind in KINDS}
    spent = {kind: Spent(sum(op.end - op.start for op in each) / 1e6, len(each)) for kind, each in found.items()}
    idle = covered(operations) - covered(others)
    return {**spent, LOOPS: Spent(idle / 1e6, len(containers))}


def kind_of(name: str) -> str:
    """The kind of an operation that contains no others, by its name."""
    return next((kind for kind, pattern in _PATTERNS.items() if pattern.search(name)), OTHER)


def covered(operations: Iterable[Operation]) -> float:
    """Microseconds during which at least one operation runs."""
    total, until = 0.0, float("-inf")
    for each in sorted(operations, key=lambda each: each.start):
        total += max(0.0, each.end - max(each.start, until))
        until = max(until, each.end)
    return total
