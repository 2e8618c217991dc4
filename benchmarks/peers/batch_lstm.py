"""neuralforecast's LSTM on a table of many series: trained on a sample, then asked for all of them at once.

    python batch_lstm.py SAMPLE.parquet PANEL.parquet ANSWER.json HORIZON CONTEXT HIDDEN STEPS

The answer has the seconds of reading the panel and of ``predict`` on it, and how many parameters the model has.
"""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from pathlib import Path

import pandas as pd


def main() -> None:
    warnings.simplefilter("ignore")
    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    from neuralforecast import NeuralForecast
    from neuralforecast.losses.pytorch import MQLoss
    from neuralforecast.models import LSTM

    sample, panel, answer = map(Path, sys.argv[1:4])
    horizon, context, hidden, steps = map(int, sys.argv[4:])
    model = LSTM(
        h=horizon,
        input_size=context,
        encoder_hidden_size=hidden,
        encoder_n_layers=1,
        loss=MQLoss(quantiles=[level / 10 for level in range(1, 10)]),
        scaler_type="standard",
        max_steps=steps,
        enable_progress_bar=False,
        logger=False,
        enable_checkpointing=False,
    )
    forecaster = NeuralForecast(models=[model], freq="D")
    forecaster.fit(_read(sample))
    began = time.perf_counter()
    table = _read(panel)
    read = time.perf_counter()
    predicted = forecaster.predict(df=table)
    ended = time.perf_counter()
    assert len(predicted) == horizon * table["unique_id"].nunique()
    found = {"read_seconds": read - began, "predict_seconds": ended - read}
    found["parameters"] = sum(parameter.numel() for parameter in forecaster.models[0].parameters())
    answer.write_text(json.dumps(found))


def _read(path: Path) -> pd.DataFrame:
    return pd.read_parquet(path).rename(columns={"item": "unique_id", "day": "ds", "sold": "y"})


if __name__ == "__main__":
    main()
