"""Is one model better than another? A paired test on the same windows or items.

Answers that are right or wrong, errors of 0 or 1, are tested by McNemar's exact test: of the items that only one of
the two got right, how many are whose? All other errors by Wilcoxon's signed-rank test, two-sided, with ties as Pratt
(1959) counts them: it asks in how many clusters, and how clearly, one is ahead, and no single disaster decides it. The
mean difference and its bootstrap interval say how much is at stake, and one is better only if that interval says so,
too: small gains in most windows do not make up for rare great losses.

Windows of one day, or items of one group, are not independent of each other: ``clusters`` says which belong together.
A cluster's part in the mean difference is then one observation of the test, and is drawn whole by the bootstrap.

Shapes: N windows or items, C clusters.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.clusters import Clusters, most_telling

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05
RESAMPLES = 2000
BLOCK = 30_000
"""Draws of the bootstrap that are held at a time: they stay in the processor's cache."""

ROUNDING = 1e-12
"""A cluster's difference that is so small beside the largest is the rounding of a sum: a tie."""


@dataclass(frozen=True)
class Comparison:
    """``model`` against ``other``; less error is better, so a negative ``difference`` is the model's advantage.

    ``low`` and ``high`` bound the difference with 95 % confidence. ``ahead`` and ``behind`` count in how many of
    ``count`` windows or items (``noun``) the model has the smaller and the larger error; ``won`` is its share, a tie
    counting as half. ``clusters`` of them, each a ``by``, were tested; ``p_value`` is None where those are too few or
    all tied. ``confirmed`` is False where the headline metric, which need not be a mean of these errors, points the
    other way.
    """

    model: str
    other: str
    model_error: float
    other_error: float
    difference: float
    low: float
    high: float
    ahead: int
    behind: int
    won: float
    p_value: float | None
    count: int
    clusters: int
    by: str
    noun: str
    test: Literal["signed rank", "McNemar"] = "signed rank"
    confirmed: bool = True

    @property
    def outcome(self) -> Literal["better", "worse", "undecided"]:
        """Better or worse only if the test, the mean's interval and the headline agree on the direction."""
        if self.p_value is None or self.p_value >= SIGNIFICANT or not self.confirmed or self.low <= 0 <= self.high:
            return "undecided"
        if (self.difference < 0) != (self.won > 0.5):
            return "undecided"
        return "better" if self.difference < 0 else "worse"

    @property
    def effect(self) -> float | None:
        """The difference as a share of the other's error: -0.1 is 10 % less."""
        return self.difference / self.other_error if self.other_error else None

    def sentence(self, mine: str | None = None, theirs: str | None = None) -> str:
        """Say the outcome in one plain sentence; ``mine`` and ``theirs`` are what is shown instead of the errors."""
        model = f"{self.model} {mine or format(self.model_error, '.3f')}"
        other = f"{self.other} {theirs or format(self.other_error, '.3f')}"
        if self.outcome == "better":
            return f"{model} beats {other} {self._evidence()}"
        if self.outcome == "worse":
            return f"{model} is beaten by {other} {self._evidence()}"
        return f"No evidence of a difference between {model} and {other} {self._evidence()}"

    def _evidence(self) -> str:
        p = "no p-value" if self.p_value is None else "p < 0.0001" if self.p_value < 1e-4 else f"p = {self.p_value:.2g}"
        if self.clusters != self.count:
            p += f" by {self.clusters} {_plural(self.by, self.clusters)}"
        if self.p_value is not None and self.p_value < SIGNIFICANT and self.low <= 0 <= self.high:
            p += f", but the mean difference may be anything from {self.low:.3g} to {self.high:.3g}"
        won = f"won {100 * self.won:.0f} %"
        if self.test == "McNemar":
            won = f"alone right on {self.ahead}, alone wrong on {self.behind}"
        return f"on {self.count} {_plural(self.noun, self.count)} ({won}, {p})"


