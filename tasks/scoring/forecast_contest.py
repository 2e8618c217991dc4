"""All forecasters on the same sealed windows: what ``evaluate`` writes and ``report`` reads of the kind ``forecast``.

    evaluation.json     leaderboard, tests, verdict, errors by step, calibration
    examples.json       a few windows from best to worst, with their history, to be drawn
    forecasts.parquet   item_id, end, step, actual, a column of the model for each quantile, the medians of the others
    windows.parquet     item_id, end, and each forecaster's error in units of MASE
    items.parquet       item_id, and likewise

Shapes: W windows, F steps of the horizon, Q quantile levels.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from tasks.kinds.metric import PERCENT, Metric
from tasks.scoring import clusters, contest, metrics
from tasks.scoring.clusters import Clusters
from tasks.scoring.contest import Contest, Entry

Floats = NDArray[np.float64]

METRICS = [
    Metric("mase", "MASE", False, ".3f", "error over the seasonal naive error in training"),
    Metric("wql", "WQL", False, ".4f", "weighted quantile loss"),
    Metric("smape", "sMAPE", False, ".2f", "in per cent"),
    Metric("mae", "MAE", False, ".2f", "in the target's unit", brief=False),
    Metric("rmse", "RMSE", False, ".2f", "in the target's unit", brief=False),
    Metric("coverage_80", "in 80 %", None, PERCENT, "truths inside the 80 % interval, whose aim is 80 %", aim=0.8),
]


@dataclass(frozen=True)
class Forecaster:
    """One forecaster's quantiles for all windows, the seconds that they took, and the milliseconds of one window."""

    name: str
    kind: Literal["lstm", "baseline", "champion"]
    quantiles_WFQ: Floats
    seconds: float
    notes: list[str] = field(default_factory=list)
    latency_ms: float | None = None


@dataclass(frozen=True)
class ForecastContest:
    """Forecasters and truth on the same windows; the first forecaster is the model that is being proved.

    ``items_W`` are places in ``item_ids``; ``steps_W`` is the first step that a window predicts, counted from one day
    that all series share; ``scale_W`` is the seasonal naive error of each window's training part.
    """

    item_ids: list[str]
    items_W: NDArray[np.int64]
    ends_W: NDArray[np.int64]
    steps_W: NDArray[np.int64]
    truth_WF: Floats
    scale_W: Floats
    levels: list[float]
    forecasters: list[Forecaster]

    def median(self, forecaster: Forecaster) -> Floats:
        return forecaster.quantiles_WFQ[:, :, self.levels.index(0.5)]

    def scaled_errors(self, forecaster: Forecaster) -> Floats:
        return metrics.scaled_errors(self.truth_WF, self.median(forecaster), self.scale_W)

    @property
    def scored(self) -> Contest:
        """The contest without its forecasts."""
        weights_W = metrics.window_weights(self.truth_WF, self.items_W)
        sorts = (clusters.periods(self.steps_W, self.truth_WF.shape[1]), Clusters("series", self.items_W))
        return Contest(METRICS, [self._scored(one) for one in self.forecasters], weights_W, "window", "MASE", sorts)

    def _scored(self, one: Forecaster) -> Entry:
        scores = metrics.score(self.truth_WF, one.quantiles_WFQ, self.levels, self.scale_W, self.items_W)
        errors_W = metrics.per_window(self.scaled_errors(one))
        return Entry(one.name, one.kind, asdict(scores), errors_W, one.seconds, one.notes, latency_ms=one.latency_ms)


def summary(held: ForecastContest, champion_note: str | None = None) -> dict[str, Any]:
    """Return the content of ``evaluation.json``; ``champion_note`` says why a champion could not be compared."""
    errors = {one.name: held.scaled_errors(one) for one in held.forecasters}
    return {
        "kind": "forecast",
        "windows": int(np.isfinite(held.truth_WF).any(axis=1).sum()),
        "items": len(np.unique(held.items_W)),
        "horizon": held.truth_WF.shape[1],
        "quantiles": held.levels,
        **contest.summary(held.scored, champion_note),
        "by_horizon": {name: metrics.by_step(error_WF).tolist() for name, error_WF in errors.items()},
        "calibration": {one.name: metrics.coverage(held.truth_WF, one.quantiles_WFQ) for one in held.forecasters},
    }


def write(held: ForecastContest, facts: dict[str, Any], examples: list[dict[str, Any]], out: Path) -> None:
    """Write the files that the module's docstring lists into ``out``."""
    import polars as pl

    contest.write_json(facts, out / "evaluation.json")
    contest.write_json(examples, out / "examples.json")
    _forecasts(held).write_parquet(out / "forecasts.parquet")
    errors = {one.name: held.scaled_errors(one) for one in held.forecasters}
    windows = {name: metrics.per_window(error_WF) for name, error_WF in errors.items()}
    ids_W = [held.item_ids[item] for item in held.items_W]
    pl.DataFrame({"item_id": ids_W, "end": held.ends_W, **windows}).write_parquet(out / "windows.parquet")
    items_N = np.unique(held.items_W)
    items = {name: metrics.per_item(error_WF, held.items_W)[1] for name, error_WF in errors.items()}
    pl.DataFrame({"item_id": [held.item_ids[i] for i in items_N], **items}).write_parquet(out / "items.parquet")


def _forecasts(held: ForecastContest) -> Any:
    import polars as pl

    windows, horizon = held.truth_WF.shape
    model, *others = held.forecasters
    quantiles = {
        f"{model.name}_{level:g}": model.quantiles_WFQ[:, :, place].ravel() for place, level in enumerate(held.levels)
    }
    ids = pl.Series([held.item_ids[item] for item in held.items_W], dtype=pl.String)
    return pl.DataFrame(
        {
            "item_id": ids.gather(np.repeat(np.arange(windows), horizon)),
            "end": np.repeat(held.ends_W, horizon),
            "step": np.tile(np.arange(1, horizon + 1), windows),
            "actual": pl.Series(held.truth_WF.ravel()).fill_nan(None),
            **quantiles,
            **{one.name: held.median(one).ravel() for one in others},
        }
    )
