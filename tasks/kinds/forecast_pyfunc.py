"""The registered forecaster, as MLflow loads it: this file and the package ``models``, copied beside the weights.

It imports nothing of ``flows`` or ``tasks``. Takes a long table with the columns that the model was trained on and
returns one row for each item and step of the horizon.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel


class ForecastModel(PythonModel):
    """Forecasts the horizon that follows each item's last observed target."""

    bundle: Any

    def load_context(self, context: Any) -> None:
        from models import bundle

        self.bundle = bundle.load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Forecast.

        Args:
            context: MLflow's; not used.
            model_input: item columns, time column, targets and covariates. Stamps without a zone are read as UTC if
                the model knows a time zone and steps shorter than a day. Rows whose target is empty at the end of an
                item carry the known covariates of the horizon. A category that is missing or new is "unknown".
            params: none are known.

        Returns:
            Item columns, ``target`` if there are several, time column, ``forecast`` (the median) and a column for each
            quantile, such as ``q0.9``.
        """
        from models import panel_building

        facts = self.bundle.facts
        ids = _item_ids(model_input, facts.item_columns)
        upcoming = panel_building.build(
            facts, ids, _stamps(model_input[facts.time_column], facts), _columns(model_input, facts)
        )
        quantiles_NFQ = self.bundle.predict(upcoming.panel, np.arange(len(upcoming.item_ids)), upcoming.ends_N)
        return _frame(model_input, ids, facts, upcoming, quantiles_NFQ)


def _item_ids(frame: pd.DataFrame, columns: list[str]) -> np.ndarray:
    if not columns:
        return np.full(len(frame), "series")
    joined = frame[columns[0]].astype(str)
    for column in columns[1:]:
        joined = joined + "|" + frame[column].astype(str)
    return joined.to_numpy(dtype=str)


def _stamps(column: pd.Series, facts: Any) -> np.ndarray:
    if facts.integer_time:
        return column.to_numpy(dtype=np.int64)
    stamps = pd.to_datetime(column)
    if stamps.dt.tz is not None:
        # Steps under a day are counted on instants, longer ones on the local calendar.
        zone = "UTC" if facts.frequency[-1] in "smh" else facts.time_zone or "UTC"
        stamps = stamps.dt.tz_convert(zone).dt.tz_localize(None)
    return stamps.to_numpy(dtype="datetime64[us]").astype(np.int64)


def _columns(frame: pd.DataFrame, facts: Any) -> dict[str, np.ndarray]:
    encoding = facts.encoding
    numbers = [*facts.targets, *encoding.numeric, *encoding.static_numeric]
    categories = [name for name in (*encoding.categorical, *encoding.static_categorical) if name != encoding.TARGET]
    columns = {name: frame[name].to_numpy(dtype=np.float64, na_value=np.nan) for name in numbers}
    for name in categories:
        values = frame[name].astype(object) if name in frame else pd.Series(None, index=frame.index, dtype=object)
        columns[name] = values.where(values.notna(), None).to_numpy()
    return columns


def _frame(frame: pd.DataFrame, ids: np.ndarray, facts: Any, upcoming: Any, quantiles_NFQ: np.ndarray) -> pd.DataFrame:
    rows = pd.Series(np.arange(len(ids))).groupby(ids).first()
    first = np.repeat(rows.loc[upcoming.item_ids].to_numpy(), facts.horizon)
    out = {column: frame[column].to_numpy()[first] for column in facts.item_columns}
    if len(facts.targets) > 1:
        out["target"] = np.repeat(upcoming.targets, facts.horizon)
    stamps = upcoming.stamps(facts).reshape(-1)
    out[facts.time_column] = stamps if facts.integer_time else stamps.astype("datetime64[us]")
    flat = quantiles_NFQ.reshape(len(stamps), -1)
    out["forecast"] = flat[:, facts.quantiles.index(0.5)]
    for q, level in enumerate(facts.quantiles):
        out[f"q{level:g}"] = flat[:, q]
    return pd.DataFrame(out)


set_model(ForecastModel())
