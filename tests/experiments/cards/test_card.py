"""The card of a model: what it says, where its numbers come from, and what a user wrote in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from experiments import cli
from experiments.cards import published
from experiments.cards.card import card_file, made, write_card
from experiments.cards.facts import digest
from experiments.commands import plan, train
from experiments.records.results import read_csv
from worldmodel.models.checkpoint import load_model

from ..recipe import settings
from ..reward_recipe import save_random_reward_model

FEW = ("task=two_room", "episodes=3", "policies=[model,random]")


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A folder with a tiny model, as `jepa-mpc train` leaves it, and its card before anything was measured."""
    runs = tmp_path_factory.mktemp("card")
    train.run(settings("train", runs, "task=two_room"))
    model = runs / "two_room-seed0.safetensors"
    return runs, model, card_file(model).read_text()


def test_training_leaves_a_card_of_what_it_did(trained):
    runs, model, card = trained
    metadata = load_model(model).metadata
    for words in (
        "license: unknown",
        "# two_room-seed0",
        "Control period: 50 ms.",
        f"`{digest(metadata['recipe'])}`",
        f"{metadata['env_steps']:,}",
        "50% scripted, 50% coloured noise",
        f"jax {metadata['versions']['jax']}",
        "| horizon_ratio |",
        "| `action[1]` |",
        "-1 to 1",
        "Nothing yet: `jepa-mpc plan task=two_room checkpoint=two_room-seed0.safetensors` measures it.",
    ):
        assert words in card, words
    low, high = metadata["sensor_range"]
    assert f"{low[0]:.4g} to {high[0]:.4g}" in card and "| in the training data |" in card


def test_planning_adds_the_rows_of_this_model_alone_and_keeps_what_a_user_wrote(trained):
    runs, model, card = trained
    card_file(model).write_text(
        card.replace("license: unknown", "license: mit").partition("Yours:")[0] + "For the arm.\n"
    )
    rows = plan.run(settings("plan", runs, *FEW))
    text = card_file(model).read_text()
    assert "license: mit" in text and text.endswith("## Notes\n\nFor the arm.\n")
    (own,) = [row for row in rows if row.policy == "model"]
    assert f"| honest | model | cem |  | {own.successes} of 3 | {own.ci_low:.1%} to {own.ci_high:.1%} |" in text
    assert "| honest | random |" in text and "Nothing yet" not in text
    assert made(model, [runs / "two_room-plan.json"], text) == text, "written again it is the same"
    other = json.loads((runs / "two_room-plan.json").read_text())
    for row in other["rows"]:
        row["train_seconds"] = 1.0 if row["train_seconds"] else None
    (runs / "other.json").write_text(json.dumps(other))
    assert "Nothing yet" in made(model, [runs / "other.json"]), "rows of another model"


def test_the_command_writes_it_again(trained, tmp_path, capfd):
    runs, model, _ = trained
    out = tmp_path / "card.md"
    assert cli.main(["card", f"checkpoint={model}", f"out={out}"]) == 0, capfd.readouterr().err
    assert f"card: {out}" in capfd.readouterr().out and out.read_text().startswith("---\nlicense: unknown\n")
    assert cli.main(["card", f"checkpoint={model}", f"results={tmp_path / 'none.csv'}"]) == 2
    assert "there is no table of results at" in capfd.readouterr().err


@pytest.mark.parametrize("damage", ["broken table", "no folder", "no model"])
def test_a_card_that_cannot_be_written_fails_nothing(damage, trained, tmp_path, caplog, monkeypatch):
    _, model, _ = trained
    if damage == "broken table":
        (tmp_path / "x-plan.json").write_text("{")
        assert write_card(model, [tmp_path / "x-plan.json"]) == card_file(model)
        return
    if damage == "no folder":
        monkeypatch.setattr("experiments.cards.card.card_file", lambda model: tmp_path / "file" / "m.card.md")
        (tmp_path / "file").write_text("")
        assert write_card(model) is None
    else:
        assert write_card(tmp_path / "none.safetensors") is None
    assert "`jepa-mpc card` writes it again" in caplog.text


def test_a_model_for_rewards_has_a_card_with_its_returns(tmp_path, capfd):
    model = save_random_reward_model(tmp_path / "gym-Pendulum-v1-seed0.safetensors")
    words = ["plan", f"checkpoint={model}", f"runs={tmp_path}", "episodes=2", "policies=[policy,random]"]
    assert cli.main(words) == 0, capfd.readouterr().err
    text = card_file(model).read_text()
    assert "| policy |" in text and "mean return" in text and "that earns rewards by planning" in text
    assert "controller.reset(seed=0)" in text


def test_the_published_cards_are_current():
    for path, text in published.cards().items():
        assert path.is_file() and path.read_text() == text, "run `python -m experiments.cards.published`"
        assert "license: apache-2.0" in text and "Nothing yet" not in text


def test_every_published_card_has_the_row_that_was_published():
    rows = [row for row in read_csv(published.RESULTS) if row.policy == "model"]
    cards = "".join(published.cards().values())
    for row in rows:
        assert f"| {row.successes} of {row.episodes} | {row.ci_low:.1%} to {row.ci_high:.1%} |" in cards
    changed = replace(rows[0], successes=1, success_rate=0.01)
    assert f"| {changed.successes} of {changed.episodes} |" not in cards
