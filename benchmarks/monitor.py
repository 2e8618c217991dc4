"""How often the monitor raises an alarm on real data: as they are, and with a change planted in them.

    python benchmarks/monitor.py

Rolling origins of two examples: all before an origin is the reference, what follows is new. Weather: each third day
from day 120 on, a week new, seven columns. Tourism: at six origins a year apart, draws of 40 of its series with the 24
months after it. An alarm on such data is not false for sure, a storm is unusual; so the rate is one from above.
The error: seasonal naive forecasts of what is new against those of the sealed windows that the example has before it.
"""

from __future__ import annotations

import argparse
import datetime
import json
import platform
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from carousel.experiment import load
from tasks import store
from tasks.ingest import ingest_table
from tasks.monitoring import drift, health, live, series
from tasks.monitoring.features import Spans

RESULT = Path(__file__).parent / "results" / "monitor.json"
SIGNIFICANCE = 0.05 / health.FAMILIES
FAR = 10_000
"""Windows: positions below zero are shifted by these."""
Plant = Callable[[pl.Expr, pl.Expr], pl.Expr]
"""Takes a column and whether a step is new."""


def canonical(experiment: Path) -> tuple[pl.DataFrame, list[str]]:
    """Return the example's table with ``step``, counted back from each item's end (-1), and its columns of numbers."""
    data = load(experiment)["data"]
    place = store.path(ingest_table.fn(data))
    rows = pl.concat([pl.read_parquet(path) for path in sorted(place.glob("part-*.parquet"))])
    ended = rows.filter(pl.col(data.target[0]).is_not_null().reverse().cum_max().reverse().over("item_id"))
    step = pl.int_range(pl.len(), dtype=pl.Int64).over("item_id") - pl.len().over("item_id")
    return ended.with_columns(step=step), [*data.target, *data.past_covariates]


def spread(column: pl.Expr, new: pl.Expr) -> pl.Expr:
    return column.filter(~new).std().over("item_id")


def noise(column: pl.Expr) -> pl.Expr:
    """A number between -1 and 1 for each row, the same in each run."""
    return (pl.int_range(pl.len()).hash(seed=3) % 2001).cast(pl.Float64) / 1000 - 1


def level(column: pl.Expr, new: pl.Expr) -> pl.Expr:
    return pl.when(new).then(column + 2 * spread(column, new)).otherwise(column)


def variance(column: pl.Expr, new: pl.Expr) -> pl.Expr:
    return pl.when(new).then(column + 3 * spread(column, new) * noise(column)).otherwise(column)


def dead(column: pl.Expr, new: pl.Expr) -> pl.Expr:
    last = column.filter(~new).drop_nulls().last().over("item_id")
    return pl.when(new).then(last).otherwise(column)


def silent(column: pl.Expr, new: pl.Expr) -> pl.Expr:
    return pl.when(new).then(None).otherwise(column)


