"""Steps on a Ray cluster: one machine or many. Ray places them; which may start, and what failed, `Schedule` knows."""

from __future__ import annotations

import logging
import os
import uuid
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .artifacts import Files, Merged, packed, unpack
from .durations import expected, time_left
from .job import Job, Outcome
from .local import log_file, settle
from .on_node import Answer, Order, execute, versions
from .schedule import Schedule
from .step import Step

logger = logging.getLogger(__name__)

WAIT_SECONDS = 0.5
_FIX = "pip install 'jepa-mpc[ray]'"


@dataclass(frozen=True)
class RayConfig:
    """Where and with how much of a cluster steps run.

    Args:
      address: of the cluster, `auto` or HOST:PORT; None: one on this machine, which starts and ends with the run.
      artifacts: `shared`: all machines see the working folder; `store`: files travel with the steps.
      cores: of each step.
      gpus: of each step.
      memory_gib: of each step, for placing it.
      retries: attempts more for a step whose process or machine ended.
    """

    address: str | None
    artifacts: str
    cores: int
    gpus: float
    memory_gib: float
    retries: int


@contextmanager
def cluster(address: str | None) -> Iterator[Any]:
    """Give Ray, connected to a cluster; one that was started for it ends with it.

    Raises:
      ImportError: Ray is not installed.
      ValueError: no cluster answers at the address, or one with another Python or Ray.
    """
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # a step without GPUs keeps the machine's settings
    try:
        import ray
    except ImportError as error:
        raise ImportError(f"engine=ray needs Ray, which is not installed: {_FIX}") from error
    given = ray.is_initialized()
    if not given:
        try:
            with warnings.catch_warnings():  # Ray forks to start its own programs, which never touch JAX
                warnings.filterwarnings("ignore", message=r"os\.fork", category=RuntimeWarning)
                dashboard = False if address is None else None
                ray.init(address=address, include_dashboard=dashboard, log_to_driver=False)
        except (ConnectionError, ValueError, RuntimeError) as error:
            first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
            raise ValueError(
                f"no Ray cluster of this Python and Ray answers at engine.address={address} ({first}): start one with "
                "`ray start --head`, or leave the address out for one on this machine"
            ) from error
    try:
        yield ray
    finally:
        if not given:
            ray.shutdown()


