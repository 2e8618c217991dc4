"""A paired test counts what is independent: periods of the calendar, series, groups; never windows that go together."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.scoring import clusters
from tasks.scoring.clusters import Clusters, most_telling
from tasks.scoring.comparison import Comparison, compare


def panel(series: int, dates: int) -> list[Clusters]:
    """The sorts of a panel's windows, one series' windows side by side."""
    period = Clusters("period", np.tile(np.arange(dates), series))
    return [period, Clusters("series", np.repeat(np.arange(series), dates))]


@pytest.mark.parametrize(
    ("series", "dates", "noun"),
    [
        (3, 28, "period"),
        (366, 1, "series"),
        (1000, 3, "series"),
        (1000, 6, "period"),
        (4, 3, "series"),
        (1, 2, "period"),
    ],
)
def test_periods_are_tested_by_where_six_are_there_and_series_otherwise(series: int, dates: int, noun: str) -> None:
    assert most_telling(panel(series, dates), np.ones(series * dates)).noun == noun


def test_one_great_cluster_beside_small_ones_counts_as_about_one() -> None:
    number = np.concatenate([np.zeros(500), np.arange(1, 12)]).astype(int)
    uneven, alone = Clusters("period", number), Clusters("series", np.arange(511))
    assert uneven.effective(np.ones(511)) == pytest.approx(511**2 / (500**2 + 11))
    assert most_telling([uneven, alone], np.ones(511)) is alone


def test_windows_that_overlap_share_a_period_and_series_meet_on_the_calendar() -> None:
    daily = np.array([100, 107, 114, 121])
    assert clusters.periods(daily, 7).number_N.tolist() == [0, 1, 2, 3]
    assert clusters.periods(np.arange(100, 121), 7).number_N.tolist() == [0] * 7 + [1] * 7 + [2] * 7
    late = np.concatenate([daily, daily + 3])
    assert clusters.periods(late, 7).number_N.tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
    apart = np.array([0, 70, 140])
    assert clusters.periods(apart, 7).number_N.tolist() == [0, 1, 2]


@pytest.mark.parametrize(("dates", "batches"), [(28, 28), (59, 59), (60, 30), (117, 39)])
def test_a_long_test_part_is_tested_by_batches_of_neighbouring_periods(dates: int, batches: int) -> None:
    number = clusters.periods(24 * np.arange(dates), 24).number_N
    assert len(np.unique(number)) == batches
    assert (np.diff(number) >= 0).all()


def by_date(shared: float, seed: int = 0) -> Comparison:
    """Two equal models on 10 series of 12 dates; ``shared`` is the share of the difference that a date brings."""
    rng = np.random.default_rng(seed)
    noise = np.sqrt(shared) * np.tile(rng.normal(0, 1, 12), 10) + np.sqrt(1 - shared) * rng.normal(0, 1, 120)
    other = rng.uniform(5, 6, 120)
    return compare("lstm", "champion", other + 0.2 * noise, other, np.ones(120), clusters=panel(10, 12))


def test_the_sentence_says_by_what_it_was_tested() -> None:
    found = by_date(0.5)
    assert (found.count, found.clusters, found.by) == (120, 12, "period")
    assert " on 120 windows (won " in found.sentence()
    assert found.sentence().endswith(" by 12 periods)")


def test_luck_on_a_few_days_is_no_evidence_however_many_series_had_it() -> None:
    passed = [by_date(0.9, seed).outcome != "undecided" for seed in range(200)]
    assert sum(passed) <= 0.05 * 200
    naive = [
        compare("a", "b", *np.random.default_rng(seed).normal(5, 1, (2, 12)).repeat(10, axis=1), np.ones(120)).outcome
        for seed in range(200)
    ]
    assert sum(outcome != "undecided" for outcome in naive) > 0.4 * 200


def test_a_cluster_is_left_out_where_nobody_observed_it() -> None:
    other = np.arange(5.0, 17.0)
    mine = np.where(np.arange(12) < 4, np.nan, other - 1)
    found = compare("a", "b", mine, other, np.ones(12), clusters=[Clusters("group", np.repeat(np.arange(6), 2))])
    assert (found.count, found.clusters, found.by) == (8, 4, "group")
    assert found.p_value == pytest.approx(2 / 2**4)
    assert found.outcome == "undecided"


def test_small_gains_in_most_windows_do_not_make_up_for_rare_great_losses() -> None:
    mine, other = np.full(100, 1.0), np.full(100, 1.05)
    mine[:3] += 1.5
    found = compare("lstm", "champion", mine + np.arange(100) / 1e4, other, np.ones(100))
    assert found.p_value is not None
    assert found.p_value < 0.001
    assert (found.difference < 0, found.won, found.low < 0 < found.high) == (True, 0.97, True)
    assert found.outcome == "undecided"
    assert "but the mean difference may be anything from -0.0" in found.sentence()


def test_many_ties_do_not_hide_that_one_is_ahead_on_the_rest() -> None:
    mine, other = np.zeros(800), np.zeros(800)
    mine[:25], other[25:100] = 0.5, 0.5
    found = compare("lstm", "linear", mine, other, np.ones(800), noun="item")
    assert (found.test, found.ahead, found.behind, found.outcome) == ("signed rank", 75, 25, "better")
    assert found.p_value == pytest.approx(5.7e-7, rel=0.2)
