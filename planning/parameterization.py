"""The search space of a planner: every action of a plan, one action a block, or knots with interpolation.

All are linear: `expand` multiplies parameters by the weights of the control instants, `evaluate` by those of any other
moment, and both use one function. The executed plan is the imagined one, because nothing else interpolates.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Protocol, final, runtime_checkable

import jax
import jax.numpy as jnp
import numpy as np

from .arrays import Array, Float

ORDERS = ("zero", "linear", "cubic")


class Parameterization(ABC):
    """A static description of `n` search dimensions (for each action dimension) of a plan of `T` environment steps.

    Action `t` begins `t` control periods after the plan does. The caller applies bounds: a cubic overshoots its knots.
    """

    @abstractmethod
    def num(self, horizon: int) -> int:
        """Return n, the number of parameters of each action dimension."""

    @abstractmethod
    def validate(self, horizon: int) -> None:
        """Raise ValueError, in one sentence, where a plan of `horizon` steps cannot be expressed."""

    @abstractmethod
    def weights(self, steps: Any, horizon: int) -> Any:
        """Return the weight of each parameter `steps` [...] control periods (fractions too) into the plan: [..., n].

        Before the plan its beginning counts, and after it its end. NumPy in gives NumPy out, JAX gives JAX.
        """

    @abstractmethod
    def playback(self, horizon: int) -> Parameterization:
        """Return the parameterisation whose parameters are the plan's actions: it plays plans of any source."""

    def expand(self, params: Float[Array, "*N n A"], horizon: int) -> Float[Array, "*N {horizon} A"]:
        """Return the action sequences of some parameters."""
        return jnp.einsum("tn,...na->...ta", self._matrix(horizon), params, precision="highest")

    def fit(self, sequences: Float[Array, "*N T A"]) -> Float[Array, "*N n A"]:
        """Return the parameters nearest to some sequences (least squares); exactly those that `expand` came from.

        So every planner learns from sequences alone, whatever proposed them: the elites of a policy are projected onto
        the knots, and a plan that is shifted by any number of steps is fitted again.
        """
        inverse = np.linalg.pinv(self._matrix(sequences.shape[-2]).astype(np.float64)).astype(np.float32)
        return jnp.einsum("nt,...ta->...na", inverse, sequences, precision="highest")

    @final
    def evaluate(self, params: Any, seconds: Any, control_period: float, horizon: int) -> Any:
        """Return the actions [..., A] of one plan at any moments.

        NumPy where parameters and moments are (a control loop never compiles), JAX otherwise.

        Args:
          params: [n, A] of one plan.
          seconds: [...] moments, from the beginning of the plan.
          control_period: seconds between two actions.
          horizon: T, environment steps of the plan.
        """
        traced = isinstance(params, jax.Array) or isinstance(seconds, jax.Array)
        xp: Any = jnp if traced else np
        steps = xp.asarray(seconds, np.float32) / np.float32(control_period)
        # 0.3 s / 0.1 s is 2.9999998 in float32: a control instant must be that step and not the one before it.
        steps = xp.where(xp.abs(steps - xp.round(steps)) < 1e-3, xp.round(steps), steps)
        weights, params = self.weights(steps, horizon), xp.asarray(params, np.float32)
        # A GPU multiplies with three digits by default.
        return jnp.matmul(weights, params, precision="highest") if traced else weights @ params

    @final
    def play(self, actions: Any, seconds: Any, control_period: float) -> Any:
        """Return the actions [..., A] of a plan [T, A] at any moments [...]; exact at the control instants."""
        horizon = actions.shape[0]
        return self.playback(horizon).evaluate(actions, seconds, control_period, horizon)

    def _matrix(self, horizon: int) -> np.ndarray:
        return np.asarray(self.weights(np.arange(horizon, dtype=np.float32), horizon), np.float32)


@final
@dataclass(frozen=True)
class Steps(Parameterization):
    """One parameter for every action, held for its control period."""

    def num(self, horizon: int) -> int:
        """T."""
        return horizon

    def validate(self, horizon: int) -> None:
        """Accept every horizon."""

    def weights(self, steps: Any, horizon: int) -> Any:
        """Return one for the action that is held."""
        return _held(steps, horizon)

    def playback(self, horizon: int) -> Parameterization:
        """Itself."""
        return self

    def expand(self, params: Float[Array, "*N n A"], horizon: int) -> Float[Array, "*N {horizon} A"]:
        """Return the parameters: they are the actions."""
        return params

    def fit(self, sequences: Float[Array, "*N T A"]) -> Float[Array, "*N n A"]:
        """Return the actions: they are the parameters."""
        return sequences