def run(
    job: Job,
    steps: Sequence[Step],
    config: RayConfig,
    folder: Path,
    table: Merged | None,
    spent: Mapping[str, Sequence[float]],
    on_done: Callable[[Step, float], None],
) -> dict[str, str]:
    """Run the steps, each in a fresh process of some machine; return the failed ones with their reasons.

    Args:
      job: of the suite.
      steps: each after those that it needs.
      config: of the cluster.
      folder: of this run's own files, below the working folder.
      table: that steps add rows to; needed where files travel.
      spent: durations of earlier steps, by kind.
      on_done: gets each finished step and its seconds.

    Raises:
      ImportError: Ray is not installed.
      ValueError: no cluster, one that is too small for a step, or files that cannot travel.
    """
    if config.artifacts == "store" and table is None:
        raise ValueError("rows of this suite cannot travel: start it in a shared folder, with engine.artifacts=shared")
    schedule = Schedule(steps, expected(steps, spent), config.retries)
    took = {kind: list(seconds) for kind, seconds in spent.items()}
    with cluster(config.address) as ray:
        check_room([node["Resources"] for node in ray.nodes() if node["Alive"]], config)
        # Attempts are counted by the schedule, which also knows that a step ran out of memory.
        task = ray.remote(
            num_cpus=config.cores, num_gpus=config.gpus, memory=int(config.memory_gib * 2**30), max_retries=0
        )(execute)
        errand = _Errand(ray, job, steps, config, folder, table)
        running: dict[Any, tuple[int, Step]] = {}
        count = 0
        while not schedule.is_over:
            slots = max(1, int(ray.cluster_resources().get("CPU", 0) // config.cores))
            for step in schedule.start(slots):
                count += 1
                left = time_left(schedule.left, took, slots)
                logger.info("[%d/%d] %s%s", count, len(steps), step.name, f"; {left} left" if left else "")
                running[task.remote(errand.order(step), *errand.inputs(step))] = count, step
            ready, _ = ray.wait(list(running), timeout=WAIT_SECONDS)
            for reference in ready:
                number, step = running.pop(reference)
                answer = _answer(ray, reference)
                log = log_file(folder, number, step)
                if answer.outcome.reason is None:
                    errand.deliver(answer)
                else:
                    log.write_text(answer.output)
                if settle(schedule, step, answer.outcome, log):
                    took.setdefault(step.kind, []).append(answer.outcome.seconds)
                    on_done(step, answer.outcome.seconds)
    return schedule.failed


def check_room(machines: Sequence[Mapping[str, float]], config: RayConfig) -> None:
    """Check that some machine of the cluster has room for a step, which would wait without end otherwise.

    Args:
      machines: resources of each, as Ray names them.
      config: what a step asks for.

    Raises:
      ValueError: none has.
    """
    memory = config.memory_gib * 2**30
    needed = {"CPU": float(config.cores), "GPU": config.gpus, "memory": memory}
    if any(all(each.get(name, 0.0) >= amount for name, amount in needed.items()) for each in machines):
        return
    has = "; ".join(
        f"{each.get('CPU', 0):g} cores, {each.get('GPU', 0):g} GPUs, {each.get('memory', 0) / 2**30:.1f} GiB"
        for each in machines
    )
    raise ValueError(
        f"a step asks for engine.cores={config.cores}, engine.gpus={config.gpus:g} and engine.memory_gib="
        f"{config.memory_gib:g}, and no machine of the cluster has them ({has or 'none'}): ask for less"
    )


class _Errand:
    """Orders, inputs and answers of one run's steps."""

    def __init__(
        self, ray: Any, job: Job, steps: Sequence[Step], config: RayConfig, folder: Path, table: Merged | None
    ):
        self._ray, self._job, self._config, self._table = ray, job, config, table
        self._runs, self._results = Path(job.settings["runs"]), Path(job.settings["results"])
        self._store = config.artifacts == "store"
        units = {str(each.relative_to(self._runs)) for step in steps for each in step.reads} if self._store else ()
        self._units, self._sent = tuple(units), dict[Path, Any]()
        token = folder / "token"
        content = uuid.uuid4().hex
        folder.mkdir(parents=True, exist_ok=True)
        token.write_text(content)
        self._token = (str(token), content)

    def order(self, step: Step) -> Order:
        """Order for the machine that runs a step."""
        folder = None if self._store else str(Path.cwd())
        return Order(self._job, step.name, self._config.cores, versions(), folder, self._token, self._units)

    def inputs(self, step: Step) -> list[Any]:
        """References to the files that a step reads; each goes into the cluster's store once."""
        if not self._store:
            return []
        for path in step.reads:
            if path not in self._sent:
                self._sent[path] = self._ray.put(packed(path, self._runs))
        return [self._sent[path] for path in step.reads]

    def deliver(self, answer: Answer) -> None:
        """Write the files and rows of a finished step that ran without a shared folder."""
        if not self._store:
            return
        files: Files = answer.files
        unpack(files, self._runs, self._units)
        if answer.rows and self._table is not None:
            self._table.merge(answer.rows, self._results)


def _answer(ray: Any, reference: Any) -> Answer:
    """Answer of a machine; where it was lost, an outcome that says so."""
    try:
        answer: Answer = ray.get(reference)
    except ray.exceptions.OutOfMemoryError:
        return Answer(Outcome("its machine has no memory left for it", again=True, alone=True))
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ImportError):
            return Answer(Outcome(f"a machine of the cluster lacks jepa-mpc ({error.cause}): install it there, too"))
        return Answer(Outcome(f"a machine of the cluster failed: {error.cause!r}", again=True))
    except ray.exceptions.RayError as error:
        return Answer(Outcome(f"its process or machine is gone ({type(error).__name__})", again=True))
    return answer
