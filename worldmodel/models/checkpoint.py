"""Weights on disk: one safetensors file, its JSON in the header. No pickle, so an untrusted file cannot run code.

A model file holds the weights for planning. A training file holds the whole training state, and a restarted run
continues from it as if it had never stopped.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

import jax
import numpy as np
from flax import nnx
from safetensors import SafetensorError
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from ..files import write_atomically
from .architecture import Architecture
from .fingerprint import differing, unknown, unknown_clause
from .formats import FORMAT, check_fields, check_version, unusable, upgraded
from .freeze import FrozenModel, FrozenRewardModel, Weights, architecture, freeze, freeze_reward_model
from .goal_model import ModelConfig, WorldModel
from .reward_model import RewardModelConfig
from .tensors import fill, leaves_of, name_of

MODEL, REWARD_MODEL, TRAINING = "model", "reward model", "training"  # kinds of files
_KEY = "jepa-mpc"
_LONGEST_HEADER = 100_000_000  # bytes, the limit of safetensors
_ARRAYS = "arrays/"  # prefix of the names of arrays that are not on the device

T = TypeVar("T")
A = TypeVar("A", bound=Architecture)


@dataclass(frozen=True)
class Checkpoint:
    """Goal model ready for planning, with its metadata."""

    model: FrozenModel
    metadata: dict[str, Any]


@dataclass(frozen=True)
class RewardCheckpoint:
    """Reward model ready for planning, with its metadata."""

    model: FrozenRewardModel
    metadata: dict[str, Any]


def save_model(
    path: str | Path,
    model: FrozenModel | WorldModel,
    config: ModelConfig | None = None,
    metadata: dict[str, Any] | None = None,
    half: bool = False,
) -> None:
    """Write the weights, the architecture and `metadata` to one file.

    Args:
      path: of the file.
      model: frozen, or the module together with its `config`.
      config: the architecture of a module; a frozen model has its own.
      metadata: JSON. The commands of `jepa-mpc` read the robot from it (`task`: name, bounds, control period).
      half: whether matrices are rounded to float16, for half the size; statistics and biases never are.

    Raises:
      ValueError: a module without its config.
      OSError: the disk is full, or `path` cannot be written to; an existing file is unchanged.
    """
    if isinstance(model, WorldModel):
        if config is None:
            raise ValueError("a module does not keep its architecture: give save_model its config, or freeze it first")
        model = freeze(model, config)
    tensors = {name_of(names): np.asarray(leaf) for names, leaf in leaves_of(nnx.state(model.module()))}
    if half:
        tensors = {name: each.astype(np.float16) if each.ndim == 2 else each for name, each in tensors.items()}
    _write(path, MODEL, tensors, {"model": model.config.to_json(), "metadata": metadata or {}})


def load_model(path: str | Path) -> Checkpoint:
    """Read a model file, checked against the architecture that its header names.

    A model that was trained without a critic is returned without one, and without a policy that would learn from it.

    Raises:
      FileNotFoundError: no file there.
      ValueError: truncated, foreign, of another format version, or with weights that do not fit.
    """
    tensors, header = _read(path, MODEL)
    tensors = {name: each.astype(np.float32) if each.dtype == np.float16 else each for name, each in tensors.items()}
    config, metadata = _described(path, ModelConfig, header, tensors)
    graphdef, state = architecture(config)
    model = freeze(nnx.merge(graphdef, fill(path, state, tensors)), config)
    objective = metadata.get("objective")
    if isinstance(objective, dict) and objective.get("distance") == 0:
        policy = model.heads.policy if objective.get("cloning") else None
        model = replace(model, heads=replace(model.heads, distance=None, policy=policy))
    return Checkpoint(model, metadata)


def with_members(model: WorldModel, config: ModelConfig, members: int) -> tuple[WorldModel, ModelConfig]:
    """Return the model with only the first `members` of its ensemble.

    Raises:
      ValueError: the ensemble has fewer members.
    """
    if not 1 <= members <= config.ensemble:
        raise ValueError(f"members must lie between 1 and the {config.ensemble} that the model has; got {members}")
    smaller = replace(config, ensemble=members)
    known = {name_of(names): leaf for names, leaf in leaves_of(nnx.state(model))}
    graphdef, state = architecture(smaller)
    leaves = [known[name_of(names)] for names, _ in leaves_of(state)]
    return nnx.merge(graphdef, jax.tree.unflatten(jax.tree.structure(state), leaves)), smaller


def save_reward_model(path: str | Path, weights: Weights, config: RewardModelConfig, metadata: dict[str, Any]) -> None:
    """Write a model for rewards to one file.

    Args:
      path: of the file.
      weights: as `freeze_reward_model` takes them.
      config: the architecture.
      metadata: JSON.
    """
    _, state = architecture(config)
    named = zip(leaves_of(state), weights, strict=True)
    tensors = {name_of(names): np.asarray(weight) for (names, _), weight in named}
    _write(path, REWARD_MODEL, tensors, {"model": config.to_json(), "metadata": metadata})


def load_reward_model(path: str | Path) -> RewardCheckpoint:
    """Read a model for rewards, checked against the architecture that its header names.

    Raises:
      FileNotFoundError: no file there.
      ValueError: truncated, foreign, of another format version or kind, or with weights that do not fit.
    """
    tensors, header = _read(path, REWARD_MODEL)
    config, metadata = _described(path, RewardModelConfig, header, tensors)
    _, state = architecture(config)
    weights = tuple(jax.tree.leaves(fill(path, state, tensors)))
    return RewardCheckpoint(freeze_reward_model(weights, config), metadata)


def save_training(
    path: str | Path,
    state: Any,
    fingerprint: dict[str, Any],
    extra: dict[str, Any],
    arrays: Mapping[str, np.ndarray] | None = None,
) -> None:
    """Write a training state.

    Args:
      path: of the file.
      state: a pytree of arrays on the device.
      fingerprint: JSON that identifies the run, which `load_training` compares.
      extra: JSON that comes back with the state: history, times.
      arrays: of any shape and type, which are not on the device: an environment's state.
    """
    tensors = {name_of(names): np.asarray(leaf) for names, leaf in leaves_of(state)}
    tensors |= {f"{_ARRAYS}{name}": np.asarray(array, order="C") for name, array in (arrays or {}).items()}
    _write(path, TRAINING, tensors, {"fingerprint": fingerprint, "extra": extra})


def load_training(
    path: str | Path, template: T, fingerprint: dict[str, Any], defaults: Mapping[str, Any] | None = None
) -> tuple[T, dict[str, Any]]:
    """Read a training state into the structure of `template`, and `extra`, which includes the stored `arrays`.

    Args:
      path: of the file.
      template: a state of the same structure, shapes and types.
      fingerprint: of the run that resumes.
      defaults: values of settings that the stored fingerprint does not have yet, nested like it.

    Raises:
      ValueError: truncated or foreign, or of a run with other settings (the message names the differences).
    """
    tensors, header = _read(path, TRAINING)
    stored, extra = header.get("fingerprint"), header.get("extra")
    if not isinstance(stored, dict) or not isinstance(extra, dict):
        raise ValueError(f"{path} has a header that this version cannot use: remove it to begin anew")
    try:
        check_fields(header, ("fingerprint", "extra"))
    except ValueError as error:
        raise unusable(path, header, error) from error
    was, now = differing(stored, fingerprint, defaults or {})
    if was or now:
        names = sorted({*was, *now})
        before, requested = (", ".join(f"{name}={each.get(name)}" for name in names) for each in (was, now))
        raise ValueError(
            f"{path} belongs to a run with {before}{unknown_clause(unknown(stored, fingerprint, defaults or {}))}, and "
            f"this one has {requested}: choose another run folder, or remove it"
        )
    arrays = {name[len(_ARRAYS) :]: tensors.pop(name) for name in [*tensors] if name.startswith(_ARRAYS)}
    return fill(path, template, tensors), {**extra, "arrays": arrays} if arrays else extra


def kind_of(path: str | Path) -> str:
    """Return the kind of a file: MODEL, REWARD_MODEL or TRAINING. Only its header is read.

    Raises:
      FileNotFoundError: no file there.
      ValueError: truncated, foreign, or of another format version.
    """
    with _existing(path).open("rb") as file:
        size = int.from_bytes(file.read(8), "little")
        return str(_header(path, file.read(min(size, _LONGEST_HEADER))).get("kind"))


def _write(path: str | Path, kind: str, tensors: dict[str, np.ndarray], header: dict[str, Any]) -> None:
    text = json.dumps({"format": FORMAT, "kind": kind, **header})
    write_atomically(path, serialise(tensors, metadata={_KEY: text}))


def _read(path: str | Path, kind: str) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    content = _existing(path).read_bytes()
    try:
        tensors = parse(content)
        size = int.from_bytes(content[:8], "little")
    except (SafetensorError, KeyError, TypeError, ValueError, AttributeError) as error:  # a type that NumPy lacks
        raise _broken(path, error) from error
    header = _header(path, content[8 : 8 + size])
    if header.get("kind") != kind:
        raise ValueError(f"{path} is a {header.get('kind')!s:.40} file: expected a {kind} file")
    header, tensors = upgraded(path, header, tensors)
    return tensors, header


def _described(
    path: str | Path, kind: type[A], header: dict[str, Any], tensors: dict[str, np.ndarray]
) -> tuple[A, dict[str, Any]]:
    """Return the architecture and the metadata in a model's header, checked before anything is built from them."""
    try:
        check_fields(header, ("model", "metadata"))
        config, metadata = kind.from_json(header["model"]), header["metadata"]
        if not isinstance(metadata, dict):
            raise ValueError("its metadata are no object")
    except (KeyError, TypeError, ValueError) as error:
        raise unusable(path, header, error) from error
    if (fewest := config.fewest_tensors) > len(tensors):
        raise ValueError(
            f"{path} does not fit: its header describes {fewest} tensors or more, and it has {len(tensors)}"
        )
    numbers = sum(tensor.size for tensor in tensors.values())
    for name, size in {**config.to_json(), "observation": config.embedding_size}.items():
        if type(size) is int and size > numbers:  # each sizes an array
            raise ValueError(f"{path} does not fit: its header says {name}={size}, and it holds {numbers} numbers")
    for name, tensor in tensors.items():
        if tensor.dtype.kind == "f" and not np.isfinite(tensor).all():
            raise ValueError(f"{path} has values in {name} that are not finite: train it again, or take another file")
    return config, metadata


def _existing(path: str | Path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no checkpoint at {path}: make one with `jepa-mpc train`, or give its path")
    return path


def _header(path: str | Path, text: bytes) -> dict[str, Any]:
    """Return the JSON that jepa-mpc stored in a file's header."""
    try:
        ours = json.loads(text).get("__metadata__", {}).get(_KEY)
        header = json.loads(ours) if ours is not None else None
    except (ValueError, AttributeError, TypeError, RecursionError) as error:
        raise _broken(path, error) from error
    if not isinstance(header, dict):
        raise ValueError(f"{path} is a safetensors file of another program: expected one that `jepa-mpc train` wrote")
    check_version(path, header.get("format"))
    return header


def _broken(path: str | Path, error: Exception) -> ValueError:
    return ValueError(f"{path} is truncated or is not a safetensors file ({error}): take an intact copy")
