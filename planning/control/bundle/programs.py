"""An engine's functions over flat lists of arrays, and their signatures: the programs of a bundle.

Every array of the agent is an input, so that weights, goals and parameters change without a new program. Random keys
are raw numbers outside, and keys again inside.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import export

from ...agent import Agent, AgentState
from ...observation import PRESENT
from ..engine.contract import Contract
from ..engine.functions import begin, disagreement, embed, evaluate, fill, imagined, predict, probe, reflex, step

DTYPES = {
    "F32": np.float32,
    "I32": np.int32,
    "U32": np.uint32,
    "U8": np.uint8,
    "BOOL": np.bool_,
}  # under safetensors' names
_IMPL = "threefry2x32"  # of random keys: two numbers, the same draws on every machine


@dataclass(frozen=True)
class Spec:
    """Type and shape of one array, and its name where it has one."""

    dtype: str  # a key of DTYPES
    shape: tuple[int, ...]
    name: str = ""

    @classmethod
    def of(cls, array: Any, name: str = "") -> Spec:
        """Spec of an array. Raises ValueError on a type that no bundle holds."""
        for word, dtype in DTYPES.items():
            if array.dtype == dtype:
                return cls(word, tuple(array.shape), name)
        raise ValueError(f"{name or 'an array'} is {array.dtype}, and a bundle holds {', '.join(DTYPES)}")

    def aval(self) -> jax.ShapeDtypeStruct:
        """Spec as JAX describes it."""
        return jax.ShapeDtypeStruct(self.shape, DTYPES[self.dtype])

    def mlir(self) -> str:
        """Type as StableHLO writes it."""
        kind = {"F32": "f32", "I32": "i32", "U32": "ui32", "U8": "ui8", "BOOL": "i1"}[self.dtype]
        return f"tensor<{''.join(f'{size}x' for size in self.shape)}{kind}>"

    def __str__(self) -> str:
        return f"{self.dtype}{list(self.shape)}"


@dataclass(frozen=True)
class Signature:
    """Inputs of a program after the agent's arrays, and its outputs: `state` stands for all arrays of the state."""

    state: bool
    args: tuple[Spec, ...]
    outs: tuple[Spec, ...]
    gives_state: bool


def signatures(contract: Contract) -> dict[str, Signature]:
    """Return every program of a bundle with this contract, by name."""
    c = contract
    observation, action = _f32(c.embedding_size), _f32(c.action_size)
    latent, blocks = _f32(c.latent_size), c.horizon // c.action_block
    seen = _f32(blocks, c.probe_size or c.latent_size)
    each = _f32(c.num_best)
    judged = (each,) * (1 + len(c.margins) + len(c.terms))
    key, number = Spec("U32", (2,)), Spec("I32", ())
    found = {
        "begin": Signature(False, (observation, key, number), (), True),
        "observe": Signature(True, (observation,), (), True),
        "refine": Signature(True, (), (), True),
        "commit": Signature(True, (), (action,), True),
        "step": Signature(True, (observation,), (action,), True),
        "imagined": Signature(True, (), (seen,), False),
        "predict": Signature(False, (latent, _f32(c.action_block, c.action_size)), (latent,), False),
        "evaluate": Signature(True, (_f32(c.num_best, c.horizon, c.action_size),), judged, False),
    }
    if not c.observation.is_vectors:
        found["embed"] = Signature(False, readings(c), (observation,), False)
    if c.recalls:
        found["recall"] = Signature(True, (_f32(c.history, c.embedding_size), number), (), True)
    if c.probe_size:
        found["probe"] = Signature(False, (latent,), (_f32(c.probe_size),), False)
    if c.members > 1:
        found["disagreement"] = Signature(True, (), (_f32(blocks),), False)
    if c.fills:
        sensors = _f32(len(c.observation.sensors))
        moments = (latent, observation, action, observation, sensors, sensors)
        found["fill"] = Signature(False, moments, (observation, observation, sensors), False)
    if c.reflex:
        found["reflex"] = Signature(False, (_f32(c.history, c.embedding_size), observation), (action,), False)
    return found


def readings(contract: Contract) -> tuple[Spec, ...]:
    """Return the inputs of `embed`: the reading of each sensor in order, a flag after each optional one."""
    names = {"float32": "F32", "uint8": "U8"}
    found = []
    for sensor in contract.observation.sensors:
        found.append(Spec(names[sensor.dtype], sensor.shape, sensor.name))
        if sensor.optional:
            found.append(Spec("F32", (1,), sensor.name + PRESENT))
    return tuple(found)


def state_specs(contract: Contract) -> dict[str, Spec]:
    """Return the arrays that every state has, by name; a planner adds those of its search."""
    c = contract
    blocks, count, flag = c.horizon // c.action_block, Spec("I32", ()), Spec("BOOL", ())
    plan = {
        "actions": _f32(c.horizon, c.action_size),
        "cost": _f32(),
        **{f"terms.{name}": _f32() for name in c.terms},
        **{f"margins.{name}": _f32() for name in c.margins},
        "sequences": _f32(c.num_best, c.horizon, c.action_size),
        "costs": _f32(c.num_best),
        "status": count,
        "finite_fraction": _f32(),
        "spread": _f32(),
        "effective_samples": _f32(),
        "progress": _f32(c.iterations),
        "latents": _f32(blocks, c.latent_size),
    }
    return {
        "key": Spec("U32", (2,)),
        "history": _f32(c.history, c.embedding_size),
        "root": _f32(c.latent_size),
        "goal": _f32(c.latent_size),
        **{f"plan.{name}": spec for name, spec in plan.items()},
        "previous": _f32(c.action_size),
        **dict.fromkeys(("executed", "observed", "pending", "frozen"), count),
        "behind": flag,
        "committed": _f32(c.horizon, c.action_size),
    }


