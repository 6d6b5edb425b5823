"""A bundle's programs with the interface of an engine: no agent, no model code, only arrays in and out."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, final

import jax
import numpy as np
from numpy import ndarray

from ...types import Evaluation, Plan, Status
from ..engine.contract import Contract
from ..engine.interface import checked_prefix, checked_weights, exercise, one_by_one
from ..engine.pictures import of_bundle
from .bundle import Bundle, BundleError
from .compile_cache import compilation_cache
from .programs import DTYPES, key_data, readings

State = tuple[Any, ...]


@final
class BundleEngine:
    """Drives the programs of a bundle. A state is the tuple of its arrays.

    Args:
      bundle: as `Bundle.load` read it.
      cache: a folder for what `warmup` compiles, for the next start; damaged entries are recompiled
        and rewritten. It is read as machine code: keep it where only users may write who may also change the
        program.

    Raises:
      BundleError: the bundle is for other platforms than this process computes on.
    """

    def __init__(self, bundle: Bundle, cache: str | Path | None = None):
        platform = {"gpu": "cuda"}.get(jax.default_backend(), jax.default_backend())
        if platform not in bundle.platforms:
            raise BundleError(
                f"the bundle is for {', '.join(bundle.platforms)}, and this process computes on {platform}: export "
                f"with platforms=[{platform}], or set JAX_PLATFORMS={bundle.platforms[0]}"
            )
        self.bundle = bundle
        self.mean_pictures: Mapping[str, ndarray] = of_bundle(bundle.extra)
        self._cache = None if cache is None else Path(cache)
        self._leaves = tuple(jax.device_put(leaf) for leaf in bundle.leaves())
        self._weights = {name: list(bundle.agent).index(f"weights.{name}") for name in bundle.contract.terms}
        self._at = {spec.name: index for index, spec in enumerate(bundle.state)}
        self._readings = readings(bundle.contract)
        self._compiled: dict[str, Any] = {}

    @property
    def contract(self) -> Contract:
        """Sizes, bounds, periods and names."""
        return self.bundle.contract

    @property
    def weights(self) -> dict[str, float]:
        """The weight of each cost."""
        return {name: float(self._leaves[index]) for name, index in self._weights.items()}

    @weights.setter
    def weights(self, weights: Mapping[str, float]) -> None:
        leaves = list(self._leaves)
        for name, value in checked_weights(weights, self._weights).items():
            leaves[self._weights[name]] = jax.device_put(np.float32(value))
        self._leaves = tuple(leaves)

    def embed(self, readings: Mapping[str, ndarray]) -> ndarray:
        """Return one moment as a row [E]."""
        arrays: list[Any] = [np.asarray(readings[spec.name], DTYPES[spec.dtype]) for spec in self._readings]
        return np.asarray(self._run("embed", (), *arrays)[0])

    def begin(self, goal: Any, seed: int, episode: int) -> State:
        """Return the state at the start of an episode."""
        return self._run("begin", (), np.asarray(goal, np.float32), key_data(seed), np.int32(episode))

    def observe(self, state: State, observation: Any) -> State:
        """Take in one observation; returns the state."""
        return self._run("observe", state, np.asarray(observation, np.float32))

    def recall(self, state: State, window: Any, count: int) -> State:
        """Take in a whole history at once; returns the state."""
        return self._run("recall", state, np.asarray(window, np.float32), np.int32(count))

    def refine(self, state: State) -> State:
        """Run one iteration on the plan."""
        return self._run("refine", state)

    def commit(self, state: State) -> tuple[ndarray, State]:
        """Return the next action of the plan."""
        action, *state = self._run("commit", state)
        return np.asarray(action), tuple(state)

    def step(self, state: State, observation: Any) -> tuple[ndarray, State]:
        """Observe, plan if due, and commit."""
        action, *state = self._run("step", state, np.asarray(observation, np.float32))
        return np.asarray(action), tuple(state)

    def freeze(self, state: State, actions: Any, count: int) -> State:
        """Plan around actions that are already committed."""
        changed = list(state)
        # What lies beyond is the memory of the actions before, as `Agent.freeze` leaves it.
        committed = np.array(changed[self._at["committed"]])
        committed[:count] = checked_prefix(self.contract, actions, count)[:count]
        changed[self._at["committed"]] = committed
        changed[self._at["frozen"]] = np.int32(count)
        return tuple(changed)

    def with_previous(self, state: State, action: Any) -> State:
        """Return the state, as if `action` had been the last one taken."""
        changed = list(state)
        changed[self._at["previous"]] = np.asarray(action, np.float32)
        return tuple(changed)

    def status(self, state: State) -> Status:
        """Return the status of the plan."""
        return Status(int(state[self._at["plan.status"]]))

    def plan(self, state: State) -> Plan:
        """Return the current plan."""
        parts: dict[str, Any] = {
            name: np.asarray(state[index]) for name, index in self._at.items() if name.startswith("plan.")
        }
        named: dict[str, Any] = {
            kind: {name: parts.pop(f"plan.{kind}.{name}") for name in names}
            for kind, names in (("terms", self.contract.terms), ("margins", self.contract.margins))
        }
        return Plan(**{name[5:]: part for name, part in parts.items()}, **named)

    def imagined(self, state: State) -> ndarray:
        """Return the predicted outcome of the rest of the plan."""
        return np.asarray(self._run("imagined", state)[0])

    def root(self, state: State) -> ndarray:
        """Return the current latent."""
        return np.asarray(state[self._at["root"]])

    def predict(self, latent: Any, block: Any) -> ndarray:
        """Predict one model step."""
        return np.asarray(self._run("predict", (), np.asarray(latent, np.float32), np.asarray(block, np.float32))[0])

    def disagreement(self, state: State) -> ndarray | None:
        """Return an ensemble's disagreement along the plan."""
        return None if self.contract.members == 1 else np.asarray(self._run("disagreement", state)[0])

    def probe(self, latent: Any) -> ndarray | None:
        """Decode positions from latents."""
        if not self.contract.probe_size:
            return None
        return one_by_one(lambda each: self._run("probe", (), each)[0], latent, self.contract.probe_size)

    def reflex(self, window: Any, goal: Any) -> ndarray | None:
        """Return the action of the model's policy, without a plan."""
        if not self.contract.reflex:
            return None
        return np.asarray(self._run("reflex", (), np.asarray(window, np.float32), np.asarray(goal, np.float32))[0])

    def fill(self, *asked: Any) -> tuple[ndarray, ndarray, ndarray]:
        """Return what every sensor would read, its standard deviation, and the trust in it."""
        given = (np.asarray(each, np.float32) for each in asked)
        reading, deviation, trust = (np.asarray(each) for each in self._run("fill", (), *given))
        return reading, deviation, trust

    def evaluate(self, state: State, sequences: Any) -> Evaluation:
        """Evaluate the objective on k sequences."""
        judged = self._run("evaluate", state, np.asarray(sequences, np.float32))
        cost, *rest = (np.asarray(each) for each in judged)
        count = len(self.contract.margins)
        parts: Any = (
            cost,
            dict(zip(self.contract.margins, rest[:count], strict=True)),
            dict(zip(self.contract.terms, rest[count:], strict=True)),
        )
        return Evaluation(*parts)

    def executed(self, state: State) -> int:
        """Number of actions of the plan that have been taken."""
        return int(state[self._at["executed"]])

    def observed(self, state: State) -> int:
        """Number of observations since the episode's start."""
        return int(state[self._at["observed"]])

    def warmup(self) -> None:
        """Compile every program, or read it from the cache, and call it once."""
        if self._cache is not None:
            self._fill(self._cache)
        for name in self.bundle.programs:
            self._program(name)
        exercise(self)

    def _fill(self, folder: Path) -> None:
        """Compile with a cache, as far as it is usable."""
        with compilation_cache(folder) as entries:
            try:
                for name in self.bundle.programs:
                    self._program(name)
                    entries.seal()  # one by one: a process that is killed here does not lose the earlier ones
            except BundleError as error:
                entries.clear(error)

    def _run(self, name: str, state: State, *args: Any) -> Any:
        return self._program(name)(self._leaves, state, *args)

    def _program(self, name: str) -> Any:
        if name not in self._compiled:
            signature = self.bundle.signatures[name]
            state = tuple(spec.aval() for spec in self.bundle.state) if signature.state else ()
            leaves = tuple(jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in self._leaves)
            args = (spec.aval() for spec in signature.args)
            function = jax.jit(self.bundle.exported(name).call)
            try:
                self._compiled[name] = function.lower(leaves, state, *args).compile()
            except Exception as error:  # the compiler's own message is pages long
                raise BundleError(f"the program {name} of the bundle does not compile here: {error!s:.200}") from error
        return self._compiled[name]
