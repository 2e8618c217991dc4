"""Is one forecaster better than another? A paired test on the same windows.

The p-value is Wilcoxon's signed-rank test, two-sided: it asks in how many windows, and how clearly, one is ahead, and
no single disaster decides it. The mean difference and its bootstrap interval say how much is at stake. Windows of one
item are not independent of each other; where items have several, read the p-value as a lower bound.
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
    """``model`` against ``other``; errors are scaled, so a negative ``difference`` is the model's advantage.

    ``low`` and ``high`` bound the difference with 95 % confidence. ``won`` is the share of windows in which the model
    has the smaller error, a tie counting as half. ``p_value`` is None where windows are too few or all tied.
    """

    model: str
    other: str
    model_error: float
    other_error: float
    difference: float
    low: float
    high: float
    won: float
    p_value: float | None
    windows: int

    @property
    def outcome(self) -> Literal["better", "worse", "undecided"]:
        """Better or worse only if the test and the mean agree on the direction."""
        if self.p_value is None or self.p_value >= SIGNIFICANT or (self.difference < 0) != (self.won > 0.5):
            return "undecided"
        return "better" if self.difference < 0 else "worse"

    def sentence(self) -> str:
        """Say the outcome in one plain sentence."""
        p = "no p-value" if self.p_value is None else "p < 0.0001" if self.p_value < 1e-4 else f"p = {self.p_value:.2g}"
        noun = "window" if self.windows == 1 else "windows"
        evidence = f"on {self.windows} {noun} (won {self.won:.0%}, {p})".replace("%", " %")
        model, other = f"{self.model} {self.model_error:.3f}", f"{self.other} {self.other_error:.3f}"
        if self.outcome == "better":
            return f"{model} beats {other} {evidence}"
        if self.outcome == "worse":
            return f"{model} is beaten by {other} {evidence}"
        return f"No evidence of a difference between {model} and {other} {evidence}"


def compare(
    model: str, other: str, model_errors_W: Floats, other_errors_W: Floats, weights_W: Floats, seed: int = 0
) -> Comparison:
    """Compare two forecasters window by window.

    Args:
        model: name of the first.
        other: name of the second.
        model_errors_W: scaled errors, NaN for a window that nobody observed; it is left out.
        other_errors_W: likewise, of the same windows.
        weights_W: each window's part in the mean, so that the means are those of the leaderboard.
        seed: of the bootstrap.
    """
    both = np.isfinite(model_errors_W) & np.isfinite(other_errors_W) & (weights_W > 0)
    mine, theirs, weights = model_errors_W[both], other_errors_W[both], weights_W[both]
    if not both.any():
        nan = float("nan")
        return Comparison(model, other, nan, nan, nan, nan, nan, nan, None, 0)
    difference = mine - theirs
    low, high = _interval(difference, weights, seed)
    return Comparison(
        model=model,
        other=other,
        model_error=float(np.average(mine, weights=weights)),
        other_error=float(np.average(theirs, weights=weights)),
        difference=float(np.average(difference, weights=weights)),
        low=low,
        high=high,
        won=float((difference < 0).mean() + (difference == 0).mean() / 2),
        p_value=_p_value(difference),
        windows=int(both.sum()),
    )


def _p_value(difference: Floats) -> float | None:
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
