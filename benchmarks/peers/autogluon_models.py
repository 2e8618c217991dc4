"""AutoGluon-TimeSeries: DeepAR and TemporalFusionTransformer alone, or the preset ``best_quality``.

    python autogluon_models.py REQUEST ANSWER deepar_tft|best_quality

No pretrained model takes part: those are not trained on the data, and are downloaded.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
import warnings
from typing import Any

import numpy as np
import pandas as pd
from exchange import Forecasts, Request, serve

PRETRAINED = ["Chronos", "Chronos2", "Toto", "Toto2"]
SETTINGS: dict[str, dict[str, Any]] = {
    "deepar_tft": {"hyperparameters": {"DeepAR": {}, "TemporalFusionTransformer": {}}},
    "best_quality": {"presets": "best_quality", "excluded_model_types": PRETRAINED},
}
CONTEXT = 2500
"""Steps before a window that are given to ``predict``: what AutoGluon's own local models look at."""


def forecast(request: Request, setting: str) -> Forecasts:
    from autogluon.timeseries import TimeSeriesPredictor

    with tempfile.TemporaryDirectory() as folder:
        predictor = TimeSeriesPredictor(
            prediction_length=request.asked["horizon"],
            target="target",
            known_covariates_names=request.known or None,
            quantile_levels=request.asked["quantiles"],
            eval_metric="MASE",
            eval_metric_seasonal_period=request.asked["season_length"],
            freq=request.asked["frequency"],
            path=folder,
        )
        began = time.perf_counter()
        training = _named(request.training(), "series")
        budget, seed = request.asked["budget"], request.asked["seed"]
        predictor.fit(training, time_limit=budget, random_seed=seed, **SETTINGS[setting])
        seconds = time.perf_counter() - began
        quantiles_WFQ = _predicted(predictor, request)
        facts = {"best_model": predictor.model_best, "models": _board(predictor)}
    return Forecasts(quantiles_WFQ, seconds, facts)


def _board(predictor: Any) -> list[dict[str, Any]]:
    """Return each model's validation MASE and the seconds that it was trained and validated for, in training order."""
    board = predictor.leaderboard().sort_values("fit_order")
    rows = zip(board["model"], board["score_val"], board["fit_time_marginal"], board["pred_time_val"], strict=True)
    return [
        {"model": model, "validation_mase": -score, "fit_seconds": fit, "validation_seconds": validation}
        for model, score, fit, validation in rows
    ]


def _predicted(predictor: Any, request: Request) -> np.ndarray:
    """Forecast each window as if it were a series of its own, which ends where the window begins."""
    known = _named(request.horizons(), "window") if request.known else None
    found = predictor.predict(
        _named(request.before(CONTEXT), "window"), known_covariates=known, random_seed=request.asked["seed"]
    )
    windows = np.repeat(np.arange(len(request.items_W)), request.asked["horizon"])
    assert np.array_equal(found.index.get_level_values("item_id"), windows), "forecasts come in the order of windows"
    columns = [str(level) for level in request.asked["quantiles"]]
    return found[columns].to_numpy(np.float64).reshape(len(request.items_W), request.asked["horizon"], -1)


def _named(rows: pd.DataFrame, series: str) -> Any:
    """Return ``rows`` as AutoGluon's data frame; ``series`` is the column that tells series apart."""
    from autogluon.timeseries import TimeSeriesDataFrame

    dropped = rows.drop(columns=[name for name in ("series", "window", "step") if name in rows and name != series])
    return TimeSeriesDataFrame.from_data_frame(dropped, id_column=series, timestamp_column="timestamp")


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    os.environ.setdefault("HF_HUB_OFFLINE", "1")
    chosen = sys.argv.pop()
    serve(lambda request: forecast(request, chosen), ("autogluon.timeseries", "torch", "lightning"))
