"""Writes the panels of a forecast data set from canonical parquet, a part at a time.

Two passes: the first measures every series and gathers what scalers and vocabularies are fitted on, from the
training part alone; the second fills the mapped arrays. Memory holds one part, never the table.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from models.calendar import Frequency, feature_names
from models.encoding import Affine, Encoding
from models.forecaster_facts import Facts
from models.panel import allocate
from models.problem import Forecast
from tasks.errors import InputError, shortened
from tasks.kinds.forecast_calendar import lay_calendar, on_disk
from tasks.kinds.forecast_dataset import Split
from tasks.kinds.kind import SplitOptions
from tasks.kinds.stamps import microseconds
from tasks.scoring.metrics import seasonal_error

MOST_CATEGORIES = 100_000
CHUNK = 1 << 20
"""Steps that are looked at at a time where nothing else bounds them."""
FEWEST_WINDOWS = 1000
"""Validation windows of all series together that a search should see, if nobody says how many."""
MOST_VALIDATED = 0.25
"""Share of the typical series' training part that they may span."""


@dataclass(frozen=True)
class Series:
    """One part's items for one target: where each begins in the part and how long it is.

    ``starts`` and ``steps`` are int64 ``[n]``; trailing steps without a target are not part of a series.
    """

    frame: pl.DataFrame
    target: str
    item_ids: list[str]
    starts: np.ndarray
    steps: np.ndarray

    def rows(self, lengths: np.ndarray) -> np.ndarray:
        """Return the part's row numbers of the first ``lengths`` steps of each series, side by side."""
        within = np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)
        return np.repeat(self.starts, lengths) + within


def prepare(source: Path, problem: Forecast, options: SplitOptions, out: Path) -> dict[str, Any]:
    """Write a forecast data set into ``out``, as ``tasks.kinds.forecast_dataset`` describes it.

    Raises:
        InputError: no series is long enough, or a categorical column has too many values.
    """
    table = json.loads((source / "table.json").read_text())
    roles = json.loads((source / "manifest.json").read_text())["config"]
    frequency = Frequency.parse(table["frequency"])
    series = pl.concat([_measured(part, frequency) for part in _parts(source, table)])
    steps = series["steps"].to_numpy()
    split = _split(problem, options, steps)
    train_end = np.maximum(steps - split.test_span, 0)
    short = _require_length(series, train_end, split)
    encoding = _fit_encoding(source, table, split)
    laid = on_disk(out / "calendar.npy")
    calendar, calendar_start = lay_calendar(series, steps, split.horizon, frequency, table["time_zone"], laid)
    season_length = problem.season_length or frequency.season_length
    for name, lengths in (("train", train_end), ("sealed", steps)):
        arrays = allocate(out / name, encoding, int(lengths.sum()), len(steps), calendar)
        arrays["calendar_start"][:] = calendar_start
        arrays["offsets"][:] = np.concatenate([[0], np.cumsum(lengths)])
        _fill(arrays, source, table, encoding, lengths, train_end, season_length)
        for array in arrays.values():
            if isinstance(array, np.memmap):
                array.flush()
    (out / "calendar.npy").unlink(missing_ok=True)
    series.with_columns(train_end=pl.Series(train_end)).write_parquet(out / "series.parquet")
    np.save(out / "train_end.npy", train_end)
    facts = Facts(
        horizon=problem.horizon,
        season_length=season_length,
        frequency=table["frequency"],
        time_zone=table["time_zone"],
        quantiles=problem.quantiles,
        calendar_width=len(feature_names(frequency)),
        longest=int(train_end.max()),
        item_columns=roles["item_id"],
        time_column=roles["timestamp"],
        targets=table["target"],
        encoding=encoding,
        counts=_counts(np.load(out / "train" / "target.npy", mmap_mode="r")),
    )
    described: dict[str, Any] = {"kind": "forecast", "facts": facts.model_dump(mode="json"), "findings": short}
    described["split"] = split.model_dump()
    (out / "dataset.json").write_text(json.dumps(described, indent=2))
    return {"items": len(steps), "steps": int(steps.sum())}


