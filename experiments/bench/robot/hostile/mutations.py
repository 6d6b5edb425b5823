"""Broken bundles by number: bits flipped, files cut, headers spliced, arrays reshaped, programs swapped.

Half of them carry a valid hash of their changed content, so that the hash does not protect against them.
"""

from __future__ import annotations

import contextlib
import json
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from safetensors.numpy import load as parse
from safetensors.numpy import save as serialise

from planning.control.bundle.bundle import digest

_KEY = "jepa-mpc"
_VALUES: tuple[Any, ...] = (
    None, True, -1, 0, 2, 10**9, 2**63, -(2**31), 10**400, 1e308, 1e-320, -0.5, "", "x", "x" * 100_000, "../../x",
    "\x00", [], [0], [[[[]]]], ["cpu", "cuda"], {}, {"x": {"x": []}}, [1e30] * 3,
)  # fmt: skip


@dataclass(frozen=True)
class Mutated:
    """A file's changed content, the kind of change, and whether its hash was recomputed."""

    content: bytes
    kind: str
    rehashed: bool


@dataclass
class _Parts:
    header: dict[str, Any]
    tensors: dict[str, np.ndarray]


def mutate(content: bytes, number: int, seed: int) -> Mutated:
    """The `number`-th broken version of an intact bundle; even numbers are rehashed."""
    rng = np.random.default_rng([seed, number])
    rehashed = number % 2 == 0
    if not rehashed and rng.random() < 0.5:
        kind, raw = str(rng.choice(list(_RAW))), bytearray(content)
        return Mutated(_RAW[kind](raw, rng), kind, False)
    size = int.from_bytes(content[:8], "little")
    header = json.loads(json.loads(content[8 : 8 + size])["__metadata__"][_KEY])
    parts = _Parts(header, {name: array.copy() for name, array in parse(content).items()})
    kind = str(rng.choice(list(_STRUCTURED)))
    _STRUCTURED[kind](parts, rng)
    text = json.dumps(parts.header)
    if kind == "splice":
        text = _spliced(text, rng)
    if rehashed:
        with contextlib.suppress(ValueError, RecursionError, TypeError, AttributeError):  # it may no longer be JSON
            changed = json.loads(text)
            changed["sha256"] = digest(changed, parts.tensors)
            text = json.dumps(changed)
    return Mutated(serialise(parts.tensors, {_KEY: text}), kind, rehashed)


def _flip(raw: bytearray, rng: np.random.Generator) -> bytes:
    for _ in range(rng.integers(1, 9)):
        raw[rng.integers(len(raw))] ^= 1 << int(rng.integers(8))
    return bytes(raw)


def _flip_header(raw: bytearray, rng: np.random.Generator) -> bytes:
    size = int.from_bytes(raw[:8], "little")
    for _ in range(rng.integers(1, 5)):
        raw[rng.integers(8 + size)] = int(rng.integers(256))
    return bytes(raw)


