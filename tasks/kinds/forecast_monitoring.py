"""Problem kind ``forecast``: what a version knows of the data that it was trained on, and new data held against it.

profile.json      spans of a block, step, time zone, columns
ends.parquet      item_id, end (microseconds, or an index): the last step of each item whose target was observed
units.parquet     item_id, target, unit: the seasonal naive error, what an error is measured in
errors.parquet    period, unit, error, inside: of the sealed windows (see ``tasks.monitoring.live``)
items.parquet, blocks.parquet, counts.parquet: see ``tasks.monitoring.series``
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.calendar import Frequency
from models.forecaster_facts import Facts
from tasks.errors import InputError
from tasks.kinds.forecast_dataset import ForecastDataset
from tasks.kinds.stamps import microseconds
from tasks.monitoring import series
from tasks.monitoring.features import Spans
from tasks.monitoring.health import Watched
from tasks.monitoring.series import Known
from tasks.scoring.metrics import seasonal_error

INSIDE = (0.1, 0.9)
"""The quantiles between which 80 % of the truths shall lie."""


def profile(table: Path, dataset: Path, evaluated: Path, out: Path) -> None:
    """Write what the module's docstring lists into ``out``.

    Args:
        table: directory of the canonical table.
        dataset: that of the data set made from it.
        evaluated: that of the evaluation of the model.
        out: the directory to write into.
    """
    opened = ForecastDataset(dataset)
    facts = opened.facts
    frequency, spans = Frequency.parse(facts.frequency), Spans.of(facts.season_length)
    described = [(_ends(part, facts.targets, frequency), _units(part, facts)) for part in _parts(table)]
    ends, units = (pl.concat(frames) for frames in zip(*described, strict=True))
    columns = {"numeric": [*facts.targets, *facts.encoding.numeric], "categorical": facts.encoding.categorical}
    known = series.learn((_known(part, ends) for part in _parts(table)), **columns, spans=spans)
    known.write(out)
    ends.select("item_id", "end").write_parquet(out / "ends.parquet")
    units.write_parquet(out / "units.parquet")
    starts = pl.read_parquet(dataset / "series.parquet", columns=["item_id", "target", "start"])
    sealed_errors(evaluated, starts, facts).write_parquet(out / "errors.parquet")
    written = {"season": spans.season, "length": spans.length, "facts": facts.model_dump(mode="json"), **columns}
    (out / "profile.json").write_text(json.dumps(written, indent=2))


def watch(profiled: Path, table: Path) -> Watched:
    """Test the columns of ``table`` after the end of the reference, against the reference in ``profiled``.

    Raises:
        InputError: the table's step is not that of the reference.
    """
    told = json.loads((profiled / "profile.json").read_text())
    facts, spans = Facts.model_validate(told["facts"]), Spans(told["season"], told["length"])
    _require_step(table, facts)
    ends, known = pl.read_parquet(profiled / "ends.parquet"), Known.read(profiled, spans)
    newest = _newest(table, facts)
    seen: set[str] = set()

    def positioned() -> Iterator[pl.DataFrame]:
        for part in _parts(table):
            seen.update(part["item_id"].unique())
            yield _since(part, ends, facts, newest, spans)

    findings, blocks = series.watch(positioned(), known)
    notes = []
    if not blocks:
        notes.append(f"fewer than {spans.length} steps are new: too few to be compared")
    elif not [one for one in findings if one.p_value is not None]:
        notes.append("the history that the model was trained on is too short to say what is usual")
    if new := seen - set(ends["item_id"]):
        notes.append(f"{len(new):,} series are new since the model was trained: they are not compared")
    if gone := set(ends["item_id"]) - seen:
        notes.append(f"{len(gone):,} series that the model was trained on are not in the data")
    return Watched(findings, f"{blocks} blocks of {spans.length} steps", notes)


def live(profiled: Path, predicted: list[Path], table: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the errors of the sealed windows, and those of past forecasts whose truth ``table`` holds.

    A window counts if it lies after all that the model was trained on, and its last truth is in.

    Args:
        profiled: directory of the profile.
        predicted: directories of forecasts of the version, as stage ``predict`` writes them.
        table: directory of a canonical table.
    """
    told = json.loads((profiled / "profile.json").read_text())
    facts = Facts.model_validate(told["facts"])
    _require_step(table, facts)
    registered = pl.read_parquet(profiled / "errors.parquet")
    forecasts = _forecasts(predicted, facts)
    if forecasts.is_empty():
        return registered, registered.clear()
    ends, units = (pl.read_parquet(profiled / f"{name}.parquet") for name in ("ends", "units"))
    forecasts = forecasts.join(ends, on="item_id").filter(pl.col("origin") > pl.col("end"))
    truths = pl.concat([_truths(part, facts) for part in _parts(table)])
    joined = forecasts.join(truths, on=["item_id", "target", "stamp"], how="inner").join(
        units, on=["item_id", "target"]
    )
    last = truths.drop_nulls("truth").group_by("item_id", "target").agg(last=pl.col("stamp").max())
    joined = joined.join(last, on=["item_id", "target"]).filter(pl.col("until") <= pl.col("last"))
    return registered, _windows(joined, facts)


