"""A bundle: everything that a robot needs to plan, in one safetensors file, and nothing that reading could execute.

The weights and all other arrays of the agent are tensors; so are the programs, as bytes from `jax.export`;
the contract is JSON in the header. A file is not trusted: its parts are checked against one another, and the programs
are read in a separate process, before anything is compiled.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax import export
from numpy import ndarray
from safetensors.numpy import save as serialise

from ...agent import Agent
from ..engine.contract import Contract, with_words
from ..engine.formats import FORMAT
from ..engine.live import as_arrays, contract_of
from .file import KEY, KIND, BundleError, digest, listed, read, state_of, word_list
from .files import write_atomically
from .inspection import inspect
from .programs import DTYPES, Signature, Spec, export_programs, named_leaves, signatures, state_specs

PLATFORMS = ("cpu", "cuda", "rocm", "tpu")
_LARGEST_FILE = 2**30
_LARGEST_PROGRAM = 2**24


class ReplacedBundleError(BundleError):
    """A bundle's file that is not the one that was validated."""


@dataclass(frozen=True)
class Bundle:
    """Content of a bundle. `guards` and `extra` hold calibrations of any kind for monitors of the plans."""

    contract: Contract
    agent: dict[str, ndarray]  # every array of the agent, by its path
    state: tuple[Spec, ...]  # the arrays of a state, in order, by their paths
    programs: dict[str, bytes]  # as serialised by `jax.export`
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
        """Export an agent.

        Args:
          agent: with a settled precision.
          task: name of the task, for people.
          platforms: that the programs are compiled for: some of `PLATFORMS`.
          guards: JSON for whoever watches over the plans.
          extra: finite tensors, likewise.
          words: arguments of `engine.contract.with_words`: names, units and ranges.

        Raises:
          ValueError: the agent's parts do not fit each other, its precision is not settled, an array is of a type that
            no bundle holds, or a program has an operation that no bundle may have.
        """
        agent.validate()
        if agent.precision == "auto":
            raise ValueError("a bundle needs a settled precision: take the agent of planning.fastest_precision")
        agent = as_arrays(agent)
        contract = with_words(contract_of(agent, task), **words)
        contract.check()
        programs, state = export_programs(agent, contract, platforms)
        arrays = {name: np.asarray(leaf) for name, leaf in named_leaves(agent).items()}
        extras = {name: np.asarray(value) for name, value in (extra or {}).items()}
        bundle = cls(contract, arrays, tuple(state), programs, tuple(platforms), dict(guards or {}), extras)
        return cls.parse(bundle.to_bytes())  # what cannot be read back is refused here, where it can be fixed

    def save(self, path: str | Path) -> None:
        """Write the file atomically.

        Raises:
          OSError: the disk is full, or `path` cannot be written to; an existing file is unchanged.
        """
        write_atomically(path, self.to_bytes())

    def to_bytes(self) -> bytes:
        """Return the file's content."""
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
        return serialise({name: np.asarray(array, order="C") for name, array in tensors.items()}, {KEY: text})

    @classmethod
    def load(cls, path: str | Path, sha256: str | None = None) -> Bundle:
        """Read and check a file.

        Args:
          path: of the file.
          sha256: of its content, where exactly that file is required.

        Raises:
          FileNotFoundError: no file there.
          ReplacedBundleError: the content has another hash.
          BundleError: the file cannot be used; nothing of it has been compiled or run.
        """
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"there is no bundle at {path}: make one with `jepa-mpc export`, or give its path")
        if path.stat().st_size > _LARGEST_FILE:
            raise BundleError(f"{path} has {path.stat().st_size} bytes, and a bundle has at most {_LARGEST_FILE}")
        content = path.read_bytes()
        if sha256 is not None and (found := hashlib.sha256(content).hexdigest()) != sha256:
            raise ReplacedBundleError(
                f"{path} is not the file that was validated (SHA-256 {sha256[:12]}… then, {found[:12]}… now): put that "
                "file back, or create a new controller to use this one"
            )
        try:
            return cls.parse(content)
        except BundleError as error:
            raise BundleError(f"{path} cannot be used: {error}") from error

    @classmethod
    def parse(cls, content: bytes) -> Bundle:
        """Read and check the content of a file. Raises BundleError."""
        header, tensors = read(content)
        try:
            contract = Contract.from_json(header["contract"])
        except ValueError as error:
            raise BundleError(str(error)) from error
        agent = listed(header, "agent", tensors)
        programs = {name: code.tobytes() for name, code in listed(header, "programs", tensors).items()}
        extra = {name[6:]: array for name, array in tensors.items() if name.startswith("extra/")}
        known = {*(f"agent/{name}" for name in agent), *(f"program/{name}" for name in programs)}
        if unknown := sorted(set(tensors) - known - {f"extra/{name}" for name in extra}):
            raise BundleError(f"it has tensors that nothing names: {', '.join(unknown[:3])}")
        platforms = word_list(header, "platforms")
        if not platforms or not set(platforms) <= set(PLATFORMS):
            raise BundleError(f"platforms must be some of {', '.join(PLATFORMS)}; it names {', '.join(platforms[:4])}")
        bundle = cls(contract, agent, state_of(header), programs, tuple(platforms), header["guards"], extra)
        bundle._check_arrays()
        bundle._check_programs()
        return bundle

    @property
    def signatures(self) -> dict[str, Signature]:
        """Inputs and outputs of each program."""
        return signatures(self.contract)

    def leaves(self) -> list[ndarray]:
        """Return the agent's arrays in order."""
        return list(self.agent.values())

    def inputs(self, name: str) -> list[Spec]:
        """Return the specs of all arrays that a program takes, in order."""
        signature = self.signatures[name]
        state = self.state if signature.state else ()
        return [*(Spec.of(leaf) for leaf in self.leaves()), *state, *signature.args]

    def outputs(self, name: str) -> list[Spec]:
        """Return the specs of all arrays that a program returns, in order."""
        signature = self.signatures[name]
        return [*signature.outs, *(self.state if signature.gives_state else ())]

    def exported(self, name: str) -> export.Exported:
        """Return a program as JAX calls it, checked against the contract from outside: its types, devices and effects.

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
        except ImportError as error:
            raise ImportError("programs of a bundle are read with flatbuffers: pip install flatbuffers") from error
        except Exception as error:  # the reader may raise anything on a corrupt flatbuffer
            raise BundleError(f"its program {name} is not intact ({type(error).__name__})") from error
        expected = [*self.inputs(name), *self.outputs(name)]
        if len(avals) != len(expected) or any(
            dtype != DTYPES[spec.dtype] or shape != spec.shape
            for (dtype, shape), spec in zip(avals, expected, strict=True)
        ):
            raise BundleError(f"its program {name} takes or gives other arrays than the contract says")
        if not plain or any(sharding is not None for sharding in shardings):
            raise BundleError(f"its program {name} is not for a single device")
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
                raise BundleError(f"its tensor {name} has a value that is not a number")
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
        inspect({name: (self.exported(name), self.inputs(name), self.outputs(name)) for name in self.programs})
