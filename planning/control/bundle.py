"""A bundle: everything that a robot needs to plan, in one safetensors file, and nothing that could run by being read.

The weights and all other arrays of the agent are tensors; so are the bytes of the programs, which `jax.export` made;
the contract is JSON in the header. The hash tells an altered file from an intact one. It does not tell who wrote it:
so everything is checked against everything else, and the programs are read in a process of their own, before anything
is compiled.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jax
import jaxlib
import numpy as np
from jax import export
from numpy import ndarray
from safetensors import SafetensorError, deserialize
from safetensors.numpy import save as serialise

from ..agent import Agent
from . import program_check
from .contract import FORMAT, Contract
from .engine import contract_of
from .programs import DTYPES, Signature, Spec, export_programs, named_leaves, signatures, state_specs

KIND = "jepa-mpc bundle"
PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_KEY = "jepa-mpc"
_FIELDS = {"kind", "format", "contract", "agent", "state", "programs", "platforms", "guards", "sha256"}
_LARGEST_FILE = 2**30
_LARGEST_HEADER = 2**23
_LARGEST_PROGRAM = 2**24
_LARGEST_STATE = 2**25  # elements
_DEEPEST = 16
_CHECK_SECONDS = 40.0
_NAME = re.compile(r"[\x21-\x7e ]{1,200}")


class BundleError(ValueError):
    """A file that cannot be used as a bundle, and why, in one sentence."""


@dataclass(frozen=True)
class Bundle:
    """What is in the file. `guards` and `extra` are for whoever watches over the plans: calibrations of any kind."""

    contract: Contract
    agent: dict[str, ndarray]  # every array of the agent, by its path
    state: tuple[Spec, ...]  # the arrays of a state, in order, by their paths
    programs: dict[str, bytes]  # as `jax.export` serialises them
    platforms: tuple[str, ...] = ("cpu",)
    guards: dict[str, Any] = field(default_factory=dict)  # JSON
    extra: dict[str, ndarray] = field(default_factory=dict)  # finite tensors

    @classmethod
    def of(
        cls,
        agent: Agent,
        *,
        task: str = "",
        platforms: Sequence[str] = ("cpu",),
        guards: Mapping[str, Any] | None = None,
        extra: Mapping[str, ndarray] | None = None,
        **words: Any,
    ) -> Bundle:
        """Export an agent. `words` are the contract's sensors, sensor_units, actuators and action_units.

        Raises:
          ValueError: the agent's parts do not fit each other, its precision is not settled, an array is of a type that
            no bundle holds, or a program has an operation that no bundle may have.
        """
        agent.validate()
        if agent.precision == "auto":
            raise ValueError("a bundle needs a settled precision: take the agent of planning.fastest_precision")
        agent = jax.tree.map(_as_array, agent)
        contract = replace(contract_of(agent, task), **words)
        contract.check()
        programs, state = export_programs(agent, contract, platforms)
        arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(agent).items()}
        extras = {name: np.asarray(value) for name, value in (extra or {}).items()}
        bundle = cls(contract, arrays, tuple(state), programs, tuple(platforms), dict(guards or {}), extras)
        return cls.parse(bundle.to_bytes())  # what cannot be read again is refused here, where it can be mended

    def save(self, path: str | Path) -> None:
        """Write the file whole, or not at all."""
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            beside.write_bytes(self.to_bytes())
            os.replace(beside, path)
        finally:
            beside.unlink(missing_ok=True)

    def to_bytes(self) -> bytes:
        """The file's content."""
        tensors = {f"agent/{name}": array for name, array in self.agent.items()}
        tensors |= {f"program/{name}": np.frombuffer(code, np.uint8) for name, code in self.programs.items()}
        tensors |= {f"extra/{name}": array for name, array in self.extra.items()}
        header = {
            "kind": KIND,
            "format": FORMAT,
            "contract": self.contract.to_json(),
            "agent": list(self.agent),
            "state": [[spec.name, spec.dtype, list(spec.shape)] for spec in self.state],
            "programs": list(self.programs),
            "platforms": list(self.platforms),
            "guards": self.guards,
        }
        header["sha256"] = digest(header, tensors)
        text = json.dumps(header, allow_nan=False)
        return serialise({name: np.asarray(array, order="C") for name, array in tensors.items()}, {_KEY: text})

    @classmethod
    def load(cls, path: str | Path) -> Bundle:
        """Read and check a file.

        Raises:
          FileNotFoundError: no file there.
          BundleError: anything else that keeps it from being used; nothing of it has been compiled or run.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no bundle at {path}: make one with `jepa-mpc export`, or give its path")
        if path.stat().st_size > _LARGEST_FILE:
            raise BundleError(f"{path} has {path.stat().st_size} bytes, and a bundle has at most {_LARGEST_FILE}")
        try:
            return cls.parse(path.read_bytes())
        except BundleError as error:
            raise BundleError(f"{path} cannot be used: {error}") from error

    @classmethod
    def parse(cls, content: bytes) -> Bundle:
        """Read and check the content of a file. Raises BundleError."""
        header, tensors = _read(content)
        try:
            contract = Contract.from_json(header["contract"])
        except ValueError as error:
            raise BundleError(str(error)) from error
        agent = _listed(header, "agent", tensors)
        programs = {name: code.tobytes() for name, code in _listed(header, "programs", tensors).items()}
        extra = {name[6:]: array for name, array in tensors.items() if name.startswith("extra/")}
        known = {*(f"agent/{name}" for name in agent), *(f"program/{name}" for name in programs)}
        if unknown := sorted(set(tensors) - known - {f"extra/{name}" for name in extra}):
            raise BundleError(f"it has tensors that nothing names: {', '.join(unknown[:3])}")
        platforms = _words(header, "platforms")
        if not platforms or not set(platforms) <= set(PLATFORMS):
            raise BundleError(f"platforms must be some of {', '.join(PLATFORMS)}; it names {', '.join(platforms[:4])}")
        bundle = cls(contract, agent, _state(header), programs, tuple(platforms), header["guards"], extra)
        bundle._check_arrays()
        bundle._check_programs()
        return bundle

    @property
    def signatures(self) -> dict[str, Signature]:
        """What each program takes and gives."""
        return signatures(self.contract)

    def leaves(self) -> list[ndarray]:
        """The agent's arrays in order."""
        return list(self.agent.values())

    def inputs(self, name: str) -> list[Spec]:
        """All arrays that a program takes, in order."""
        signature = self.signatures[name]
        state = self.state if signature.state else ()
        return [*(Spec.of(leaf) for leaf in self.leaves()), *state, *signature.args]

    def outputs(self, name: str) -> list[Spec]:
        """All arrays that a program gives, in order."""
        signature = self.signatures[name]
        return [*signature.outs, *(self.state if signature.gives_state else ())]

    def exported(self, name: str) -> export.Exported:
        """A program as JAX calls it, checked against the contract from outside: its types, devices and effects.

        Raises:
          BundleError: it does not fit.
        """
        try:
            program = export.deserialize(bytearray(self.programs[name]))
            avals = [(aval.dtype, aval.shape) for aval in (*program.in_avals, *program.out_avals)]
            plain = program.nr_devices == 1 and not program.ordered_effects and not program.unordered_effects
            plain = plain and not program.disabled_safety_checks
            kept = tuple(program.module_kept_var_idx)
            version = program.calling_convention_version
            structure: Any = program.in_tree
            shardings = (*program.in_shardings_hlo, *program.out_shardings_hlo)
        except Exception as error:  # whatever a flatbuffer of garbage makes its reader raise
            raise BundleError(f"its program {name} is not intact ({type(error).__name__})") from error
        wanted = [*self.inputs(name), *self.outputs(name)]
        if len(avals) != len(wanted) or any(
            dtype != DTYPES[spec.dtype] or shape != spec.shape
            for (dtype, shape), spec in zip(avals, wanted, strict=True)
        ):
            raise BundleError(f"its program {name} takes or gives other arrays than the contract says")
        if not plain or any(sharding is not None for sharding in shardings):
            raise BundleError(f"its program {name} is not for one device alone")
        if program.platforms != self.platforms:
            raise BundleError(f"its program {name} is for {', '.join(program.platforms)[:40]}")
        least, most = (
            export.minimum_supported_calling_convention_version,
            export.maximum_supported_calling_convention_version,
        )
        if not least <= version <= most:
            raise BundleError(f"its program {name} has calling convention {version}, and this jax {least} to {most}")
        count = len(self.inputs(name))
        if list(kept) != sorted(set(kept)) or not set(kept) <= set(range(count)):
            raise BundleError(f"its program {name} keeps inputs that it does not have")
        if structure != jax.tree.structure((self._arguments(name), {})):
            raise BundleError(f"its program {name} takes its arrays in another order")
        return program

    def _arguments(self, name: str) -> tuple[Any, ...]:
        signature = self.signatures[name]
        state = (0,) * len(self.state) if signature.state else ()
        return (0,) * len(self.agent), state, *(0 for _ in signature.args)

    def _check_arrays(self) -> None:
        c = self.contract
        if not self.agent:
            raise BundleError("it holds no arrays of an agent")
        for name, array in {**self.agent, **self.extra}.items():
            if array.dtype == np.float32 and np.isnan(array).any():
                raise BundleError(f"its tensor {name} has a value that is no number")
        for name, array in self.extra.items():
            if not np.isfinite(array).all():
                raise BundleError(f"its tensor extra/{name} must be finite")
        for name, values in (("low", c.low), ("high", c.high)):
            stored = self.agent.get(f"spec.{name}")
            if stored is None or stored.dtype != np.float32 or not np.array_equal(stored, values):
                raise BundleError(f"its tensor spec.{name} is not the action_{name} of its contract")
        weights = {name[8:]: array for name, array in self.agent.items() if name.startswith("weights.")}
        if set(weights) != set(c.terms):
            raise BundleError("its weights are not those of the costs in its contract")
        for name, array in weights.items():
            if array.dtype != np.float32 or array.shape != () or float(array) != np.float32(c.weights[name]):
                raise BundleError(f"its tensor weights.{name} is not the weight in its contract")
        for name, array in self.agent.items():
            if name.startswith("model.") and array.dtype == np.float32 and not np.isfinite(array).all():
                raise BundleError(f"its tensor {name} must be finite")
        found = {spec.name: spec for spec in self.state}
        if len(found) != len(self.state):
            raise BundleError("it names an array of the state twice")
        for name, spec in state_specs(c).items():
            other = found.get(name)
            if other is None or (other.dtype, other.shape) != (spec.dtype, spec.shape):
                raise BundleError(f"the array {name} of its state is {other or 'missing'}, and its contract has {spec}")

    def _check_programs(self) -> None:
        names = set(self.signatures)
        if set(self.programs) != names:
            raise BundleError(
                f"it has programs missing or unknown: {', '.join(sorted(set(self.programs) ^ names))[:100]}"
            )
        for name, code in self.programs.items():
            if len(code) > _LARGEST_PROGRAM:
                raise BundleError(f"its program {name} has {len(code)} bytes, and the most is {_LARGEST_PROGRAM}")
        _inspect({name: (self.exported(name), self.inputs(name), self.outputs(name)) for name in self.programs})


