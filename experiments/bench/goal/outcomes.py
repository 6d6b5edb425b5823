"""Outcomes of a row's episodes, stored batch by batch, so that an interrupted run resumes where it stopped.

The episodes of a row may be measured in shards, at the same time on several machines. A shard consists of whole
batches, the same as those of the undivided row, so its outcomes are the same bit for bit.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from envs import Task
from worldmodel.files import write_atomically

from ...engine.step import Step
from ...evaluation.goals.protocols import Pairs
from ...evaluation.goals.rollout import GoalEpisodes, run_episodes
from ...evaluation.policy import Policy


@dataclass(frozen=True)
class Outcomes:
    """Outcomes of a row's episodes on disk.

    Args:
      path: of the file; with several shards each has a file of its own next to it.
      settings: that the outcomes depend on; a file with others is ignored.
      episodes: of the row.
      together: episodes of a batch, which advance together.
      shards: in which the episodes are measured; fewer where there are fewer batches.
    """

    path: Path
    settings: str
    episodes: int
    together: int
    shards: int = 1

    @property
    def parts(self) -> list[range]:
        """Numbers of the episodes of each shard."""
        batches = -(-self.episodes // self.together)
        count = min(self.shards, batches)
        begins = [index * batches // count * self.together for index in range(count)]
        return [range(begin, end) for begin, end in zip(begins, [*begins[1:], self.episodes], strict=True)]

    def file(self, part: range) -> Path:
        """File of a shard; that of the whole row where there is only one."""
        whole = len(part) == self.episodes
        return self.path if whole else self.path.with_name(f"{self.path.stem}.{part.start}-{part.stop - 1}.json")

    def measure(
        self,
        part: range,
        task: Task,
        policy: Policy[GoalEpisodes],
        pairs: Pairs,
        progress: Callable[[int, int], None],
        eyes: Any = None,
    ) -> list[bool]:
        """Whether each episode of a shard succeeds; its file is written after each batch.

        The outcome of an episode does not depend on the others, and hence not on where a run was interrupted.

        Args:
          part: numbers of the episodes.
          task: the true simulator.
          policy: to measure.
          pairs: of the whole row.
          progress: called as `progress(done, total)` before each batch and at the end.
          eyes: the model that embeds pictures.
        """
        file = self.file(part)
        solved = self._stored(file)[: len(part)]
        while len(solved) < len(part):
            progress(len(solved), len(part))
            begin = part.start + len(solved)
            batch = pairs.part(begin, min(begin + self.together, part.stop))
            solved += [record.success for record in run_episodes(task, policy, batch, model=eyes)]
            write_atomically(file, json.dumps({"settings": self.settings, "solved": solved}))
        progress(len(part), len(part))
        return solved

    def measure_all(
        self,
        task: Task,
        policy: Policy[GoalEpisodes],
        pairs: Pairs,
        progress: Callable[[int, int], None],
        eyes: Any = None,
    ) -> list[bool]:
        """Whether each episode of the row succeeds: of finished shards from their files. Arguments as in `measure`."""
        solved: list[bool] = []
        for part in self.parts:
            before = len(solved)

            def shown(done: int, total: int, before: int = before) -> None:
                progress(before + done, self.episodes)

            solved += self.measure(part, task, policy, pairs, shown, eyes)
        return solved

    def steps(self, row: Step, measure: Callable[[range], object]) -> list[Step]:
        """Steps for a row: those of its shards that are not finished, then the row itself, which joins them.

        Args:
          row: the step of the undivided row, which reads the model.
          measure: measures a shard of these episodes and leaves its file.
        """
        if len(self.parts) == 1:
            return [row]
        files = tuple(map(self.file, self.parts))
        left = [part for part in self.parts if len(self._stored(self.file(part))) < len(part)]
        shards = [
            Step(
                f"{row.name}, episodes {part.start} to {part.stop - 1}",
                f"{row.kind}, 1 of {self.shards} shards",
                partial(measure, part),
                row.needs,
                row.reads,
            )
            for part in left
        ]
        needs, kind = (*row.needs, *(each.name for each in shards)), f"{row.kind}, {self.shards} shards joined"
        return [*shards, Step(row.name, kind, row.run, needs, (*row.reads, *files), files)]

    def _stored(self, file: Path) -> list[bool]:
        try:
            stored = json.loads(file.read_text())
            return [bool(each) for each in stored["solved"]] if stored["settings"] == self.settings else []
        except (OSError, ValueError, KeyError, TypeError):  # missing or unusable
            return []