@final
@dataclass(frozen=True)
class Blocks(Parameterization):
    """One action for every `size` steps."""

    size: int = 5

    def num(self, horizon: int) -> int:
        """Return T / size."""
        return horizon // self.size

    def validate(self, horizon: int) -> None:
        """Raise ValueError where `size` does not divide the horizon."""
        if self.size < 1 or horizon % self.size:
            raise ValueError(
                f"parameterization: blocks of {self.size} steps cannot make a horizon of {horizon}; "
                f"choose a size that divides it"
            )

    def weights(self, steps: Any, horizon: int) -> Any:
        """Return one for the block that is held."""
        return _held(steps / np.float32(self.size), self.num(horizon))

    def playback(self, horizon: int) -> Parameterization:
        """Return one parameter for every action."""
        return Steps()


@final
@dataclass(frozen=True)
class Knots(Parameterization):
    """`count` knots, evenly spaced, with interpolation of some order between them.

    zero: each knot is held for a `count`-th of the plan. linear and cubic: the first knot is the first action and the
    last the last, so no action is stretched in time. The cubic is Catmull-Rom: through every knot, with the slope
    between its neighbours, and straight at the ends.
    """

    count: int = 5
    order: str = "linear"  # zero, linear or cubic

    def num(self, horizon: int) -> int:
        """Return the number of knots."""
        return self.count

    def validate(self, horizon: int) -> None:
        """Raise ValueError on an unknown order, or where there are more knots than steps or too few to interpolate."""
        if self.order not in ORDERS:
            raise ValueError(f"parameterization: order must be one of {', '.join(ORDERS)}; got {self.order!r}")
        fewest = 1 if self.order == "zero" else 2
        if not fewest <= self.count <= horizon:
            raise ValueError(
                f"parameterization: {self.order} knots must number between {fewest} and the horizon ({horizon}); "
                f"got {self.count}"
            )

    def weights(self, steps: Any, horizon: int) -> Any:
        """Return one for the knot that is held; or the hat, or the Catmull-Rom kernel, around each knot."""
        if self.order == "zero":
            return _held(steps * self.count / np.float32(horizon), self.count)
        xp = jnp if isinstance(steps, jax.Array) else np
        at = xp.clip(steps * np.float32((self.count - 1) / max(horizon - 1, 1)), 0.0, self.count - 1.0)
        if self.order == "linear":
            return xp.maximum(1.0 - _distance(at, 0, self.count), 0.0)
        beyond = np.zeros((self.count + 2, self.count), np.float32)  # a neighbour at either end, on a straight line
        beyond[1:-1] = np.eye(self.count)
        beyond[0, :2], beyond[-1, -2:] = (2.0, -1.0), (-1.0, 2.0)
        far = _distance(at, -1, self.count + 1)
        near = 1.5 * far**3 - 2.5 * far**2 + 1.0
        outer = -0.5 * far**3 + 2.5 * far**2 - 4.0 * far + 2.0
        kernel = xp.where(far <= 1.0, near, xp.where(far < 2.0, outer, xp.zeros_like(far)))
        return kernel @ beyond

    def playback(self, horizon: int) -> Parameterization:
        """Return the same interpolation between the actions: a knot at each of them."""
        return Steps() if self.order == "zero" or horizon < 2 else Knots(horizon, self.order)


@runtime_checkable
class Parameterized(Protocol):
    """A planner that searches the parameters of a plan instead of every action."""

    @property
    def parameterization(self) -> Parameterization:
        """The parameters that it searches."""
        ...


def _held(position: Any, num: int) -> Any:
    """Return one-hot [..., num]: the piece that contains a position."""
    xp = jnp if isinstance(position, jax.Array) else np
    piece = xp.clip(xp.floor(position), 0.0, num - 1.0)
    return (_distance(piece, 0, num) == 0.0).astype(np.float32)


def _distance(position: Any, first: int, end: int) -> Any:
    """Return [..., end - first]: the distance of a position [...] from each whole number `first` to `end` - 1."""
    xp = jnp if isinstance(position, jax.Array) else np
    numbers = np.arange(first, end, dtype=np.float32).reshape((1,) * position.ndim + (-1,))
    return xp.abs(position[..., None] - numbers)
