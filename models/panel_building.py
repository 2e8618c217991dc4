"""A panel in memory from the columns of a table: how a trained model meets new data.

Used where a model predicts, by the registered model as by the stage; training reads panels from disk.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from models.calendar import Frequency, features, wall_clock
from models.encoding import LARGEST, Encoding
from models.forecaster_facts import Facts
from models.panel import Panel

MOST_STEPS, MOST_GAPS = 1_000_000, 100
"""Steps that any table may span, and how many for each of its rows one that spans more: the others are gaps."""


@dataclass(frozen=True)
class Upcoming:
    """A panel and what is to be predicted of it: one window at the end of each series.

    ``item_ids`` and ``targets`` name the series, ``ends_N`` is the first step to predict, ``starts_N`` the stamp of the
    first step.
    """

    panel: Panel
    item_ids: list[str]
    targets: list[str]
    starts_N: np.ndarray
    ends_N: np.ndarray

    def stamps(self, facts: Facts) -> np.ndarray:
        """Return the stamps of the horizon: int64 ``[N, F]``, as ``models.calendar`` counts them."""
        frequency = Frequency.parse(facts.frequency)
        grids = zip(self.starts_N.tolist(), self.ends_N.tolist(), strict=True)
        return np.stack([frequency.grid(start, end + facts.horizon)[end:] for start, end in grids])


def build(facts: Facts, item_ids: np.ndarray, stamps: np.ndarray, columns: Mapping[str, np.ndarray]) -> Upcoming:
    """Lay out new data for a model of ``facts``.

    Args:
        facts: the model's.
        item_ids: str ``[rows]``, in any order.
        stamps: int64 ``[rows]``.
        columns: targets and numeric covariates as float with NaN, categorical ones as object with None. Rows after
            the last observed target give the known covariates of the horizon.

    Raises:
        ValueError: there are no rows, a stamp is missing, stands twice or off the grid, a number is infinite, almost
            all steps are missing, a series has no observed target, or known covariates do not reach over the horizon.
    """
    _require_sound(item_ids, stamps, columns)
    grid = _Grid.of(facts, item_ids, stamps)
    grid.require_dense(len(stamps))
    targets = [grid.spread(columns[target], np.nan, np.float64) for target in facts.targets]
    ends = _ends(grid, targets)
    _require_known(facts, grid, ends)
    encoding, count = facts.encoding, len(facts.targets)
    numeric = [grid.spread(encoding.encode_numeric(c, columns[c]), np.nan, np.float32) for c in encoding.numeric]
    codes = [grid.spread(encoding.encode_categories(c, columns[c].tolist()), 0, np.int32) for c in encoding.categorical]
    starts = stamps[grid.first_rows]
    calendar, calendar_start = _calendar(facts, starts, grid.lengths)
    panel = Panel.from_arrays(
        encoding,
        target=grid.interleaved(targets),
        numeric=grid.repeated(_columns(numeric, grid.steps, np.float32), count),
        codes=grid.repeated(_columns(codes, grid.steps, np.int32), count),
        offsets=np.concatenate([[0], np.cumsum(np.repeat(grid.lengths, count))]),
        static_numeric=np.repeat(_static(facts, columns, grid.first_rows), count, axis=0),
        static_codes=_static_codes(facts, columns, grid.first_rows, count),
        calendar=calendar,
        calendar_start=np.repeat(calendar_start, count),
        error_scale=np.full(len(grid.names) * count, np.nan),
    )
    return Upcoming(
        panel,
        item_ids=[name for name in grid.names for _ in facts.targets],
        targets=facts.targets * len(grid.names),
        starts_N=np.repeat(starts, count),
        ends_N=ends.reshape(-1),
    )


@dataclass(frozen=True)
class _Grid:
    """Where rows in any order lie among the steps of all items, one item after the other.

    ``names`` are the items', ``first_rows`` the row of each one's first step, ``lengths`` their steps. The row
    ``order[i]`` lies at the step ``place[i]``.
    """

    names: list[str]
    first_rows: np.ndarray
    lengths: np.ndarray
    order: np.ndarray
    place: np.ndarray

    @classmethod
    def of(cls, facts: Facts, item_ids: np.ndarray, stamps: np.ndarray) -> _Grid:
        names, item = np.unique(item_ids, return_inverse=True)
        order = np.lexsort((stamps, item))
        item = item[order]
        first_rows = order[np.flatnonzero(np.diff(item, prepend=-1))]
        step = Frequency.parse(facts.frequency).steps_from(stamps[first_rows][item], stamps[order])
        for wrong, rule in (
            (step < 0, f"stamps must lie on the model's grid of {facts.frequency}"),
            ((np.diff(item, prepend=-1) == 0) & (np.diff(step, prepend=-1) == 0), "an item's stamps must differ"),
        ):
            if wrong.any():
                row = order[np.flatnonzero(wrong)[0]]
                stamp = stamps[row] if facts.integer_time else stamps[row].astype("datetime64[us]")
                raise ValueError(f"{rule} (got {stamp} of '{item_ids[row]}'): leave that row out or mend it")
        lengths = np.zeros(len(names), np.int64)
        np.maximum.at(lengths, item, step + 1)
        place = (np.cumsum(lengths) - lengths)[item] + step
        return cls([str(name) for name in names], first_rows, lengths, order, place)

    @property
    def offsets(self) -> np.ndarray:
        """Where each item's steps begin, and at last where they all end."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    @property
    def steps(self) -> int:
        return int(self.lengths.sum())

    def require_dense(self, rows: int) -> None:
        """Refuse a few rows with many steps between them: each step takes memory, whether it has a row or not."""
        if self.steps > max(MOST_STEPS, MOST_GAPS * rows):
            longest = int(self.lengths.argmax())
            raise ValueError(
                f"at most {MOST_GAPS} steps may be missing for each row (got {rows:,} rows over {self.steps:,} steps, "
                f"{self.lengths[longest]:,} of them of '{self.names[longest]}'): check the stamps"
            )

    def spread(self, values: np.ndarray, empty: float, dtype: type) -> np.ndarray:
        """Return the values of rows at their steps, and ``empty`` where there is no row."""
        out: np.ndarray = np.full(self.steps, empty, dtype)
        out[self.place] = values[self.order]
        return out

    def last_observed(self, target: np.ndarray) -> np.ndarray:
        """Return how many steps each item has up to its last value of ``target``."""
        within = np.arange(len(target)) - np.repeat(self.offsets[:-1], self.lengths) + 1
        return np.maximum.reduceat(np.where(np.isnan(target), 0, within), self.offsets[:-1])

    def interleaved(self, targets: list[np.ndarray]) -> np.ndarray:
        """Put the targets of an item one after the other, as they are series of their own."""
        if len(targets) == 1:
            return targets[0]
        return np.concatenate([target[a:b] for a, b in self._spans() for target in targets])

    def repeated(self, values: np.ndarray, count: int) -> np.ndarray:
        """Repeat each item's rows ``count`` times."""
        if count == 1:
            return values
        return np.concatenate([values[a:b] for a, b in self._spans() for _ in range(count)])

    def _spans(self) -> Iterator[tuple[int, int]]:
        return zip(self.offsets[:-1].tolist(), self.offsets[1:].tolist(), strict=True)