def sealed_errors(evaluated: Path, starts: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Return the model's errors on the sealed windows, by the evaluation in the directory ``evaluated``.

    Args:
        evaluated: holds ``forecasts.parquet`` and ``windows.parquet``.
        starts: item_id, target, start of each series.
        facts: of the data set.
    """
    starts = starts.select(unit=_series(facts), start="start")
    low, high = (pl.col(f"lstm_{level:g}") for level in INSIDE)
    inside = pl.read_parquet(evaluated / "forecasts.parquet").drop_nulls("actual")
    inside = inside.group_by("item_id", "end").agg(inside=pl.col("actual").is_between(low, high).mean())
    windows = pl.read_parquet(evaluated / "windows.parquet", columns=["item_id", "end", "lstm"])
    windows = windows.join(inside, on=["item_id", "end"], how="left", maintain_order="left")
    windows = windows.rename({"item_id": "unit", "lstm": "error"}).join(starts, on="unit", maintain_order="left")
    frequency = Frequency.parse(facts.frequency)
    origins = [int(frequency.grid(start, end + 1)[-1]) for start, end in windows.select("start", "end").iter_rows()]
    return _of_periods(windows.with_columns(origin=pl.Series(origins, dtype=pl.Int64)), facts)


def _of_periods(windows: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Return ``period``, ``unit``, ``error``, ``inside``: windows that begin within one horizon are of one period."""
    frequency = Frequency.parse(facts.frequency)
    origins = windows["origin"].unique().sort()
    periods = [frequency.steps_between(0, int(origin)) // facts.horizon for origin in origins]
    numbered = pl.DataFrame({"origin": origins, "period": pl.Series(periods, dtype=pl.Int64)})
    return windows.join(numbered, on="origin", maintain_order="left").select(
        "period", "unit", pl.col("error").fill_nan(None), pl.col("inside").cast(pl.Float64)
    )


def _windows(joined: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    """Return the error of each window from its steps, as ``live`` joined them."""
    low, high = (pl.col(f"q{level:g}") for level in INSIDE)
    observed = joined.drop_nulls("truth")
    windows = observed.group_by("item_id", "target", "origin", maintain_order=True).agg(
        error=((pl.col("truth") - pl.col("q0.5")).abs() / pl.col("unit")).mean(),
        inside=pl.col("truth").is_between(low, high).mean(),
    )
    return _of_periods(windows.with_columns(unit=_series(facts)), facts)


def _series(facts: Facts) -> pl.Expr:
    """Return what the evaluation calls a series: its item, with its target if there are several."""
    return pl.concat_str("item_id", "target", separator="|") if len(facts.targets) > 1 else pl.col("item_id")


def _forecasts(predicted: list[Path], facts: Facts) -> pl.DataFrame:
    """Return the forecasts with ``stamp``, and first and last stamp of each one's window; each window once."""
    frequency, found = Frequency.parse(facts.frequency), []
    quantiles = ["q0.1", "q0.5", "q0.9"]
    for directory in predicted:
        for path in sorted(directory.glob("part-*.parquet")):
            rows = pl.read_parquet(path)
            rows = rows.with_columns(stamp=pl.Series(microseconds(rows["timestamp"], frequency), dtype=pl.Int64))
            found.append(
                rows.select("item_id", "target", "stamp", *quantiles).with_columns(
                    origin=pl.col("stamp").min().over("item_id", "target"),
                    until=pl.col("stamp").max().over("item_id", "target"),
                )
            )
    if not found:
        return pl.DataFrame()
    return pl.concat(found).unique(["item_id", "target", "origin", "stamp"], keep="first", maintain_order=True)


def _truths(part: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    stamps = pl.Series(microseconds(part["timestamp"], Frequency.parse(facts.frequency)), dtype=pl.Int64)
    rows = part.select("item_id", *facts.targets).with_columns(stamp=stamps)
    return rows.unpivot(facts.targets, index=["item_id", "stamp"], variable_name="target", value_name="truth")


def _parts(table: Path) -> Iterator[pl.DataFrame]:
    return (pl.read_parquet(path) for path in sorted(table.glob("part-*.parquet")))


def _require_step(table: Path, facts: Facts) -> None:
    found = json.loads((table / "table.json").read_text())["frequency"]
    if found != facts.frequency:
        remedy = "give data of the same frequency, or set data.frequency"
        raise InputError(f"new data must have the model's step of {facts.frequency}", found, remedy)


def _observed(targets: list[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(targets).is_not_null())


def _ends(part: pl.DataFrame, targets: list[str], frequency: Frequency) -> pl.DataFrame:
    """Return ``item_id``, ``end`` and ``row``, the last observed step as a stamp and as a place in the item."""
    stamped = part.select("item_id", seen=_observed(targets)).with_columns(
        end=pl.Series(microseconds(part["timestamp"], frequency), dtype=pl.Int64),
        row=pl.int_range(pl.len(), dtype=pl.Int64).over("item_id"),
    )
    return stamped.filter("seen").group_by("item_id", maintain_order=True).agg(pl.col("end", "row").last())


def _known(part: pl.DataFrame, ends: pl.DataFrame) -> pl.DataFrame:
    """Add ``position`` to the steps of the reference: -1 is the last that was observed."""
    row = pl.int_range(pl.len(), dtype=pl.Int64).over("item_id")
    joined = part.with_columns(position=row).join(ends.select("item_id", "row"), on="item_id", maintain_order="left")
    return joined.with_columns(position=pl.col("position") - pl.col("row") - 1).filter(pl.col("position") < 0)


def _since(part: pl.DataFrame, ends: pl.DataFrame, facts: Facts, newest: Any, spans: Spans) -> pl.DataFrame:
    """Add ``position`` and leave out what is still the future.

    That is what lies after the newest observation of all, and after an item's own; but one that has been silent for a
    block while others were observed is not in the future, it is missing.
    """
    frequency = Frequency.parse(facts.frequency)
    stamps = pl.Series(microseconds(part["timestamp"], frequency), dtype=pl.Int64)
    row = pl.int_range(pl.len(), dtype=pl.Int64).over("item_id")
    part = part.with_columns(position=row, _stamp=stamps, _seen=_observed(facts.targets))
    firsts = part.group_by("item_id", maintain_order=True).agg(pl.col("_stamp").first()).join(ends, on="item_id")
    offsets = [frequency.steps_between(end, first) - 1 for first, end in firsts.select("_stamp", "end").iter_rows()]
    firsts = firsts.select("item_id", first=pl.Series(offsets, dtype=pl.Int64))
    placed = part.filter(pl.col("timestamp") <= newest).join(firsts, on="item_id", maintain_order="left")
    last = pl.col("position").filter("_seen").max().over("item_id").fill_null(-1)
    silent = pl.col("position").max().over("item_id") - last >= spans.length
    kept = placed.filter(silent | (pl.col("position") <= last))
    return kept.with_columns(position=pl.col("position") + pl.col("first")).drop("first", "_stamp", "_seen")


def _newest(table: Path, facts: Facts) -> Any:
    """Return the newest stamp at which any target was observed."""
    rows = pl.scan_parquet(table / "part-*.parquet").filter(_observed(facts.targets))
    return rows.select(pl.col("timestamp").max()).collect(engine="streaming").item()


def _units(part: pl.DataFrame, facts: Facts) -> pl.DataFrame:
    found = []
    for (item_id,), rows in part.group_by("item_id", maintain_order=True):
        for target in facts.targets:
            history = rows[target].cast(pl.Float64).to_numpy()
            seen = np.flatnonzero(np.isfinite(history))
            if len(seen):
                unit = seasonal_error(history[seen[0] : seen[-1] + 1], facts.season_length)
                found.append((item_id, target, unit))
    schema = {"item_id": pl.String, "target": pl.String, "unit": pl.Float64}
    return pl.DataFrame(found, schema=schema, orient="row")
