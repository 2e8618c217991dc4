"""Metrics of labels, spans and texts against numbers worked out by hand, or by the libraries that define them."""

from __future__ import annotations

import numpy as np
import pytest

from tasks.scoring import classification, multi_label, regression, tagging, transcription

CODES = {"a": 0, "b": 1, "c": 2}


def test_macro_f1_is_that_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score

    rng = np.random.default_rng(0)
    truth, predicted = (rng.choice(["a", "b", "c", "d"], 200, p=[0.6, 0.2, 0.15, 0.05]).tolist() for _ in range(2))
    assert classification.macro_f1(truth, predicted) == pytest.approx(f1_score(truth, predicted, average="macro"))


def test_log_loss_leaves_labels_out_that_the_model_cannot_name() -> None:
    probability = np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1], [1.0, 0.0, 0.0]])
    true = classification.coded(["a", "b", "z"], CODES)
    assert true.tolist() == [0, 1, classification.UNSEEN]
    assert classification.log_loss(true, probability) == pytest.approx(-(np.log(0.5) + np.log(0.8)) / 2)
    assert np.isnan(classification.log_loss(true[2:], probability[2:]))


def test_log_loss_at_the_best_temperature_does_not_care_how_sure_the_model_is() -> None:
    rng = np.random.default_rng(1)
    true = rng.integers(0, 3, 300)
    logits = rng.normal(0, 1, (300, 3)) + 1.5 * np.eye(3)[true]

    def probabilities(scale: float) -> np.ndarray:
        exponent = np.exp(scale * logits)
        return exponent / exponent.sum(1, keepdims=True)

    mild, bold = (classification.log_loss_at_best_temperature(true, probabilities(scale)) for scale in (1.0, 4.0))
    assert mild[0] == pytest.approx(bold[0], abs=1e-4)
    assert bold[1] == pytest.approx(4 * mild[1], rel=0.02)
    assert classification.log_loss(true, probabilities(4.0)) > classification.log_loss(true, probabilities(1.0))


def test_models_that_are_right_on_every_item_still_differ_in_log_loss_with_doubt() -> None:
    rng = np.random.default_rng(2)
    true = np.arange(40) % 4

    def loss(margin: float, scale: float, doubt: float) -> float:
        exponent = np.exp(scale * (noise + margin * np.eye(4)[true]))
        probability = exponent / exponent.sum(1, keepdims=True)
        assert (probability.argmax(1) == true).all()
        return classification.log_loss_at_best_temperature(true, probability, doubt)[0]

    noise = rng.uniform(-0.5, 0.5, (40, 4))
    assert max(loss(1.2, 4.0, 0.0), loss(3.0, 4.0, 0.0)) < 0.01
    assert loss(3.0, 1.0, classification.DOUBT) < loss(1.2, 1.0, classification.DOUBT) - 0.05
    assert loss(3.0, 1.0, classification.DOUBT) == pytest.approx(loss(3.0, 3.0, classification.DOUBT), abs=1e-4)


def test_doubt_of_a_model_vanishes_as_items_come() -> None:
    rng = np.random.default_rng(3)
    true = rng.integers(0, 3, 20_000)
    exponent = np.exp(rng.normal(0, 1, (len(true), 3)) + 1.5 * np.eye(3)[true])
    probability = exponent / exponent.sum(1, keepdims=True)
    plain, doubted = (classification.log_loss_at_best_temperature(true, probability, doubt)[0] for doubt in (0.0, 5.0))
    assert doubted == pytest.approx(plain, abs=1e-3)


def test_a_prediction_that_is_no_number_has_no_log_loss() -> None:
    assert np.isnan(classification.log_loss_at_best_temperature(np.array([0]), np.array([[np.nan, 1.0]]))[0])


def test_calibration_error_is_the_gap_between_how_sure_and_how_often_right() -> None:
    bins = classification.reliability(np.array([0.95, 0.95, 0.55, 1.0]), np.array([True, False, True, True]))
    assert bins["count"] == [1, 3]
    assert bins["accuracy"] == pytest.approx([1.0, 2 / 3])
    assert bins["confidence"] == pytest.approx([0.55, 2.9 / 3])
    assert classification.calibration_error(bins) == pytest.approx((0.45 + 3 * (2.9 / 3 - 2 / 3)) / 4)