def named_leaves(tree: Any) -> dict[str, Any]:
    """Return the leaves of a pytree by their paths, keys as raw numbers."""
    found = jax.tree_util.tree_flatten_with_path(tree)[0]
    return {jax.tree_util.keystr(path, simple=True, separator="."): _raw(leaf) for path, leaf in found}


def key_data(seed: int) -> np.ndarray:
    """Return the raw key of a seed, as `jax.random.key` makes it; of a seed beyond 32 bits the lower ones count."""
    return np.array([0, seed & 0xFFFFFFFF], np.uint32)


def export_programs(agent: Agent, contract: Contract, platforms: Sequence[str]) -> tuple[dict[str, bytes], list[Spec]]:
    """Export every program of an agent, serialised by `jax.export`; also the arrays of its state in order."""
    leaves, structure = jax.tree.flatten(agent)
    key = jax.random.key(0, impl=_IMPL)
    state = jax.eval_shape(begin, agent, jnp.zeros(contract.embedding_size), key, jnp.int32(0))
    state_leaves, state_structure = jax.tree.flatten(state)
    is_key = [jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key) for leaf in state_leaves]

    def inside(arrays: Sequence[Any]) -> AgentState:
        keyed = [jax.random.wrap_key_data(a, impl=_IMPL) if k else a for a, k in zip(arrays, is_key, strict=True)]
        return jax.tree.unflatten(state_structure, keyed)

    def outside(state: AgentState) -> tuple[Any, ...]:
        return tuple(_raw(leaf) for leaf in jax.tree.leaves(state))

    functions: dict[str, Callable[..., Any]] = {
        "begin": lambda agent, goal, key, episode: outside(
            begin(agent, goal, jax.random.wrap_key_data(key, impl=_IMPL), episode)
        ),
        "embed": lambda agent, *arrays: (
            embed(agent, {spec.name: each for spec, each in zip(readings(contract), arrays, strict=True)}),
        ),
        "observe": lambda agent, state, observation: outside(Agent.observe(agent, state, observation)),
        "recall": lambda agent, state, window, count: outside(Agent.recall(agent, state, window, count)),
        "refine": lambda agent, state: outside(Agent.refine(agent, state)),
        "commit": lambda agent, state: _and_state(Agent.commit(agent, state), outside),
        "step": lambda agent, state, observation: _and_state(step(agent, state, observation), outside),
        "imagined": lambda agent, state: (imagined(agent, state),),
        "predict": lambda agent, latent, block: (predict(agent, latent, block),),
        "evaluate": lambda agent, state, sequences: tuple(jax.tree.leaves(evaluate(agent, state, sequences))),
        "probe": lambda agent, latent: (probe(agent, latent),),
        "disagreement": lambda agent, state: (disagreement(agent, state),),
        "reflex": lambda agent, window, goal: (reflex(agent, window, goal),),
        "fill": fill,
    }
    raw_state = jax.eval_shape(outside, state)
    programs = {}
    for name, signature in signatures(contract).items():

        def flat(leaves: Any, state: Any, *args: Any, name: str = name, whole: bool = signature.state) -> Any:
            agent = jax.tree.unflatten(structure, leaves)
            return functions[name](agent, inside(state), *args) if whole else functions[name](agent, *args)

        flat.__name__ = name
        avals = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves)
        args = (avals, raw_state if signature.state else (), *(spec.aval() for spec in signature.args))
        try:
            with _without_source_paths():
                programs[name] = bytes(export.export(jax.jit(flat), platforms=list(platforms))(*args).serialize())
        except NotImplementedError as error:  # callbacks, for example
            raise ValueError(f"the program {name} cannot be exported: {error!s:.200}") from error
    specs = [Spec.of(leaf, name) for name, leaf in zip(named_leaves(raw_or_shape(state)), raw_state, strict=True)]
    return programs, specs


def raw_or_shape(tree: Any) -> Any:
    """Return the same structure with zeros for shapes: only its names matter."""
    return jax.tree.map(lambda leaf: 0, tree)


@contextlib.contextmanager
def _without_source_paths() -> Iterator[None]:
    """Keep this machine's file names out of exported programs, where JAX writes the traceback of every operation."""
    settings = {"jax_include_full_tracebacks_in_locations": True, "jax_traceback_in_locations_limit": 0}  # no frame
    before = {name: getattr(jax.config, name) for name in settings}
    try:
        for name, value in settings.items():
            jax.config.update(name, value)
        yield
    finally:
        for name, value in before.items():
            jax.config.update(name, value)


def _and_state(result: tuple[Any, AgentState], outside: Callable[[AgentState], tuple[Any, ...]]) -> tuple[Any, ...]:
    first, state = result
    return first, *outside(state)


def _raw(leaf: Any) -> Any:
    keyed = hasattr(leaf, "dtype") and jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    return jax.random.key_data(leaf) if keyed else leaf


def _f32(*shape: int) -> Spec:
    return Spec("F32", shape)
