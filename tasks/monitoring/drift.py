"""Has a column changed since a model learned from it? Standard tests, and what they need to hold for real data.

**Series.** Blocks of time depend on each other, wander and grow. So the newest blocks are not compared with all others
but with those before them, and this contrast with every contrast of the same shape that the reference itself holds:

    reference   |..|..|..|..|..|..|..|..|..|..|        new   |..|..|
                                     \\ before /  (gap)        \\ now /

A t-test says how unusual the contrast is; the blocks count as independent ones only as far as they are not alike their
neighbours. A level that wanders or a trend that goes on is so nothing unusual, without being known of beforehand.
How many blocks before are taken is chosen on the reference alone: those whose contrasts vary least.

**Whole sequences** are independent: Kolmogorov and Smirnov's test of two samples.

A finding must moreover be larger than all but 1 in 20 of the contrasts that the reference holds, since real data have
heavier tails than a t-distribution, and larger than a least effect, since with data enough everything is significant.
Of many tests the smallest p-value is small by chance: Holm (1979) corrects for that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

FEWEST = 10
"""Contrasts that a reference must hold: from fewer nobody knows what is usual."""
NEWEST = 7
"""Blocks that are looked at together, at most: a week of days. What changed lately is not to be averaged away."""
BEFORE = (1, 2, 4, 8)
USUAL = 0.95
LEAST = {"level": 0.3, "spread": 0.2, "season": 0.25, "stuck": 0.05, "missing": 0.05, "unseen": 0.05, "share": 0.1}
"""The least effect that counts, in the feature's own unit (see ``features``); 0.2 of a logarithm are 22 %."""
LEAST_DISTANCE = 0.15
"""Of two samples' distributions: the largest difference between the shares that lie below a value."""


@dataclass(frozen=True)
class Finding:
    """What was found of one feature of one column.

    ``effect`` is how much it is larger than before, in its own unit; ``low`` and ``high`` are between what it usually
    changes. ``p_value`` is corrected once it went through ``holm``; None: there is too little to tell.
    """

    column: str
    feature: str
    effect: float
    low: float
    high: float
    p_value: float | None
    drifted: bool = False


def of_blocks(column: str, feature: str, reference_K: Floats, new_N: Floats) -> Finding:
    """Test the newest of ``new_N`` against the blocks of the reference; both in the order of time."""
    least = LEAST[feature.partition(":")[0]]
    if feature == "level":
        joined = np.cumsum(np.concatenate([[0.0], reference_K, new_N]))
        reference_K, new_N = joined[: len(joined) - len(new_N)], joined[len(joined) - len(new_N) :]
    if feature == "unseen":
        # In the first blocks everything is new.
        reference_K = reference_K[len(reference_K) // 4 :]
    contrasts = _contrasts(reference_K, new_N, wanders=feature == "level")
    if contrasts is None:
        return Finding(column, feature, float("nan"), float("nan"), float("nan"), None)
    usual_M, now, independent = contrasts
    # What grows changes more of late than it used to: the newer half, or quarter, tells more than the whole.
    lately = [usual_M[-(len(usual_M) // share) :] for share in (1, 2, 4)]
    mean, spread = lately[1].mean(), max(some.std(ddof=1) for some in lately)
    effect = float(now - mean)
    further = int((np.abs(usual_M - mean) >= abs(effect)).sum())
    rare = further <= (1 - USUAL) * len(usual_M) and abs(effect) >= least
    p_value = _t_test(effect, float(spread), independent) if rare else 1.0
    low, high = np.quantile(usual_M - mean, [(1 - USUAL) / 2, (1 + USUAL) / 2])
    return Finding(column, feature, effect, float(low), float(high), p_value)


def of_samples(column: str, feature: str, reference_N: Floats, new_M: Floats) -> Finding:
    """Test whether two samples of independent items are of one distribution; NaN are left out."""
    from scipy.stats import ks_2samp

    old, new = reference_N[np.isfinite(reference_N)], new_M[np.isfinite(new_M)]
    if len(old) < FEWEST or len(new) < FEWEST:
        return Finding(column, feature, float("nan"), float("nan"), float("nan"), None)
    found = ks_2samp(old, new)
    p_value = float(found.pvalue) if found.statistic >= LEAST_DISTANCE else 1.0
    low, high = np.quantile(old, [(1 - USUAL) / 2, (1 + USUAL) / 2]) - old.mean()
    return Finding(column, feature, float(new.mean() - old.mean()), float(low), float(high), p_value)


def holm(findings: Sequence[Finding], significance: float) -> list[Finding]:
    """Return ``findings`` with p-values corrected for how many there are, and which of them drifted (Holm 1979)."""
    tested = [finding.p_value for finding in findings if finding.p_value is not None]
    ranked, corrected, most = sorted(set(tested)), {}, 0.0
    for p_value in ranked:
        remaining = sum(other >= p_value for other in tested)
        most = corrected[p_value] = max(most, min(1.0, remaining * p_value))
    return [
        finding
        if finding.p_value is None
        else replace(finding, p_value=corrected[finding.p_value], drifted=corrected[finding.p_value] < significance)
        for finding in findings
    ]


def _contrasts(reference_K: Floats, new_N: Floats, wanders: bool) -> tuple[Floats, float, float] | None:
    """Return the contrasts of the reference [M], the present one, and how many independent ones [M] count for.

    Where more is new than the reference holds contrasts of, the blocks before are still the reference's last; those
    of a level that ``wanders`` are nearer then, as it may be anywhere after so long.

    None: there is nothing new, or the reference is too short.
    """
    known = len(reference_K)
    now = min(len(new_N), NEWEST, max(1, known // 8))
    if not len(new_N):
        return None
    joined, found = np.concatenate([reference_K, new_N]), []
    for before in BEFORE:
        if known - before - now + 1 < FEWEST:
            break
        gap = min(len(new_N) - now, known - before - now + 1 - FEWEST)
        weights = np.concatenate([np.full(before, -1 / before), np.zeros(gap), np.full(now, 1 / now)])
        end = len(joined) - now - gap if wanders else known
        present = joined[-now:].mean() - joined[end - before : end].mean()
        found.append((np.correlate(reference_K, weights, "valid"), float(present)))
    if not found:
        return None
    usual_M, present = min(found, key=lambda one: one[0].std())
    return usual_M, present, independent(usual_M)


def independent(values_M: Floats) -> float:
    """Return as how many independent values ``values_M``, in the order of time, count: at least 2.

    Neighbours share blocks and may be alike besides: the sum of their autocorrelations up to the first that is not
    above zero says how much (Geyer 1992's initial positive sequence).
    """
    centred = values_M - values_M.mean()
    power = float(centred @ centred)
    if power == 0:
        return float(len(values_M))
    alike = 1.0
    for lag in range(1, len(values_M) // 2):
        correlation = float(centred[lag:] @ centred[:-lag]) / power
        if correlation <= 0:
            break
        alike += 2 * correlation
    return max(2.0, len(values_M) / alike)


def _t_test(effect: float, spread: float, independent: float) -> float:
    """Return the two-sided p-value of one more value that lies ``effect`` from the mean of those known."""
    from scipy.stats import t

    if spread == 0:
        return 0.0
    return float(2 * t.sf(abs(effect) / (spread * np.sqrt(1 + 1 / independent)), independent - 1 or 1))
