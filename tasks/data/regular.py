"""Make one bucket of whole items canonical: sorted, without duplicates, on the grid, each breach in the ledger."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np
import polars as pl

from tasks.data.buckets import CODE
from tasks.data.contract import EXAMPLES, Ledger, Level, severity
from tasks.data.frequency import VOTE, Step, grid_lengths, item_steps, lay_grid
from tasks.data.survey import Layout

if TYPE_CHECKING:
    from tasks.ingest import SeriesData

SHORT = 10
"""Observed steps under which a series is reported as short."""
_SPARSE, _SPARE = 100, 1_000_000


@dataclass
class Bucket:
    """Rows of whole items, sorted by item and time.

    Args:
        frame: ``item:code``, ``timestamp`` and the values.
        firsts: [items], the row at which each item begins.
    """

    frame: pl.DataFrame
    firsts: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.firsts = _firsts(self.frame)

    @property
    def stamps(self) -> pl.Series:
        return self.frame["timestamp"]

    def item_of_row(self) -> np.ndarray:
        return np.repeat(np.arange(len(self.firsts)), np.diff(np.append(self.firsts, len(self.frame))))

    def codes(self) -> pl.Series:
        return self.frame[CODE].gather(self.firsts)

    def places(self, rows: np.ndarray, ids: pl.Series) -> list[str]:
        """Name the first of the rows for a message, as ``JFK at 2013-01-01T05:00``."""
        some = self.frame.select(CODE, "timestamp")[rows[:EXAMPLES]]
        return [f"{ids[code]} at {show(stamp)}" for code, stamp in some.iter_rows()]


def show(stamp: object) -> str:
    """Write a stamp without the seconds, and a naive one without the time, where they are zero."""
    if not isinstance(stamp, datetime):
        return str(stamp)
    text = stamp.isoformat(timespec="auto" if stamp.second or stamp.microsecond else "minutes")
    return text.removesuffix("T00:00")


def pieces(bucket: Bucket, step: Step, steps: int) -> Iterator[Bucket]:
    """Cut ``bucket`` between items where its grid grows beyond ``steps``, as that of sparse items does."""
    lengths = grid_lengths(bucket.stamps, bucket.firsts, step)
    number = (np.cumsum(lengths) - lengths) // steps
    starts = bucket.firsts[np.flatnonzero(np.diff(number, prepend=-1))]
    for start, end in zip(starts, np.append(starts[1:], len(bucket.frame)), strict=True):
        yield Bucket(bucket.frame.slice(start, end - start))


def tidy(rows: pl.DataFrame, layout: Layout, ids: pl.Series, ledger: Ledger) -> Bucket:
    """Sort ``rows`` by item and time and do with duplicate stamps what the Config says."""
    bucket = Bucket(rows.sort(CODE, maintain_order=True))
    backwards = _step_back(bucket)
    if len(backwards):
        items = len(np.unique(bucket.item_of_row()[backwards]))
        examples = bucket.places(backwards, ids)
        said = "{count} rows of {items} items earlier than the row before"
        ledger.add(
            "unsorted", "warning", count=len(backwards), items=items, examples=examples, said=said, action="sorted"
        )
        bucket = Bucket(bucket.frame.sort(CODE, "timestamp", maintain_order=True))
    repeated = _repeated(bucket)
    if repeated.any():
        bucket = _merge(bucket, repeated, layout, ids, ledger)
    return bucket


def vote(bucket: Bucket, ids: pl.Series) -> list[tuple[Step, str, int]]:
    """Return each item's step, its id and the differences seen; items of one row have none."""
    steps, seen = item_steps(bucket.stamps, bucket.firsts)
    named = zip(steps, bucket.codes(), seen, strict=True)
    return [(step, ids[code], int(count)) for step, code, count in named if step is not None]


@dataclass(frozen=True)
class Regular:
    """Series on their grids.

    Args:
        frame: ``item:code``, ``item_id``, ``timestamp`` and the values.
        offsets: [items + 1], where each item begins.
        present: [steps], whether the source has a row for the step.
    """

    frame: pl.DataFrame
    offsets: np.ndarray
    present: np.ndarray

    def lengths(self) -> np.ndarray:
        return np.diff(self.offsets)

    def item(self) -> np.ndarray:
        """Return [steps] the number of each step's item."""
        return np.repeat(np.arange(len(self.offsets) - 1), self.lengths())

    def within(self) -> np.ndarray:
        """Return [steps] the index of each step within its item."""
        return np.arange(self.offsets[-1]) - self.offsets[self.item()]

    def last(self, column: str) -> np.ndarray:
        """Return [items] the index within the item of the last value of ``column``, -1 if it has none."""
        given = self.frame[column].is_not_null().to_numpy()
        return np.maximum.reduceat(np.where(given, self.within(), -1), self.offsets[:-1])

    def places(self, steps: np.ndarray) -> list[str]:
        some = self.frame.select("item_id", "timestamp")[steps[:EXAMPLES]]
        return [f"{name} at {show(stamp)}" for name, stamp in some.iter_rows()]