def test_the_confusion_matrix_keeps_the_labels_with_the_most_errors() -> None:
    truth = ["a"] * 9 + ["b", "b", "c", "c"]
    predicted = ["a"] * 9 + ["c", "b", "b", "c"]
    cut = classification.most_confused(truth, predicted, most=2)
    assert cut == {"labels": ["b", "c"], "counts": [[1, 1], [1, 1]], "left_out": 1}


def test_scores_by_label_begin_with_the_worst_and_count_what_was_never_predicted() -> None:
    rows = classification.per_label(["a", "a", "b", "z"], ["a", "b", "b", "a"])
    assert [row["label"] for row in rows] == ["z", "a", "b"]
    assert rows[0] == {"label": "z", "items": 1, "precision": None, "recall": 0.0, "f1": 0.0}
    assert rows[1]["precision"] == rows[1]["recall"] == 0.5


def test_multi_label_scores_are_those_of_scikit_learn() -> None:
    from sklearn.metrics import f1_score, log_loss

    rng = np.random.default_rng(2)
    probability = rng.uniform(0, 1, (50, 3))
    true = rng.uniform(0, 1, (50, 3)) < 0.4
    names = list(CODES)
    truth, predicted = (
        [[names[code] for code in np.flatnonzero(row)] for row in matrix] for matrix in (true, probability >= 0.5)
    )
    scores = multi_label.score(truth, predicted, CODES, probability)
    assert scores["micro_f1"] == pytest.approx(f1_score(true, probability >= 0.5, average="micro"))
    assert scores["macro_f1"] == pytest.approx(f1_score(true, probability >= 0.5, average="macro"))
    assert scores["exact"] == pytest.approx((true == (probability >= 0.5)).all(1).mean())
    assert scores["log_loss"] == pytest.approx(
        np.mean([log_loss(true[:, code], probability[:, code], labels=[False, True]) for code in range(3)])
    )


def test_the_distance_of_label_sets_counts_what_only_one_has() -> None:
    found = multi_label.distances([["a", "b"], [], [], ["a"]], [["b", "c"], [], ["a"], ["a"]])
    assert found.tolist() == pytest.approx([2 / 3, 0, 1, 0])


def test_a_label_that_training_never_showed_is_missed_by_micro_f1() -> None:
    scores = multi_label.score([["a", "z"]], [["a"]], CODES, np.array([[0.9, 0.1, 0.1]]))
    assert scores["micro_f1"] == pytest.approx(2 / 3)
    assert scores["exact"] == 0


def test_errors_of_numbers_are_worked_out_by_hand() -> None:
    scores = regression.score(np.array([1.0, 2.0, 3.0]), np.array([1.0, 4.0, 3.0]))
    assert scores == pytest.approx({"mae": 2 / 3, "rmse": (4 / 3) ** 0.5, "r2": 1 - 4 / 2})
    assert np.isnan(regression.score(np.array([2.0, 2.0]), np.array([1.0, 3.0]))["r2"])


TRUTH = [["B-city", "I-city", "O", "B-time"], ["O", "B-city", "O"], ["O", "O"]]


@pytest.mark.parametrize(
    "predicted",
    [
        TRUTH,
        [["B-city", "I-city", "O", "B-time"], ["O", "O", "O"], ["O", "O"]],
        [["I-city", "I-city", "O", "B-city"], ["B-city", "I-city", "O"], ["O", "I-time"]],
        [["O"] * 4, ["O"] * 3, ["O"] * 2],
    ],
)
def test_span_scores_are_those_of_seqeval(predicted: list[list[str]]) -> None:
    from seqeval.metrics import f1_score, precision_score, recall_score

    scores = tagging.span_score(TRUTH, predicted)
    assert scores["span_f1"] == pytest.approx(f1_score(TRUTH, predicted))
    assert scores["span_precision"] == pytest.approx(precision_score(TRUTH, predicted, zero_division=0))
    assert scores["span_recall"] == pytest.approx(recall_score(TRUTH, predicted))


