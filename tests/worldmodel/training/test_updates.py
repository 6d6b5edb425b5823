"""Stages belong to the objective: one of the test's own, which looks at no action, trains in the same trainer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from worldmodel.training.settings import TrainingConfig
from worldmodel.training.trainer import Trainer
from worldmodel.training.updates import Stage, descend, repeat

from ..small import trainer


@dataclass(frozen=True)
class Slowness:
    """Latents that change little from one moment to the next; afterwards, predictors that change nothing."""

    target_rate: float = 0.5
    followed: ClassVar[str] = "encoder"

    def stages(self, model, training):
        rate, batch = training.learning_rate, training.batch
        return (
            Stage("slow", training.updates, ("encoder", "absent"), self.slowness, rate, batch),
            Stage("left out", 0, ("decoder",), self.slowness, rate, batch),
            Stage("still", training.frozen_updates, ("predictor",), self.stillness, 0.1 * rate, 8, encoded=True),
        )

    def slowness(self, model, target, windows, key):
        observed = windows.observations["state"]
        latents, followed = model.encode(observed), target(observed)
        loss = jnp.mean(jnp.square(latents[:, 1:] - followed[:, :-1]))
        return loss, {"loss": loss}

    def stillness(self, model, target, windows, key):
        root = windows.latents[:, 0]
        loss = jnp.mean(jnp.square(model.predict(root, windows.actions[:, 0]).latent - root - 1.0))
        return loss, {"loss": loss}


@pytest.fixture(scope="module")
def states():
    known = trainer()
    config = TrainingConfig(updates=20, frozen_updates=20, policy_updates=0, batch=16, updates_per_call=10)
    run = Trainer(known.model(known.init()), known.sampler, Slowness(), config)
    kept, losses = [run.init()], []

    def keep(state, metrics):
        kept.append(jax.tree.map(jnp.copy, state))
        losses.append(metrics["loss"])

    run.train(run.init(), keep)
    return run, kept, losses


def differ(one, other):
    return any(not np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_each_stage_of_an_objective_trains_the_modules_that_it_names(states):
    run, (first, _, middle, _, last), losses = states
    assert run.total == 40 and set(first.optimizers) == {"slow", "still"}
    assert [run.stage(update) for update in (0, 19, 20, 39)] == ["slow", "slow", "still", "still"]
    for before, after, learned in ((first, middle, {"encoder"}), (middle, last, {"predictor"})):
        assert {name for name in first.params if differ(before.params[name], after.params[name])} == learned
    assert losses[1] < losses[0] and losses[3] < losses[2]


def test_the_target_follows_the_module_that_the_objective_names(states):
    _, (first, _, middle, *_), _ = states
    assert jax.tree.structure(first.target) == jax.tree.structure(first.params["encoder"])
    assert differ(first.target, middle.target) and differ(middle.target, middle.params["encoder"])


def test_updates_repeat_one_gradient_step_and_average_its_metrics():
    optimizer, start = optax.sgd(0.25), jnp.float32(8.0)

    def update(state):
        place, optimizer_state = state
        step = descend(lambda place: (jnp.square(place), {"place": place}), place, optimizer, optimizer_state)
        return (step.params, step.optimizer), {**step.aux, "gradient": step.gradients}

    (place, _), metrics = repeat(update, (start, optimizer.init(start)), 3)
    assert float(place) == 1.0  # halved by each step
    np.testing.assert_allclose([metrics["place"], metrics["gradient"]], [14 / 3, 28 / 3], rtol=1e-6)
