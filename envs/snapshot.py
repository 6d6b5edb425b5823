"""Complete simulation state as plain arrays and JSON values, from which an interrupted episode resumes bit for bit.

A physics state is not enough: rewards and sensors read quantities that MuJoCo derived before its last integration,
tasks move targets by editing the model, and starts are drawn from random streams. Nothing here is pickled.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import mujoco
import numpy as np
from jaxtyping import Float
from numpy import ndarray

Word: TypeAlias = str | int | float | bool | None
Snapshot: TypeAlias = dict[str, ndarray | Word]  # flat: numeric arrays and JSON values

_SIGNATURE = mujoco.mjtState.mjSTATE_INTEGRATION
_CONSTANT = ("tex_", "mesh_", "skin_", "bvh_", "oct_")  # large, and never edited
_NOT_DERIVED = ("plugin", "plugin_data", "bvh_active")  # pointers, and data for drawing only (megabytes with meshes)


def model_arrays(model: mujoco.MjModel) -> dict[str, ndarray]:
    """Return copies of the arrays of `model` that a task may edit, for later comparison."""
    return {name: array.copy() for name, array in _editable(model).items()}


def save_physics(model: mujoco.MjModel, data: mujoco.MjData, original: Mapping[str, ndarray]) -> Snapshot:
    """Return the current simulation state, with the model arrays that differ from `original` (see `model_arrays`)."""
    state = np.empty(mujoco.mj_stateSize(model, _SIGNATURE))
    mujoco.mj_getState(model, data, state, _SIGNATURE)
    edited = {name: array for name, array in _editable(model).items() if not np.array_equal(array, original[name])}
    return {
        "physics/state": state,
        "physics/derived": _flat([getattr(data, name) for name in _derived_names(model)]),
        **{f"model/{name}": array.copy() for name, array in edited.items()},
    }


def restore_physics(
    model: mujoco.MjModel,
    data: mujoco.MjData,
    original: Mapping[str, ndarray],
    snapshot: Mapping[str, Any],
    recompute: Callable[[mujoco.MjModel, mujoco.MjData], None],
) -> None:
    """Restore `model` and `data` to the state in `snapshot`.

    Stored derived quantities overwrite those of `recompute`, since some of them were older than the state.

    Args:
      model: to change.
      data: to change.
      original: arrays of the model as created.
      snapshot: the stored state.
      recompute: mj_step1 or mj_forward, as in the original stepping: recomputes what cannot be written, contacts
        and constraints.
    """
    for name, array in _editable(model).items():
        array[...] = snapshot.get(f"model/{name}", original[name])
    mujoco.mj_setState(model, data, snapshot["physics/state"], _SIGNATURE)
    recompute(model, data)
    start, derived = 0, snapshot["physics/derived"]
    for name in _derived_names(model):
        array = getattr(data, name)
        array[...] = derived[start : start + array.size].reshape(array.shape).astype(array.dtype)
        start += array.size


def save_random(random: np.random.RandomState | np.random.Generator) -> str:
    """Return the state of a random stream as a JSON string."""
    state = random.get_state(legacy=False) if isinstance(random, np.random.RandomState) else random.bit_generator.state
    return json.dumps(state, default=lambda array: array.tolist())


def restore_random(random: np.random.RandomState | np.random.Generator, word: str) -> None:
    """Set a random stream of the same kind to the state in `word`."""
    if isinstance(random, np.random.RandomState):
        random.set_state(json.loads(word))
    else:
        random.bit_generator.state = json.loads(word)


def save_attributes(holder: Any) -> Snapshot:
    """Return the numbers, strings and numeric arrays among an object's attributes; NumPy scalars keep their type."""
    plain: Snapshot = {}
    for name, value in vars(holder).items():
        if isinstance(value, (ndarray, np.generic)):
            if value.dtype.kind in "biuf":
                plain[name] = np.array(value)
        elif value is None or isinstance(value, (str, int, float, bool)):
            plain[name] = value
    return plain


def restore_attributes(holder: Any, attributes: Mapping[str, Any]) -> None:
    """Write `attributes` back; a zero-dimensional array was a NumPy scalar."""
    for name, value in attributes.items():
        setattr(holder, name, value.copy()[()] if isinstance(value, ndarray) else value)


def prefixed(prefix: str, snapshot: Mapping[str, Any]) -> Snapshot:
    """Return `snapshot` with prefixed keys, as part of a larger one."""
    return {f"{prefix}/{name}": value for name, value in snapshot.items()}


def part(prefix: str, snapshot: Mapping[str, Any]) -> Snapshot:
    """Return the part of a snapshot that `prefixed` stored under `prefix`."""
    return {name[len(prefix) + 1 :]: value for name, value in snapshot.items() if name.startswith(prefix + "/")}


def _editable(model: mujoco.MjModel) -> dict[str, ndarray]:
    names = (name for name in dir(model) if not name.startswith(("_", *_CONSTANT)))
    values = ((name, getattr(model, name)) for name in names)
    return {name: value for name, value in values if isinstance(value, ndarray) and value.size}


def _derived_names(model: mujoco.MjModel) -> list[str]:
    """Arrays of fixed size; those of contacts and constraints are empty in fresh data, and are recomputed instead."""
    fresh = mujoco.MjData(model)
    names = (name for name in dir(fresh) if not name.startswith("_") and name not in _NOT_DERIVED)
    values = ((name, getattr(fresh, name)) for name in names)
    return [name for name, value in values if isinstance(value, ndarray) and value.size]


def _flat(arrays: list[ndarray]) -> Float[ndarray, "D"]:
    """Concatenate to one vector; float64 holds 32-bit integers exactly."""
    return np.concatenate([array.ravel().astype(np.float64) for array in arrays])