def _split(problem: Forecast, options: SplitOptions, steps: np.ndarray) -> Split:
    """Return the split of series of so many ``steps`` [N]."""
    stride = options.stride or problem.horizon
    sizes = {"horizon": problem.horizon, "stride": stride, "test_windows": options.test_windows}
    split = Split(**sizes, validation_windows=options.validation_windows or 1)
    if options.validation_windows is not None:
        return split
    train_end = steps[steps > split.test_span] - split.test_span
    if not train_end.size:
        return split
    # One origin says little of a few series: seasons and shocks are alike in all of them.
    wanted = -(-FEWEST_WINDOWS // train_end.size)
    span = min(MOST_VALIDATED * np.median(train_end), np.quantile(train_end, 0.1) - problem.horizon - 1)
    most = int((span - problem.horizon) // stride) + 1
    return split.model_copy(update={"validation_windows": max(1, min(wanted, most))})


def _counts(target: np.ndarray) -> bool:
    """Say whether all that was observed are whole numbers from 0 on."""
    for start in range(0, len(target), CHUNK):
        part = target[start : start + CHUNK]
        observed = part[~np.isnan(part)]
        if (observed < 0).any() or (observed % 1).any():
            return False
    return True


def _parts(source: Path, table: dict[str, Any]) -> Iterator[Series]:
    """Yield each part for each target; a part is read once for all of them."""
    for path in sorted(source.glob("part-*.parquet")):
        frame = pl.read_parquet(path)
        items = frame.select(pl.col("item_id").rle().struct.unnest())
        lengths = items["len"].cast(pl.Int64).to_numpy()
        starts = np.cumsum(lengths) - lengths
        for target in table["target"]:
            yield Series(
                frame, target, items["value"].to_list(), starts, _observed_length(frame, target, starts, lengths)
            )


def _observed_length(frame: pl.DataFrame, target: str, starts: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """Return the steps of each item up to its last observed one: int64 ``[n]``, 0 where there is none."""
    observed = frame[target].is_not_null().to_numpy()
    within = np.arange(len(frame)) - np.repeat(starts, lengths) + 1
    return np.maximum.reduceat(np.where(observed, within, 0), starts) if len(starts) else starts


def _measured(series: Series, frequency: Frequency) -> pl.DataFrame:
    stamps = microseconds(series.frame["timestamp"], frequency)[series.starts]
    return pl.DataFrame({"item_id": series.item_ids, "target": series.target, "start": stamps, "steps": series.steps})


def _require_length(series: pl.DataFrame, train_end: np.ndarray, split: Split) -> list[dict[str, Any]]:
    """Report series that cannot be learned from or tested, and refuse a table that has no other."""
    needed = split.horizon + split.validation_span + split.test_span + 1
    usable = train_end > split.horizon + split.validation_span
    if not usable.any():
        longest = int(series["steps"].max() or 0)  # type: ignore[arg-type]
        raise InputError(
            f"horizon must fit the data: a series needs {needed} steps to train, validate and test on",
            f"horizon {split.horizon}, {split.validation_windows} validation and {split.test_windows} test windows; "
            f"the longest series has {longest} steps",
            "lower problem.horizon, split.validation_windows or split.test_windows, or give longer series",
        )
    short = series.filter(pl.Series(~usable))
    if short.is_empty():
        return []
    names = shortened(short["item_id"].to_list())
    return [
        {
            "check": "short_series", "level": "warning", "column": None, "count": len(short), "items": len(short),
            "examples": short["item_id"].head(5).to_list(),
            "message": f"{len(short)} series have fewer than {needed} steps: {names}",
            "action": "not searched on; tested where the sealed part leaves any history",
        }
    ]  # fmt: skip


def _fit_encoding(source: Path, table: dict[str, Any], split: Split) -> Encoding:
    """Fit scalers and vocabularies on the training part of every item."""
    categorical = set(table["categorical"])
    roles = {
        f"{role}_{kind}": [c for c in table[f"{role}_covariates"] if (c in categorical) == (kind == "categorical")]
        for role in ("past", "known", "static")
        for kind in ("numeric", "categorical")
    }
    if len(table["target"]) > 1:
        roles["static_categorical"].append(Encoding.TARGET)
    numeric = roles["past_numeric"] + roles["known_numeric"] + roles["static_numeric"]
    moments = {column: np.zeros(3) for column in numeric}
    seen: dict[str, set[str]] = {c: set() for r in roles for c in roles[r] if r.endswith("_categorical")}
    for series in _parts(source, table):
        frame = series.frame[series.rows(np.maximum(series.steps - split.test_span, 0))]
        for column in numeric:
            moments[column] = _merged(moments[column], frame[column].drop_nulls().to_numpy())
        for column, values in seen.items():
            values |= {series.target} if column == Encoding.TARGET else set(frame[column].drop_nulls().unique())
            if len(values) > MOST_CATEGORIES:
                raise InputError(
                    f"a categorical column may have {MOST_CATEGORIES} values",
                    f"more in column '{column}'",
                    f"leave '{column}' out, or make it coarser",
                )
    affine = {column: _affine(*moments[column]) for column in numeric}
    return Encoding(**roles, affine=affine, vocabularies={c: sorted(v) for c, v in seen.items()})


def _affine(count: float, mean: float, squares: float) -> Affine:
    """Return the scaler of a column; one that only rounding moves is constant and keeps its unit."""
    std = float(np.sqrt(squares / count)) if count else 0.0
    return Affine(mean=mean, std=std if std > 1e-12 * abs(mean) else 1.0)


def _merged(moments: np.ndarray, values: np.ndarray) -> np.ndarray:
    """Merge count, mean and summed squares of deviation with those of ``values`` (Chan, Golub & LeVeque 1983)."""
    if not len(values):
        return moments
    (n, mean, squares), m = moments, len(values)
    shift = values.mean() - mean
    return np.array(
        [
            n + m,
            mean + shift * m / (n + m),
            squares + ((values - values.mean()) ** 2).sum() + shift**2 * n * m / (n + m),
        ]
    )


def _fill(
    arrays: dict[str, np.ndarray],
    source: Path,
    table: dict[str, Any],
    encoding: Encoding,
    lengths: np.ndarray,
    train_end: np.ndarray,
    season_length: int,
) -> None:
    """Write every array but the offsets and the calendar."""
    first, item = 0, 0
    for series in _parts(source, table):
        mine = slice(item, item + len(series.item_ids))
        taken = lengths[mine]
        frame = series.frame[series.rows(taken)]
        rows = slice(first, first + len(frame))
        arrays["target"][rows] = frame[series.target].cast(pl.Float64).to_numpy()
        for i, column in enumerate(encoding.numeric):
            arrays["numeric"][rows, i] = encoding.encode_numeric(column, frame[column].cast(pl.Float64).to_numpy())
        for i, column in enumerate(encoding.categorical):
            arrays["codes"][rows, i] = _codes(encoding, column, frame[column])
        heads = series.frame[series.starts]
        for i, column in enumerate(encoding.static_numeric):
            arrays["static_numeric"][mine, i] = encoding.encode_numeric(
                column, heads[column].cast(pl.Float64).to_numpy()
            )
        for i, column in enumerate(encoding.static_categorical):
            named = pl.Series([series.target] * len(heads)) if column == Encoding.TARGET else heads[column]
            arrays["static_codes"][mine, i] = _codes(encoding, column, named)
        starts = first + np.cumsum(taken) - taken
        spans = zip(starts, np.minimum(train_end[mine], taken), strict=True)
        arrays["error_scale"][mine] = [seasonal_error(arrays["target"][a : a + n], season_length) for a, n in spans]
        first, item = rows.stop, mine.stop


def _codes(encoding: Encoding, column: str, values: pl.Series) -> np.ndarray:
    """Encode a column through its distinct values: the vocabulary is looked up once for each."""
    distinct = values.unique()
    codes = encoding.encode_categories(column, distinct.to_list())
    joined = values.to_frame("value").join(
        pl.DataFrame({"value": distinct, "code": codes}),
        on="value",
        how="left",
        maintain_order="left",
        nulls_equal=True,
    )
    return joined["code"].to_numpy()