@pytest.mark.parametrize(
    ("predicted", "kinds"),
    [
        (["B-city", "I-city", "O", "B-time"], ["right", "right"]),
        (["B-city", "O", "O", "B-time"], ["right", "boundary"]),
        (["B-time", "I-time", "O", "B-time"], ["right", "type"]),
        (["O", "O", "O", "B-time"], ["right", "missed"]),
        (["B-city", "I-city", "B-time", "O"], ["right", "missed", "spurious"]),
        (["O", "B-time", "O", "B-time"], ["right", "type"]),
        (["O", "O", "O", "O"], ["missed", "missed"]),
    ],
)
def test_a_span_error_is_one_of_boundary_type_missed_and_spurious(predicted: list[str], kinds: list[str]) -> None:
    assert [kind for kind, _, _ in tagging.span_errors(TRUTH[0], predicted)] == kinds


def test_span_errors_add_up_to_the_spans_of_each_type() -> None:
    predicted = [["B-city", "O", "O", "O"], ["B-city", "B-city", "O"], ["O", "B-time"]]
    counts = tagging.error_counts(TRUTH, predicted)
    assert counts["city"] == {"right": 1, "boundary": 1, "type": 0, "missed": 0, "spurious": 1}
    assert counts["time"] == {"right": 0, "boundary": 0, "type": 0, "missed": 1, "spurious": 1}


def test_a_step_without_a_true_label_counts_nowhere() -> None:
    truth, predicted = tagging.labelled([["x", None, "y"]], [["x", "x", "x"]])
    assert (truth, predicted) == ([["x", "y"]], [["x", "x"]])
    assert tagging.step_score(truth, predicted)["step_accuracy"] == 0.5
    assert tagging.wrong_shares(truth, predicted).tolist() == [0.5]


def test_predictions_of_another_length_than_their_item_are_refused() -> None:
    with pytest.raises(ValueError, match="2 labels for the 3 steps of item 0"):
        tagging.labelled([["x", "y", "x"]], [["x", "x"]])


def test_the_error_of_an_item_is_that_of_its_own_spans() -> None:
    predicted = [["B-city", "I-city", "O", "O"], ["O", "B-city", "O"], ["O", "B-time"]]
    assert tagging.span_distances(TRUTH, predicted).tolist() == pytest.approx([1 / 3, 0, 1])
    assert tagging.span_distances([["O"]], [["O"]]).tolist() == [0]


def test_spans_are_marked_in_their_text_and_runs_are_counted() -> None:
    assert tagging.marked(["from", "New", "York"], ["O", "B-city", "I-city"]) == "from [New York city]"
    assert tagging.runs(["walk", "walk", None, "sit"]) == "walk x2, ?, sit"


def test_error_rates_are_taken_over_all_items_at_once() -> None:
    scores = transcription.score(["a b c", "d"], ["a x c", "d e"])
    assert scores["wer"] == pytest.approx(2 / 4)
    assert scores["exact"] == 0
    assert transcription.score(["ab", ""], ["ab", ""]) == {"wer": 0.0, "cer": 0.0, "exact": 1.0}
    assert np.isnan(transcription.score([""], ["a"])["wer"])


def test_the_errors_of_items_add_up_to_the_error_rate() -> None:
    truth, predicted = ["one two three", "", "four"], ["one three three five", "six", ""]
    for count, rate in ((transcription.word_errors, "wer"), (transcription.character_errors, "cer")):
        errors, lengths = count(truth, predicted)
        assert errors.sum() / lengths.sum() == pytest.approx(transcription.score(truth, predicted)[rate])
    assert transcription.word_errors(truth, predicted)[0].tolist() == [2, 1, 1]


def test_an_alignment_sets_what_belongs_together_in_one_column() -> None:
    assert transcription.alignment("the big cat ran", "the cat ran off", True) == (
        "the big cat ran ***\nthe *** cat ran off"
    )
    assert transcription.alignment("abd", "abcd", False) == "ab*d\nabcd"
    assert transcription.alignment("aa bb cc", "aa bb cc", True, width=6) == "aa bb\naa bb\ncc\ncc"


def test_the_most_frequent_confusions_come_first() -> None:
    rows = transcription.confusions(["p a t", "p a", "k"], ["b a", "b a", "k k"], by_words=True)
    assert rows[0] == {"kind": "substitute", "truth": "p", "predicted": "b", "count": 2}
    assert {(row["truth"], row["predicted"]) for row in rows[1:]} == {("t", "*"), ("*", "k")}
    assert transcription.totals(["p a t"], ["b a"], True) == {
        "hits": 1, "substitutions": 1, "deletions": 1, "insertions": 0,
    }  # fmt: skip
