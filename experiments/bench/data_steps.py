"""Steps that make a recipe's dataset: one that collects it, or several that collect a shard each and one that joins."""

from __future__ import annotations

from functools import partial

from omegaconf import DictConfig

from ..build.recipes import Paths
from ..engine.step import Step
from ..training.ensure import data_shards, ensure_data, ensure_episodes, join_shards, shards_folder


def data_steps(cfg: DictConfig, name: str, made: DictConfig, seed: int) -> list[Step]:
    """Steps for a dataset; the last one, called `name`, is what needs it waits for.

    Args:
      cfg: of the suite; `engine.collection_shards` is the number of shards.
      name: of the dataset in logs.
      made: settings of the recipe.
      seed: of the data.
    """
    count, shards = int(cfg.engine.collection_shards), shards_folder(made, seed)
    if count == 1 or made.data is not None or Paths.of(made, seed).data.exists():
        return [Step(name, "data", partial(ensure_data, made, seed), clears=(shards,))]
    parts = data_shards(made, seed, count)
    collect = [
        Step(
            f"{name}, episodes {numbers.start} to {numbers.stop - 1}",
            f"data, 1 of {count} shards",
            partial(ensure_episodes, made, seed, path, numbers),
        )
        for path, numbers in parts.items()
        if not path.exists()
    ]
    needs, join = tuple(step.name for step in collect), partial(join_shards, made, seed, count)
    return [*collect, Step(name, f"data, {count} shards joined", join, needs, tuple(parts), (shards,))]
