"""What is said of rows of goal tasks: numbers whose verdict is known."""

from __future__ import annotations

import pytest

from experiments.records.findings import of_goals
from experiments.records.intervals import wilson


def row(policy, successes, episodes=100, **more):
    low, high = wilson(successes, episodes)
    planner = "cem" if policy in ("model", "oracle") else ""
    values = {"task": "two_room", "observation": "state", "protocol": "honest", "planner": planner, "variant": ""}
    return {**values, "policy": policy, "episodes": episodes, "successes": successes, "ci_low": low, **more}


FLOORS = [row("random", 2), row("noop", 0)]


def texts(rows, **more):
    return [each.text for each in of_goals([*rows, *FLOORS], **more)]


def test_rows_in_order_give_no_finding():
    assert texts([row("model", 97), row("oracle", 30, 30)]) == []


@pytest.mark.parametrize(("successes", "said"), [(60, True), (85, True), (92, False), (97, False)])
def test_the_oracle_has_to_be_better_by_more_than_the_interval(successes, said):
    found = of_goals([row("model", successes), row("oracle", 30, 30), *FLOORS])
    assert bool(found) is said
    if said:
        assert found[0].serious and found[0].command == "jepa-mpc diagnose task=two_room"
        assert "predictor is at fault" in found[0].text


def test_the_oracle_of_another_planner_says_nothing_of_this_one():
    assert texts([row("model", 60), row("oracle", 100, planner="mppi")]) == []


def test_a_model_has_to_be_better_than_random():
    (found,) = texts([row("model", 3), row("oracle", 4)])
    assert found == "two_room: with 3 % of its goals the model is not shown to be better than random actions (2 %)"
    (found,) = texts([row("model", 3, variant="no_critic"), row("model", 97), row("oracle", 97)])
    assert found.startswith("two_room, no_critic: with 3 %")


def test_random_actions_that_reach_goals_make_a_task_too_easy_and_a_loose_protocol_known():
    loose = [row("random", 23, protocol="lewm"), row("model", 99, protocol="lewm"), row("noop", 9, protocol="lewm")]
    found = of_goals([row("model", 99), row("oracle", 99), row("random", 6), row("noop", 0), *loose], place="a.csv")
    assert [each.serious for each in found] == [True, False] and {each.place for each in found} == {"a.csv"}
    assert "(6 % in two_room): too easy" in found[0].text and "(23 % in two_room, lewm): a looser" in found[1].text
    assert texts([row("model", 97), row("oracle", 99)]) == [], "2 % is less than 5 %"


def test_references_that_are_missing_are_named_once_with_all_their_tasks():
    alone = [row("model", 97, task=task) for task in ("umaze", "reacher")]
    found = of_goals(alone)
    assert [each.missing for each in found] == [True] and not found[0].serious
    assert found[0].text.startswith("umaze; reacher: no row of random (random actions), noop (no action), oracle (")
    assert "'suite.tasks=[umaze,reacher]'" in found[0].command and "'suite.simulated=[oracle]'" in found[0].command
    beside = [row(policy, 0, task=task) for task in ("umaze", "reacher") for policy in ("random", "noop", "oracle")]
    assert of_goals(alone, beside=beside) == []


def test_from_pictures_the_floors_of_state_count_and_no_oracle_is_asked_for():
    assert texts([row("model", 97, observation="pixels")]) == []
    (found,) = of_goals([row("model", 97, observation="pixels", protocol="strict"), *FLOORS])
    assert "'suite.observations=[pixels]'" in found.command and "'suite.protocols=[strict]'" in found.command


def test_variants_have_their_references_elsewhere():
    assert of_goals([row("model", 97, task="umaze", variant="ensemble_5"), row("model", 97, task="umaze")]) == []
