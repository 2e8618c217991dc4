"""What a model of whole sequences must beat: linear models on features that need no learning.

Texts and tokens: tf-idf n-grams with a linear support vector machine, or ridge regression. Numbers and audio: summary
statistics with logistic or ridge regression. How strongly to regularise, and how sure to be, is read off a held-out
fifth of the training items; the test items are only ever transformed.

Shapes: N training items, M test items, D features, L labels.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.scoring.classification import log_loss_at_best_temperature
from tasks.scoring.multi_label import multi_hot
from tasks.scoring.summary_features import summarise, summarise_audio, tf_idf

Floats = NDArray[np.float64]
Codes = NDArray[np.int64]

HELD_OUT = 0.2
MOST_HELD_OUT = 2000
FEWEST_TO_HOLD_OUT = 50
PENALTIES = (0.01, 0.1, 1.0)
"""The C of logistic regression on summary features."""
MARGINS = (0.3, 1.0)
"""The C of a support vector machine on n-grams."""
RIDGES = (0.1, 1.0, 10.0, 100.0)


class Items(Protocol):
    """``models.ragged.Ragged`` is one."""

    def __len__(self) -> int: ...
    def item(self, i: int) -> NDArray[Any]: ...


def features(
    train: pl.DataFrame, test: pl.DataFrame, input_kind: str, arrays: tuple[Items, Items] | None
) -> tuple[Any, Any]:
    """Return features of the two parts, [N, D] and [M, D]: sparse for text and tokens, else standardised.

    Args:
        train: for text and tokens, column ``input``.
        test: likewise.
        input_kind: numeric, text, tokens or audio.
        arrays: for numeric and audio, the items [T, C] of the two parts.
    """
    if input_kind in ("text", "tokens"):
        texts = [_texts(part["input"]) for part in (train, test)]
        vectoriser = tf_idf(tokens=input_kind == "tokens")
        return vectoriser.fit_transform(texts[0]), vectoriser.transform(texts[1])
    from sklearn.preprocessing import StandardScaler

    assert arrays is not None, "the features of numbers and audio come from the prepared arrays"
    summary = summarise if input_kind == "numeric" else summarise_audio
    found = [summary(part.item(i) for i in range(len(part))) for part in arrays]
    scaler = StandardScaler().fit(found[0])
    return scaler.transform(found[0]), scaler.transform(found[1])


def _texts(column: pl.Series) -> list[str]:
    joined = column.list.join(" ", ignore_nulls=True) if isinstance(column.dtype, pl.List) else column
    return joined.fill_null("").to_list()


def shares(codes_N: Codes, labels: int) -> Floats:
    """Return the share of each label [L]; what training never showed has 0."""
    counts = np.bincount(codes_N[codes_N >= 0], minlength=labels).astype(float)
    return counts / max(counts.sum(), 1.0)


def classify(train_ND: Any, codes_N: Codes, test_MD: Any, labels: int, weights: list[float] | None) -> Floats:
    """Return the probability of each label [M, L]; a code below 0 is a label to leave out.

    Args:
        train_ND: features of the training items.
        codes_N: their labels.
        test_MD: features of the items to predict.
        labels: L.
        weights: of the labels, as the model that is to be beaten has them.
    """
    known = np.flatnonzero(codes_N >= 0)
    train_ND, codes_N = train_ND[known], codes_N[known]
    if len(np.unique(codes_N)) < 2:
        return np.tile(shares(codes_N, labels), (test_MD.shape[0], 1))
    by_label = None if weights is None else dict(enumerate(weights))
    fitted, held_out = _held_out(codes_N)
    chosen, temperature = _candidates(train_ND)[-1], 1.0
    if len(held_out):
        chosen, temperature = _tuned(train_ND, codes_N, fitted, held_out, labels, by_label)
    log_ML = _scores(_estimator(train_ND, chosen, by_label).fit(train_ND, codes_N), test_MD, labels)
    return _softmax(log_ML / temperature)


def _candidates(train_ND: Any) -> tuple[float, ...]:
    return PENALTIES if isinstance(train_ND, np.ndarray) else MARGINS


def _estimator(train_ND: Any, c: float, by_label: dict[int, float] | None) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    if isinstance(train_ND, np.ndarray):
        return LogisticRegression(C=c, class_weight=by_label, max_iter=300)
    return LinearSVC(C=c, class_weight=by_label, tol=1e-2, random_state=0)


def _held_out(codes_N: Codes) -> tuple[Codes, Codes]:
    """Split places into those to fit on and those to choose by: every label keeps one to fit on; none if too few."""
    order = np.random.default_rng(0).permutation(len(codes_N))
    first = np.unique(codes_N[order], return_index=True)[1]
    rest = np.delete(order, first)
    wanted = min(int(HELD_OUT * len(order)), MOST_HELD_OUT)
    if len(order) < FEWEST_TO_HOLD_OUT or len(rest) < wanted:
        return order, order[:0]
    return np.concatenate([order[first], rest[wanted:]]), rest[:wanted]


def _tuned(
    train_ND: Any, codes_N: Codes, fitted: Codes, held_out: Codes, labels: int, by_label: dict[int, float] | None
) -> tuple[float, float]:
    """Return the C with the least log loss on the held-out items, and the temperature that makes it least."""
    found = []
    for c in _candidates(train_ND):
        estimator = _estimator(train_ND, c, by_label).fit(train_ND[fitted], codes_N[fitted])
        scores_NL = _scores(estimator, train_ND[held_out], labels)
        found.append((*log_loss_at_best_temperature(codes_N[held_out], _softmax(scores_NL)), c))
    _, temperature, c = min(found)
    return c, temperature


def _scores(estimator: Any, items_ND: Any, labels: int) -> Floats:
    """Return the decision values of all L labels; of one that the estimator never saw, minus infinity."""
    found = np.asarray(estimator.decision_function(items_ND), np.float64)
    if found.ndim == 1:
        # Of two labels scikit-learn gives one value. A support vector machine's margins of both are its plus and minus,
        # but the logarithm of the odds is the value itself.
        found = np.stack([-found / 2, found / 2], axis=1)
    scores_NL = np.full((len(found), labels), -np.inf)
    scores_NL[:, estimator.classes_] = found
    return scores_NL


def _softmax(scores_NL: Floats) -> Floats:
    from scipy.special import softmax

    return softmax(scores_NL, axis=1)


def classify_multi(train_ND: Any, truth: list[list[str]], test_MD: Any, codes: dict[str, int]) -> Floats:
    """Return the probability of each label on its own [M, L], by one logistic regression a label."""
    from sklearn.linear_model import LogisticRegression

    true_NL = multi_hot(truth, codes)
    probability_ML = np.tile(true_NL.mean(axis=0), (test_MD.shape[0], 1))
    sparse = not isinstance(train_ND, np.ndarray)
    for code in np.flatnonzero(true_NL.any(axis=0) & ~true_NL.all(axis=0)):
        estimator = LogisticRegression(
            C=10.0 if sparse else 0.1, solver="liblinear" if sparse else "lbfgs", max_iter=300
        )
        probability_ML[:, code] = estimator.fit(train_ND, true_NL[:, code]).predict_proba(test_MD)[:, 1]
    return probability_ML


def regress(train_ND: Any, truth_N: Floats, test_MD: Any) -> Floats:
    """Return the predictions [M] of ridge regression, its penalty chosen by a held-out fifth, kept in the range seen.

    A linear model may leave the range of all truths in training where features are far off; half a range beyond is
    let pass.
    """
    penalty = RIDGES[1]
    order = np.random.default_rng(0).permutation(len(truth_N))
    held_out, fitted = np.split(order, [min(int(HELD_OUT * len(order)), MOST_HELD_OUT)])
    if len(order) >= FEWEST_TO_HOLD_OUT:
        errors = {}
        for candidate in RIDGES:
            estimator = _ridge(train_ND, candidate).fit(train_ND[fitted], truth_N[fitted])
            errors[candidate] = np.abs(estimator.predict(train_ND[held_out]) - truth_N[held_out]).mean()
        penalty = min(errors, key=lambda candidate: errors[candidate])
    predicted_M = _ridge(train_ND, penalty).fit(train_ND, truth_N).predict(test_MD)
    room = 0.5 * np.ptp(truth_N)
    return np.clip(predicted_M, truth_N.min() - room, truth_N.max() + room)


def _ridge(train_ND: Any, penalty: float) -> Any:
    from sklearn.linear_model import Ridge

    return Ridge(alpha=penalty, solver="auto" if isinstance(train_ND, np.ndarray) else "sparse_cg")
