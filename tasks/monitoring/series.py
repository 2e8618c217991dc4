"""What is kept of a table of series when a model learns from it, and how new data are held against it.

    items.parquet     column, item_id and what ``features.fitted`` returns
    blocks.parquet    column, feature, block, total, weight: sums over all items
    counts.parquet    column, block, value, count: of the columns of categories

Frames hold a row a step: ``item_id``, ``position`` (see ``features``) and the columns; items are whole within a frame.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count, takewhile
from pathlib import Path

import numpy as np
import polars as pl
from numpy.typing import NDArray

from tasks.monitoring import drift, features
from tasks.monitoring.drift import Finding
from tasks.monitoring.features import Spans

Floats = NDArray[np.float64]

MOST_BLOCKS = 520
"""Of a reference: ten years of weeks. What is older says little of today."""
SUMS = ["column", "feature", "block"]
COUNTS = ["column", "block", "value"]
_EMPTY_SUMS = pl.DataFrame(
    schema={"column": pl.String, "feature": pl.String, "block": pl.Int64, "total": pl.Float64, "weight": pl.Float64}
)
_EMPTY_COUNTS = pl.DataFrame(schema={"column": pl.String, "block": pl.Int64, "value": pl.String, "count": pl.Int64})
_EMPTY_ITEMS = pl.DataFrame(
    schema={
        "column": pl.String, "item_id": pl.String, "centre": pl.Float64, "scale": pl.Float64, "blocks": pl.Int64,
        "level": pl.Float64, "season": pl.List(pl.Float64),
    }
)  # fmt: skip


@dataclass(frozen=True)
class Known:
    """What a reference says of its columns; the frames are those of the module's docstring."""

    spans: Spans
    items: pl.DataFrame
    blocks: pl.DataFrame
    counts: pl.DataFrame

    @classmethod
    def read(cls, directory: Path, spans: Spans) -> Known:
        return cls(spans, *(pl.read_parquet(directory / f"{name}.parquet") for name in ("items", "blocks", "counts")))

    def write(self, directory: Path) -> None:
        for name in ("items", "blocks", "counts"):
            getattr(self, name).write_parquet(directory / f"{name}.parquet")

    @property
    def numeric(self) -> list[str]:
        return self.blocks["column"].unique(maintain_order=True).to_list()

    @property
    def columns(self) -> list[str]:
        return [*self.numeric, *self.categorical]

    @property
    def categorical(self) -> list[str]:
        return self.counts["column"].unique(maintain_order=True).to_list()


def learn(parts: Iterable[pl.DataFrame], numeric: list[str], categorical: list[str], spans: Spans) -> Known:
    """Describe a reference; the positions of ``parts`` are below 0."""
    items, blocks, counts = [_EMPTY_ITEMS], [_EMPTY_SUMS], [_EMPTY_COUNTS]
    for part in parts:
        newest = part.filter(pl.col("position").is_between(-MOST_BLOCKS * spans.length, -1))
        for column in numeric:
            steps = features.blocked(newest, column, spans)
            fitted = features.fitted(steps)
            items.append(_named(fitted, column, _EMPTY_ITEMS))
            blocks.append(_named(features.numbers(steps, fitted, spans, reference=True), column, _EMPTY_SUMS))
        for column in categorical:
            steps = features.blocked(newest, column, spans)
            counts.append(_named(features.categories(steps), column, _EMPTY_COUNTS))
    return Known(spans, pl.concat(items), features.summed(blocks, SUMS), features.summed(counts, COUNTS))


def watch(parts: Iterable[pl.DataFrame], known: Known) -> tuple[list[Finding], int]:
    """Test what lies at position 0 and later against the reference.

    Returns:
        A finding for each feature of each column, not corrected yet, and how many whole new blocks there are.
    """
    blocks, counts = [_EMPTY_SUMS], [_EMPTY_COUNTS]
    fitted = {column: known.items.filter(pl.col("column") == column) for column in known.numeric}
    for part in parts:
        new = part.filter(pl.col("position") >= 0)
        for column, items in fitted.items():
            steps = features.blocked(new, column, known.spans)
            sums = features.numbers(steps, items.drop("column"), known.spans, reference=False)
            blocks.append(_named(sums, column, _EMPTY_SUMS))
        for column in known.categorical:
            counts.append(
                _named(features.categories(features.blocked(new, column, known.spans)), column, _EMPTY_COUNTS)
            )
    now, seen, then = features.summed(blocks, SUMS), features.summed(counts, COUNTS), known.blocks
    for column in known.categorical:
        ours, theirs = _of(column, known.counts), _of(column, seen)
        then = then.vstack(_named(features.shares(ours, ours), column, _EMPTY_SUMS))
        now = now.vstack(_named(features.shares(theirs, ours), column, _EMPTY_SUMS))
    compared = [(column, *_compared(_of(column, then), _of(column, now))) for column in known.columns]
    findings = [
        drift.of_blocks(column, feature, *values)
        for column, values_of, _ in compared
        for feature, values in values_of.items()
    ]
    return findings, max((blocks for _, _, blocks in compared), default=0)


def _compared(then: pl.DataFrame, now: pl.DataFrame) -> tuple[dict[str, tuple[Floats, Floats]], int]:
    """Return each feature's values in the blocks of reference and new data, and how many new blocks count.

    A block counts as long as at least half as many steps lie in it and in all that are nearer to the reference's end as
    in the reference's last: there items have just begun, or not all are reported yet.
    """
    steps = {
        row["block"]: row["weight"]
        for row in pl.concat([then, now]).filter(pl.col("feature") == "missing").iter_rows(named=True)
    }
    enough = {block for block, count in steps.items() if 2 * count >= steps.get(-1, 0.0)}
    old, new = list(takewhile(enough.__contains__, count(-1, -1)))[::-1], list(takewhile(enough.__contains__, count()))
    found = {}
    for feature in then["feature"].unique().sort():
        before, after = _values(then, feature, old), _values(now, feature, new)
        known = np.flatnonzero(np.isfinite(before))
        if len(known):
            # A block of the reference in which nothing was observed says nothing new.
            filled = before[np.maximum.accumulate(np.where(np.isfinite(before), np.arange(len(before)), known[0]))]
            found[feature] = (filled[known[0] :], after[np.isfinite(after)])
    return found, len(new)


def _values(sums: pl.DataFrame, feature: str, blocks: list[int]) -> Floats:
    """Return the feature's value in each of ``blocks``, NaN where there is none."""
    rows = sums.filter(pl.col("feature") == feature)
    values = dict(zip(rows["block"], rows["total"] / rows["weight"], strict=True))
    return np.array([values.get(block, np.nan) for block in blocks], np.float64)


def _of(column: str, rows: pl.DataFrame) -> pl.DataFrame:
    return rows.filter(pl.col("column") == column).drop("column")


def _named(rows: pl.DataFrame, column: str, like: pl.DataFrame) -> pl.DataFrame:
    """Return ``rows`` with its column's name, and the columns and types of ``like``."""
    return rows.with_columns(column=pl.lit(column)).select(like.columns).cast(like.schema)