def season(length: int) -> Plant:
    def shifted(column: pl.Expr, new: pl.Expr) -> pl.Expr:
        return pl.when(new).then(column.shift(length // 2).over("item_id")).otherwise(column)

    return shifted


def weather() -> Iterator[tuple[pl.DataFrame, list[str], Spans]]:
    rows, columns = canonical(Path("examples/weather.yaml"))
    days = -int(rows["step"].min()) // 24  # type: ignore[operator]
    for day in range(120, days - 7, 3):
        position = pl.col("step") + 24 * (days - day)
        yield rows.with_columns(position=position).filter(pl.col("position") < 168), columns, Spans.of(24)


def tourism() -> Iterator[tuple[pl.DataFrame, list[str], Spans]]:
    rows, columns = canonical(Path("examples/tourism.yaml"))
    rng, ids = np.random.default_rng(0), rows["item_id"].unique(maintain_order=True).to_numpy()
    for years in range(2, 8):
        for _ in range(12):
            drawn = rows.filter(pl.col("item_id").is_in(rng.choice(ids, 40, replace=False).tolist()))
            position = pl.col("step") + 12 * years
            yield drawn.with_columns(position=position).filter(pl.col("position") < 24), columns, Spans.of(12)


def found(frame: pl.DataFrame, columns: list[str], spans: Spans) -> list[str]:
    """Return what the monitor finds that drifted: "temp level"."""
    known = series.learn([frame], columns, [], spans)
    findings, _ = series.watch([frame], known)
    return [f"{one.column} {one.feature}" for one in drift.holm(findings, SIGNIFICANCE) if one.drifted]


def measured(runs: list[tuple[pl.DataFrame, list[str], Spans]], planted: bool) -> dict[str, Any]:
    """Return alarms of ``runs``, as they are and with each change planted in the first column."""
    plants: dict[str, Plant] = {"nothing": lambda column, new: column}
    if planted:
        shift = season(runs[0][2].season)
        plants |= {"level": level, "variance": variance, "seasonality": shift, "dead": dead, "silent": silent}
    told = {}
    for name, plant in plants.items():
        chosen = runs if name == "nothing" else runs[::4]
        alarms, what = 0, Counter[str]()
        for frame, columns, spans in chosen:
            first = columns[0]
            changed = frame.with_columns(plant(pl.col(first), pl.col("position") >= 0).alias(first))
            names = found(changed, columns, spans)
            alarms += bool(names)
            what.update(names)
        told[name] = {"runs": len(chosen), "alarms": alarms, "found": dict(what.most_common(6))}
        print(name, json.dumps(told[name]), flush=True)
    return told


def naive_errors(frame: pl.DataFrame, column: str, season: int, horizon: int) -> pl.DataFrame:
    """Return the errors of the seasonal naive forecasts of all windows, those of new data from period 0 on."""
    series_of = pl.col("item_id")
    last = pl.col(column).shift(season).over(series_of)
    for turn in range(2, -(-horizon // season) + 1):
        within = (pl.col("position") + FAR * horizon) % horizon
        last = (
            pl.when(within >= (turn - 1) * season)
            .then(pl.col(column).shift(turn * season).over(series_of))
            .otherwise(last)
        )
    unit = (pl.col(column) - pl.col(column).shift(season)).abs().filter(pl.col("position") < 0).mean().over(series_of)
    steps = frame.with_columns(
        error=(pl.col(column) - last).abs() / unit, period=(pl.col("position") + FAR * horizon) // horizon - FAR
    )
    windows = steps.group_by("period", unit=series_of).agg(pl.col("error").mean(), known=pl.col("error").count())
    whole = windows.filter(2 * pl.col("known") >= horizon).with_columns(inside=pl.lit(None, pl.Float64))
    return whole.select("period", "unit", "error", "inside").sort("period", "unit")


def degraded(runs: list[tuple[pl.DataFrame, list[str], Spans]], horizon: int, sealed: int) -> dict[str, Any]:
    """Return how often seasonal naive forecasts are called worse, as they are and with half as much error again."""
    told = {}
    for factor in (1.0, 1.5):
        figures = []
        for frame, columns, spans in runs:
            windows = naive_errors(frame, columns[0], spans.season, horizon)
            then = windows.filter(pl.col("period").is_between(-sealed, -1))
            now = windows.filter(pl.col("period") >= 0).with_columns(pl.col("error") * factor)
            figures.append(live.errors("MASE", then, now, SIGNIFICANCE))
        alarms = sum(one is not None and one.degraded for one in figures)
        told[f"error x {factor:g}"] = {"runs": len(runs), "alarms": alarms}
    print(json.dumps(told), flush=True)
    return told


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--unplanted", action="store_true", help="measure the data as they are alone")
    arguments = parser.parse_args()
    told: dict[str, Any] = {"date": datetime.date.today().isoformat(), "machine": platform.machine()}
    for name, make, horizon, sealed in (("weather", weather, 24, 56), ("tourism", tourism, 24, 1)):
        print(name, flush=True)
        runs = list(make())
        told[name] = degraded(runs, horizon, sealed) | measured(runs, not arguments.unplanted)
    RESULT.write_text(json.dumps(told, indent=1) + "\n")


if __name__ == "__main__":
    main()
