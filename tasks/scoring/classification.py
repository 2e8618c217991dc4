"""Labels against the truth. A truth that training never showed has code ``UNSEEN``: no answer to it can be right.

Shapes: N items, L labels that the model knows, K bins.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

UNSEEN = -1
SMALLEST = 1e-15
"""What a probability of 0 counts as in the log loss."""

DOUBT = 5.0
"""Items without a label that comparisons of models count beside those of a validation part; see the log loss."""

BINS = 10
MOST_CONFUSED = 30
MOST_EXAMPLES = 15


def coded(truth: list[str], codes: dict[str, int]) -> Codes:
    """Return each label's code [N], ``UNSEEN`` for one that is not among ``codes``."""
    return np.array([codes.get(label, UNSEEN) for label in truth], np.int64)


def unseen(labels: list[str], codes: dict[str, int]) -> dict[str, int]:
    """Count the labels that are not among ``codes``, the most frequent first."""
    counts: dict[str, int] = {}
    for label in labels:
        if label not in codes:
            counts[label] = counts.get(label, 0) + 1
    return dict(sorted(counts.items(), key=lambda pair: (-pair[1], pair[0])))


def f1(hits: Floats, predicted: Floats, actual: Floats) -> Floats:
    """Return the harmonic mean of precision and recall; 0 where there is neither a truth nor a prediction."""
    total = predicted + actual
    return np.divide(2 * hits, total, out=np.zeros_like(total), where=total > 0)


def macro_f1(truth: list[str], predicted: list[str]) -> float:
    """Return the mean F1 over all labels that are true or predicted somewhere, as scikit-learn does."""
    names = {label: code for code, label in enumerate(sorted({*truth, *predicted}))}
    true_N, predicted_N = coded(truth, names), coded(predicted, names)
    hits, given, actual = (
        np.bincount(codes, minlength=len(names)).astype(float)
        for codes in (true_N[true_N == predicted_N], predicted_N, true_N)
    )
    return float(f1(hits, given, actual).mean()) if names else float("nan")


def log_loss(true_N: Codes, probability_NL: Floats) -> float:
    """Return the mean of -log p(truth) over the items whose truth the model can name; NaN if there are none."""
    known = np.flatnonzero(true_N != UNSEEN)
    if not len(known):
        return float("nan")
    return float(-np.log(np.clip(probability_NL[known, true_N[known]], SMALLEST, 1)).mean())


def log_loss_at_best_temperature(true_N: Codes, probability_NL: Floats, doubt: float = 0.0) -> tuple[float, float]:
    """Return the least log loss that a division of all log-probabilities gives, and that divisor (Guo et al. 2017).

    Of two models that order the labels alike, the one that is merely too sure is not the worse. Where all items are
    right, though, the least loss is zero for every model. So ``doubt`` counts as many items more, predicted like the
    others on average, whose label may be any one: being surer costs something there, and what is left is how far the
    labels lie apart in proportion to how far they are spread. Its weight falls as items come.
    """
    from scipy.optimize import minimize_scalar
    from scipy.special import logsumexp

    known = np.flatnonzero(true_N != UNSEEN)
    log_NL = np.log(np.clip(np.asarray(probability_NL[known], np.float64), SMALLEST, 1))
    if not len(known) or not np.isfinite(log_NL).all():
        return float("nan"), 1.0

    share = doubt / (len(known) + doubt)
    truth_N = (1 - share) * log_NL[np.arange(len(known)), true_N[known]] + share * log_NL.mean(axis=1)

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return float((logsumexp(log_NL / temperature, axis=1) - truth_N / temperature).mean())

    found = minimize_scalar(loss, bounds=(-2.5, 2.5), method="bounded", options={"xatol": 1e-3})
    return float(found.fun), float(np.exp(found.x))


def reliability(sure_N: Floats, right_N: NDArray[np.bool_]) -> dict[str, list[float]]:
    """Compare how sure the model was with how often it was right, in ``BINS`` equal bins of probability.

    Returns:
        ``confidence`` and ``accuracy`` (means) and ``count`` of each bin that is not empty.
    """
    place_N = np.clip((np.asarray(sure_N, np.float64) * BINS).astype(int), 0, BINS - 1)
    count_K = np.bincount(place_N, minlength=BINS).astype(float)
    held = np.flatnonzero(count_K)
    sums = [np.bincount(place_N, np.asarray(values, np.float64), BINS)[held] for values in (sure_N, right_N)]
    confidence, accuracy = (total / count_K[held] for total in sums)
    return {"confidence": confidence.tolist(), "accuracy": accuracy.tolist(), "count": count_K[held].tolist()}


