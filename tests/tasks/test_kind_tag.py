"""Tag: lists of labels as long as their items, spans where there are spans, and each kind of span error told."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import polars as pl
import pytest

from models.objectives.tag import Tags
from models.ragged import Ragged
from tasks.data.contract import Ledger
from tasks.errors import InputError
from tasks.kinds.tag import OBJECTIVE, Tag

PROBLEM = Tag()
SPANS = [["O", "B-city", "I-city"], ["B-time", "O"], ["O", "O", "B-city"]]
STEPS = [["walk", "walk", "sit"], ["sit", "stand"]]


def fitted(labels: list[list[Any]], problem: Tag = PROBLEM, ledger: Ledger | None = None) -> Any:
    frame = pl.DataFrame({"target": pl.Series(labels, dtype=pl.List(pl.String))})
    return OBJECTIVE.fit_target(problem, frame, ledger or Ledger())


def tags(target: Any, labels: list[list[str]], sure: float = 0.9) -> list[Tags]:
    return [Tags(np.array([target.codes[label] for label in item]), np.full(len(item), sure)) for item in labels]


@pytest.mark.parametrize(
    ("problem", "values", "labels"),
    [
        (PROBLEM, ["O B-x  O", "", None], [["O", "B-x", "O"], [], None]),
        (Tag(separator=","), ["a,b", "c"], [["a", "b"], ["c"]]),
        (PROBLEM, [["a", None], None], [["a", None], None]),
        (PROBLEM, [[1, 2], [3]], [["1", "2"], ["3"]]),
        (PROBLEM, [[1.0, None], [2.0]], [["1", None], ["2"]]),
        (PROBLEM, [4, None], [["4"], [None]]),
    ],
)
def test_a_target_becomes_a_list_of_labels(problem: Tag, values: list[Any], labels: list[Any]) -> None:
    column = OBJECTIVE.targets(problem, pl.Series("target", values))
    assert column.to_list() == labels
    assert OBJECTIVE.targets(problem, column).to_list() == labels


def test_a_list_of_another_length_than_its_tokens_is_refused_with_both_lengths() -> None:
    frame = pl.DataFrame(
        {"item_id": ["x", "y"], "input": [["to", "Rome"], ["now"]], "target": [["O", "B-city"], ["O", "O"]]}
    )
    with pytest.raises(InputError, match="1 item: y has 1 tokens and 2 labels") as refused:
        OBJECTIVE.check_target(PROBLEM, frame, "tokens")
    assert "problem.separator" in refused.value.remedy
    OBJECTIVE.check_target(PROBLEM, frame[:1], "tokens")


def test_an_item_without_any_label_is_refused_and_a_step_without_one_is_not() -> None:
    frame = pl.DataFrame(
        {"item_id": ["x", "y"], "input": [[[1.0], [2.0]], [[3.0]]], "target": [["walk", None], [None]]},
        schema_overrides={"target": pl.List(pl.String)},
    )
    OBJECTIVE.check_target(PROBLEM, frame[:1], "numeric")
    with pytest.raises(InputError, match="1 item without: y"):
        OBJECTIVE.check_target(PROBLEM, frame, "numeric")


@pytest.mark.parametrize(
    ("labels", "problem", "scheme"),
    [(SPANS, PROBLEM, "bio"), (STEPS, PROBLEM, "none"), (SPANS, Tag(scheme="none"), "none")],
)
def test_spans_are_found_by_the_look_of_the_labels(labels: list[list[str]], problem: Tag, scheme: str) -> None:
    target = fitted(labels, problem)
    assert target.scheme == scheme
    assert OBJECTIVE.metrics(target)[0].name == ("span_f1" if scheme == "bio" else "step_accuracy")


@pytest.mark.parametrize(
    ("labels", "problem", "received"),
    [
        ([["O", "O"], ["O"]], PROBLEM, "3 steps, all of them 'O'"),
        ([[None]], PROBLEM, "without a label"),
        ([["O", "S-city"], ["B-city"]], Tag(scheme="bio"), "1 other label: 'S-city'"),
    ],
)
def test_labels_that_nothing_can_be_learned_from_are_refused(
    labels: list[list[Any]], problem: Tag, received: str
) -> None:
    with pytest.raises(InputError, match=received):
        fitted(labels, problem)


def test_pairs_that_bio_does_not_allow_are_reported_and_allowed() -> None:
    ledger = Ledger()
    target = fitted([["O", "I-city"], ["B-city", "I-city"]], ledger=ledger)
    assert target.tolerated == [("O", "I-city")]
    assert ledger.report()[0]["examples"] == ["I-city after O"]


def test_scores_by_spans_are_worked_out_by_hand() -> None:
    target = fitted(SPANS)
    predictions = tags(target, [["O", "B-city", "O"], ["B-time", "O"], ["O", "O", "B-city"]])
    scores = OBJECTIVE.score(target, SPANS, predictions)
    assert set(scores) == {metric.name for metric in OBJECTIVE.metrics(target)}
    assert scores["span_f1"] == pytest.approx(2 / 3)
    assert scores["step_accuracy"] == pytest.approx(7 / 8)
    assert OBJECTIVE.item_errors(target, SPANS, predictions).tolist() == [1, 0, 0]
    assert OBJECTIVE.item_weights(target, [*SPANS, ["O"]]).tolist() == [1, 1, 1, 1]
    assert OBJECTIVE.validation_loss("error", target, SPANS, predictions) == pytest.approx(1 / 3)
    assert OBJECTIVE.validation_loss("step_error", target, SPANS, predictions) == pytest.approx(1 / 8)


def test_scores_by_steps_leave_steps_without_a_label_out() -> None:
    target = fitted(STEPS)
    truth = [["walk", None, "sit"], ["sit", "stand"]]
    predictions = tags(target, [["walk", "sit", "walk"], ["sit", "stand"]])
    assert OBJECTIVE.score(target, truth, predictions)["step_accuracy"] == pytest.approx(3 / 4)
    assert OBJECTIVE.item_errors(target, truth, predictions).tolist() == [0.5, 0]
    assert OBJECTIVE.item_weights(target, truth).tolist() == [2, 2]


def test_the_report_marks_the_spans_of_the_worst_items_and_counts_errors_by_kind() -> None:
    target = fitted(SPANS)
    predictions = tags(target, [["O", "B-city", "O"], ["O", "O"], ["O", "O", "B-city"]])
    frame = pl.DataFrame({"item_id": ["a", "b", "c"], "input": [["to", "New", "York"], ["now", "."], ["I", "am", "X"]]})
    details = json.loads(json.dumps(OBJECTIVE.details(target, SPANS, predictions, frame), allow_nan=False))
    assert details["errors"]["city"] == {"right": 1, "boundary": 1, "type": 0, "missed": 0, "spurious": 0}
    assert details["errors"]["time"]["missed"] == 1
    assert details["worst"][0] == {
        "item": "a", "error": 1.0, "truth": "to [New York city]", "predicted": "to [New city] York",
    }  # fmt: skip
    assert [section.title for section in OBJECTIVE.sections(details)] == [
        "Spans by error", "Scores by type", "Calibration", "Confusion", "Worst items",
    ]  # fmt: skip


def test_the_report_of_steps_shows_runs_and_a_label_that_training_never_showed() -> None:
    target = fitted(STEPS)
    predictions = tags(target, [["walk", "walk", "walk"], ["sit", "stand"]])
    frame = pl.DataFrame({"item_id": ["a", "b"], "source": [None, None]})
    truth = [["walk", "walk", "swim"], ["sit", None]]
    details = json.loads(json.dumps(OBJECTIVE.details(target, truth, predictions, frame), allow_nan=False))
    assert details["worst"][0]["truth"] == "walk x2, swim"
    assert OBJECTIVE.notes(details) == [
        "1 sealed step with a label that training never showed ('swim') count as errors"
    ]
    assert OBJECTIVE.sections(details)[0].title == "Scores by label"


def test_baselines_label_tokens_and_steps() -> None:
    rng = np.random.default_rng(0)
    tokens = [[str(token) for token in rng.choice(["to", "from", "Rome"], 6)] for _ in range(120)]
    labels = [
        ["B-to" if pair == ("to", "Rome") else "O" for pair in zip(["", *item[:-1]], item, strict=True)]
        for item in tokens
    ]
    frame = pl.DataFrame({"input": tokens, "target": labels})
    train, test = frame[:90], frame[90:]
    target = OBJECTIVE.fit_target(PROBLEM, train, Ledger())
    truth = test["target"].to_list()
    f1 = {
        name: OBJECTIVE.score(target, truth, OBJECTIVE.baseline(name, target, train, test, "tokens"))["span_f1"]
        for name in OBJECTIVE.baselines
    }
    assert f1["linear"] == 1
    assert f1["most_frequent"] < 0.9
    arrays = Ragged.of([np.array([[len(token)] for token in item], np.float32) for item in tokens[:90]])
    held = Ragged.of([np.array([[len(token)] for token in item], np.float32) for item in tokens[90:]])
    for name in OBJECTIVE.baselines:
        found = OBJECTIVE.baseline(name, target, train.drop("input"), test.drop("input"), "numeric", (arrays, held))
        assert OBJECTIVE.score(target, truth, found)["step_accuracy"] > 0.5
