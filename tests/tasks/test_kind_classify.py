"""Classify: targets of any type become labels, what cannot be learned is refused, the report says what went wrong."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest
from pydantic import ValidationError

from tasks.data.contract import Ledger
from tasks.errors import InputError
from tasks.kinds.classify import OBJECTIVE, Classify

PROBLEM, MULTI = Classify(), Classify(multi_label=True)


def fitted(problem: Classify, values: list[Any]) -> Any:
    column = OBJECTIVE.targets(problem, pl.Series("target", values))
    return OBJECTIVE.fit_target(problem, pl.DataFrame({"target": column}), Ledger())


def items(texts: list[str]) -> pl.DataFrame:
    ids = [f"i{place}" for place in range(len(texts))]
    return pl.DataFrame({"item_id": ids, "source": [None] * len(texts), "input": texts})


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["yes", "no", None, ""], ["yes", "no", None, None]),
        ([3, 1, None], ["3", "1", None]),
        ([3.0, 1.0, float("nan")], ["3", "1", None]),
        ([0.5, 1.0], ["0.5", "1.0"]),
        ([True, False], ["true", "false"]),
        ([["a", "a"], ["b"], ["a", "b"], [], None], ["a", "b", None, None, None]),
        ([[2.0, 2.0], [7.0]], ["2", "7"]),
    ],
)
def test_a_target_of_any_type_becomes_one_label_an_item(values: list[Any], labels: list[str | None]) -> None:
    column = OBJECTIVE.targets(PROBLEM, pl.Series("target", values))
    assert column.to_list() == labels
    assert OBJECTIVE.targets(PROBLEM, column).to_list() == labels


@pytest.mark.parametrize(
    ("values", "labels"),
    [
        (["a|b", "b", "", " a | a", None], [["a", "b"], ["b"], [], ["a"], None]),
        ([["a", "b"], [], None], [["a", "b"], [], None]),
        ([["a|b", "a|b"], ["b"]], [["a", "b"], ["b"]]),
        ([[1, 2], [3]], [["1", "2"], ["3"]]),
    ],
)
def test_a_target_of_several_labels_becomes_a_list(values: list[Any], labels: list[list[str] | None]) -> None:
    column = OBJECTIVE.targets(MULTI, pl.Series("target", values))
    assert column.to_list() == labels
    assert OBJECTIVE.targets(MULTI, column).to_list() == labels


def test_items_without_a_label_are_refused_by_their_id() -> None:
    frame = pl.DataFrame({"item_id": ["x", "y"], "input": ["a", "b"], "target": ["yes", None]})
    with pytest.raises(InputError, match="1 item without: y") as refused:
        OBJECTIVE.check_target(PROBLEM, frame, "text")
    assert "problem.multi_label" in refused.value.remedy
    OBJECTIVE.check_target(PROBLEM, frame[:1], "text")


@pytest.mark.parametrize(
    ("problem", "values", "received"),
    [
        (PROBLEM, ["yes"] * 5, "5 training items, all of them 'yes'"),
        (PROBLEM, [f"id {place}" for place in range(20)], "20 labels for 20 training items"),
        (MULTI, ["", ""], "without a label"),
    ],
)
def test_a_target_that_nothing_can_be_learned_from_is_refused(
    problem: Classify, values: list[str], received: str
) -> None:
    with pytest.raises(InputError, match=received):
        fitted(problem, values)


def test_labels_are_sorted_as_numbers_where_they_are_numbers() -> None:
    assert fitted(PROBLEM, [10, 9, 100, 9]).labels == ["9", "10", "100"]
    assert fitted(PROBLEM, ["b", "a", "10"]).labels == ["10", "a", "b"]


def test_a_label_of_a_single_item_is_reported_and_kept() -> None:
    ledger = Ledger()
    target = OBJECTIVE.fit_target(PROBLEM, pl.DataFrame({"target": ["a", "a", "b"]}), ledger)
    assert target.labels == ["a", "b"]
    assert [(found["check"], found["examples"]) for found in ledger.report()] == [("rare_label", ["b"])]


def test_class_weights_are_one_on_average_and_grow_with_rarity() -> None:
    values = ["a"] * 8 + ["b"] * 2
    assert fitted(PROBLEM, values).class_weights is None
    balanced = fitted(Classify(class_weights="balanced"), values).class_weights
    assert balanced == pytest.approx([10 / 16, 10 / 4])
    root = fitted(Classify(class_weights="sqrt"), values).class_weights
    assert root[1] / root[0] == pytest.approx(2)
    assert (8 * root[0] + 2 * root[1]) / 10 == pytest.approx(1)
    several = fitted(Classify(multi_label=True, class_weights="balanced"), ["a"] * 8 + ["b"] * 2)
    assert several.class_weights == pytest.approx([2 / 8, 8 / 2])


def test_a_split_keeps_the_shares_of_labels_and_of_the_rarest_of_several() -> None:
    assert OBJECTIVE.strata(PROBLEM, pl.Series(["a", "b"])) == ["a", "b"]
    assert OBJECTIVE.strata(MULTI, pl.Series([["a", "b"], ["a"], []])) == ["b", "a", ""]


def test_every_metric_is_scored_and_an_unseen_label_counts_as_an_error() -> None:
    target = fitted(PROBLEM, ["a", "b", "a", "b"])
    predictions = [np.array([0.9, 0.1]), np.array([0.2, 0.8]), np.array([0.6, 0.4])]
    truth = ["a", "b", "z"]
    scores = OBJECTIVE.score(target, truth, predictions)
    assert set(scores) == {metric.name for metric in OBJECTIVE.metrics(target)}
    assert scores["accuracy"] == pytest.approx(2 / 3)
    assert scores["log_loss"] == pytest.approx(-(np.log(0.9) + np.log(0.8)) / 2)
    assert OBJECTIVE.item_errors(target, truth, predictions).tolist() == [0, 0, 1]
    details = OBJECTIVE.details(target, truth, predictions, items(["x", "y", "w"]))
    assert OBJECTIVE.notes(details) == ["1 sealed item with a label that training never showed ('z') count as errors"]


@pytest.mark.parametrize("problem", [PROBLEM, MULTI])
def test_what_a_search_minimises_is_less_for_better_predictions(problem: Classify) -> None:
    target = fitted(problem, ["a", "b"] * 3)
    truth: list[Any] = ["a", "b", "a"] if problem is PROBLEM else [["a"], ["b"], ["a"]]
    good = [np.array([0.9, 0.1]), np.array([0.2, 0.8]), np.array([0.7, 0.3])]
    bad = [good[0], good[1][::-1], good[2][::-1]]
    for metric in OBJECTIVE.validation_metrics:
        losses = [OBJECTIVE.validation_loss(metric, target, truth, predictions) for predictions in (good, bad)]
        assert losses[0] < losses[1]


def test_the_report_shows_confusion_calibration_labels_and_the_worst_items() -> None:
    target = fitted(PROBLEM, ["a", "b", "c"] * 3)
    predictions = [np.array([0.5, 0.4, 0.1]), np.array([0.95, 0.05, 0.0]), np.array([0.1, 0.1, 0.8])]
    details = OBJECTIVE.details(target, ["b", "b", "c"], predictions, items(["near", "far", "right"]))
    details = json.loads(json.dumps(details, allow_nan=False))
    assert [row["item"] for row in details["worst"]] == ["far", "near"]
    assert details["worst"][0] | {"item": ""} == {
        "item": "", "truth": "b", "predicted": "a", "sure": 0.95, "truth_held": 0.05,
    }  # fmt: skip
    titles = [section.title for section in OBJECTIVE.sections(details)]
    assert titles == ["Confusion", "Calibration", "Scores by label", "Worst items"]
    assert OBJECTIVE.notes(details) == []


def test_the_report_of_several_labels_shows_what_is_too_much_and_what_is_missing() -> None:
    target = fitted(MULTI, ["a|b", "b", "a"])
    predictions = [np.array([0.9, 0.2]), np.array([0.1, 0.9])]
    details = json.loads(json.dumps(OBJECTIVE.details(target, [["a", "b"], ["b"]], predictions, items(["x", "y"]))))
    assert details["worst"] == [{"item": "x", "truth": "a, b", "predicted": "a"}]
    assert [section.title for section in OBJECTIVE.sections(details)] == [
        "Calibration", "Scores by label", "Worst items",
    ]  # fmt: skip


@pytest.mark.parametrize("problem", [PROBLEM, MULTI])
def test_baselines_are_named_and_the_linear_one_beats_the_majority(problem: Classify) -> None:
    rng = np.random.default_rng(0)
    labels = rng.choice(["cat", "dog", "owl"], 150)
    texts = [f"{rng.choice(['a', 'the', 'my'])} {label}s {rng.choice(['run', 'eat'])}" for label in labels]
    column = OBJECTIVE.targets(problem, pl.Series("target", labels))
    frame = pl.DataFrame({"item_id": [str(i) for i in range(150)], "input": texts, "target": column})
    train, test = frame[:100], frame[100:]
    target = OBJECTIVE.fit_target(problem, train, Ledger())
    errors = {
        name: OBJECTIVE.item_errors(
            target, test["target"].to_list(), OBJECTIVE.baseline(name, target, train, test.drop("target"), "text")
        ).mean()
        for name in OBJECTIVE.baselines
    }
    assert errors["linear"] == 0
    assert errors["majority"] > 0.4


def test_an_unknown_key_is_refused_by_name() -> None:
    with pytest.raises(ValidationError, match="labels"):
        Classify(labels=["a"])  # type: ignore[call-arg]
