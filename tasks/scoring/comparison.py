"""Is one model better than another? A paired test on the same windows or items.

Answers that are right or wrong, errors of 0 or 1, are tested by McNemar's exact test: of the items that only one of
the two got right, how many are whose? All other errors by Wilcoxon's signed-rank test, two-sided: it asks in how many
windows, and how clearly, one is ahead, and no single disaster decides it. The mean difference and its bootstrap
interval say how much is at stake. Windows of one item are not independent of each other; where items have several,
read the p-value as a lower bound.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

SIGNIFICANT = 0.05
RESAMPLES = 2000


@dataclass(frozen=True)
class Comparison:
    """``model`` against ``other``; less error is better, so a negative ``difference`` is the model's advantage.

    ``low`` and ``high`` bound the difference with 95 % confidence. ``ahead`` and ``behind`` count in how many of
    ``count`` windows or items (``noun``) the model has the smaller and the larger error; ``won`` is its share, a tie
    counting as half. ``p_value`` is None where they are too few or all tied. ``confirmed`` is False where the headline
    metric, which need not be a mean of these errors, points the other way.
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
    noun: str = "window"
    test: Literal["signed rank", "McNemar"] = "signed rank"
    confirmed: bool = True

    @property
    def outcome(self) -> Literal["better", "worse", "undecided"]:
        """Better or worse only if the test, the mean and the headline agree on the direction."""
        if self.p_value is None or self.p_value >= SIGNIFICANT or not self.confirmed:
            return "undecided"
        if (self.difference < 0) != (self.won > 0.5):
            return "undecided"
        return "better" if self.difference < 0 else "worse"

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
        noun = self.noun if self.count == 1 else f"{self.noun}s"
        won = f"won {100 * self.won:.0f} %"
        if self.test == "McNemar":
            won = f"alone right on {self.ahead}, alone wrong on {self.behind}"
        return f"on {self.count} {noun} ({won}, {p})"


def compare(
    model: str,
    other: str,
    model_errors_N: Floats,
    other_errors_N: Floats,
    weights_N: Floats,
    seed: int = 0,
    noun: str = "window",
) -> Comparison:
    """Compare two models window by window, or item by item.

    Args:
        model: name of the first.
        other: name of the second.
        model_errors_N: errors, less is better; NaN for a window that nobody observed: it is left out.
        other_errors_N: likewise, of the same windows.
        weights_N: each window's part in the mean, so that the means are those of the leaderboard.
        seed: of the bootstrap.
        noun: what is counted: window or item.
    """
    both = np.isfinite(model_errors_N) & np.isfinite(other_errors_N) & (weights_N > 0)
    mine, theirs, weights = model_errors_N[both], other_errors_N[both], weights_N[both]
    if not both.any():
        nan = float("nan")
        return Comparison(model, other, nan, nan, nan, nan, nan, 0, 0, nan, None, 0, noun)
    difference = mine - theirs
    low, high = _interval(difference, weights, seed)
    ahead, behind = int((difference < 0).sum()), int((difference > 0).sum())
    right_or_wrong = bool(np.isin(mine, (0, 1)).all() and np.isin(theirs, (0, 1)).all())
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
        p_value=_mcnemar(ahead, behind) if right_or_wrong else _signed_rank(difference),
        count=len(difference),
        noun=noun,
        test="McNemar" if right_or_wrong else "signed rank",
    )


def _mcnemar(ahead: int, behind: int) -> float | None:
    """Return the exact two-sided p-value of McNemar (1947): discordant pairs are fair coins if nobody is better."""
    from scipy.stats import binomtest

    return float(binomtest(ahead, ahead + behind).pvalue) if ahead + behind else None


def _signed_rank(difference: Floats) -> float | None:
    from scipy.stats import wilcoxon

    if len(difference) < 2 or not difference.any():
        return None
    return float(wilcoxon(difference, zero_method="zsplit").pvalue)


def _interval(difference: Floats, weights: Floats, seed: int) -> tuple[float, float]:
    rng = np.random.default_rng(seed)
    means = np.empty(RESAMPLES)
    for resample in range(RESAMPLES):
        drawn = rng.integers(0, len(difference), len(difference))
        means[resample] = np.average(difference[drawn], weights=weights[drawn])
    low, high = np.quantile(means, [0.025, 0.975])
    return float(low), float(high)
