"""The linear baseline: one ridge regression over all items, direct for each step of the horizon.

Its features are the context, the calendar of the first step to predict, and the item's level. Items differ in size, so
windows are scaled: by their own context, or by their item's training part. Which of the two is chosen on the newest
fifth of the training windows; the penalty by leave-one-out cross-validation.

Shapes: K windows, C steps of context, A calendar features, F steps of the horizon, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.scoring.metrics import seasonal_error

Floats = NDArray[np.float64]
Scaling = Literal["window", "item"]
SCALINGS: tuple[Scaling, ...] = ("window", "item")

MOST_WINDOWS = 20_000
FEW_WINDOWS = 5_000
SEASONS = 7
HELD_OUT = 0.2
PENALTIES = np.logspace(-1, 5, 13)
SHARE_OF_ITEMS = 0.9
EDGE = 10.0


@dataclass(frozen=True)
class Inputs:
    """What is known of windows before their horizon."""

    context_KC: Floats
    calendar_KA: Floats
    item_level_K: Floats
    item_spread_K: Floats


@dataclass(frozen=True)
class Examples(Inputs):
    """Windows to learn from; ``place_K`` runs from an item's first window, 0, to its last, 1."""

    seasonal_error_K: Floats
    truth_KF: Floats
    place_K: Floats

    def chosen(self, places: NDArray[Any]) -> Examples:
        return Examples(**{name: values[places] for name, values in vars(self).items()})


@dataclass(frozen=True)
class Ridge:
    """A fitted regression and the quantiles of its own residuals, both in scaled units."""

    scaling: Scaling
    context: int
    model: Any
    spread_FQ: Floats

    def predict(self, inputs: Inputs) -> Floats:
        """Return quantiles [K, F, Q] in the target's units."""
        features, level_K, scale_K = _features(inputs, self.scaling)
        point_KF = self.model.predict(features).reshape(len(features), -1)
        return level_K[:, None, None] + scale_K[:, None, None] * (point_KF[:, :, None] + self.spread_FQ)


def forecast_linear(
    histories: list[Floats], calendar_WA: Floats, items_W: NDArray[np.int64], training: Training
) -> Floats | None:
    """Return quantiles [W, F, Q], or None if no training item holds a context and a horizon.

    A history shorter than the context is continued backwards with its first observed value.
    """
    ridge = _chosen(training)
    if ridge is None:
        return None
    levels_N, spreads_N, _ = training.scales
    pairs = zip(histories, items_W, strict=True)
    context_WC = np.stack([_filled(_padded(history, ridge.context), levels_N[i]) for history, i in pairs])
    return ridge.predict(Inputs(context_WC, calendar_WA, levels_N[items_W], spreads_N[items_W]))


@dataclass(frozen=True)
class Training:
    """The training part: each item's target [T] and the calendar [T, A] of its steps."""

    targets: list[Floats]
    calendars: list[Floats]
    horizon: int
    season_length: int
    levels: list[float]
    seed: int

    @cached_property
    def scales(self) -> tuple[Floats, Floats, Floats]:
        """Each item's mean, mean absolute deviation and seasonal error [N]; 0, 1 and 1 where there is none."""
        measured = [_scales(target, self.season_length) for target in self.targets]
        means_N, spreads_N, errors_N = np.array(measured, dtype=np.float64).reshape(-1, 3).T
        return means_N, spreads_N, errors_N

    def context(self) -> int:
        """Return the context length: seven seasons, at least a horizon, or what nine items in ten can give."""
        lengths = [len(target) for target in self.targets]
        most = int(np.quantile(lengths, 1 - SHARE_OF_ITEMS)) - self.horizon
        return max(min(max(SEASONS * self.season_length, self.horizon), most), 1)

    def examples(self, context: int, most: int) -> Examples | None:
        """Draw at most ``most`` windows of which the whole horizon was observed; None if there are none."""
        counts = np.array([max(len(target) - context - self.horizon + 1, 0) for target in self.targets])
        total, rng = int(counts.sum()), np.random.default_rng(self.seed)
        drawn = np.sort(rng.choice(total, min(total, most), replace=False)) if total else np.zeros(0, dtype=np.int64)
        item_K = np.searchsorted(np.cumsum(counts), drawn, side="right")
        end_K = drawn - (np.cumsum(counts) - counts)[item_K] + context
        kept = [place for place, (i, end) in enumerate(zip(item_K, end_K, strict=True)) if self._whole(i, end, context)]
        if len(kept) < 2:
            return None
        item_K, end_K, (levels_N, spreads_N, errors_N) = item_K[kept], end_K[kept], self.scales
        pairs = list(zip(item_K, end_K, strict=True))
        return Examples(
            context_KC=np.stack([_filled(self.targets[i][end - context : end], levels_N[i]) for i, end in pairs]),
            calendar_KA=np.stack([self.calendars[i][end] for i, end in pairs]),
            item_level_K=levels_N[item_K],
            item_spread_K=spreads_N[item_K],
            seasonal_error_K=errors_N[item_K],
            truth_KF=np.stack([self.targets[i][end : end + self.horizon] for i, end in pairs]),
            place_K=(end_K - context) / np.maximum(counts[item_K] - 1, 1),
        )

    def _whole(self, item: int, end: int, context: int) -> bool:
        target = self.targets[item]
        return bool(
            np.isfinite(target[end : end + self.horizon]).all() and np.isfinite(target[end - context : end]).any()
        )


