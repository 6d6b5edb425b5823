"""Scores of surprise, and surprise itself, against what they are by hand."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np
import pytest

from envs.physics.course import FRAMES
from envs.physics.studio import Drawn
from experiments.bench.expectation import docs_page
from experiments.bench.expectation.controls import PixelSurprise
from experiments.bench.expectation.rows import IDENTITY, ExpectationRow, columns
from experiments.bench.expectation.scores import clip_scores, scores
from experiments.bench.expectation.surprise import BeliefSurprise, ModelSurprise, errors_of
from experiments.build.embeddings import embedded
from experiments.records import table_file
from worldmodel.models.freeze import freeze
from worldmodel.models.goal_model import ModelConfig, create
from worldmodel.nets.encoders.build import sized
from worldmodel.observation import ObservationSpec


def test_pairs_single_clips_and_the_threshold():
    four = np.asarray([[1.0, 2.0, 3.0, 2.0], [1.0, 5.0, 0.5, 6.0]])  # possible a, b; impossible as a, as b
    found = scores(four, four, np.linspace(0.0, 2.5, 9), 0.1)
    assert found.pairs == 4
    assert found.accuracy == (1 + 0.5 + 0 + 1) / 4  # a tie is half
    fine, impossible = (1, 2, 1, 5), (3, 2, 0.5, 6)
    above = sum((i > f) + 0.5 * (i == f) for i in impossible for f in fine) / 16
    assert found.auroc == pytest.approx(above)
    assert found.threshold_accuracy == (3 / 4 + 2 / 4) / 2  # of possible 5 is above 2.5, of impossible 3 and 6


def test_a_clip_counts_with_its_peak_or_its_mean():
    surprise = np.asarray([[0.0, 4.0, 2.0]])
    assert clip_scores(surprise, "max") == 4.0 and clip_scores(surprise, "mean") == 2.0
    with pytest.raises(ValueError, match="reduced by 'median'"):
        clip_scores(surprise, "median")


def clips(count, size=16):
    rng = np.random.default_rng(0)
    pictures = rng.integers(0, 256, (count, FRAMES, size, size, 3), np.uint8)
    actions = rng.uniform(-1, 1, (count, FRAMES - 1, 1)).astype(np.float32)
    return Drawn(pictures, np.zeros((count, FRAMES, 1)), actions, np.zeros(count, int))


@pytest.fixture(scope="module")
def model():
    spec = ObservationSpec.of_arrays({"pixels": ((16, 16, 3), np.dtype(np.uint8))})
    config = ModelConfig(
        observation=sized(spec, "patches", None),
        action_size=1,
        action_block=2,
        latent_size=4,
        width=8,
        depth=1,
        ensemble=1,
        history=3,
        policy=False,
    )
    made = create(config, 0)
    kernel = made.predictor.members[0].output.kernel  # which starts at zero: an untrained predictor predicts no change
    kernel[...] = jnp.asarray(np.random.default_rng(1).normal(size=kernel.shape), jnp.float32)
    return freeze(made, config)


def test_predictions_are_compared_with_what_came_of_these_actions(model):
    made = clips(2)
    errors = errors_of(model, 2, made)
    assert errors.shape == (2, FRAMES, 2, 4)
    rows = embedded(model, {"pixels": made.pictures[1]})
    past = [np.maximum(np.arange(now - 2, now + 1), 0) for now in range(FRAMES)]
    latent = np.asarray(model.encode(model.params, jnp.asarray(np.stack([rows[each] for each in past]))))
    for start in (0, 1, 20):
        ahead = jnp.asarray(latent[start])
        for span in range(2):
            block = made.actions[1, start + 2 * span : start + 2 * span + 2]
            ahead = model.predict(model.params, ahead, jnp.asarray(block)).latent
            expected = latent[start + 2 * span + 2] - np.asarray(ahead)
            np.testing.assert_allclose(errors[1, start, span], expected, atol=1e-4)
    assert not errors[:, -2:].any() and not errors[:, -4:, 1].any()


def test_usual_errors_are_one(model):
    made = clips(12)
    subject = ModelSurprise.calibrated(model, 2, 3, made)
    surprise = subject.surprise(made)
    assert surprise.shape == (12, FRAMES) and not surprise[:, :5].any() and surprise[:, 5:].all()
    assert np.nanmean(subject.by_span(made)) == pytest.approx(1.0, abs=1e-3)
    jump = made.pictures.copy()
    jump[:, 20:] = 255 - jump[:, 20:]
    np.testing.assert_array_equal(subject.surprise(clips(12))[:, :20], surprise[:, :20])
    assert not np.array_equal(
        subject.surprise(Drawn(jump, made.rows, made.actions, made.events))[:, 20], surprise[:, 20]
    )


def test_a_picture_surprises_a_belief_by_all_that_was_foreseen_for_it():
    spec = ObservationSpec.of_arrays({"pixels": ((16, 16, 3), np.dtype(np.uint8))})
    sizes = {"action_size": 1, "latent_size": 4, "width": 8, "depth": 1, "ensemble": 1, "history": 1, "policy": False}
    config = ModelConfig(observation=sized(spec, "patches", None), belief=6, **sizes)
    frozen, made = freeze(create(config, 0), config), clips(18)
    surprise = BeliefSurprise(frozen, 3).surprise(made)
    assert surprise.shape == (18, FRAMES) and not surprise[:, :4].any() and surprise[:, 4:].all()
    rows = jnp.asarray(embedded(frozen, {"pixels": made.pictures[17]}))[None]
    error, log_variance = frozen.module().foresee(rows, jnp.asarray(made.actions[17:]))
    ratio = np.mean(np.square(error) * np.exp(-np.asarray(log_variance)), axis=-1)[0]
    for now in (4, 5, 9, FRAMES - 1):
        before = [ratio[now - span, span - 1] for span in range(1, ratio.shape[1] + 1) if now - span >= 3]
        assert surprise[17, now] == pytest.approx(np.mean(before), rel=1e-4)


def test_pixels_that_go_on_are_no_surprise():
    pictures = np.zeros((1, 4, 2, 2, 3), np.uint8) + np.asarray([0, 10, 20, 30], np.uint8)[None, :, None, None, None]
    made = Drawn(pictures, np.zeros((1, 4, 1)), np.zeros((1, 3, 1), np.float32), np.zeros(1, int))
    np.testing.assert_allclose(PixelSurprise(linear=True).surprise(made), 0, atol=1e-12)
    np.testing.assert_allclose(PixelSurprise().surprise(made)[0], [0, 0, (10 / 255) ** 2, (10 / 255) ** 2], rtol=1e-5)


def row(**changes):
    fields = {"property": "colour", "visibility": "visible", "method": "jepa", "seed": 0, "pairs": 4, "accuracy": 0.75}
    return ExpectationRow(**{**fields, "auroc": 0.9, "threshold_accuracy": 0.8, "command": "bench", **changes})


def test_the_table_has_a_line_for_each_case_and_a_mean():
    rows = [row(), row(seed=1, accuracy=1.0), row(method="pixels", accuracy=0.5), row(property="size")]
    assert columns([rows[2], *rows[:2], rows[3]])[0] == columns(rows)[0], "models first, whatever was measured last"
    header, lines = columns(rows)
    assert header == ["property", "visibility", "jepa", "pixels", "AUROC jepa", "at threshold jepa"]
    assert lines[0] == ["colour", "visible", "87.5", "50.0", "0.900", "80.0"]
    assert [line[0] for line in lines] == ["colour", "size", "mean"] and lines[1][3] == ""


def test_the_page_of_the_docs_has_its_rows(tmp_path):
    """`python -m experiments.bench.expectation.docs_page` writes the table anew."""
    text = docs_page.PAGE.read_text(encoding="utf-8")
    assert docs_page.page(text, docs_page.RESULTS) == text
    made = {
        "command": "c",
        "config": {},
        "cpu": {"model": "A", "cores": 2},
        "device": "1 x cpu (cpu)",
        "system": "Linux",
    }
    table_file.add(tmp_path / "expectation.csv", ExpectationRow, [row()], IDENTITY, made)
    found = docs_page.page(text, tmp_path)
    assert "| colour | visible | 75.0 | 0.900 | 80.0 |" in found and "Measured on A, 2 cores, Linux." in found
    assert (
        (tmp_path / "expectation.csv").read_text().startswith("property,visibility,method,seed,pairs,accuracy,auroc,")
    )
