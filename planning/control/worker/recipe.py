"""Descriptions from which an engine is built where it is needed: a planner process receives strings, never objects."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy import ndarray

from ..bundle.bundle import Bundle
from ..bundle.engine import BundleEngine
from ..engine.contract import Contract
from ..engine.embedding import Embed, embedding, no_embedding
from ..engine.interface import Engine, ModelReflex
from ..engine.pictures import of_bundle
from .surprise import Surprise
from .validator import named


@dataclass(frozen=True)
class Recipe:
    """Builds an engine in a planner process: a bundle's path and hash, or `module:function` with arguments in JSON."""

    contract: Contract
    spec: dict[str, Any]
    surprise: Surprise | None = None
    sha256: str | None = None  # of the bundle
    mean_pictures: Mapping[str, ndarray] = field(default_factory=dict)  # of the training data, by sensor

    @classmethod
    def bundle(cls, path: str | Path, cache: bool = False) -> Recipe:
        """Recipe from a bundle, with the surprise calibration that it may hold. Raises what loading a bundle raises."""
        sha256 = file_hash(path) if Path(path).is_file() else None
        bundle = Bundle.load(path, sha256)
        spec = {"bundle": str(Path(path).resolve()), "cache": cache, "sha256": sha256}
        return cls(bundle.contract, spec, Surprise.of_bundle(bundle), sha256, of_bundle(bundle.extra))

    @classmethod
    def factory(cls, name: str, **arguments: Any) -> Recipe:
        """Recipe from your function that returns an engine. It is called once here, for its contract."""
        engine = make_engine(spec := {"factory": name, "arguments": arguments})
        return cls(engine.contract, spec, mean_pictures=engine.mean_pictures)


def make_engine(spec: dict[str, Any]) -> Engine:
    """Build the engine that a recipe describes.

    Raises:
      ReplacedBundleError: the file is not the one that the recipe was made from.
      ValueError: the bundle cannot be used, or the function cannot be imported.
    """
    if "bundle" in spec:
        path = Path(spec["bundle"])
        bundle = Bundle.load(path, spec["sha256"])
        return BundleEngine(bundle, path.with_name(f"{path.name}.cache") if spec["cache"] else None)
    return named(spec["factory"])(**spec["arguments"])


def reflex_of(planner: Engine | Recipe) -> ModelReflex:
    """Return the policy of the planner's model, compiled, for acting while the planner cannot answer.

    Raises:
      ValueError: the model has none.
    """
    engine = make_engine(planner.spec) if isinstance(planner, Recipe) else planner
    contract = engine.contract
    nothing = np.zeros((contract.history, contract.embedding_size), np.float32)
    if engine.reflex(nothing, nothing[-1]) is None:
        raise ValueError(
            "the fallback requests the model's reflex, and this model has none: train it with model.policy=true, or "
            "pass a function as the reflex"
        )
    return engine.reflex


def embedding_of(planner: Engine | Recipe) -> Embed:
    """Return the function that embeds a moment, for the control loop: compiled where a sensor is not a vector."""
    spec = planner.contract.observation
    if spec.is_vectors:
        return no_embedding
    embed = embedding(make_engine(planner.spec) if isinstance(planner, Recipe) else planner)
    embed({}, np.zeros(spec.size, np.float32))  # compiles
    return embed


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file's content."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
