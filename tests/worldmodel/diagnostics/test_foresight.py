"""What is measured of a model's foresight, on a model that knows the true dynamics and on one that ignores actions."""

from __future__ import annotations

import dataclasses

import jax.numpy as jnp
import numpy as np
import pytest

from worldmodel.data.windows import WindowSampler
from worldmodel.diagnostics.foresight import foresight
from worldmodel.diagnostics.health import diagnose
from worldmodel.diagnostics.linear_probe import linear_probe
from worldmodel.models.freeze import ModelFunction, freeze
from worldmodel.models.goal_model import create
from worldmodel.types import Prediction

from ..small import SMALL, episodes

BLOCK, PUSH, PERIOD = 2, np.float32(0.3), np.float32(0.1)


@dataclasses.dataclass(frozen=True)
class Exactly(ModelFunction):
    """The latent is position and velocity, and the dynamics are those of `pushed`."""

    pushes: bool = True
    members: int = 1

    def __call__(self, params, *args):
        if self.method == "encode":
            return args[0][..., -1, :]
        if self.method == "probe":
            return args[0][..., :2]
        latent, block = args
        position, velocity = latent[..., :2], latent[..., 2:]
        for step in range(BLOCK):
            push = PUSH * block[..., step, :] * float(self.pushes)
            velocity = velocity + (push[None] if latent.ndim == block.ndim else push)
            position = position + PERIOD * velocity
        later = jnp.concatenate([position, velocity], axis=-1)
        if self.members == 1:
            return Prediction(later)
        # Members part where the body is on the right, and only there are they wrong in the mean.
        wrong = (position[..., :1] > 0).astype(jnp.float32)
        return Prediction(later + wrong * jnp.linspace(0.0, 0.2, self.members).reshape(-1, 1, 1))


def exact(**changes):
    config = dataclasses.replace(SMALL, latent_size=4, history=1, ensemble=changes.get("members", 1))
    encode, predict, probe = (Exactly(name, config, **changes) for name in ("encode", "predict", "probe"))
    model = freeze(create(config, 0), config)
    heads = dataclasses.replace(model.heads, distance=None, probe=probe)
    return dataclasses.replace(model, params=(), encoder=encode, predictor=predict, heads=heads)


@pytest.fixture(scope="module")
def sampler():
    data = episodes([24] * 12)
    observations = data.observations.copy()
    for row in np.flatnonzero(np.arange(len(observations)) != data.last):
        velocity = observations[row, 2:] + PUSH * data.actions[row]
        observations[row + 1] = np.concatenate([observations[row, :2] + PERIOD * velocity, velocity])
    return WindowSampler.of(
        dataclasses.replace(data, readings={"state": observations}), 1, 3, BLOCK, observations[:, :2]
    )


def test_true_dynamics_foresee_everything_and_need_the_right_actions(sampler, key):
    seen = foresight(exact(), sampler, key, 64)
    assert seen.model.shape == (3,)
    assert (seen.model < 1e-9).all() and (np.diff(seen.unchanged) > 0).all()
    assert (seen.shuffled > 0.1 * seen.unchanged).all()
    np.testing.assert_allclose(seen.imagined, seen.executed, atol=1e-5)
    assert seen.imagined.shape == (64, 4, 2)
    assert seen.disagreement is None, "a single model has nobody to disagree with"


def test_ignored_actions_show(sampler, key):
    blind = diagnose(exact(pushes=False), sampler, key, 64)
    assert blind["action_sensitivity"] == pytest.approx(1.0)
    assert diagnose(exact(), sampler, key, 64)["action_sensitivity"] > 100
    assert "critic_order" not in blind, "there is no critic"


def test_straight_and_jagged_paths_differ(sampler, key):
    still = dataclasses.replace(sampler, actions=jnp.zeros_like(sampler.actions))
    line = jnp.arange(len(sampler.observations["state"]), dtype=jnp.float32)[:, None] * jnp.ones((1, 4))
    straight = dataclasses.replace(still, observations={"state": line})
    jagged = dataclasses.replace(still, observations={"state": line * (1 - 2 * (line % 4 < 2).astype(jnp.float32))})
    assert diagnose(exact(), straight, key, 64)["straightness"] == pytest.approx(1.0, abs=1e-4)
    assert diagnose(exact(), jagged, key, 64)["straightness"] == pytest.approx(-1.0, abs=1e-4)


def test_an_ensemble_disagrees_where_it_is_wrong(sampler, key):
    seen = foresight(exact(members=3), sampler, key, 64)
    agreed = seen.disagreement < 1e-12
    assert 0 < agreed.sum() < 64
    assert seen.error[agreed].max() < 1e-9 < 1e-4 < seen.error[~agreed].min()


def test_linear_probe_reads_what_is_there_and_nothing_else():
    rng = np.random.default_rng(0)
    latents, groups = rng.normal(size=(600, 5)), np.repeat(np.arange(20), 30)
    targets = np.stack([latents @ [1.0, 0, 2, 0, 3], np.square(latents[:, 0]), rng.normal(size=600), np.ones(600)], 1)
    linear, square, noise, still = linear_probe(latents, targets, groups)
    assert linear > 0.999
    assert square < 0.1 and noise < 0.1
    assert np.isnan(still)


def test_linear_probe_is_judged_on_other_episodes():
    """A latent that only tells which episode it is explains everything it was fitted to, and nothing else."""
    rng = np.random.default_rng(0)
    groups = np.repeat(np.arange(20), 30)
    targets = rng.normal(size=20)[groups][:, None]
    assert linear_probe(np.eye(20)[groups], targets, groups)[0] < 0.1
    with pytest.raises(ValueError, match="at least two episodes, to fit and to evaluate; got 1"):
        linear_probe(np.eye(20)[groups], targets, np.zeros(600, int))
