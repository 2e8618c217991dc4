"""Sets of labels against the truth. A label that training never showed is missed by every answer.

Shapes: N items, L labels that the model knows.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.classification import (
    MOST_EXAMPLES,
    SMALLEST,
    Floats,
    calibration_error,
    f1,
    label_rows,
    reliability,
)

Sets = list[list[str]]

MOST_BINARY = 200_000
"""Pairs of item and label that the calibration is read off."""


def multi_hot(truth: Sets, codes: dict[str, int]) -> NDArray[np.bool_]:
    """Return which of the known labels each item has: [N, L]."""
    has_NL = np.zeros((len(truth), len(codes)), dtype=bool)
    for item, labels in enumerate(truth):
        has_NL[item, [codes[label] for label in labels if label in codes]] = True
    return has_NL


def multi_label_counts(truth: Sets, predicted: Sets) -> tuple[list[str], Floats, Floats, Floats]:
    """Return the labels that are true or predicted somewhere and each one's hits, predictions and truths [L]."""
    names = sorted({label for labels in (*truth, *predicted) for label in labels})
    codes = {label: code for code, label in enumerate(names)}
    true_NL, given_NL = multi_hot(truth, codes), multi_hot(predicted, codes)
    hits, given, actual = ((true_NL & given_NL).sum(0), given_NL.sum(0), true_NL.sum(0))
    return names, hits.astype(float), given.astype(float), actual.astype(float)


def distances(truth: Sets, predicted: Sets) -> Floats:
    """Return the Jaccard distance of each item's labels [N]: 0 the same, 1 nothing in common."""
    pairs = [(set(labels), set(given)) for labels, given in zip(truth, predicted, strict=True)]
    return np.array([len(a ^ b) / len(a | b) if a | b else 0.0 for a, b in pairs])


def binary_log_loss(true_NL: NDArray[np.bool_], probability_NL: Floats) -> float:
    """Return the mean over items and labels of the binary cross-entropy."""
    right_NL = np.where(true_NL, probability_NL, 1 - np.asarray(probability_NL, np.float64))
    return float(-np.log(np.clip(right_NL, SMALLEST, 1)).mean())


def score(truth: Sets, predicted: Sets, codes: dict[str, int], probability_NL: Floats) -> dict[str, float]:
    """Return micro_f1, macro_f1, exact and log_loss."""
    names, *counts = multi_label_counts(truth, predicted)
    micro = f1(*(np.array([count_L.sum()]) for count_L in counts))
    return {
        "micro_f1": float(micro[0]),
        "macro_f1": float(f1(*counts).mean()) if names else float("nan"),
        "exact": float((distances(truth, predicted) == 0).mean()),
        "log_loss": binary_log_loss(multi_hot(truth, codes), probability_NL),
    }


def details(
    truth: Sets, predicted: Sets, codes: dict[str, int], probability_NL: Floats, texts: list[str]
) -> dict[str, Any]:
    """Return what a report shows of sets of labels, as JSON; ``texts`` say what each item is."""
    distance_N = distances(truth, predicted)
    true_NL = multi_hot(truth, codes)
    bins = reliability(probability_NL.ravel()[:MOST_BINARY], true_NL.ravel()[:MOST_BINARY])
    worst = [place for place in np.argsort(-distance_N, kind="stable") if distance_N[place] > 0][:MOST_EXAMPLES]
    return {
        "labels": label_rows(*multi_label_counts(truth, predicted)),
        "calibration": bins,
        "calibration_error": calibration_error(bins),
        "worst": [
            {"item": texts[i], "truth": ", ".join(truth[i]), "predicted": ", ".join(predicted[i])} for i in worst
        ],
    }