def _cut(raw: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(raw[: rng.integers(len(raw))])


def _noise(raw: bytearray, rng: np.random.Generator) -> bytes:
    start, length = int(rng.integers(len(raw))), int(rng.integers(1, 4096))
    raw[start : start + length] = rng.bytes(length)
    return bytes(raw)


def _size(raw: bytearray, rng: np.random.Generator) -> bytes:
    raw[:8] = struct.pack("<Q", int(rng.choice([0, 1, 100, 2**20, 2**31, 2**62])))
    return bytes(raw)


def _foreign(raw: bytearray, rng: np.random.Generator) -> bytes:
    return bytes(
        [b"\x80\x04cposix\nsystem\n(Vtrue\ntR.", b"", b"{}", b"\x00" * 64, b"PK\x03\x04" * 50][rng.integers(5)]
    )


def _nested(raw: bytearray, rng: np.random.Generator) -> bytes:
    depth = int(rng.choice([50, 5000, 200_000]))
    text = b'{"__metadata__":' + b'{"a":' * depth + b"1" + b"}" * depth + b"}"
    return struct.pack("<Q", len(text)) + text


_RAW: dict[str, Callable[[bytearray, np.random.Generator], bytes]] = {
    "flip": _flip, "flip header": _flip_header, "cut": _cut, "noise": _noise, "size": _size, "foreign": _foreign,
    "nested": _nested,
}  # fmt: skip


def _header_value(parts: _Parts, rng: np.random.Generator) -> None:
    """Replace a random value in the header."""
    place: Any = parts.header
    while True:
        keys = list(place) if isinstance(place, dict) else list(range(len(place)))
        key = keys[rng.integers(len(keys))]
        inner = place[key]
        if not isinstance(inner, dict | list) or not inner or rng.random() < 0.2:
            place[key] = _VALUES[rng.integers(len(_VALUES))]
            return
        place = inner


def _header_number(parts: _Parts, rng: np.random.Generator) -> None:
    """Change a size in the contract, slightly or by much."""
    contract = parts.header["contract"]
    names = [name for name, value in contract.items() if type(value) in (int, float)]
    name = names[rng.integers(len(names))]
    contract[name] = [contract[name] + 1, contract[name] * 2, -contract[name], 10**6, 0][rng.integers(5)]


def _header_key(parts: _Parts, rng: np.random.Generator) -> None:
    """Add or remove a field."""
    place = parts.header if rng.random() < 0.4 else parts.header["contract"]
    if rng.random() < 0.5:
        place["surprise"] = _VALUES[rng.integers(len(_VALUES))]
    else:
        place.pop(list(place)[rng.integers(len(place))])


def _splice(parts: _Parts, rng: np.random.Generator) -> None:
    """Do nothing: `_spliced` changes the text afterwards."""


def _spliced(text: str, rng: np.random.Generator) -> str:
    start, end = sorted(int(each) for each in rng.integers(len(text), size=2))
    end = min(end, start + 40)
    place = int(rng.integers(len(text)))
    what = [text[start:end], "", "NaN", "1e999", '"' * 3, "[" * 2000, "9" * 5000, "Infinity"][rng.integers(8)]
    return text[:place] + what + text[place + int(rng.integers(4)) :]


def _tensor(parts: _Parts, rng: np.random.Generator) -> str:
    return list(parts.tensors)[rng.integers(len(parts.tensors))]


def _tensor_value(parts: _Parts, rng: np.random.Generator) -> None:
    """Set a value to NaN, infinity or a huge number."""
    name = _tensor(parts, rng)
    flat = parts.tensors[name].reshape(-1)
    if flat.size and flat.dtype == np.float32:
        flat[rng.integers(flat.size)] = [np.nan, np.inf, -np.inf, 1e38, -1e38, 1e-42][rng.integers(6)]
    elif flat.size:
        flat.view(np.uint8)[rng.integers(flat.nbytes)] ^= 255


def _tensor_scale(parts: _Parts, rng: np.random.Generator) -> None:
    """Scale the weights until everything overflows."""
    for name, array in parts.tensors.items():
        if array.dtype == np.float32 and name.startswith("agent/model"):
            parts.tensors[name] = array * np.float32(10.0 ** float(rng.integers(2, 15)))


def _tensor_shape(parts: _Parts, rng: np.random.Generator) -> None:
    name = _tensor(parts, rng)
    array = parts.tensors[name]
    parts.tensors[name] = [
        array.reshape(-1),
        array[None],
        array.reshape(-1)[:-1],
        np.concatenate([array.reshape(-1)] * 2),
        np.zeros((0,), array.dtype),
    ][rng.integers(5)]


def _tensor_type(parts: _Parts, rng: np.random.Generator) -> None:
    name = _tensor(parts, rng)
    kind = [np.float64, np.float16, np.int64, np.int32, np.uint8, np.bool_, np.uint32][rng.integers(7)]
    with np.errstate(all="ignore"):
        parts.tensors[name] = parts.tensors[name].astype(kind)


def _tensor_names(parts: _Parts, rng: np.random.Generator) -> None:
    """Remove, add, exchange or rename a tensor."""
    name, other = _tensor(parts, rng), _tensor(parts, rng)
    match rng.integers(4):
        case 0:
            parts.tensors.pop(name)
        case 1:
            parts.tensors["extra/" * int(rng.integers(2)) + "x"] = np.full(3, np.nan, np.float32)
        case 2:
            parts.tensors[name], parts.tensors[other] = parts.tensors[other], parts.tensors[name]
        case _:
            parts.tensors[["agent/\n", "program/run", "agent/model.x"][rng.integers(3)]] = parts.tensors.pop(name)


def _program(parts: _Parts, rng: np.random.Generator) -> str:
    names = [name for name in parts.tensors if name.startswith("program/")]
    return names[rng.integers(len(names))]


def _program_swap(parts: _Parts, rng: np.random.Generator) -> None:
    name, other = _program(parts, rng), _program(parts, rng)
    parts.tensors[name], parts.tensors[other] = parts.tensors[other], parts.tensors[name]


def _program_bits(parts: _Parts, rng: np.random.Generator) -> None:
    code = parts.tensors[_program(parts, rng)]
    for _ in range(rng.integers(1, 5)):
        code[rng.integers(len(code))] ^= np.uint8(1 << int(rng.integers(8)))


def _program_bytes(parts: _Parts, rng: np.random.Generator) -> None:
    """Copy bytes from one place of the program to another."""
    code = parts.tensors[_program(parts, rng)]
    length = int(rng.integers(1, 64))
    start, place = (int(each) for each in rng.integers(len(code) - length, size=2))
    code[place : place + length] = code[start : start + length].copy()


def _program_garbage(parts: _Parts, rng: np.random.Generator) -> None:
    name = _program(parts, rng)
    code = parts.tensors[name]
    parts.tensors[name] = [
        np.frombuffer(rng.bytes(len(code)), np.uint8),
        code[: rng.integers(len(code))],
        np.zeros_like(code),
        np.concatenate([code, code]),
        np.concatenate([code[: len(code) // 2], np.frombuffer(rng.bytes(len(code) // 2), np.uint8)]),
    ][rng.integers(5)]


_STRUCTURED: dict[str, Callable[[_Parts, np.random.Generator], None]] = {
    "header value": _header_value, "header number": _header_number, "header key": _header_key, "splice": _splice,
    "tensor value": _tensor_value, "tensor scale": _tensor_scale, "tensor shape": _tensor_shape,
    "tensor type": _tensor_type, "tensor names": _tensor_names, "program swap": _program_swap,
    "program bits": _program_bits, "program bytes": _program_bytes, "program garbage": _program_garbage,
}  # fmt: skip