def digest(header: Mapping[str, Any], tensors: Mapping[str, ndarray]) -> str:
    """SHA-256 of everything but the digest itself."""
    rest = {name: value for name, value in header.items() if name != "sha256"}
    total = hashlib.sha256(json.dumps(rest, sort_keys=True).encode())
    for name in sorted(tensors):
        array = np.asarray(tensors[name], order="C")
        total.update(f"\n{name} {array.dtype.str} {array.shape}\n".encode())
        total.update(array.tobytes())
    return total.hexdigest()


def _read(content: bytes) -> tuple[dict[str, Any], dict[str, ndarray]]:
    """Header and tensors, their types and sizes checked, and the hash."""
    size = int.from_bytes(content[:8], "little")
    if len(content) < 8 or size > min(_LARGEST_HEADER, len(content) - 8):
        raise BundleError("it is truncated, or no safetensors file: take an intact copy")
    try:
        outer = json.loads(content[8 : 8 + size])
        text = outer["__metadata__"][_KEY]
        header = json.loads(text, parse_constant=_no_constant)
        entries = deserialize(content)
    except (SafetensorError, ValueError, KeyError, TypeError, RecursionError, MemoryError) as error:
        raise BundleError(f"it is altered, or another program's file ({type(error).__name__})") from error
    if not isinstance(header, dict) or header.get("kind") != KIND:
        raise BundleError("it is another program's file: expected one that `jepa-mpc export` wrote")
    version = header.get("format")
    if type(version) is int and version > FORMAT:
        raise BundleError(f"it has the newer format {version}, and this version reads {FORMAT}: update jepa-mpc")
    if version != FORMAT or type(version) is not int or set(header) != _FIELDS:
        raise BundleError(f"it has another format than {FORMAT}, which this version reads")
    _check_json(header)
    if not isinstance(header["guards"], dict):
        raise BundleError("guards must be an object")
    tensors = {}
    for name, entry in entries:
        if not _NAME.fullmatch(name):
            raise BundleError("it has a tensor without a proper name")
        dtype = np.uint8 if entry["dtype"] == "U8" and name.startswith("program/") else DTYPES.get(entry["dtype"])
        if dtype is None:
            raise BundleError(f"its tensor {name} is of the type {entry['dtype']}: expected {', '.join(DTYPES)}")
        array = np.frombuffer(entry["data"], np.uint8 if dtype is np.bool_ else dtype).reshape(entry["shape"])
        if dtype is np.bool_:
            if (array > 1).any():
                raise BundleError(f"its tensor {name} has truth values other than 0 and 1")
            array = array.astype(bool)
        tensors[name] = array
    if header["sha256"] != digest(header, tensors):
        raise BundleError("it was altered after it was written (its hash is another one): take an intact copy")
    return header, tensors