def compare(
    model: str,
    other: str,
    model_errors_N: Floats,
    other_errors_N: Floats,
    weights_N: Floats,
    noun: str = "window",
    clusters: Sequence[Clusters] = (),
    seed: int = 0,
) -> Comparison:
    """Compare two models window by window, or item by item.

    Args:
        model: name of the first.
        other: name of the second.
        model_errors_N: errors, less is better; NaN for a window that nobody observed: it is left out.
        other_errors_N: likewise, of the same windows.
        weights_N: each window's part in the mean, so that the means are those of the leaderboard.
        noun: what is counted: window or item.
        clusters: sorts of them to test by, the most cautious first; none: all windows are independent.
        seed: of the bootstrap.
    """
    both_N = np.isfinite(model_errors_N) & np.isfinite(other_errors_N) & (weights_N > 0)
    mine, theirs, weights = model_errors_N[both_N], other_errors_N[both_N], weights_N[both_N]
    if not both_N.any():
        nan = float("nan")
        return Comparison(model, other, nan, nan, nan, nan, nan, 0, 0, nan, None, 0, 0, noun, noun)
    sorts = [one.of(both_N) for one in clusters] or [Clusters(noun, np.arange(len(mine)))]
    by = most_telling(sorts, weights)
    difference = mine - theirs
    parts_C = _parts(difference * weights, by)
    low, high = _interval(parts_C, np.bincount(by.number_N, weights=weights).astype(np.float64), seed)
    ahead, behind = int((difference < 0).sum()), int((difference > 0).sum())
    right_or_wrong = bool(np.isin(mine, (0, 1)).all() and np.isin(theirs, (0, 1)).all())
    exact = right_or_wrong and len(parts_C) == len(mine)
    return Comparison(
        model=model,
        other=other,
        model_error=float(np.average(mine, weights=weights)),
        other_error=float(np.average(theirs, weights=weights)),
        difference=float(np.average(difference, weights=weights)),
        low=low,
        high=high,
        ahead=ahead,
        behind=behind,
        won=(ahead + (len(difference) - ahead - behind) / 2) / len(difference),
        p_value=_mcnemar(ahead, behind) if exact else _signed_rank(parts_C),
        count=len(difference),
        clusters=len(parts_C),
        by=by.noun,
        noun=noun,
        test="McNemar" if exact else "signed rank",
    )


def _parts(difference_N: Floats, by: Clusters) -> Floats:
    """Return each cluster's sum [C], with 0 for what is rounding."""
    parts_C = np.bincount(by.number_N, weights=difference_N)
    return np.where(np.abs(parts_C) > ROUNDING * np.abs(parts_C).max(), parts_C, 0.0)


def _mcnemar(ahead: int, behind: int) -> float | None:
    """Return the exact two-sided p-value of McNemar (1947): discordant pairs are fair coins if nobody is better."""
    from scipy.stats import binomtest

    return float(binomtest(ahead, ahead + behind).pvalue) if ahead + behind else None


def _signed_rank(parts_C: Floats) -> float | None:
    from scipy.stats import wilcoxon

    if len(parts_C) < 2 or not parts_C.any():
        return None
    return float(wilcoxon(parts_C, zero_method="pratt").pvalue)


def _interval(parts_C: Floats, shares_C: Floats, seed: int) -> tuple[float, float]:
    """Return the 95 % interval of the mean, from clusters drawn with replacement; ``shares_C`` are their weights."""
    rng, means, rows = np.random.default_rng(seed), [], max(1, BLOCK // len(parts_C))
    for first in range(0, RESAMPLES, rows):
        drawn = rng.integers(0, len(parts_C), (min(rows, RESAMPLES - first), len(parts_C)))
        means.append(parts_C.take(drawn).sum(axis=1) / shares_C.take(drawn).sum(axis=1))
    low, high = np.quantile(np.concatenate(means), [0.025, 0.975])
    return float(low), float(high)


def _plural(noun: str, count: int) -> str:
    return noun if count == 1 or noun.endswith("s") else f"{noun}s"
