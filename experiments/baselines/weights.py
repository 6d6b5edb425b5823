"""Arrays and their metadata in one safetensors file, like the models: nothing is ever unpickled."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save

from worldmodel.files import write_atomically
from worldmodel.models.architecture import MOST
from worldmodel.models.fingerprint import differing

from ..build.defaults import GOAL, Groups, defaults

Shape = TypeVar("Shape")
_KEY = "jepa-mpc"


def write(path: Path, tensors: Mapping[str, Any], header: Mapping[str, Any]) -> None:
    """Write arrays by name, and `header` as JSON with them, atomically."""
    arrays = {name: np.asarray(value, order="C") for name, value in tensors.items()}
    write_atomically(path, save(arrays, metadata={_KEY: json.dumps(header)}))


def read(path: Path, recipe: Mapping[str, Any], groups: Groups = GOAL) -> tuple[dict[str, np.ndarray], dict[str, Any]]:
    """Read the arrays and the header of a file, and check that it was made with `recipe`.

    Args:
      path: of the file.
      recipe: of the run; a setting missing from an older file counts as its default.
      groups: dataclasses of the recipe's groups, with the defaults.

    Raises:
      FileNotFoundError: there is no file.
      ValueError: a broken or foreign file, or one of another recipe (what differs is named).
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no file at {path}: it is made by training")
    try:
        with safe_open(path, framework="numpy") as file:
            header = json.loads((file.metadata() or {}).get(_KEY, "null"))
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118, no dictionary
        stored = dict(header["recipe"])
    except (SafetensorError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} is truncated or of another program ({type(error).__name__}): remove it") from error
    was, now = differing(stored, recipe, defaults(recipe, groups))
    for name in was:
        raise ValueError(
            f"{path} was made with {name}={was[name]}, and this recipe has {now[name]}: remove it, or give this run "
            "another folder with runs=FOLDER"
        )
    return tensors, header


def shape_of(
    kind: type[Shape], path: Path, header: Mapping[str, Any], tensors: Mapping[str, np.ndarray]
) -> tuple[Shape, int]:
    """Return a network's shape and number of stacked observations (default 1) from its header.

    Raises:
      ValueError: missing or unknown fields, or sizes beyond those of the tensors; checked before anything is built.
    """
    values, history = header.get("config"), header.get("history", 1)
    known: Any = fields(kind)  # type: ignore[arg-type]
    needed = {field.name for field in known if field.default is MISSING}
    if not isinstance(values, dict) or not needed <= set(values) <= {field.name for field in known}:
        raise ValueError(f"{path} does not describe a {kind.__name__}: remove it")
    numbers = sum(each.size for each in tensors.values())
    for name, size, most in (("history", history, numbers), ("depth", values.get("depth", 1), len(tensors))):
        if type(size) is not int or not 1 <= size <= most:
            raise ValueError(f"{path} says {name}={size!r:.40}, and its tensors allow 1 to {most}: remove it")
    for name, value in values.items():
        if type(value) is int and value > max(numbers, MOST):
            raise ValueError(f"{path} says {name}={value!r:.40}, and the most is {max(numbers, MOST)}: remove it")
    try:
        return kind(**values), history
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} does not describe a {kind.__name__} ({error}): remove it") from error


def named(tree: Any, prefix: str) -> dict[str, np.ndarray]:
    """Leaves of a pytree by their path, each with `prefix`."""
    return {f"{prefix}{_name(path)}": np.asarray(leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)}


def filled(tree: Any, prefix: str, tensors: Mapping[str, np.ndarray]) -> Any:
    """Return `tree` with its leaves replaced by the arrays of the same names.

    Raises:
      ValueError: an array is missing, or has another shape.
    """

    def leaf(path: Any, old: Any) -> Any:
        name = f"{prefix}{_name(path)}"
        if name not in tensors or tensors[name].shape != np.shape(old):
            raise ValueError(f"the array {name} is missing, or is not of the shape {np.shape(old)}: remove the file")
        return jnp.asarray(tensors[name])

    return jax.tree_util.tree_map_with_path(leaf, tree)


def _name(path: Any) -> str:
    return jax.tree_util.keystr(path, simple=True, separator=".")