def _listed(header: dict[str, Any], what: str, tensors: dict[str, ndarray]) -> dict[str, ndarray]:
    """The tensors of a list of names in the header."""
    prefix = "program" if what == "programs" else what
    found = {}
    for name in _words(header, what):
        if f"{prefix}/{name}" not in tensors or name in found:
            raise BundleError(f"it has no tensor {prefix}/{name[:60]}, or names it twice")
        found[name] = tensors[f"{prefix}/{name}"]
    return found


def _state(header: dict[str, Any]) -> tuple[Spec, ...]:
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


def _words(header: dict[str, Any], name: str) -> list[str]:
    values = header[name]
    if not isinstance(values, list) or not all(isinstance(value, str) for value in values):
        raise BundleError(f"{name} must be a list of words")
    return values


def _check_json(value: Any, depth: int = 0) -> None:
    """Nothing nested too deep, too long, or not finite."""
    if depth > _DEEPEST:
        raise BundleError(f"its header is nested deeper than {_DEEPEST}")
    if isinstance(value, float) and not math.isfinite(value):
        raise BundleError("its header has a number that is not finite")
    if isinstance(value, int) and abs(value) > 2**63:
        raise BundleError("its header has a number beyond all bounds")
    for each in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        _check_json(each, depth + 1)


