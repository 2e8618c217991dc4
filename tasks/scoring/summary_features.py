"""Sequences of any length as vectors of one length: what a classical model can learn from.

Shapes: N items, T steps, C channels, D features.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SEGMENTS = 5
AUDIO_SEGMENTS = 8
CEPSTRA = 13


def summarise(items: Iterable[NDArray[Any]], segments: int = SEGMENTS) -> Floats:
    """Return features [N, D] of items [T, C]: a NaN is a missing value, and missing means count as 0.

    Of each channel: mean, standard deviation, least, most, first, last, mean and deviation of the step-to-step
    difference, the mean of each of ``segments`` equal parts, and the share that is missing; then the log of T.
    """
    return np.stack([_summary(np.asarray(item, np.float64), segments) for item in items])


def summarise_audio(items: Iterable[NDArray[Any]]) -> Floats:
    """Return features [N, D] of log-mel spectra [T, bins]: ``summarise`` of their first cepstra."""
    from scipy.fft import dct

    cepstra = (dct(np.asarray(item, np.float64), axis=1, norm="ortho")[:, :CEPSTRA] for item in items)
    return summarise(cepstra, AUDIO_SEGMENTS)


def _summary(item_TC: Floats, segments: int) -> Floats:
    missing_C = np.isnan(item_TC).mean(axis=0)
    filled_TC = _carried(item_TC) if missing_C.any() else item_TC
    steps = len(filled_TC)
    difference_TC = np.diff(filled_TC, axis=0) if steps > 1 else np.zeros_like(filled_TC)
    edges = np.linspace(0, steps, segments + 1)
    starts = np.minimum(edges[:-1].astype(int), steps - 1)
    ends = np.maximum(np.ceil(edges[1:]).astype(int), starts + 1)
    # Means of overlapping stretches out of one running sum: an item of fewer steps than segments has them all the same.
    running_TC = np.concatenate([np.zeros((1, filled_TC.shape[1])), filled_TC.cumsum(axis=0)])
    parts_SC = (running_TC[ends] - running_TC[starts]) / (ends - starts)[:, None]
    return np.concatenate(
        [
            filled_TC.mean(axis=0),
            filled_TC.std(axis=0),
            filled_TC.min(axis=0),
            filled_TC.max(axis=0),
            filled_TC[0],
            filled_TC[-1],
            difference_TC.mean(axis=0),
            difference_TC.std(axis=0),
            parts_SC.ravel(),
            missing_C,
            [np.log(steps)],
        ]
    )


def _carried(item_TC: Floats) -> Floats:
    """Fill each gap with the last value before it; before the first one, with the channel's mean, or 0."""
    known_TC = ~np.isnan(item_TC)
    places_TC = np.maximum.accumulate(np.where(known_TC, np.arange(len(item_TC))[:, None], -1), axis=0)
    filled_TC = np.take_along_axis(np.where(known_TC, item_TC, 0.0), np.maximum(places_TC, 0), axis=0)
    means_C = np.where(known_TC, item_TC, 0.0).sum(axis=0) / np.maximum(known_TC.sum(axis=0), 1)
    return np.where(places_TC >= 0, filled_TC, means_C)


def tf_idf(tokens: bool) -> Any:
    """Return a vectoriser of texts: tf-idf of words and pairs of words, and of 2 to 5 characters within words.

    Args:
        tokens: the texts are tokens joined by blanks, each of which is a word whatever it holds.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.pipeline import make_union

    pattern = r"\S+" if tokens else r"(?u)\b\w+\b|[^\w\s]"
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=pattern, max_features=200_000)
    characters = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True, max_features=200_000)
    return make_union(words, characters)
