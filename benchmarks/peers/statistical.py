"""One series at a time: statsforecast's AutoETS and AutoTheta, and Carousel's seasonal naive.

    python statistical.py REQUEST ANSWER autoets|autotheta|seasonal_naive

A model is fitted anew for each window, two at a time on two cores, until the budget is spent; seasonal naive stands in
for windows that were not reached, and for those where the fit fails.
"""

from __future__ import annotations

import random
import sys
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from typing import Any

import numpy as np
from exchange import Forecasts, Request, serve

from tasks.scoring.baselines import Setting, seasonal_naive
from tasks.scoring.ets import LONGEST_SEASON, MOST_STEPS, SEASONS

Floats = np.ndarray


def naive(request: Request) -> Forecasts:
    began = time.perf_counter()
    quantiles_WFQ = seasonal_naive(request.histories(), _setting(request)).quantiles_WFQ
    return Forecasts(quantiles_WFQ, time.perf_counter() - began, {})


def fitted(request: Request, name: str) -> Forecasts:
    """Fit the model ``name`` to each window, in a random order, and forecast it."""
    began = time.perf_counter()
    asked, histories = request.asked, request.histories()
    quantiles_WFQ = naive(request).quantiles_WFQ
    newest = max(SEASONS * asked["season_length"], MOST_STEPS)
    order = random.Random(asked["seed"]).sample(range(len(histories)), len(histories))
    one = partial(MODELS[name], horizon=asked["horizon"], season=asked["season_length"], levels=asked["quantiles"])
    reached, failed = 0, 0
    with ProcessPoolExecutor(asked["threads"]) as pool:
        windows = {pool.submit(_tried, one, histories[window][-newest:]): window for window in order}
        try:
            for done in as_completed(windows, timeout=asked["budget"] - (time.perf_counter() - began)):
                reached += 1
                if (found := done.result()) is None:
                    failed += 1
                else:
                    quantiles_WFQ[windows[done]] = found
        except TimeoutError:
            pool.shutdown(cancel_futures=True)
    facts = {"windows_fitted": reached - failed, "windows_failed": failed, "windows_not_reached": len(order) - reached}
    return Forecasts(quantiles_WFQ, time.perf_counter() - began, {**facts, "newest_steps": newest})


def _tried(one: Callable[[Floats], Floats], history: Floats) -> Floats | None:
    warnings.simplefilter("ignore")
    try:
        quantiles_FQ = one(history)
    except Exception:
        return None
    return quantiles_FQ if np.isfinite(quantiles_FQ).all() else None


def auto_ets(history: Floats, horizon: int, season: int, levels: list[float]) -> Floats:
    """Return quantiles [F, Q]; statsforecast's exponential smoothing knows no season longer than 24 steps."""
    from statsforecast.models import AutoETS

    seasonal = season <= LONGEST_SEASON and len(history) >= 2 * season
    return _quantiles(AutoETS(season_length=season if seasonal else 1), history, horizon, levels)


def auto_theta(history: Floats, horizon: int, season: int, levels: list[float]) -> Floats:
    from statsforecast.models import AutoTheta

    return _quantiles(AutoTheta(season_length=season), history, horizon, levels)


def _quantiles(model: Any, history: Floats, horizon: int, levels: list[float]) -> Floats:
    """Return quantiles [F, Q]: the bounds of central intervals, and the point forecast as the median."""
    widths = {level: round(abs(2 * level - 1) * 100) for level in levels}
    found = model.forecast(history, horizon, level=sorted(set(widths.values()) - {0}))
    names = [f"{'hi' if level > 0.5 else 'lo'}-{width}" if width else "mean" for level, width in widths.items()]
    return np.stack([found[name] for name in names], axis=1)


MODELS: dict[str, Callable[..., Floats]] = {"autoets": auto_ets, "autotheta": auto_theta}


def _setting(request: Request) -> Setting:
    target, starts_N = request.history["target"].to_numpy(), request.starts_N
    return Setting(
        training=[target[start : start + end] for start, end in zip(starts_N, request.train_end_N, strict=True)],
        items_W=request.items_W,
        horizon=request.asked["horizon"],
        season_length=request.asked["season_length"],
        levels=request.asked["quantiles"],
    )


if __name__ == "__main__":
    chosen = sys.argv.pop()
    serve(naive if chosen == "seasonal_naive" else partial(fitted, name=chosen), ("carousel", "statsforecast", "numpy"))
