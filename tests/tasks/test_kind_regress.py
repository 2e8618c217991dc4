"""Regress: targets become numbers, one that does not vary is refused, and the report shows where errors lie."""

from __future__ import annotations

import json
from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.ragged import Ragged
from tasks.data.contract import Ledger
from tasks.errors import InputError
from tasks.kinds.regress import OBJECTIVE, Regress
from tasks.scoring import contest

PROBLEM = Regress()


@pytest.mark.parametrize(
    ("values", "numbers"),
    [
        ([1, 2, None], [1.0, 2.0, None]),
        (["1.5", "two"], [1.5, None]),
        ([1.0, float("inf"), float("nan")], [1.0, None, None]),
        ([[2.0, 2.0], [3.0], [1.0, 2.0], []], [2.0, 3.0, None, None]),
    ],
)
def test_a_target_becomes_one_finite_number_an_item(values: list[Any], numbers: list[float | None]) -> None:
    column = OBJECTIVE.targets(PROBLEM, pl.Series("target", values))
    assert column.to_list() == numbers
    assert OBJECTIVE.targets(PROBLEM, column).to_list() == numbers


@pytest.mark.parametrize("value", [date(2024, 1, 1), datetime(2024, 1, 1, 5), time(5), timedelta(days=1)])
def test_dates_and_times_are_no_numbers(value: Any) -> None:
    for values in ([value, None], [[value], [value, value]]):
        with pytest.raises(InputError, match=r"must hold numbers .*write it as a number in the source"):
            OBJECTIVE.targets(PROBLEM, pl.Series("target", values))


def test_items_without_a_number_are_refused_by_their_id() -> None:
    frame = pl.DataFrame({"item_id": ["x", "y"], "target": [1.0, None]})
    with pytest.raises(InputError, match="1 item without: y"):
        OBJECTIVE.check_target(PROBLEM, frame, "numeric")


@pytest.mark.parametrize("values", [[3.0, 3.0, 3.0], [1e9, 1e9], []])
def test_a_target_that_does_not_vary_is_refused(values: list[float]) -> None:
    with pytest.raises(InputError, match="must vary"):
        OBJECTIVE.fit_target(PROBLEM, pl.DataFrame({"target": pl.Series(values, dtype=pl.Float64)}), Ledger())


def test_strata_are_tenths_of_the_ranks() -> None:
    strata = OBJECTIVE.strata(PROBLEM, pl.Series(np.random.default_rng(0).normal(size=100)))
    assert strata is not None
    assert sorted(set(strata)) == [str(tenth) for tenth in range(10)]
    assert max(strata.count(tenth) for tenth in set(strata)) <= 11


def test_scores_errors_and_report_of_numbers() -> None:
    target = OBJECTIVE.fit_target(Regress(loss="squared"), pl.DataFrame({"target": [0.0, 2.0]}), Ledger())
    assert (target.mean, target.std, target.loss) == (1.0, 1.0, "squared")
    truth, predictions = [1.0, 2.0, 4.0], [1.0, 3.0, 1.0]
    scores = OBJECTIVE.score(target, truth, predictions)
    assert set(scores) == {metric.name for metric in OBJECTIVE.metrics(target)}
    assert scores["mae"] == pytest.approx(4 / 3)
    assert OBJECTIVE.validation_loss("rmse", target, truth, predictions) == pytest.approx((10 / 3) ** 0.5)
    assert OBJECTIVE.item_errors(target, truth, predictions).tolist() == [0, 1, 3]
    frame = pl.DataFrame({"item_id": ["a", "b", "c"], "source": [None, None, None]})
    details = json.loads(json.dumps(OBJECTIVE.details(target, truth, predictions, frame), allow_nan=False))
    assert [(row["item"], row["error"]) for row in details["worst"]] == [("c", -3.0), ("b", 1.0)]
    assert [section.title for section in OBJECTIVE.sections(details)] == [
        "Predicted against true", "Errors", "Worst items",
    ]  # fmt: skip


def test_a_prediction_that_is_no_number_is_left_out_of_the_charts_and_counted(tmp_path: Path) -> None:
    target = OBJECTIVE.fit_target(PROBLEM, pl.DataFrame({"target": [0.0, 2.0]}), Ledger())
    frame = pl.DataFrame({"item_id": ["a", "b", "c"], "source": [None, None, None]})
    contest.write_json(OBJECTIVE.details(target, [1.0, 2.0, 4.0], [1.0, np.nan, 1.0], frame), tmp_path / "details.json")
    sections = OBJECTIVE.sections(json.loads((tmp_path / "details.json").read_text()))
    assert "1 item without a finite prediction" in str(sections)


def test_the_linear_baseline_beats_the_mean() -> None:
    rng = np.random.default_rng(0)
    arrays = [rng.normal(size=(int(steps), 2)) for steps in rng.integers(3, 20, 150)]
    frame = pl.DataFrame({"target": [float(array[:, 0].mean() + array[-1, 1]) for array in arrays]})
    train, test = frame[:100], frame[100:]
    target, parts = OBJECTIVE.fit_target(PROBLEM, train, Ledger()), (Ragged.of(arrays[:100]), Ragged.of(arrays[100:]))
    mae = {
        name: OBJECTIVE.score(
            target, test["target"].to_list(), OBJECTIVE.baseline(name, target, train, test, "numeric", parts)
        )["mae"]
        for name in OBJECTIVE.baselines
    }
    assert mae["linear"] < 0.3 * mae["mean"]
