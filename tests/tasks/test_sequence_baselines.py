"""Baselines of sequences learn what is there to learn, say honestly how sure they are, and see no test item."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.ragged import Ragged
from tasks.scoring import classification, sequence_baselines, tagging_baselines
from tasks.scoring.summary_features import SEGMENTS, summarise, summarise_audio

WORDS = {0: ["refund", "money"], 1: ["card", "lost"], 2: ["rate", "exchange"]}


def texts(items: int, seed: int) -> tuple[pl.DataFrame, np.ndarray]:
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, items)
    told = [" ".join([*rng.choice(["my", "the", "is", "where"], 4), rng.choice(WORDS[int(code)])]) for code in codes]
    return pl.DataFrame({"input": told}), codes


def waves(items: int, seed: int) -> tuple[Ragged, np.ndarray]:
    """Items of two channels and 5 to 30 steps; the code is how fast the first swings."""
    rng = np.random.default_rng(seed)
    codes = rng.integers(0, 3, items)
    arrays = [
        np.stack([np.sin((code + 1) * np.arange(steps)), rng.normal(size=steps)], 1)
        for code, steps in zip(codes, rng.integers(5, 31, items), strict=True)
    ]
    return Ragged.of(arrays), codes


@pytest.mark.parametrize("input_kind", ["text", "tokens"])
def test_n_grams_tell_texts_apart(input_kind: str) -> None:
    (train, codes), (test, truth) = texts(200, 0), texts(60, 1)
    if input_kind == "tokens":
        train, test = (part.with_columns(pl.col("input").str.split(" ")) for part in (train, test))
    features = sequence_baselines.features(train, test, input_kind, None)
    probability = sequence_baselines.classify(features[0], codes, features[1], 3, None)
    assert probability.sum(axis=1) == pytest.approx(np.ones(60))
    assert (probability.argmax(axis=1) == truth).mean() > 0.95
    assert classification.log_loss(truth, probability) < 0.2


def test_summary_statistics_tell_sequences_of_any_length_apart() -> None:
    (train, codes), (test, truth) = waves(200, 0), waves(60, 1)
    features = sequence_baselines.features(pl.DataFrame(), pl.DataFrame(), "numeric", (train, test))
    probability = sequence_baselines.classify(features[0], codes, features[1], 3, None)
    assert (probability.argmax(axis=1) == truth).mean() > 0.95


def test_a_baseline_is_as_sure_as_it_is_right() -> None:
    rng = np.random.default_rng(0)
    codes, truth = rng.integers(0, 2, 600), rng.integers(0, 2, 2000)
    train, test = (labels[:, None] + rng.normal(0, 1, (len(labels), 30)) for labels in (0.3 * codes, 0.3 * truth))
    noisy = np.where(rng.uniform(size=600) < 0.2, 1 - codes, codes)
    probability = sequence_baselines.classify(train, noisy, test, 2, None)
    bins = classification.reliability(probability.max(1), probability.argmax(1) == truth)
    assert classification.calibration_error(bins) < 0.15


def test_the_test_part_changes_no_prediction_of_another_item() -> None:
    (train, codes), (test, _) = texts(100, 0), texts(40, 1)
    whole = sequence_baselines.features(train, test, "text", None)
    part = sequence_baselines.features(train, test[:5], "text", None)
    first, second = (sequence_baselines.classify(a, codes, b, 3, None) for a, b in (whole, part))
    assert first[:5] == pytest.approx(second)


def test_labels_that_the_model_does_not_know_are_left_out_of_training() -> None:
    (train, codes), (test, _) = texts(100, 0), texts(10, 1)
    features = sequence_baselines.features(train, test, "text", None)
    probability = sequence_baselines.classify(features[0], np.where(codes == 2, -1, codes), features[1], 3, None)
    assert (probability[:, 2] == 0).all()
    alone = sequence_baselines.classify(features[0], np.where(codes == 0, 0, -1), features[1], 3, None)
    assert (alone == [1, 0, 0]).all()


def test_a_handful_of_items_is_enough_for_every_baseline() -> None:
    train, test = pl.DataFrame({"input": ["a cat", "a dog", "the dog"]}), pl.DataFrame({"input": ["dog", ""]})
    features = sequence_baselines.features(train, test, "text", None)
    assert sequence_baselines.classify(features[0], np.array([0, 1, 1]), features[1], 2, None).shape == (2, 2)
    numbers = sequence_baselines.regress(features[0], np.array([1.0, 2.0, 2.0]), features[1])
    assert ((numbers >= 0.5) & (numbers <= 2.5)).all()


def test_several_labels_are_learned_each_on_its_own() -> None:
    (train, codes), (test, truth) = texts(200, 0), texts(60, 1)
    features = sequence_baselines.features(train, test, "text", None)
    labels = [["any", str(code)] for code in codes]
    names = {"0": 0, "1": 1, "2": 2, "any": 3, "never": 4}
    probability = sequence_baselines.classify_multi(features[0], labels, features[1], names)
    assert (probability[:, :3].argmax(axis=1) == truth).mean() > 0.95
    assert (probability[:, 3:] == [1, 0]).all()


@pytest.mark.parametrize("input_kind", ["text", "numeric"])
def test_ridge_regression_predicts_numbers_and_stays_near_the_range_seen(input_kind: str) -> None:
    if input_kind == "text":
        (train, codes), (test, truth) = texts(200, 0), texts(60, 1)
        features = sequence_baselines.features(train, test, "text", None)
    else:
        (arrays, codes), (held, truth) = waves(200, 0), waves(60, 1)
        features = sequence_baselines.features(pl.DataFrame(), pl.DataFrame(), "numeric", (arrays, held))
    predicted = sequence_baselines.regress(features[0], 10.0 * codes, features[1])
    assert np.abs(predicted - 10 * truth).mean() < 3
    assert predicted.min() >= -10
    assert predicted.max() <= 30


def test_features_do_not_depend_on_length_and_survive_missing_values() -> None:
    rng = np.random.default_rng(0)
    items = [rng.normal(size=(steps, 2)) for steps in (1, 2, 40)]
    items[2][:, 1] = np.nan
    items[2][3:9, 0] = np.nan
    found = summarise(items)
    assert found.shape == (3, 2 * (9 + SEGMENTS) + 1)
    assert np.isfinite(found).all()
    assert found[:, -1] == pytest.approx(np.log([1, 2, 40]))
    assert summarise_audio([rng.normal(size=(7, 40)), rng.normal(size=(90, 40))]).shape[0] == 2


def test_each_token_takes_its_most_frequent_label_and_an_unknown_one_that_of_all() -> None:
    codes = [np.array([0, 1, 1]), np.array([0, 0, -100])]
    found = tagging_baselines.most_frequent([["in", "New", "York"], ["in", "new", "x"]], codes, [["IN", "york", "?"]])
    assert found[0][0].tolist() == [0, 1, 0]
    assert found[0][1].tolist() == pytest.approx([1.0, 1.0, 3 / 5])


def test_a_window_tells_labels_apart_that_a_token_alone_does_not() -> None:
    rng = np.random.default_rng(0)
    train = [[str(token) for token in rng.choice(["to", "from", "Rome"], 8)] for _ in range(200)]

    def labels(tokens: list[str]) -> np.ndarray:
        return np.array(
            [int(token == "Rome" and before == "to") for token, before in zip(tokens, ["", *tokens[:-1]], strict=True)]
        )

    test = train[150:]
    codes = [labels(tokens) for tokens in train[:150]]
    truth = np.concatenate([labels(tokens) for tokens in test])
    right = {
        tagger.__name__: (np.concatenate([codes for codes, _ in tagger(train[:150], codes, test)]) == truth).mean()
        for tagger in (tagging_baselines.most_frequent, tagging_baselines.linear_tokens)
    }
    assert right["linear_tokens"] == 1
    assert right["most_frequent"] < 0.95


def test_steps_of_channels_are_labelled_by_what_lies_around_them() -> None:
    rng = np.random.default_rng(0)
    items = [rng.normal(size=(int(steps), 2)) for steps in rng.integers(1, 60, 80)]
    codes = [(np.roll(item[:, 0], 1) > 0).astype(int) for item in items]
    codes = [np.where(np.arange(len(code)) == 0, -100, code) for code in codes]
    items[70][0, 1] = np.nan
    found = tagging_baselines.linear_steps(items[:60], codes[:60], items[60:])
    assert [len(labels) for labels, _ in found] == [len(item) for item in items[60:]]
    pairs = [
        (a, b)
        for (labels, _), code in zip(found, codes[60:], strict=True)
        for a, b in zip(labels[1:], code[1:], strict=True)
    ]
    assert np.mean([a == b for a, b in pairs]) > 0.95