def _require_sound(item_ids: np.ndarray, stamps: np.ndarray, columns: Mapping[str, np.ndarray]) -> None:
    if not len(stamps):
        raise ValueError("there must be rows to predict from (got none): give each item's history")
    nowhere = np.flatnonzero(stamps == np.iinfo(np.int64).min)
    if len(nowhere):
        rule, item = "every row must have a stamp", item_ids[nowhere[0]]
        raise ValueError(f"{rule} (got none in a row of '{item}'): leave that row out or mend it")
    for name, values in columns.items():
        infinite = values.dtype.kind == "f" and np.abs(values) >= LARGEST
        if np.any(infinite):
            row = int(np.argmax(infinite))
            rule, item = f"numbers in column '{name}' must be finite, and below {LARGEST:g} in size", item_ids[row]
            raise ValueError(f"{rule} (got {values[row]} of '{item}'): leave that row out or mend it")


def _ends(grid: _Grid, targets: list[np.ndarray]) -> np.ndarray:
    """Return the first step to predict of each item and target: int64 ``[items, targets]``."""
    ends = np.stack([grid.last_observed(target) for target in targets], axis=1)
    if (ends == 0).any():
        missing = grid.names[int(np.flatnonzero((ends == 0).any(axis=1))[0])]
        raise ValueError(
            f"every series must have an observed target (got none for '{missing}'): leave it out or give its history"
        )
    return ends


def _require_known(facts: Facts, grid: _Grid, ends: np.ndarray) -> None:
    """Refuse series whose known covariates end before the horizon does."""
    encoding = facts.encoding
    known = encoding.known_numeric + encoding.known_categorical
    if not known:
        return
    lacking = np.flatnonzero(grid.lengths < ends.max(axis=1) + facts.horizon)
    if len(lacking):
        item = int(lacking[0])
        given = grid.lengths[item] - ends[item].max()
        raise ValueError(
            f"known covariates {known} must reach {facts.horizon} steps past the last target (got {given} for "
            f"'{grid.names[item]}'): add rows for the horizon, with the target empty"
        )


def _calendar(facts: Facts, starts: np.ndarray, lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return calendar rows of every item, one after the other, and where each begins."""
    frequency = Frequency.parse(facts.frequency)
    reach = lengths + facts.horizon
    if not facts.calendar_width:
        return np.zeros((int(reach.max()), 0), np.float32), np.zeros(len(starts), np.int64)
    grids = [frequency.grid(int(start), int(steps)) for start, steps in zip(starts, reach, strict=True)]
    zone = facts.time_zone if frequency.subdaily else None
    return features(wall_clock(np.concatenate(grids), zone), frequency), np.cumsum(reach) - reach


def _columns(columns: list[np.ndarray], rows: int, dtype: type) -> np.ndarray:
    return np.stack(columns, axis=1) if columns else np.zeros((rows, 0), dtype)


def _static(facts: Facts, columns: Mapping[str, np.ndarray], rows: np.ndarray) -> np.ndarray:
    encoding = facts.encoding
    encoded = [encoding.encode_numeric(c, columns[c][rows]) for c in encoding.static_numeric]
    return _columns(encoded, len(rows), np.float32)


def _static_codes(facts: Facts, columns: Mapping[str, np.ndarray], rows: np.ndarray, count: int) -> np.ndarray:
    encoding = facts.encoding
    encoded = []
    for column in encoding.static_categorical:
        if column == Encoding.TARGET:
            encoded.append(np.tile(encoding.encode_categories(column, list(facts.targets)), len(rows)))
        else:
            encoded.append(np.repeat(encoding.encode_categories(column, columns[column][rows].tolist()), count))
    return _columns(encoded, len(rows) * count, np.int32)