def _inspect(programs: dict[str, tuple[export.Exported, list[Spec], list[Spec]]]) -> None:
    """Have a process of its own read the programs: garbage may crash or hang the parser.

    Raises:
      BundleError: a program that it did not find suitable, or did not survive.
    """
    head, body = [], []
    for program, inputs, outputs in programs.values():
        kept = [inputs[index].mlir() for index in program.module_kept_var_idx]
        platform = ["tensor<i32>"] if len(program.platforms) > 1 else []
        code = bytes(program.mlir_module_serialized)
        head.append({"size": len(code), "inputs": platform + kept, "outputs": [spec.mlir() for spec in outputs]})
        body.append(code)
    command = [sys.executable, "-I", program_check.__file__, str(Path(jaxlib.__file__).parent.parent)]
    try:
        done = subprocess.run(
            command, input=json.dumps(head).encode() + b"\n" + b"".join(body), capture_output=True,
            timeout=_CHECK_SECONDS, check=False,
        )  # fmt: skip
        answers = done.stdout.decode(errors="replace").splitlines()
    except subprocess.TimeoutExpired as error:
        answers = (error.stdout or b"").decode(errors="replace").splitlines()
    for index, name in enumerate(programs):
        verdict = json.loads(answers[index]) if index < len(answers) else "it could not be read to its end"
        if verdict:
            raise BundleError(f"its program {name} is not intact: {verdict}")


def _no_constant(word: str) -> float:
    raise ValueError(f"{word} is no JSON")


def _as_array(leaf: Any) -> jax.Array:
    return jax.numpy.asarray(leaf, np.float32) if isinstance(leaf, (int, float)) else jax.numpy.asarray(leaf)