def calibration_error(bins: dict[str, list[float]]) -> float:
    """Return the expected calibration error: the mean gap of ``reliability``, by the items of each bin."""
    count = np.array(bins["count"])
    gap = np.abs(np.array(bins["confidence"]) - np.array(bins["accuracy"]))
    return float((gap * count).sum() / count.sum()) if len(count) else float("nan")


def score(truth: list[str], predicted: list[str], true_N: Codes, probability_NL: Floats) -> dict[str, float]:
    """Return accuracy, macro_f1, log_loss and ece; ``true_N`` are the codes of ``truth``."""
    right_N = probability_NL.argmax(axis=1) == true_N
    return {
        "accuracy": float(right_N.mean()),
        "macro_f1": macro_f1(truth, predicted),
        "log_loss": log_loss(true_N, probability_NL),
        "ece": calibration_error(reliability(probability_NL.max(axis=1), right_N)),
    }


def details(
    truth: list[str], predicted: list[str], true_N: Codes, probability_NL: Floats, texts: list[str]
) -> dict[str, Any]:
    """Return what a report shows of single labels, as JSON; ``texts`` say what each item is."""
    sure_N, right_N = probability_NL.max(axis=1), probability_NL.argmax(axis=1) == true_N
    # The least likely truth first; a label that training never showed is no fault of the model's, and comes last.
    held_N = np.where(true_N != UNSEEN, probability_NL[np.arange(len(true_N)), true_N], 2.0)
    worst = [place for place in np.argsort(held_N, kind="stable") if not right_N[place]][:MOST_EXAMPLES]
    bins = reliability(sure_N, right_N)
    return {
        "confusion": most_confused(truth, predicted),
        "labels": per_label(truth, predicted),
        "calibration": bins,
        "calibration_error": calibration_error(bins),
        "worst": [
            {
                "item": texts[i],
                "truth": truth[i],
                "predicted": predicted[i],
                "sure": float(sure_N[i]),
                "truth_held": float(held_N[i]) if true_N[i] != UNSEEN else None,
            }
            for i in worst
        ],
    }


def per_label(truth: list[str], predicted: list[str]) -> list[dict[str, Any]]:
    """Return label, items, precision, recall and f1 of each label that is true or predicted, the lowest F1 first."""
    names = sorted({*truth, *predicted})
    codes = {label: code for code, label in enumerate(names)}
    counts_LL = confusion(coded(truth, codes), coded(predicted, codes), len(names))
    hits, actual, given = np.diag(counts_LL).astype(float), counts_LL.sum(1), counts_LL.sum(0)
    return label_rows(names, hits, given.astype(float), actual.astype(float))


def label_rows(names: list[str], hits_L: Floats, given_L: Floats, actual_L: Floats) -> list[dict[str, Any]]:
    """Return ``per_label``'s rows from the counts of hits, predictions and truths of each label."""
    scores = f1(hits_L, given_L, actual_L)
    rows = [
        {
            "label": name,
            "items": int(actual),
            "precision": float(hit / given) if given else None,
            "recall": float(hit / actual) if actual else None,
            "f1": float(score),
        }
        for name, hit, given, actual, score in zip(names, hits_L, given_L, actual_L, scores, strict=True)
        if given or actual
    ]
    return sorted(rows, key=lambda row: (row["f1"], -row["items"]))


def confusion(true_N: Codes, predicted_N: Codes, labels: int) -> NDArray[np.int64]:
    """Count items by truth (row) and prediction (column): [L, L]."""
    return np.bincount(true_N * labels + predicted_N, minlength=labels * labels).reshape(labels, labels)


def most_confused(truth: list[str], predicted: list[str], most: int = MOST_CONFUSED) -> dict[str, Any]:
    """Return ``labels`` and ``counts`` of the confusion matrix, cut to the labels with the most errors.

    ``left_out`` is the number of labels that do not stand in it.
    """
    names = sorted({*truth, *predicted})
    codes = {label: code for code, label in enumerate(names)}
    counts_LL = confusion(coded(truth, codes), coded(predicted, codes), len(names))
    wrong_LL = counts_LL - np.diag(np.diag(counts_LL))
    wrong_L = wrong_LL.sum(0) + wrong_LL.sum(1)
    chosen = np.sort(np.argsort(-wrong_L, kind="stable")[:most])
    return {
        "labels": [names[code] for code in chosen],
        "counts": counts_LL[np.ix_(chosen, chosen)].tolist(),
        "left_out": len(names) - len(chosen),
    }
