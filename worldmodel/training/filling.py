"""Training of the head that fills in missing sensors, on a finished world model, and the measurement of its errors.

Masked prediction: some sensors are left out for several steps in a row, and each step goes on from what was imagined in
the one before, as a robot would. Nothing else of the model changes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray
from numpy import ndarray

from ..models.goal_model import WorldModel
from ..nets.filling import AGES, UNMEASURED, Filling, by_number, difference, presence
from ..observation import ObservationSpec
from ..types import Metrics
from .encoded import LatentSampler
from .settings import TrainingConfig
from .updates import descend, repeat

UNROLLED = 8  # steps in a row for which sensors are left out in training
HELD_OUT = 0.1  # share of the episodes, the last ones, on which the errors are measured
WINDOWS = 512  # of these, over which the errors are measured
WITHIN = 0.6827  # share of the held-out readings within one standard deviation
SAMPLED = 20_000  # moments from which scales are measured
FEWEST = 20  # errors that a factor is measured from
STREAM = 7919  # folded into the key of the run

Progress = Callable[[int, dict[str, float]], None]  # updates made, metrics


class Steps(NamedTuple):
    """Imagined readings of consecutive moments, with a leading axis of steps."""

    mean: Array  # [U, B, E]
    deviation: Array  # [U, B, E], a step after the last reading
    error: Array  # [U, B, E]
    judged: Array  # [U, B, E] bool: left out, though the data have it


def learn_filling(
    model: WorldModel, moments: LatentSampler, config: TrainingConfig, on_progress: Progress | None = None
) -> None:
    """Train the model's head for missing sensors, in place, and measure its errors on episodes that it has not seen.

    The same arguments give the same weights on the same machine. It runs to its end: a run that was interrupted begins
    this part anew.

    Args:
      model: finished otherwise; without the head nothing is done.
      moments: the data, encoded by it.
      config: number and rate of updates.
      on_progress: called every `updates_per_call` updates.

    Raises:
      FloatingPointError: the loss is no longer finite.
    """
    if model.filling is None or not config.filling_updates:
        return
    learned, held = split(moments)
    fit_scales(model.filling, moments, learned)
    starts = _starts(moments, learned, UNROLLED)
    graph, head, *others = nnx.split(model.filling, nnx.Param, ...)
    (rest,) = others  # `...` is one filter, hence one state
    frozen, sensors = nnx.split(model), len(model.encoder.spec.sensors)
    schedule = optax.cosine_decay_schedule(config.learning_rate, config.filling_updates, 0.01)
    optimizer = optax.chain(optax.clip_by_global_norm(config.clip_norm), optax.adamw(schedule, weight_decay=1e-4))
    count = math.gcd(config.filling_updates, config.updates_per_call)
    key = jax.random.fold_in(jax.random.key(config.seed), STREAM)

    @jax.jit
    def updated(state: Any, data: Any) -> tuple[Any, Metrics]:
        weights, moments, starts = data

        def update(state: Any) -> tuple[Any, Metrics]:
            params, optimizer_state, number = state
            drawn, left_out = jax.random.split(jax.random.fold_in(key, number))
            begin = starts[jax.random.randint(drawn, (config.batch,), 0, len(starts))]
            missing = some_sensors(sensors, config.batch, left_out)

            def loss(params: Any) -> tuple[Array, Metrics]:
                head, whole = nnx.merge(graph, params, rest), nnx.merge(frozen[0], weights)
                value = filling_loss(head, imagined(whole, head, moments, begin, missing, UNROLLED))
                return value, {"filling": value}

            step = descend(loss, params, optimizer, optimizer_state)
            return (step.params, step.optimizer, number + 1), step.aux

        return repeat(update, state, count)

    state = (head, optimizer.init(head), jnp.zeros((), jnp.int32))
    for done in range(0, config.filling_updates, count):
        state, metrics = updated(state, (frozen[1], moments, starts))
        values = {name: float(value) for name, value in jax.device_get(metrics).items()}
        if not math.isfinite(values["filling"]):
            raise FloatingPointError(f"the head for missing sensors diverged at update {done + count}")
        if on_progress is not None:
            on_progress(done + count, values)
    nnx.update(model.filling, state[0])
    model.filling.factors[...] = jnp.asarray(measured(model, moments, held), jnp.float32)


def split(moments: LatentSampler) -> tuple[slice, slice]:
    """Return the rows to learn from and the held-out ones: the last episodes; all of them where there is only one."""
    firsts = np.unique(np.asarray(moments.windows.first))
    rows = len(moments.windows.first)
    if len(firsts) < 2:
        return slice(0, rows), slice(0, rows)
    begin = int(firsts[-max(1, round(HELD_OUT * len(firsts)))])
    return slice(0, begin), slice(begin, rows)


def fit_scales(head: Filling, moments: LatentSampler, rows: slice) -> None:
    """Set the scales of embeddings, and of their changes in a step, from the data; missing readings are ignored."""
    spec: ObservationSpec = head.spec
    inside = rows.start + np.flatnonzero(np.arange(rows.start, rows.stop) < np.asarray(moments.windows.last[rows]))
    inside = inside[:: max(1, len(inside) // SAMPLED)]
    before, after = moments.embeddings[inside], moments.embeddings[inside + 1]
    change, values = np.asarray(difference(spec, after, before)), np.asarray(before)
    read = spec.presence(values)
    both = read & spec.presence(np.asarray(after))
    middle = values.mean(axis=0, where=read, dtype=np.float64)
    spread = values.std(axis=0, where=read, dtype=np.float64)
    step = np.sqrt(np.mean(np.square(change, dtype=np.float64), axis=0, where=both))
    spread = np.where(np.isfinite(spread) & (spread > 1e-6), spread, 1.0)
    step = np.where(np.isfinite(step), np.maximum(step, 1e-3 * spread), spread)
    for statistic, found in ((head.middle, np.nan_to_num(middle)), (head.spread, spread), (head.step, step)):
        statistic[...] = jnp.asarray(found, jnp.float32)


def some_sensors(sensors: int, batch: int, key: PRNGKeyArray) -> Bool[Array, "B S"]:
    """Draw which sensors are missing in each row: at least one, each further one in half of the rows."""
    one, further = jax.random.split(key)
    first = jax.random.randint(one, (batch, 1), 0, sensors)
    more = jax.random.bernoulli(further, 0.5, (batch, sensors))
    several = jax.random.bernoulli(jax.random.fold_in(further, 1), 0.5, (batch, 1))
    return (jnp.arange(sensors, dtype=jnp.int32)[None] == first) | (more & several)


def imagined(
    model: WorldModel,
    head: Filling,
    moments: LatentSampler,
    begin: Int[Array, "B"],
    missing: Bool[Array, "B S"],
    steps: int,
) -> Steps:
    """Imagine the missing sensors for some steps after the rows `begin`, each from what was imagined before it.

    A sensor that the data lack at a moment is imagined, too, but not judged; one that was not read before the first
    step stays missing.

    Args:
      model: encodes the moments.
      head: imagines.
      moments: the data, encoded.
      begin: rows, the last ones at which every sensor is as in the data.
      missing: which sensors are left out.
      steps: U.
    """
    spec, windows = model.encoder.spec, moments.windows
    left_out, last = by_number(spec, missing), len(moments.embeddings) - 1

    def step(past: Array, number: Array) -> tuple[Array, Steps]:
        rows = jnp.minimum(begin + number, last)
        truth, action = moments.embeddings[rows], model.predictor.normalizer(windows.actions[rows - 1])
        present = presence(spec, truth)
        known = present & ~left_out
        mean, deviation = head(model.encode(past), action, past[:, -1], truth, known)
        steps = Steps(mean, deviation, difference(spec, truth, mean), present & left_out)
        now = completed(spec, mean, past[:, -1], truth, known)
        return jnp.concatenate([past[:, 1:], now[:, None]], axis=1), steps

    past = moments.embeddings[windows.consecutive(begin)]
    _, found = jax.lax.scan(step, past, jnp.arange(1, steps + 1, dtype=begin.dtype))
    return found


def completed(
    spec: ObservationSpec,
    mean: Float[Array, "B E"],
    previous: Float[Array, "B E"],
    row: Float[Array, "B E"],
    known: Bool[Array, "B E"],
) -> Float[Array, "B E"]:
    """Return the row with imagined readings in place of those that are not known, where there was one before.

    Args:
      spec: the sensors.
      mean: imagined readings.
      previous: the row of the moment before.
      row: as read.
      known: which of its numbers were read.
    """
    before = presence(spec, previous)
    found = jnp.where(known, row, jnp.where(before, mean, 0.0))
    for name, flag in spec.flags.items():
        place = spec.slices[name].start
        found = found.at[:, flag].set((known | before)[:, place].astype(found.dtype))
    return found


def filling_loss(head: Filling, steps: Steps) -> Float[Array, ""]:
    """Negative log-likelihood of what the left-out sensors did read, in units of the usual changes, to a constant."""
    flags = np.zeros(head.spec.size, bool)
    flags[list(head.spec.flags.values())] = True
    judged = steps.judged & jnp.asarray(~flags)[None, None]
    scale = head.step[...][None, None]
    value = 0.5 * jnp.square(steps.error / steps.deviation) + jnp.log(steps.deviation / scale)
    return jnp.sum(jnp.where(judged, value, 0.0)) / jnp.sum(judged, dtype=value.dtype).clip(1.0)


def measured(model: WorldModel, moments: LatentSampler, held: slice) -> Float[ndarray, "2 S G"]:
    """Measure the factors of the deviation on held-out episodes, at each age of `AGES`.

    A factor is the split conformal quantile (Angelopoulos and Bates, 2021) of the errors in deviations: a share of
    `WITHIN` of the readings lies within the deviation times the factor. Factors never fall with the age. Where no
    episode is long enough they grow in proportion to it, from the last that was measured.

    Args:
      model: with the trained head.
      moments: the data, encoded.
      held: rows of the held-out episodes.
    """
    spec, last = model.encoder.spec, np.asarray(moments.windows.last)
    count = len(spec.sensors)
    begins = np.arange(held.start, held.stop)
    begins = begins[begins < last[begins]]
    begins = begins[np.linspace(0, len(begins) - 1, min(WINDOWS, len(begins))).astype(int)]
    steps = int(min(AGES[-1], (last[begins] - begins).max()))
    inside = begins[None] + np.arange(1, steps + 1)[:, None] <= last[begins][None]
    graph, state = nnx.split(model)
    run = jax.jit(partial(_imagined_by, graph), static_argnums=4)
    factors = np.full((2, count, len(AGES)), UNMEASURED)
    patterns = [*np.eye(count, dtype=bool), np.ones(count, bool)]
    for pattern in patterns:
        missing = jnp.asarray(np.broadcast_to(pattern, (len(begins), count)))
        found = run(state, moments, jnp.asarray(begins, jnp.int32), missing, steps)
        error = np.abs(np.asarray(found.error)) / np.asarray(found.deviation)
        judged = np.asarray(found.judged) & inside[..., None]
        for index in np.flatnonzero(pattern):
            place = spec.slices[spec.sensors[index].name]
            growth = _factors(error[..., place], judged[..., place])
            for table in range(2):
                if (table == 0) == (pattern.sum() == 1) or count == 1:
                    factors[table, index] = growth
    return factors


def _imagined_by(graph: Any, state: Any, moments: Any, begin: Array, missing: Array, steps: int) -> Steps:
    model = nnx.merge(graph, state)
    return imagined(model, model.filling, moments, begin, missing, steps)


def _factors(errors: Float[ndarray, "U B C"], judged: Bool[ndarray, "U B C"]) -> Float[ndarray, "G"]:
    """Return the factor of one sensor at each age, from its errors in deviations."""
    found, age_before = list[float](), 1
    for age in AGES:
        known = np.sort(errors[age - 1][judged[age - 1]]) if age <= len(errors) else np.zeros(0)
        if len(known) >= FEWEST:
            rank = min(math.ceil((len(known) + 1) * WITHIN), len(known))
            found.append(max(float(known[rank - 1]), found[-1] if found else 0.0))
        else:
            found.append(found[-1] * age / age_before if found else UNMEASURED)
        age_before = age
    return np.asarray(found)


def _starts(moments: LatentSampler, rows: slice, steps: int) -> Int[Array, "W"]:
    """Return the rows after which an episode has some more steps, or as many as the longest has."""
    last = np.asarray(moments.windows.last[rows])
    left = last - np.arange(rows.start, rows.start + len(last))
    return jnp.asarray(rows.start + np.flatnonzero(left >= min(steps, left.max())), jnp.int32)
