"""Are past predictions, now that the truth is in, worse than the model was at registration?

At registration the sealed part gave errors period by period; what has been predicted since gives some more periods.
Days differ, and all series share what happens on a day, so a period is one observation, not one for each series. A
t-test says whether the mean of the newest periods lies further above that of the registration than its periods differ
among themselves. Where the sealed part has too few periods for that, each series is held against its own error of that
day; what all series went through at once then counts as a change, so more of it is asked for.

Frames hold a row for each window or item: ``period`` (rising with time; null: there is no time), ``unit`` (the series,
item or group), ``error`` (less is better), ``inside`` (share of truths inside the 80 % interval, null: no intervals).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.monitoring import drift

Floats = NDArray[np.float64]

FEWEST = 6
"""Periods, or units, from which a spread is known."""
NEWEST = 4
LEAST = 0.1
"""More error that counts, as a share of that at registration."""
LEAST_OF_UNITS = 0.25
"""Likewise if series are the evidence, which all may have had the same bad day."""
LEAST_OUTSIDE = 0.05
INTERVAL = 0.95


@dataclass(frozen=True)
class Live:
    """One figure then and now: ``low`` and ``high`` are the 95 % interval of ``now`` if nothing had changed.

    ``count`` is how many windows or items ``now`` is of, ``units`` of how many independent ones, and ``by`` what those
    are. Without a ``p_value`` there is too little to tell, and ``note`` says what.
    """

    name: str
    registered: float
    now: float
    low: float
    high: float
    p_value: float | None
    count: int
    units: int
    by: str
    note: str = ""
    degraded: bool = False


def errors(name: str, registered: pl.DataFrame, since: pl.DataFrame, significance: float) -> Live | None:
    """Compare the errors, which ``name`` says what they are; None if there are none of one of the two."""
    return _compared(name, registered, since, "error", -1, significance)


def coverage(registered: pl.DataFrame, since: pl.DataFrame, significance: float) -> Live | None:
    """Compare the shares of truths inside their 80 % intervals; None if there are no intervals."""
    return _compared("coverage", registered, since, "inside", 1, significance)


def _compared(
    name: str, registered: pl.DataFrame, since: pl.DataFrame, column: str, better: int, significance: float
) -> Live | None:
    """Compare the mean of ``column`` in both frames; ``better`` is 1 where more is better, -1 where less is."""
    then, now = (frame.drop_nulls(column).filter(pl.col(column).is_finite()) for frame in (registered, since))
    if then.is_empty() or now.is_empty():
        return None
    periods = then["period"].drop_nulls().n_unique()
    by = "item" if not periods else "period" if periods >= FEWEST else "series"
    found = {"item": _by_item, "period": _by_period, "series": _by_series}[by](then, now, column)
    if found is None:
        few = (
            f"{len(now)} known items are too few to tell" if by == "item" else f"{periods} sealed periods of few series"
        )
        nan = float("nan")
        return Live(name, _mean(then, column), _mean(now, column), nan, nan, None, len(now), 0, by, few)
    worse = better * (found.value - found.latest)
    large = worse >= _least(column, by, found.value)
    p_value = _tail(-better * found.change, found.spread, found.freedom) if large else 1.0
    reach = found.spread * _quantile(found.freedom)
    low, high = found.value - reach, found.value + reach
    if found.logarithms:
        low, high = found.value * np.exp(-reach), found.value * np.exp(reach)
    bounds = (float(low), float(high))
    counts = (found.count, found.units)
    return Live(name, found.value, found.latest, *bounds, p_value, *counts, by, degraded=p_value < significance)


def _least(column: str, by: str, registered: float) -> float:
    """Return the least change that counts at all."""
    if column == "inside":
        return 2 * LEAST_OUTSIDE if by == "series" else LEAST_OUTSIDE
    return (LEAST_OF_UNITS if by == "series" else LEAST) * registered


@dataclass(frozen=True)
class _Test:
    """A mean then and now, and their difference on the scale of the test, with its spread and degrees of freedom.

    Errors are tested as ``logarithms``, where they have any: a bad day is worse by a factor, and the mean of few such
    days is not normal. ``count`` and ``units`` are as a ``Live`` has them.
    """

    value: float
    latest: float
    change: float
    spread: float
    freedom: float
    logarithms: bool
    count: int
    units: int


def _by_period(then: pl.DataFrame, now: pl.DataFrame, column: str) -> _Test:
    old_K, new_N = (_per_period(frame, column) for frame in (then, now))
    newest = min(len(new_N), max(NEWEST, len(old_K) // 4))
    new_N = new_N[-newest:]
    rows = now.filter(pl.col("period").is_in(now["period"].unique().sort().tail(newest).to_list()))
    logarithms = _have_logarithms(column, old_K, new_N)
    a_K, b_N = (np.log(old_K), np.log(new_N)) if logarithms else (old_K, new_N)
    independent = drift.independent(a_K)
    alike = max(1.0, newest * independent / len(a_K))
    spread = float(a_K.std(ddof=1) * np.sqrt(1 / alike + 1 / independent))
    change = float(b_N.mean() - a_K.mean())
    values = (float(old_K.mean()), float(new_N.mean()))
    return _Test(*values, change, spread, independent - 1, logarithms, len(rows), newest)


def _by_series(then: pl.DataFrame, now: pl.DataFrame, column: str) -> _Test | None:
    each = then.group_by("unit").agg(then=pl.col(column).mean())
    each = each.join(now.group_by("unit").agg(now=pl.col(column).mean()), on="unit")
    if (units := len(each)) < FEWEST:
        return None
    old_S, new_S = each["then"].to_numpy(), each["now"].to_numpy()
    logarithms = _have_logarithms(column, old_S, new_S)
    change_S = np.log(new_S) - np.log(old_S) if logarithms else new_S - old_S
    rows = now.filter(pl.col("unit").is_in(each["unit"].to_list()))
    spread, values = float(change_S.std(ddof=1) / np.sqrt(units)), (float(old_S.mean()), float(new_S.mean()))
    return _Test(*values, float(change_S.mean()), spread, units - 1, logarithms, len(rows), units)


def _by_item(then: pl.DataFrame, now: pl.DataFrame, column: str) -> _Test | None:
    """Compare two samples as Welch (1947) does; items of one group are averaged first."""
    old_N, new_M = (frame.group_by("unit").agg(pl.col(column).mean())[column].to_numpy() for frame in (then, now))
    if len(old_N) < FEWEST or len(new_M) < FEWEST:
        return None
    shares = np.array([one.var(ddof=1) / len(one) for one in (old_N, new_M)])
    sizes = np.array([len(old_N) - 1, len(new_M) - 1])
    freedom = float(shares.sum() ** 2 / (shares**2 / sizes).sum()) if shares.any() else float(sizes.min())
    values = (float(old_N.mean()), float(new_M.mean()))
    return _Test(*values, values[1] - values[0], float(np.sqrt(shares.sum())), freedom, False, len(now), len(new_M))


def _have_logarithms(column: str, *values: Floats) -> bool:
    return column == "error" and all((one > 0).all() for one in values)


def _per_period(frame: pl.DataFrame, column: str) -> Floats:
    return frame.group_by("period").agg(pl.col(column).mean()).sort("period")[column].to_numpy()


def _mean(frame: pl.DataFrame, column: str) -> float:
    return float(frame[column].to_numpy().mean())


def _tail(worse: float, spread: float, freedom: float) -> float:
    from scipy.stats import t

    return float(t.sf(worse / spread, max(1.0, freedom))) if spread else 0.0


def _quantile(freedom: float) -> float:
    from scipy.stats import t

    return float(t.ppf((1 + INTERVAL) / 2, max(1.0, freedom)))
