"""Metrics against numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.scoring import metrics

LEVELS = [0.1, 0.5, 0.9]


def test_seasonal_error_is_the_mean_absolute_difference_a_season_apart() -> None:
    assert metrics.seasonal_error(np.array([1.0, 5.0, 2.0, 8.0]), 2) == 2.0


def test_seasonal_error_leaves_unobserved_pairs_out() -> None:
    assert metrics.seasonal_error(np.array([1.0, 5.0, np.nan, 8.0]), 2) == 3.0


@pytest.mark.parametrize(
    ("history", "expected"),
    [
        ([1.0, 3.0, 2.0], 1.5),
        ([1.0, 2.0, 1.0, 2.0], 1.0),
        ([7.0, 7.0, 7.0], 1.0),
        ([4.0], 1.0),
        ([np.nan] * 9, 1.0),
        ([], 1.0),
    ],
)
def test_a_history_without_a_seasonal_error_is_measured_by_its_steps_or_by_one(
    history: list[float], expected: float
) -> None:
    assert metrics.seasonal_error(np.array(history), 2 if len(history) == 4 else 12) == expected


def test_mase_averages_within_an_item_before_it_averages_over_items() -> None:
    truth = np.array([[1.0, 1.0], [2.0, 2.0], [3.0, np.nan]])
    median = np.array([[2.0, 2.0], [4.0, 4.0], [9.0, 9.0]])
    # Item 0: errors 1, 1, 2, 2 over a scale of 1; item 1: one observed error of 6 over a scale of 2.
    assert metrics.mase(truth, median, np.array([1.0, 1.0, 2.0]), np.array([0, 0, 1])) == pytest.approx((1.5 + 3) / 2)


def test_smape_counts_zero_against_zero_as_no_error() -> None:
    truth, median = np.array([[0.0, 1.0]]), np.array([[0.0, 3.0]])
    assert metrics.smape(truth, median, np.array([0])) == pytest.approx((0 + 100) / 2)


def test_wql_is_twice_the_pinball_loss_over_the_sum_of_truths() -> None:
    truth, quantiles = np.array([[10.0]]), np.array([[[5.0, 10.0, 30.0]]])
    pinball = 0.1 * 5 + 0 + 0.1 * 20
    assert metrics.wql(truth, quantiles, LEVELS) == pytest.approx(2 * pinball / 10 / 3)


def test_unobserved_steps_count_in_no_metric() -> None:
    rng = np.random.default_rng(0)
    truth = rng.normal(10, 1, (5, 4))
    quantiles = np.sort(rng.normal(10, 1, (5, 4, 3)), axis=2)
    scale, items = np.ones(5), np.array([0, 1, 2, 3, 3])
    holed = np.concatenate([truth, np.full((5, 2), np.nan)], axis=1)
    longer = np.concatenate([quantiles, np.full((5, 2, 3), 1e9)], axis=1)
    expected = metrics.score(truth, quantiles, LEVELS, scale, items)
    found = metrics.score(holed, longer, LEVELS, scale, items)
    assert vars(found) == pytest.approx(vars(expected))


def test_metrics_of_nothing_observed_are_nan() -> None:
    scores = metrics.score(np.full((2, 3), np.nan), np.zeros((2, 3, 3)), LEVELS, np.ones(2), np.array([0, 1]))
    assert all(np.isnan(value) for value in vars(scores).values())


def test_coverage_of_true_quantiles_is_their_level() -> None:
    rng = np.random.default_rng(1)
    truth = rng.uniform(0, 1, (4000, 5))
    quantiles = np.broadcast_to(np.array(LEVELS), (4000, 5, 3))
    assert metrics.coverage(truth, quantiles) == pytest.approx(LEVELS, abs=0.01)
    scores = metrics.score(truth, quantiles, LEVELS, np.ones(4000), np.arange(4000))
    assert scores.coverage_80 == pytest.approx(0.8, abs=0.01)


def test_weighted_window_errors_average_to_mase() -> None:
    rng = np.random.default_rng(2)
    truth = rng.normal(0, 1, (30, 6))
    truth[rng.random((30, 6)) < 0.3] = np.nan
    truth[4] = np.nan
    median, scale, items = rng.normal(0, 1, (30, 6)), rng.uniform(1, 2, 30), np.sort(rng.integers(0, 7, 30))
    windows = metrics.per_window(metrics.scaled_errors(truth, median, scale))
    weights = metrics.window_weights(truth, items)
    assert np.nansum(windows * weights) == pytest.approx(metrics.mase(truth, median, scale, items))
    assert np.isnan(windows[4])
    assert weights[4] == 0


def test_errors_by_step_skip_what_was_not_observed() -> None:
    assert metrics.by_step(np.array([[1.0, np.nan], [3.0, 5.0]])).tolist() == [2.0, 5.0]
