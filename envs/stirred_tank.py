"""Exothermic stirred-tank reactor, held at an unstable steady state: a process-control task.

A first-order reaction heats the tank, and a jacket cools it. The desirable steady states (about half of the
feed converted, 350 K) are saddles: left alone, the tank leaves them within a minute, either way. The temperature is
measured in every period, the composition by a slow analyser. Equations and constants: Seborg, Edgar and Mellichamp,
Process Dynamics and Control, example 2.5, as in pc-gym.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import gymnasium.spaces
import numpy as np
from gymnasium.envs.registration import EnvSpec
from jaxtyping import Bool, Float
from numpy import ndarray

from .pid import Pid
from .sensors import Limit, Mask, Observation, Sensor, complete, hide, observation_space
from .task import Task

# Minutes, litres, grams, moles, joules, kelvin.
_FLOW = 100.0 / 100.0  # q / V, 1/min
_RATE, _ACTIVATION = 7.2e10, 8750.0  # k0, 1/min, and E / R, K
_HEAT = 5e4 / (1000.0 * 0.239)  # -ΔH / (ρ C): K of heating for each mol/L that reacts
_COOLING = 5e4 / (1000.0 * 0.239 * 100.0)  # UA / (ρ C V), 1/min
_FEED_TEMPERATURE, _FEED = 350.0, 1.0  # Ti, K, and Caf, mol/L
_COOLANT, _SWING = 300.0, 20.0  # K: the coolant at rest, and how far a control moves it
_PERIOD = 3.0 / 60.0  # minutes
_APPROACH = 0.2  # minutes: time constant of the script
_HOT = 365.0  # K: from here on the reaction may run away within a period
_SUBSTEPS, _SUBSTEPS_HOT = 8, 50  # of a period; the latter are stable beyond 502 K, where the worst runaway ends

# State: periods since the start, mol/L, K, the pending control (K from rest), and the disturbances.
TIME, COMPOSITION, TEMPERATURE, COMMAND, FEED_TEMPERATURE, FEED, COOLING = range(7)


class StirredTank(Task[Observation]):
    """Control: the coolant's temperature, in K from 300 K, within ± 20; it acts one period of 3 s after it was given.

    Sensors are `temperature` (K) in every period, `composition` (mol/L) in every tenth, and `coolant`: the pending
    control (K from rest), which a controller knows, and without which the next period could not be predicted.

    A goal is a set-point of the temperature `[K]` on the unstable branch, and specifies nothing else: one control holds
    one variable, and with another feed the same temperature has another composition. Success is the temperature within
    0.5 K of it while the composition is within 0.02 mol/L of that branch: at rest there, not passing through.

    The privileged cost is the squared error of the temperature (K²). `limits` holds the temperature's, 370 K, from
    where the coolant may not suffice.

    A state `[7]` is the periods since the start, the composition, the temperature, the control that acts next, and
    three numbers that are constant unless a test changes them: feed temperature (K), feed (mol/L) and the share of
    the cooling that remains (1; less with fouling).

    Args:
      render_mode: only None, since there is no view.
      temperature_noise: standard deviation, K.
      composition_noise: standard deviation, mol/L.
      analyser: periods between readings of the composition.

    Raises:
      ValueError: a render mode, negative noise, or an analyser that never reads.
    """

    name = "stirred_tank"
    sensors = (
        Sensor("temperature", (1,), units=("K",)),
        Sensor("composition", (1,), units=("mol/L",), optional=True),
        Sensor("coolant", (1,), units=("K",)),
    )
    limits = (Limit("temperature", 0, high=370.0, units="K"),)
    control_period = 60 * _PERIOD
    budget = 80
    state_size, goal_size = 7, 1
    goal_low, goal_high = 342.0, 358.0  # K
    least_change = 4.0  # K, from a start to its set-point
    tolerance, composition_tolerance = 0.5, 0.02  # K, mol/L
    metadata: dict[str, Any] = {"render_modes": [], "render_fps": 1}

    def __init__(
        self,
        render_mode: str | None = None,
        *,
        temperature_noise: float = 0.1,
        composition_noise: float = 0.005,
        analyser: int = 10,
    ):
        if render_mode is not None:
            raise ValueError(f"render_mode is {render_mode!r}, but {self.name} draws nothing: leave it out")
        if not (temperature_noise >= 0 and composition_noise >= 0 and analyser >= 1):
            raise ValueError(
                f"noise must not be negative, and the analyser reads every so many periods; got {temperature_noise}, "
                f"{composition_noise} and {analyser}"
            )
        self.temperature_noise, self.composition_noise, self.analyser = temperature_noise, composition_noise, analyser
        self.render_mode = None
        self.action_space = gymnasium.spaces.Box(-_SWING, _SWING, (1,), np.float32)
        bounds = {"temperature": (200.0, 800.0), "composition": (-0.5, 2.0), "coolant": (-_SWING, _SWING)}
        self.observation_space = observation_space(self.sensors, bounds)
        self.spec = EnvSpec(f"jepa_mpc/{self.name}-v0", entry_point=f"{__name__}:StirredTank")
        self.state, self.goal = steady(np.array(350.0)), np.array([350.0])

    @property
    def goal_mask(self) -> Mask:
        """See Task: only the temperature."""
        free = np.zeros(1, bool)
        return {"temperature": ~free, "composition": free, "coolant": free}

    def sample_state(self, rng: np.random.Generator) -> Float[ndarray, "S"]:
        """Return states within 1 K and 0.01 mol/L of a steady state of the unstable branch."""
        state = steady(rng.uniform(self.goal_low, self.goal_high))
        state[[TEMPERATURE, COMPOSITION]] += rng.uniform([-1.0, -0.01], [1.0, 0.01])
        return state

    def sample_goal(self, rng: np.random.Generator) -> Float[ndarray, "G"]:
        """Return a temperature on the unstable branch."""
        return rng.uniform(self.goal_low, self.goal_high, 1)

    def sample_pair(self, rng: np.random.Generator) -> tuple[Float[ndarray, "S"], Float[ndarray, "G"]]:
        """Return a start and a set-point that differ by at least 4 K: smaller changes succeed by chance."""
        while True:
            state, goal = super().sample_pair(rng)
            if abs(state[TEMPERATURE] - goal[0]) >= self.least_change:
                return state, goal

    def observe(self, states: Float[ndarray, "... S"]) -> Observation:
        """All sensors, without noise, and as if the analyser read at every moment."""
        readings = {
            "temperature": states[..., TEMPERATURE, None],
            "composition": states[..., COMPOSITION, None],
            "coolant": states[..., COMMAND, None],
        }
        return complete(self.sensors, readings)

    @property
    def noisy(self) -> bool:
        """See Task: readings are noisy, and some are missing."""
        return True

    def sense(self, states: Float[ndarray, "B ... S"], rngs: Sequence[np.random.Generator]) -> Observation:
        """See Task: with noise, and with the composition where the analyser reads it."""
        noise = np.stack([rng.standard_normal((*states.shape[1:-1], 2)) for rng in rngs])
        noisy = states.copy()
        noisy[..., TEMPERATURE] += self.temperature_noise * noise[..., 0]
        noisy[..., COMPOSITION] += self.composition_noise * noise[..., 1]
        return hide(self.observe(noisy), self.sensors[1], states[..., TIME] % self.analyser != 0)

    def goal_observation(self, goal: Float[ndarray, "... G"]) -> Observation:
        """Return the set-point, and the composition and coolant that hold it, which the goal mask excludes."""
        return self.observe(steady(goal[..., 0]))

    def readout(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... 2"]:
        """Temperature (K) and composition (mol/L)."""
        return states[..., [TEMPERATURE, COMPOSITION]]

    def achieved_goal(self, states: Float[ndarray, "... S"]) -> Float[ndarray, "... G"]:
        """Return the temperature, K."""
        return states[..., TEMPERATURE, None]

    def success(
        self, state: Float[ndarray, "... S"], goal: Float[ndarray, "... G"], share: float = 1.0
    ) -> Bool[ndarray, "..."]:
        """Whether the tank is at the set-point, and at rest there."""
        near = np.abs(state[..., TEMPERATURE] - goal[..., 0]) <= share * self.tolerance
        branch = conversion(goal[..., 0], state[..., FEED])
        return np.asarray(near & (np.abs(state[..., COMPOSITION] - branch) <= share * self.composition_tolerance))

    def cost(self, states: Float[ndarray, "... S"], goal: Float[ndarray, "... G"]) -> Float[ndarray, "..."]:
        """Squared error of the temperature, K²."""
        return np.asarray((states[..., TEMPERATURE] - goal[..., 0]) ** 2)

    def breached(self, states: Float[ndarray, "... S"]) -> Bool[ndarray, "..."]:
        """Whether the temperature is beyond its limit."""
        limit = self.limits[0].high
        assert limit is not None
        return np.asarray(states[..., TEMPERATURE] > limit)

    def simulate(self, states: Float[ndarray, "B S"], actions: Float[ndarray, "B T A"]) -> Float[ndarray, "B T S"]:
        """See Task: a control acts one period after it is given."""
        if states.shape != (len(actions), self.state_size) or actions.shape[2:] != (1,):
            raise ValueError(
                f"states {states.shape} and actions {actions.shape} do not fit {self.name}: expected "
                f"[B, {self.state_size}] and [B, T, 1] with the same B"
            )
        if not (np.isfinite(states).all() and np.isfinite(actions).all()):
            raise ValueError("states and actions must be finite: one of those to simulate is NaN or infinite")
        commands = np.clip(actions[..., 0].astype(np.float64), -_SWING, _SWING)
        out, state = np.empty((*actions.shape[:2], self.state_size)), states.astype(np.float64)
        for t in range(actions.shape[1]):
            state = advance(state)
            state[:, COMMAND] = commands[:, t]
            out[:, t] = state
        return out

    def script(self, states: Float[ndarray, "B S"], goals: Float[ndarray, "B G"]) -> Float[ndarray, "B A"]:
        """Coolant for a desired rate of the temperature towards the set-point, by inversion of the true model.

        A PID would work, but has a state; this one depends only on the task's state, one period ahead, since a control
        acts one period late.
        """
        ahead = advance(states)
        ahead[:, COMMAND] = 0.0
        _, slope = rates(ahead[:, COMPOSITION], ahead[:, TEMPERATURE], ahead)
        rate = (goals[:, 0] - ahead[:, TEMPERATURE]) / _APPROACH
        return np.clip((rate - slope) / (_COOLING * ahead[:, COOLING]), -_SWING, _SWING)[:, None]

    def pid(self) -> Pid:
        """Return a PID controller of the temperature, the baseline in the result tables.

        Tuned by a random search for the least squared error over set-point changes without a limit violation.
        """
        return Pid(
            gain=6.4,
            integral_time=21.0,
            derivative_time=1.5,
            low=-_SWING,
            high=_SWING,
            period=self.control_period,
            setpoint_rate=15.5 / 60,
            filter_time=3.0,
            tracking_time=28.0,
        )

    def describe(self) -> dict[str, Any]:
        """See Task; with the noise, the analyser and the limits."""
        return {
            **super().describe(),
            "temperature_noise": self.temperature_noise,
            "composition_noise": self.composition_noise,
            "analyser": self.analyser,
            "limits": [limit.describe() for limit in self.limits],
        }


def rates(composition: ndarray, temperature: ndarray, states: ndarray) -> tuple[ndarray, ndarray]:
    """Rates of composition (mol/L) and temperature (K) a minute, under the control and disturbances of `states`.

    All but the states `[..., S]` are `[...]`; the annotations omit it, since checking them would cost the tests
    more than the arithmetic.
    """
    reaction = _RATE * np.exp(-_ACTIVATION / temperature) * composition
    heating = _FLOW * (states[..., FEED_TEMPERATURE] - temperature) + _HEAT * reaction
    cooling = states[..., COOLING] * _COOLING * (_COOLANT + states[..., COMMAND] - temperature)
    return _FLOW * (states[..., FEED] - composition) - reaction, heating + cooling


def advance(states: Float[ndarray, "B S"]) -> Float[ndarray, "B S"]:
    """Return the states one control period later, under the pending control; hot ones use finer steps."""
    after, hot = np.empty_like(states), states[:, TEMPERATURE] > _HOT
    for rows, substeps in ((hot, _SUBSTEPS_HOT), (~hot, _SUBSTEPS)):
        if rows.any():
            after[rows] = integrate(states[rows], substeps)
    after[:, TIME] += 1
    return after


def integrate(states: Float[ndarray, "B S"], substeps: int) -> Float[ndarray, "B S"]:
    """Composition and temperature one control period later, by the fourth-order Runge-Kutta method."""
    step, after = _PERIOD / substeps, states.copy()
    c, t = states[:, COMPOSITION], states[:, TEMPERATURE]
    for _ in range(substeps):
        c1, t1 = rates(c, t, states)
        c2, t2 = rates(c + step / 2 * c1, t + step / 2 * t1, states)
        c3, t3 = rates(c + step / 2 * c2, t + step / 2 * t2, states)
        c4, t4 = rates(c + step * c3, t + step * t3, states)
        c, t = c + step / 6 * (c1 + 2 * (c2 + c3) + c4), t + step / 6 * (t1 + 2 * (t2 + t3) + t4)
    after[:, COMPOSITION], after[:, TEMPERATURE] = c, t
    return after


def conversion(temperature: Float[ndarray, "..."], feed: Float[ndarray, "..."] | float) -> Float[ndarray, "..."]:
    """Composition in steady state at a temperature, mol/L."""
    return np.asarray(feed / (1 + _RATE * np.exp(-_ACTIVATION / temperature) / _FLOW))


def steady(temperature: Float[ndarray, "..."] | float) -> Float[ndarray, "... S"]:
    """Steady state at a temperature, with nominal feed; the control that holds it is the pending one."""
    kelvin = np.asarray(temperature, np.float64).ravel()
    states = np.zeros((len(kelvin), 7))
    states[:, COMPOSITION], states[:, TEMPERATURE] = conversion(kelvin, _FEED), kelvin
    states[:, FEED_TEMPERATURE], states[:, FEED], states[:, COOLING] = _FEED_TEMPERATURE, _FEED, 1.0
    _, slope = rates(states[:, COMPOSITION], kelvin, states)
    states[:, COMMAND] = -slope / _COOLING
    return states.reshape(*np.shape(temperature), 7)
