"""What a model must beat: last value, seasonal naive, AutoETS, and a linear model over all items.

A baseline is a function ``(histories, setting) -> BaselineForecasts``; ``BASELINES`` is the registry of them. Each
forecasts all windows from their own histories and learns, where it learns, from ``setting.training`` alone.

Shapes: W windows, F steps of the horizon, Q quantile levels, A calendar features, K residuals.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.ets import forecast_all
from tasks.scoring.metrics import seasonal_error

Floats = NDArray[np.float64]

MOST_RESIDUALS = 1000
MOST_ITEMS = 500


@dataclass(frozen=True)
class Setting:
    """What all baselines share.

    Args:
        training: the training part of each item; a NaN is a step that nobody observed.
        season_length: steps in a season, 1 for none.
        levels: quantile levels, rising, with 0.5 among them.
        items_W: the item of each window, as its place in ``training``.
        training_calendar: calendar features [T, A] of each item's training steps; none for an integer index.
        calendar_WA: calendar features of the first step that each window predicts.
    """

    training: list[Floats]
    items_W: NDArray[np.int64]
    horizon: int
    season_length: int
    levels: list[float]
    workers: int = 1
    seed: int = 0
    training_calendar: list[Floats] | None = None
    calendar_WA: Floats | None = None


@dataclass(frozen=True)
class BaselineForecasts:
    """Quantiles in the target's units, non-crossing, never NaN; ``notes`` are sentences on what went otherwise."""

    quantiles_WFQ: Floats
    notes: list[str] = field(default_factory=list)


def last_value(histories: list[Floats], setting: Setting) -> BaselineForecasts:
    """Repeat the last observed value."""
    return _naive(histories, setting, season_length=1)


def seasonal_naive(histories: list[Floats], setting: Setting) -> BaselineForecasts:
    """Repeat the last season; a phase that was missing then takes its last observed value."""
    return _naive(histories, setting, setting.season_length)


def auto_ets(histories: list[Floats], setting: Setting) -> BaselineForecasts:
    """Exponential smoothing, its form chosen by AICc for each history; where that fails, seasonal naive and a note."""
    horizon, season, levels = setting.horizon, setting.season_length, setting.levels
    quantiles_WFQ = forecast_all(histories, horizon, season, levels, setting.workers)
    failed_W = ~np.isfinite(quantiles_WFQ).all(axis=(1, 2))
    notes = []
    if failed_W.any():
        fallback = seasonal_naive([histories[window] for window in np.flatnonzero(failed_W)], setting)
        quantiles_WFQ[failed_W] = fallback.quantiles_WFQ
        notes.append(f"auto_ets failed on {failed_W.sum()} of {len(histories)} windows; seasonal naive stands in there")
    return BaselineForecasts(np.sort(quantiles_WFQ, axis=2), notes)


def linear(histories: list[Floats], setting: Setting) -> BaselineForecasts:
    """Ridge regression over all items, one equation a step of the horizon, on windows scaled by their own level."""
    from tasks.scoring.linear import Training, forecast_linear

    nothing = [np.empty((len(target), 0)) for target in setting.training]
    calendars = nothing if setting.training_calendar is None else setting.training_calendar
    calendar_WA = np.empty((len(histories), 0)) if setting.calendar_WA is None else setting.calendar_WA
    training = Training(
        setting.training, calendars, setting.horizon, setting.season_length, setting.levels, setting.seed
    )
    quantiles_WFQ = forecast_linear(histories, calendar_WA, setting.items_W, training)
    if quantiles_WFQ is None:
        note = "linear found no training item that holds a context and a horizon; seasonal naive stands in"
        return BaselineForecasts(seasonal_naive(histories, setting).quantiles_WFQ, [note])
    return BaselineForecasts(quantiles_WFQ)


BASELINES: dict[str, Callable[[list[Floats], Setting], BaselineForecasts]] = {
    "last_value": last_value,
    "seasonal_naive": seasonal_naive,
    "auto_ets": auto_ets,
    "linear": linear,
}


def repeat_season(history: Floats, horizon: int, season_length: int) -> Floats:
    """Return the last observed value of each phase for the steps of the horizon [F].

    A phase that was never observed, as in a history shorter than a season, takes the last observed value; a history
    without one is forecast as 0.
    """
    known = np.flatnonzero(np.isfinite(history))
    if len(known) == 0:
        return np.zeros(horizon)
    season = np.full(season_length, history[known[-1]])
    phases = (known - len(history)) % season_length
    season[phases] = history[known]
    return np.resize(season, horizon)


def _naive(histories: list[Floats], setting: Setting, season_length: int) -> BaselineForecasts:
    horizon, levels = setting.horizon, setting.levels
    spread_FQ = _spread(setting, season_length)
    point_WF = np.stack([repeat_season(history, horizon, season_length) for history in histories])
    scale_W = np.array([seasonal_error(history, season_length) for history in histories])
    quantiles_WFQ = point_WF[:, :, None] + scale_W[:, None, None] * spread_FQ
    quantiles_WFQ[:, :, levels.index(0.5)] = point_WF
    return BaselineForecasts(quantiles_WFQ)


def _spread(setting: Setting, season_length: int) -> Floats:
    """Quantiles [F, Q] of the naive forecast's own residuals in training, in units of each item's naive error.

    Residuals count with both signs, so that the median stays the naive forecast itself.
    """
    rng = np.random.default_rng(setting.seed)
    chosen = rng.permutation(len(setting.training))[:MOST_ITEMS]
    spread_FQ = np.zeros((setting.horizon, len(setting.levels)))
    for step in range(setting.horizon):
        lag = season_length * (step // season_length + 1)
        residuals_K = np.concatenate([_residuals(setting.training[item], lag, season_length) for item in chosen])
        if residuals_K.size:
            spread_FQ[step] = np.quantile(np.concatenate([residuals_K, -residuals_K]), setting.levels)
        elif step:
            spread_FQ[step] = spread_FQ[step - 1]
    return spread_FQ


def _residuals(history: Floats, lag: int, season_length: int) -> Floats:
    newest = history[-(lag + MOST_RESIDUALS) :]
    differences = newest[lag:] - newest[:-lag]
    return differences[np.isfinite(differences)] / seasonal_error(history, season_length)