def _chosen(training: Training) -> Ridge | None:
    """Fit the scaling with the lower MASE on the newest fifth of a few windows, then fit it on many."""
    context = training.context()
    few, many = training.examples(context, FEW_WINDOWS), training.examples(context, MOST_WINDOWS)
    if few is None or many is None:
        return None
    newest = few.place_K > 1 - HELD_OUT
    older, newer = (few.chosen(~newest), few.chosen(newest)) if newest.any() and not newest.all() else (few, few)

    def error(scaling: Scaling) -> float:
        median_KF = _fit(older, scaling, training.levels).predict(newer)[:, :, training.levels.index(0.5)]
        return float((np.abs(median_KF - newer.truth_KF) / newer.seasonal_error_K[:, None]).mean())

    return _fit(many, min(SCALINGS, key=error), training.levels)


def _fit(examples: Examples, scaling: Scaling, levels: list[float]) -> Ridge:
    from sklearn.linear_model import RidgeCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    features, level_K, scale_K = _features(examples, scaling)
    scaled_KF = np.clip((examples.truth_KF - level_K[:, None]) / scale_K[:, None], -EDGE, EDGE)
    model = make_pipeline(StandardScaler(), RidgeCV(alphas=PENALTIES)).fit(features, scaled_KF)
    residuals_KF = scaled_KF - model.predict(features).reshape(scaled_KF.shape)
    return Ridge(scaling, examples.context_KC.shape[1], model, np.quantile(residuals_KF, levels, axis=0).T)


def _features(inputs: Inputs, scaling: Scaling) -> tuple[Floats, Floats, Floats]:
    """Return features [K, C + A + 1], and the level and scale [K] that targets are measured by.

    The calendar and the item's own level enter in the same unit as the context.
    """
    level_K = inputs.context_KC.mean(axis=1)
    centred_KC = inputs.context_KC - level_K[:, None]
    deviation_K = np.abs(centred_KC).mean(axis=1)
    scale_K = inputs.item_spread_K if scaling == "item" else np.where(deviation_K > 0, deviation_K, 1.0)
    place_K = np.clip((level_K - inputs.item_level_K) / scale_K, -EDGE, EDGE)
    unit_K = np.clip(inputs.item_spread_K / scale_K, 0, EDGE)
    features = [centred_KC / scale_K[:, None], place_K[:, None], inputs.calendar_KA * unit_K[:, None]]
    return np.hstack(features), level_K, scale_K


def _scales(target: Floats, season_length: int) -> tuple[float, float, float]:
    known = target[np.isfinite(target)]
    mean = float(known.mean()) if known.size else 0.0
    spread = float(np.abs(known - mean).mean()) if known.size else 0.0
    return mean, spread if spread > 0 else 1.0, seasonal_error(target, season_length)


def _padded(history: Floats, context: int) -> Floats:
    newest = history[-context:]
    return np.concatenate([np.full(context - len(newest), np.nan), newest])


def _filled(window: Floats, default: float) -> Floats:
    known = np.flatnonzero(np.isfinite(window))
    if len(known) == len(window):
        return window
    return np.interp(np.arange(len(window)), known, window[known]) if len(known) else np.full_like(window, default)
