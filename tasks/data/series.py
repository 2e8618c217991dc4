"""The checks that look at a series as a whole, once it is on its grid, and the filling of its gaps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.data.buckets import CODE
from tasks.data.contract import EXAMPLES, Ledger
from tasks.data.regular import SHORT, Regular, gap_action
from tasks.data.survey import Layout

if TYPE_CHECKING:
    from tasks.ingest import SeriesData

_LEAK = 0.999


class Leaks:
    """Adds up, over the buckets, what known covariates betray of the target."""

    def __init__(self, config: SeriesData, numeric: tuple[str, ...]) -> None:
        self._pairs = [(known, target) for known in config.known_covariates for target in config.target]
        self._numeric = numeric
        self._sums = {pair: np.zeros(3) for pair in self._pairs}
        self._late = {known: [0, 0] for known in config.known_covariates}

    def add(self, regular: Regular) -> None:
        """Add the items of a bucket, each with its own level taken off."""
        frame, items = regular.frame, len(regular.offsets) - 1
        for known, target in self._pairs:
            if known in self._numeric:
                x, y = frame[known].to_numpy(), frame[target].to_numpy()
                both = ~(np.isnan(x) | np.isnan(y))
                item = regular.item()[both]
                x, y = _centred(x[both], item, items), _centred(y[both], item, items)
                self._sums[known, target] += np.array([(x * x).sum(), (y * y).sum(), (x * y).sum()])
        if not self._pairs:
            return
        newest = regular.last(self._pairs[0][1])
        for known, late in self._late.items():
            last = regular.last(known)
            seen = (newest >= 0) & (last >= 0)
            late[0] += int((seen & (last < newest)).sum())
            late[1] += int(seen.sum())

    def report(self, ledger: Ledger) -> None:
        for (known, target), (xx, yy, xy) in self._sums.items():
            if xx > 0 and yy > 0 and abs(xy) / np.sqrt(xx * yy) > _LEAK:
                said = "a correlation of {correlation} with target {what}"
                correlation = f"{xy / np.sqrt(xx * yy):.4f}"
                action = "kept: if it is not known ahead, list it in data.past_covariates"
                ledger.add(
                    "future_leak",
                    "warning",
                    known,
                    said=said,
                    action=action,
                    what=repr(target),
                    correlation=correlation,
                )
        for known, (late, seen) in self._late.items():
            if seen and 2 * late > seen:
                said = "{count} of {what} items in which it ends before the target"
                action = "kept: if it is not known ahead, list it in data.past_covariates"
                ledger.add(
                    "future_leak", "warning", known, count=late, items=late, said=said, action=action, what=f"{seen:,}"
                )


def _centred(values: np.ndarray, item: np.ndarray, items: int) -> np.ndarray:
    counts = np.maximum(np.bincount(item, minlength=items), 1)
    return values - (np.bincount(item, weights=values, minlength=items) / counts)[item]


def complete(regular: Regular, layout: Layout, ledger: Ledger) -> pl.DataFrame:
    """Report nulls, future rows and poor series; fill the target's gaps if the Config says so.

    A step after an item's last target is never filled: it is the future.
    """
    config = layout.config
    newest = np.maximum.reduce([regular.last(target) for target in config.target])[regular.item()]
    future = (regular.within() > newest) & (newest >= 0)
    _report_future(regular, future, config, ledger)
    for column in layout.values():
        _report_nulls(regular, column, future, config, ledger)
    frame = regular.frame
    for target in config.target:
        _report_poor(regular, target, ledger)
        frame = frame.with_columns(_filled(regular, target, config.gaps))
    return frame


def _report_future(regular: Regular, future: np.ndarray, config: SeriesData, ledger: Ledger) -> None:
    known = [pl.col(column).is_not_null() for column in config.known_covariates]
    if not known or not future.any():
        return
    steps = np.flatnonzero(future & regular.frame.select(pl.any_horizontal(known)).to_series().to_numpy())
    if len(steps):
        items = regular.frame[CODE].gather(steps).n_unique()
        said, action = "{count} rows of {items} items", "kept as the future"
        examples = regular.places(steps)
        ledger.add("future_rows", "info", count=len(steps), items=items, examples=examples, said=said, action=action)


def _report_nulls(regular: Regular, column: str, future: np.ndarray, config: SeriesData, ledger: Ledger) -> None:
    """Report rows of the source without a value; steps without a row are gaps, rows of the future lack no target."""
    is_target = column in config.target
    null = regular.frame[column].is_null().to_numpy() & regular.present
    steps = np.flatnonzero(null & ~future)
    if not len(steps):
        return
    level, action = gap_action(config.gaps) if is_target else ("info", "masked")
    check = "null_target" if is_target else "null_covariate"
    items = regular.frame[CODE].gather(steps).n_unique()
    said, examples = "{count} rows of {items} items without a value", regular.places(steps)
    ledger.add(check, level, column, count=len(steps), items=items, examples=examples, said=said, action=action)


def _report_poor(regular: Regular, target: str, ledger: Ledger) -> None:
    """Report series that are constant, short or without any value."""
    values, starts = regular.frame[target].to_numpy(), regular.offsets[:-1]
    seen = ~np.isnan(values)
    observed = np.add.reduceat(seen.astype(np.int64), starts)
    least = np.minimum.reduceat(np.where(seen, values, np.inf), starts)
    most = np.maximum.reduceat(np.where(seen, values, -np.inf), starts)
    poor = {
        "unobserved": (observed == 0, "{count} items without any"),
        "short": ((observed > 0) & (observed < SHORT), "{count} items with fewer"),
        "constant": ((observed > 1) & (least == most), "{count} constant series"),
    }
    for check, (which, said) in poor.items():
        if which.any():
            names = regular.frame["item_id"].gather(starts[which][:EXAMPLES]).to_list()
            count = int(which.sum())
            words = {"said": said, "action": "kept", "what": str(SHORT)}
            ledger.add(check, "warning", target, count=count, items=count, examples=names, **words)


def _filled(regular: Regular, target: str, policy: str) -> pl.Series:
    """Return the target with its gaps filled up to its last value."""
    value = pl.col(target)
    filling = {
        "zero": value.fill_null(0.0),
        "forward_fill": value.forward_fill().over(CODE),
        "interpolate": value.interpolate().over(CODE),
    }
    if policy not in filling:
        return regular.frame[target]
    past = pl.Series(regular.within() <= regular.last(target)[regular.item()])
    return regular.frame.select(pl.when(past).then(filling[policy]).otherwise(value).alias(target)).to_series()
