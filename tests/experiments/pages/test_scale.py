from __future__ import annotations

import pytest

from experiments.pages.scale import CHARACTER, NARROW, Scale, number


def test_places_are_shares_of_the_axis():
    assert [Scale(0.0, 10.0).at(value) for value in (-1, 0, 5, 10, 11)] == [0, 0, 50, 100, 100]
    assert [Scale(1.0, 100.0, log=True).at(value) for value in (0, 1, 10, 100)] == [0, 0, 50, 100]


def test_an_axis_is_logarithmic_where_positive_values_lie_far_apart():
    assert not Scale.of([1, 30]).log and Scale.of([1, 31]).log
    assert not Scale.of([0, 1000]).log and not Scale.of([-1, 1000]).log
    assert Scale.of([1, 2], log=True).log and not Scale.of([0, 2], log=True).log


@pytest.mark.parametrize("values", [[0], [0, 0], [5, 5], [-3], [], [1e-9, 1e9], [float("nan"), 2.0], [1e6, 1e6 + 1]])
@pytest.mark.parametrize("zero", [False, True])
def test_every_set_of_values_has_an_axis_with_labels(values, zero):
    scale = Scale.of(values, zero=zero)
    assert scale.low < scale.high and len(scale.ticks()) >= 1
    finite = [value for value in values if value == value]
    assert all(scale.low <= value <= scale.high for value in finite)
    assert not zero or scale.log or scale.low <= 0 <= scale.high


@pytest.mark.parametrize(
    "scale", [Scale(0, 100), Scale(0, 654_000), Scale(0.08, 20, log=True), Scale(90, 2100, log=True), Scale(-0.4, 0.7)]
)
def test_labels_are_round_in_order_and_do_not_touch_on_a_telephone(scale):
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 6
    for (at, text), (following, other) in zip(ticks, ticks[1:], strict=False):
        assert (following - at) * NARROW / 100 >= CHARACTER * (len(text) + len(other)) / 2
    assert [text for _, text in Scale(0, 100).ticks()] == ["0", "20", "40", "60", "80", "100"]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (0.123456, "0.123"),
        (999.4, "999"),
        (1234, "1,234"),
        (60_000, "60k"),
        (2.5e6, "2.5M"),
        (1e-7, "1e-07"),
    ],
)
def test_numbers_are_short(value, text):
    assert number(value) == text
