"""Errors of forecasts, as the forecasting competitions define them.

Shapes: W windows, F steps of the horizon, Q quantile levels. A NaN in the truth is a step that nobody observed: it
counts in no metric, and a metric without a single observed step is NaN.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
CHUNK = 1 << 15
"""Windows whose quantile losses are worked out at a time."""


@dataclass(frozen=True)
class Scores:
    """The headline metrics of one forecaster over all windows."""

    mase: float
    smape: float
    wql: float
    mae: float
    rmse: float
    coverage_80: float


def score(
    truth_WF: Floats, quantiles_WFQ: Floats, levels: list[float], scale_W: Floats, items_W: NDArray[np.int64]
) -> Scores:
    """Score forecasts; ``levels`` must hold 0.1, 0.5 and 0.9, ``scale_W`` is each window's ``seasonal_error``."""
    median_WF = quantiles_WFQ[:, :, levels.index(0.5)]
    error_WF = np.abs(truth_WF - median_WF)
    low_WF, high_WF = quantiles_WFQ[:, :, levels.index(0.1)], quantiles_WFQ[:, :, levels.index(0.9)]
    return Scores(
        mase=mase(truth_WF, median_WF, scale_W, items_W),
        smape=smape(truth_WF, median_WF, items_W),
        wql=wql(truth_WF, quantiles_WFQ, levels),
        mae=_mean(error_WF),
        rmse=float(np.sqrt(_mean(error_WF**2))),
        coverage_80=_mean(_known((truth_WF >= low_WF) & (truth_WF <= high_WF), truth_WF)),
    )


def seasonal_error(history: Floats, season_length: int) -> float:
    """Return the in-sample mean absolute error of the seasonal naive forecast: the unit of MASE.

    A history that has no observed pair a season apart, or whose pairs are all equal, is measured by its steps of one
    instead; one that does not move at all has the unit 1.0.
    """
    for lag in dict.fromkeys((season_length, 1)):
        steps = np.abs(history[lag:] - history[:-lag])
        steps = steps[np.isfinite(steps)]
        if steps.size and steps.mean() > 0:
            return float(steps.mean())
    return 1.0


def scaled_errors(truth_WF: Floats, median_WF: Floats, scale_W: Floats) -> Floats:
    """Return absolute errors [W, F] in units of each item's seasonal naive error, NaN where nothing was observed."""
    return np.abs(truth_WF - median_WF) / scale_W[:, None]


def mase(truth_WF: Floats, median_WF: Floats, scale_W: Floats, items_W: NDArray[np.int64]) -> float:
    """Mean absolute scaled error (Hyndman & Koehler 2006), averaged within an item first, then over items."""
    return _mean(per_item(scaled_errors(truth_WF, median_WF, scale_W), items_W)[1])


def smape(truth_WF: Floats, median_WF: Floats, items_W: NDArray[np.int64]) -> float:
    """Symmetric mean absolute percentage error, 0 to 200, averaged within an item first; 0 against 0 is no error."""
    error_WF, size_WF = np.abs(truth_WF - median_WF), np.abs(truth_WF) + np.abs(median_WF)
    share_WF = np.divide(200 * error_WF, size_WF, out=np.zeros_like(error_WF), where=size_WF != 0)
    return _mean(per_item(_known(share_WF, truth_WF), items_W)[1])


def wql(truth_WF: Floats, quantiles_WFQ: Floats, levels: list[float]) -> float:
    """Weighted quantile loss: twice the pinball loss over the sum of absolute truths, averaged over the levels."""
    total = float(np.nansum(np.abs(truth_WF)))
    if not np.isfinite(truth_WF).any() or total == 0:
        return float("nan")
    # A part at a time: what stands between is several times as large as the quantiles themselves.
    parts = (slice(start, start + CHUNK) for start in range(0, len(truth_WF), CHUNK))
    pinball = sum(float(np.nansum(_pinball(truth_WF[part], quantiles_WFQ[part], levels))) for part in parts)
    return 2 * pinball / total / len(levels)


def _pinball(truth_WF: Floats, quantiles_WFQ: Floats, levels: list[float]) -> Floats:
    over_WFQ = truth_WF[:, :, None] - quantiles_WFQ
    return np.maximum(np.asarray(levels) * over_WFQ, (np.asarray(levels) - 1) * over_WFQ)


def coverage(truth_WF: Floats, quantiles_WFQ: Floats) -> list[float]:
    """Return the share of observed truths that lie at or below each quantile [Q]; calibrated when it is the level."""
    return [_mean(_known(truth_WF <= quantiles_WFQ[:, :, q], truth_WF)) for q in range(quantiles_WFQ.shape[2])]


def by_step(values_WF: Floats) -> Floats:
    """Return the mean over windows at each step of the horizon [F]."""
    return np.array([_mean(values_WF[:, step]) for step in range(values_WF.shape[1])])


def per_window(values_WF: Floats) -> Floats:
    """Return the mean over the observed steps of each window [W]."""
    observed_W = np.isfinite(values_WF).sum(axis=1)
    return np.divide(np.nansum(values_WF, axis=1), observed_W, out=_nans(len(values_WF)), where=observed_W > 0)


def per_item(values_WF: Floats, items_W: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Return the items that occur [N], and the mean over all observed steps of each one's windows [N]."""
    items_N, place_W = np.unique(items_W, return_inverse=True)
    total_N = np.bincount(place_W, weights=np.nansum(values_WF, axis=1), minlength=len(items_N))
    observed_N = np.bincount(place_W, weights=np.isfinite(values_WF).sum(axis=1), minlength=len(items_N))
    return items_N, np.divide(total_N, observed_N, out=_nans(len(items_N)), where=observed_N > 0)


def window_weights(truth_WF: Floats, items_W: NDArray[np.int64]) -> Floats:
    """Return weights [W] with which the mean of ``per_window`` errors is the mean of ``per_item`` errors."""
    observed_W = np.isfinite(truth_WF).sum(axis=1).astype(np.float64)
    _, place_W = np.unique(items_W, return_inverse=True)
    whole_W = np.bincount(place_W, weights=observed_W)[place_W]
    share_W = np.divide(observed_W, whole_W, out=np.zeros_like(observed_W), where=whole_W > 0)
    return share_W / max(share_W.sum(), 1e-12)


def _known(values_WF: NDArray[Any], truth_WF: Floats) -> Floats:
    return np.where(np.isfinite(truth_WF), values_WF, np.nan)


def _mean(values: NDArray[Any]) -> float:
    known = values[np.isfinite(values)]
    return float(known.mean()) if known.size else float("nan")


def _nans(size: int) -> Floats:
    return np.full(size, np.nan)
