"""The bytes of a bundle, an untrusted file: read, checked for type, size and hash, and taken apart.

The hash detects an altered file. It does not authenticate the author, so nothing that is read here is
trusted yet: the bundle checks its parts against one another.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy import ndarray
from safetensors import SafetensorError, deserialize

from ..engine.formats import FORMAT, check_version
from .programs import DTYPES, Spec

KIND = "jepa-mpc bundle"
KEY = "jepa-mpc"  # of the header among the file's metadata
_NEEDED = {"kind", "format", "contract", "agent", "state", "programs", "platforms", "sha256"}
_DEFAULTS: dict[str, Any] = {"guards": {}}
_LARGEST_HEADER = 2**23
_LARGEST_STATE = 2**25  # elements
_DEEPEST = 16
_NAME = re.compile(r"[\x21-\x7e ]{1,200}")


class BundleError(ValueError):
    """A file that cannot be used as a bundle; the message has the reason in one sentence."""


def digest(header: Mapping[str, Any], tensors: Mapping[str, ndarray]) -> str:
    """Return the SHA-256 of everything but the digest itself."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    total = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        total.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def read(content: bytes) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Return header and tensors after checks of types, sizes and the hash. Raises BundleError."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(_LARGEST_HEADER, len(content) - 8):
        raise BundleError("it is truncated, or not a safetensors file: take an intact copy")
    try:
        outer = json.loads(content[8 : 8 + size])
        text = outer["__metadata__"][KEY]
        header = json.loads(text, parse_constant=_no_constant)
        entries = deserialize(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise BundleError(f"it is altered, or another program's file ({type(error).__name__})") from error
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise BundleError("it is another program's file: expected one that `jepa-mpc export` wrote")
    _check_fields(header)
    _check_json(header)
    tensors = {}
    for name, entry in entries:
        if not _NAME.fullmatch(name):
            raise BundleError("it has a tensor without a proper name")
        dtype = np.uint8 if entry["dtype"] == "U8" and name.startswith("program/") else DTYPES.get(entry["dtype"])
        if dtype is None:
            raise BundleError(f"its tensor {name} has the type {entry['dtype']}: expected {', '.join(DTYPES)}")
        array = np.frombuffer(entry["data"], np.uint8 if dtype is np.bool_ else dtype).reshape(entry["shape"])
        if dtype is np.bool_:
            if (array > 1).any():
                raise BundleError(f"its tensor {name} has booleans other than 0 and 1")
            array = array.astype(bool)
        tensors[name] = array
    if header["sha256"] != digest(header, tensors):
        raise BundleError("it was altered after it was written (its hash does not match): take an intact copy")
    header = {**_DEFAULTS, **header}  # fields with a default may be missing
    if not isinstance(header["guards"], dict):
        raise BundleError("guards must be an object")
    return header, tensors


def listed(header: dict[str, Any], kind: str, tensors: dict[str, ndarray]) -> dict[str, ndarray]:
    """Return the tensors of a list of names in the header. Raises BundleError."""
    prefix = "program" if kind == "programs" else kind
    found = {}
    for name in word_list(header, kind):
        if f"{prefix}/{name}" not in tensors or name in found:
            raise BundleError(f"it has no tensor {prefix}/{name[:60]}, or names it twice")
        found[name] = tensors[f"{prefix}/{name}"]
    return found


def state_of(header: dict[str, Any]) -> tuple[Spec, ...]:
    """Return the arrays of a state as the header lists them. Raises BundleError."""
    entries = header["state"]
    if not isinstance(entries, list):
        raise BundleError("state must be a list")
    specs = []
    for entry in entries:
        match entry:
            case [str(name), str(dtype), list(shape)] if (
                dtype in DTYPES and len(shape) <= 8 and all(type(n) is int and 0 <= n <= _LARGEST_STATE for n in shape)
            ):
                specs.append(Spec(dtype, tuple(shape), name))
            case _:
                raise BundleError("state must list a name, a type and a shape for each array")
    if sum(math.prod(spec.shape) for spec in specs) > _LARGEST_STATE:
        raise BundleError(f"its state has more than {_LARGEST_STATE} numbers")
    return tuple(specs)


def word_list(header: dict[str, Any], name: str) -> list[str]:
    """Return a field of the header that is a list of strings. Raises BundleError."""
    values = header[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BundleError(f"{name} must be a list of strings")
    return values


def _check_fields(header: dict[str, Any]) -> None:
    """Check the version, which the contract's upgrades raise to the present one, and the names of the fields."""
    version = header.get("format")
    try:
        check_version(version)
    except ValueError as error:
        raise BundleError(str(error)) from None
    if unknown := sorted(set(header) - _NEEDED - set(_DEFAULTS)):
        few = ", ".join(f"{name!r:.40}" for name in unknown[:4])
        raise BundleError(
            f"it has unknown fields: {few}, which a newer jepa-mpc may have written (it has format {version}, and this "
            f"version reads {FORMAT}): update jepa-mpc, or export it again"
        )
    if missing := sorted(_NEEDED - set(header)):
        raise BundleError(f"it has missing fields: {', '.join(missing)}: take an intact copy")


def _check_json(value: Any, depth: int = 0) -> None:
    """Raise BundleError on values that are nested too deep, too long, or not finite."""
    if depth > _DEEPEST:
        raise BundleError(f"its header is nested deeper than {_DEEPEST}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError("its header has a number that is not finite")
    if isinstance(value, int) and abs(value) > 2**63:
        raise BundleError("its header has a number that is too large")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_json(each, depth + 1)


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is not JSON")