def regularise(bucket: Bucket, step: Step, layout: Layout, ids: pl.Series, ledger: Ledger) -> Regular | None:
    """Put the rows of ``bucket`` on the grid of ``step``; steps without a row get nulls.

    Returns:
        the canonical frame but for gaps of the target; None if the grid would be almost empty.
    """
    rows, size = len(bucket.frame), int(grid_lengths(bucket.stamps, bucket.firsts, step).sum())
    if size > _SPARSE * rows + _SPARE:
        said = "{what2} steps for {count} rows"
        ledger.add("sparse_grid", "error", count=rows, said=said, what=str(step), what2=f"{size:,}")
        return None
    grid = lay_grid(bucket.stamps, bucket.firsts, step)
    if grid.off.any():
        off = np.flatnonzero(grid.off)
        items = len(np.unique(bucket.item_of_row()[off]))
        said = "{count} stamps of {items} items off it"
        examples = bucket.places(off, ids)
        ledger.add(
            "off_grid",
            "error",
            layout.config.timestamp,
            count=len(off),
            items=items,
            examples=examples,
            said=said,
            what=str(step),
        )
    present = np.zeros(size, dtype=bool)
    present[grid.position] = True
    item = np.repeat(np.arange(len(bucket.firsts)), np.diff(grid.offsets))
    code = bucket.codes().gather(item)
    frame = _spread(bucket, grid.position, size).with_columns(
        grid.stamps.alias("timestamp"), code.alias(CODE), ids.gather(code).alias("item_id")
    )
    frame = _broadcast_static(bucket, frame, item, layout.config, ids, ledger)
    regular = Regular(frame.select(CODE, "item_id", "timestamp", *layout.values()), grid.offsets, present)
    _report_gaps(regular, layout.config, ledger)
    return regular


def _firsts(frame: pl.DataFrame) -> np.ndarray:
    codes = frame[CODE].to_numpy()
    return np.flatnonzero(np.diff(codes, prepend=codes[:1] - 1)) if len(codes) else np.zeros(0, dtype=np.int64)


def _differences(bucket: Bucket) -> np.ndarray:
    """Return the distance to the row before of the same item, 1 for each item's first row."""
    physical = bucket.stamps.to_physical().to_numpy()
    differences = np.diff(physical, prepend=physical[:1])
    differences[bucket.firsts] = 1
    return differences


def _step_back(bucket: Bucket) -> np.ndarray:
    return np.flatnonzero(_differences(bucket) < 0)


def _repeated(bucket: Bucket) -> np.ndarray:
    return _differences(bucket) == 0


def _merge(bucket: Bucket, repeated: np.ndarray, layout: Layout, ids: pl.Series, ledger: Ledger) -> Bucket:
    policy = layout.config.duplicates
    rows = np.flatnonzero(repeated)
    items = len(np.unique(bucket.item_of_row()[rows]))
    words = {"said": "{count} rows of {items} items repeat the stamp of another", "action": f"merged: {policy}"}
    examples = bucket.places(rows, ids)
    ledger.add("duplicates", severity(policy), count=len(rows), items=items, examples=examples, **words)
    frame = bucket.frame
    if policy == "last":
        return Bucket(frame.filter(pl.Series(~np.append(repeated[1:], False))))
    if policy == "mean":
        group = pl.Series("group", np.cumsum(~repeated))
        by = [pl.col(c).mean() if c in layout.numeric else pl.col(c).first() for c in frame.columns]
        means = frame.lazy().with_columns(group).group_by("group").agg(by).sort("group").drop("group")
        return Bucket(means.collect(engine="in-memory"))
    return Bucket(frame.filter(pl.Series(~repeated)))


def _spread(bucket: Bucket, position: np.ndarray, size: int) -> pl.DataFrame:
    if size == len(position) and (position == np.arange(size)).all():
        return bucket.frame
    row_of_step = np.full(size, -1, dtype=np.int64)
    row_of_step[position] = np.arange(len(position))
    rows = pl.Series(row_of_step)
    return bucket.frame.select(pl.all().gather(rows.set(rows < 0, None)))


def _broadcast_static(
    bucket: Bucket, frame: pl.DataFrame, item: np.ndarray, config: SeriesData, ids: pl.Series, ledger: Ledger
) -> pl.DataFrame:
    """Give each step its item's static covariates, which must not vary."""
    for column in config.static_covariates:
        given = pl.col(column).drop_nulls()
        grouped = (
            bucket.frame.lazy().group_by(CODE).agg(given.first().alias(column), given.n_unique().alias("distinct"))
        )
        by_item = grouped.sort(CODE).collect(engine="in-memory")
        varying = by_item.filter(pl.col("distinct") > 1)
        if len(varying):
            said = "{count} items in which it varies"
            examples = [ids[code] for code in varying[CODE].head(EXAMPLES)]
            ledger.add(
                "static_varies", "error", column, count=len(varying), items=len(varying), examples=examples, said=said
            )
        frame = frame.with_columns(by_item[column].gather(item))
    return frame


def _report_gaps(regular: Regular, config: SeriesData, ledger: Ledger) -> None:
    """Report steps that have no row."""
    missing = np.flatnonzero(~regular.present)
    if not len(missing):
        return
    items = regular.frame[CODE].gather(missing).n_unique()
    level, action = gap_action(config.gaps)
    said = "{count} steps of {items} items without a row"
    examples = regular.places(missing)
    ledger.add("gaps", level, count=len(missing), items=items, examples=examples, said=said, action=action)


def gap_action(policy: str) -> tuple[Level, str]:
    """Return the level of findings about missing targets under ``policy``, and what is done."""
    actions = {
        "mask": "masked",
        "error": "",
        "zero": "target set to zero, covariates masked",
        "forward_fill": "target filled forward, covariates masked",
        "interpolate": "target interpolated, covariates masked",
    }
    return severity(policy), actions[policy]


def agree(votes: list[tuple[Step, str, int]]) -> Step | None:
    """Return the step of most items, the finest of equals; those of few differences count if there are no others."""
    able = [step for step, _, seen in votes if seen >= VOTE] or [step for step, _, _ in votes]
    if not able:
        return None
    counts = Counter(able)
    return min(counts, key=lambda step: (-counts[step], fineness(step)))


def fineness(step: Step) -> int:
    return step.count * {"integer": 1, "seconds": 1, "days": 86400, "months": 30 * 86400}[step.kind]
