"""What whole sequences look like, one number a feature and item: what a test of two samples compares.

    length           logarithm of steps, words, tokens, or samples
    mean, spread     of a channel's values
    missing          share of a channel's steps without a value
    stuck            share of a channel's steps that repeat the step before
    unseen           share of words or tokens that are not in the vocabulary
    loudness         of audio: logarithm of its root mean square
    crossings        of audio: share of samples at which the sign changes, which rises with its pitch
    value, share     of the truth: the number, or 1 where a label is the item's, for the most frequent labels

Each is of a ``column``: a channel's name, ``input``, or ``target``. The vocabulary is that of half of the reference,
and the reference's own share of unseen words is that of the other half, else it would know all its own words.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

MOST_LABELS = 10
Features = dict[tuple[str, str], float]


def of_input(raw: Any, channels: Sequence[str], vocabulary: set[str] | None) -> Features:
    """Return the features of one item by column and feature.

    Args:
        raw: a text, a list of tokens, samples [n], or values of channels [T, C].
        channels: their names.
        vocabulary: of words or tokens; None: what is unseen is not asked.
    """
    if isinstance(raw, str | list):
        words = of_words(raw)
        found: Features = {("input", "length"): float(np.log1p(len(words)))}
        if vocabulary is not None and words:
            found["input", "unseen"] = sum(word not in vocabulary for word in words) / len(words)
        return found
    values = np.asarray(raw, np.float64)
    found = {("input", "length"): float(np.log1p(len(values)))}
    return found | (_of_audio(values) if values.ndim == 1 else _of_channels(values, channels))


def of_words(raw: Any) -> list[str]:
    """Return the tokens, or the words of a text, whatever their case; none of what is neither."""
    if isinstance(raw, str):
        return raw.lower().split()
    return [str(token) for token in raw] if isinstance(raw, list) else []


def of_target(truth: Any, labels: Sequence[str]) -> Features:
    """Return the features of a truth: a number, a label, a list of them, or a text, of which the length counts."""
    if isinstance(truth, int | float):
        return {("target", "value"): float(truth)}
    if not labels:
        return {("target", "length"): float(np.log1p(len(truth)))}
    said = [truth] if isinstance(truth, str) else list(truth)
    return {("target", f"share:{label}"): said.count(label) / max(1, len(said)) for label in labels}


def frequent(truths: Iterable[Any]) -> list[str]:
    """Return the most frequent labels, none if the truths are numbers or nearly each is another, as texts are."""
    known = [truth for truth in truths if not isinstance(truth, int | float)]
    counts = Counter(label for truth in known for label in ([truth] if isinstance(truth, str) else truth))
    if 2 * len(counts) > sum(counts.values()):
        return []
    return [label for label, _ in sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))[:MOST_LABELS]]


def _of_audio(samples: np.ndarray) -> Features:
    loud = float(np.log(np.sqrt((samples**2).mean()) + 1e-5))
    crossings = float((np.diff(np.signbit(samples)) != 0).mean()) if len(samples) > 1 else 0.0
    return {("input", "loudness"): loud, ("input", "crossings"): crossings}


def _of_channels(values_TC: np.ndarray, channels: Sequence[str]) -> Features:
    found: Features = {}
    for channel, values in zip(channels, values_TC.T, strict=True):
        known = values[np.isfinite(values)]
        found[channel, "missing"] = 1 - len(known) / len(values)
        if len(known):
            found[channel, "mean"] = float(known.mean())
        if len(known) > 1:
            found[channel, "spread"] = float(known.std())
            found[channel, "stuck"] = float((np.diff(known) == 0).mean())
    return found
