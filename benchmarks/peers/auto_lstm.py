"""neuralforecast's AutoLSTM with the Optuna backend and its default space.

Series shorter than a window are padded, and the loss is that of the quantiles, for otherwise it forecasts a point. Its
time budget is Optuna's: the trial in progress goes on, and the refit of the best trial comes on top. The longest
contexts of the space would take hours on few cores, so Lightning cuts off a training that takes the whole budget; a
trial that was never validated until then (every 100 steps) has failed. In all it takes three budgets or so, for a
validation is not cut off.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from exchange import Forecasts, Request, serve

MOST_TRIALS = 100_000
VALIDATION_HORIZONS = 10
"""Validation is on so many horizons at most: its windows begin at every step, so more would take most of the budget."""
SHORTEST_CONTEXT = 2500
"""Steps before a window that are given to ``predict`` at least; the model looks at ``input_size`` of them."""


def forecast(request: Request) -> Forecasts:
    import torch
    from neuralforecast import NeuralForecast

    torch.set_num_threads(request.asked["threads"])
    request = request.one_hot()
    began, curve = time.perf_counter(), []

    def told(study: Any, trial: Any) -> None:
        if trial.value is not None:
            curve.append([round(time.perf_counter() - began, 1), study.best_value])

    forecaster = NeuralForecast(models=[_model(request, told)], freq=request.asked["frequency"])
    validation = min(request.asked["validation_span"], VALIDATION_HORIZONS * request.asked["horizon"])
    forecaster.fit(_named(request.training(), "series"), val_size=validation)
    seconds = time.perf_counter() - began
    fitted = forecaster.models[0]
    study = fitted.results
    facts = {"trials": len(study.trials), "trials_validated": len(curve), "best_value": study.best_value}
    facts["validation_curve"] = curve
    facts["best_params"] = study.best_trial.params
    newest = max(SHORTEST_CONTEXT, fitted.model.input_size + request.asked["horizon"])
    return Forecasts(_predicted(forecaster, request, newest), seconds, facts)


def _model(request: Request, told: Callable[[Any, Any], None]) -> Any:
    import optuna
    from neuralforecast.auto import AutoLSTM
    from neuralforecast.common._base_auto import OptunaOptions
    from neuralforecast.losses.pytorch import MQLoss

    horizon, levels = request.asked["horizon"], request.asked["quantiles"]
    default = AutoLSTM.get_default_config(h=horizon, backend="optuna")
    added = {
        "start_padding_enabled": True,
        "max_time": {"seconds": request.asked["budget"]},
        "accelerator": "cpu",
        "logger": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
        "enable_checkpointing": False,
    }
    if request.known:
        added["futr_exog_list"] = request.known
    return AutoLSTM(
        h=horizon,
        loss=MQLoss(quantiles=levels),
        valid_loss=MQLoss(quantiles=levels),
        config=lambda trial: {**default(trial), **added},
        search_alg=optuna.samplers.TPESampler(seed=request.asked["seed"]),
        num_samples=MOST_TRIALS,
        time_budget=request.asked["budget"],
        backend="optuna",
        optuna_options=OptunaOptions(study_kwargs={"catch": (KeyError,)}),
        callbacks=[told],
        alias="model",
    )


def _predicted(forecaster: Any, request: Request, newest: int) -> np.ndarray:
    """Forecast each window as if it were a series of its own, which ends where the window begins."""
    known = _named(request.horizons(), "window") if request.known else None
    found = forecaster.predict(_named(request.before(newest), "window"), futr_df=known)
    columns = [column for column in found.columns if column.startswith("model")]
    assert len(columns) == len(request.asked["quantiles"]), columns
    found = found.sort_values(["unique_id", "ds"])
    return found[columns].to_numpy(np.float64).reshape(len(request.items_W), request.asked["horizon"], -1)


def _named(rows: pd.DataFrame, series: str) -> pd.DataFrame:
    """Return ``rows`` under neuralforecast's names; ``series`` is the column that tells series apart."""
    dropped = rows.drop(columns=[name for name in ("series", "window", "step") if name in rows and name != series])
    return dropped.rename(columns={series: "unique_id", "timestamp": "ds", "target": "y"})


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    serve(forecast, ("neuralforecast", "torch", "pytorch-lightning", "optuna"))
