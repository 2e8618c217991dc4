"""What a tagger must beat: each token's most frequent label, and a linear model on a window around each step.

Both give codes [T] and, as a stand-in for a probability, how often that label was right there in training or the
softmax of the margins.

Shapes: S training steps over all items, T steps of an item, C channels, L labels.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

Tagged = tuple[NDArray[np.int64], NDArray[np.float64]]

WINDOW = 2
HASHED = 2**18
MOST_STEPS = 300_000
"""Steps that the linear model learns from; more change little and cost minutes."""
LAGS = (1, 2, 4, 8)


def most_frequent(train: list[list[str]], codes: list[NDArray[np.int64]], test: list[list[str]]) -> list[Tagged]:
    """Give each token its most frequent label in training, whatever its case; an unknown token the one of all tokens.

    Args:
        train: the tokens of each training item.
        codes: their labels; below 0 is a step to leave out.
        test: the tokens of each item to label.
    """
    counts: dict[str, Counter[int]] = {}
    for tokens, labels in zip(train, codes, strict=True):
        for token, code in zip(tokens, labels.tolist(), strict=True):
            if code >= 0:
                counts.setdefault(token.lower(), Counter())[code] += 1
    everything = Counter[int]()
    for seen in counts.values():
        everything.update(seen)
    answers, default = {token: _likeliest(seen) for token, seen in counts.items()}, _likeliest(everything)
    found = [[answers.get(token.lower(), default) for token in tokens] for tokens in test]
    return [(np.array([code for code, _ in item], np.int64), np.array([p for _, p in item])) for item in found]


def _likeliest(counts: Counter[int]) -> tuple[int, float]:
    code = min(counts, key=lambda code: (-counts[code], code))
    return code, counts[code] / counts.total()


def majority(codes: list[NDArray[np.int64]], lengths: Iterable[int]) -> list[Tagged]:
    """Give every step the most frequent label of all."""
    code, share = _likeliest(Counter(code for labels in codes for code in labels.tolist() if code >= 0))
    return [(np.full(length, code, np.int64), np.full(length, share)) for length in lengths]


def linear_tokens(train: list[list[str]], codes: list[NDArray[np.int64]], test: list[list[str]]) -> list[Tagged]:
    """Label each token by a linear support vector machine on it, its neighbours, its affixes and its shape."""
    from sklearn.feature_extraction import FeatureHasher

    hasher = FeatureHasher(HASHED, input_type="string", alternate_sign=False)
    chosen = _chosen([len(tokens) for tokens in train])
    train_SD = hasher.transform(step for item in chosen for step in _token_features(train[item]))
    codes_S = np.concatenate([codes[item] for item in chosen])
    test_SD = hasher.transform(step for tokens in test for step in _token_features(tokens))
    return _labelled(train_SD, codes_S, test_SD, [len(tokens) for tokens in test])


def linear_steps(train: list[NDArray[Any]], codes: list[NDArray[np.int64]], test: list[NDArray[Any]]) -> list[Tagged]:
    """Label each step [C] by logistic regression on it, the steps up to 8 before and after, and running means."""
    chosen = _chosen([len(item) for item in train])
    train_SD = np.concatenate([_step_features(train[item]) for item in chosen])
    codes_S = np.concatenate([codes[item] for item in chosen])
    test_SD = np.concatenate([_step_features(item) for item in test])
    return _labelled(train_SD, codes_S, test_SD, [len(item) for item in test])


def _chosen(lengths: list[int]) -> list[int]:
    """Return items, drawn at random where there are more than ``MOST_STEPS`` steps, at least one."""
    order = np.random.default_rng(0).permutation(len(lengths))
    before = np.cumsum(np.array(lengths)[order]) - np.array(lengths)[order]
    return order[before < MOST_STEPS].tolist()


def _labelled(train_SD: Any, codes_S: NDArray[np.int64], test_SD: Any, lengths: list[int]) -> list[Tagged]:
    from scipy.special import softmax
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    known = np.flatnonzero(codes_S >= 0)
    if len(np.unique(codes_S[known])) < 2:
        return majority([codes_S], lengths)
    dense = isinstance(train_SD, np.ndarray)
    estimator = LogisticRegression(C=0.1, max_iter=200) if dense else LinearSVC(C=0.1, tol=1e-2, random_state=0)
    estimator.fit(train_SD[known], codes_S[known])
    scores = estimator.decision_function(test_SD)
    if scores.ndim == 1:
        scores = np.stack([-scores / 2, scores / 2], axis=1)
    probability = softmax(scores, axis=1)
    places = probability.argmax(axis=1)
    best = np.take_along_axis(probability, places[:, None], axis=1)[:, 0]
    ends = np.cumsum(lengths)[:-1]
    return list(zip(np.split(estimator.classes_[places], ends), np.split(best, ends), strict=True))


def _token_features(tokens: list[str]) -> Iterator[list[str]]:
    low = [""] * WINDOW + [token.lower() for token in tokens] + [""] * WINDOW
    for place, token in enumerate(tokens):
        before2, before, word, after, after2 = low[place : place + 2 * WINDOW + 1]
        yield [
            f"0={word}",
            f"-1={before}",
            f"-2={before2}",
            f"+1={after}",
            f"+2={after2}",
            f"-1,0={before} {word}",
            f"0,+1={word} {after}",
            f"-2,-1={before2} {before}",
            f"ends {word[-3:]}",
            f"ends {word[-2:]}",
            f"begins {word[:3]}",
            f"begins {word[:2]}",
            f"is {shape(token)}",
            "comes first" if place == 0 else "comes later",
        ]


def shape(token: str) -> str:
    """Say how a token is written: upper, title, digit or lower."""
    if any(character.isdigit() for character in token):
        return "digit"
    return "upper" if token.isupper() else "title" if token.istitle() else "lower"


def _step_features(item_TC: NDArray[Any]) -> NDArray[np.float64]:
    """Return [T, D]; beyond the ends the first and the last step are repeated, and a missing value is 0 and flagged."""
    missing_TC = np.isnan(item_TC)
    values_TC = np.where(missing_TC, 0.0, item_TC).astype(np.float64)
    steps = np.arange(len(values_TC))
    parts = [values_TC, missing_TC.astype(np.float64)]
    running_TC = np.concatenate([np.zeros((1, values_TC.shape[1])), values_TC.cumsum(axis=0)])
    for lag in LAGS:
        before, after = np.maximum(steps - lag, 0), np.minimum(steps + lag, len(steps) - 1)
        parts += [values_TC[before], values_TC[after]]
        parts.append((running_TC[after + 1] - running_TC[before]) / (after + 1 - before)[:, None])
    return np.concatenate(parts, axis=1)
