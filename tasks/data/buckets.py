"""Cut a source of any size into buckets of whole items that fit into memory.

A bucket is a range of the sorted item ids, so the parts that come of them are sorted across files, too. Memory is
bounded by the bucket, not by the source; one item is the least that a bucket can hold.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import polars as pl

from tasks.data.contract import Ledger
from tasks.data.files import reading
from tasks.data.sources import Source

CELLS = 12_000_000
"""Values that one bucket holds, about a tenth of a gigabyte."""
OPEN_CELLS = 24_000_000
"""Values that all buckets together hold back while they are written: each fills a row group before it writes it."""
LARGEST_GROUP, SMALLEST_GROUP = 100_000, 1_000
"""Rows of such a row group, at most and at least."""
CODE = "item:code"
_BUCKET = "item:bucket"


class Layout(Protocol):
    """How the rows of a long table become canonical; ``survey.Layout`` is one."""

    @property
    def source(self) -> Source: ...
    @property
    def config(self) -> Any: ...
    def values(self) -> list[str]:
        """Return the value columns, at least one."""
        ...

    def item_id(self) -> pl.Expr: ...
    def scan(self) -> pl.LazyFrame:
        """Return ``item_id`` and whatever a row holds, in the order of the source."""
        ...


@dataclass(frozen=True)
class Items:
    """All items in the order of their ids.

    Args:
        ids: [items] as text.
        buckets: [items], the bucket of each.
    """

    ids: pl.Series
    buckets: pl.Series

    @property
    def count(self) -> int:
        return int(self.buckets.max()) + 1  # type: ignore[arg-type]


@dataclass(frozen=True)
class Buckets:
    """Lazy frames with the column ``item:code`` and all others of the layout's, in the order of the source."""

    frames: tuple[pl.LazyFrame, ...]

    def __iter__(self) -> Iterator[pl.DataFrame]:
        for frame in self.frames:
            yield frame.collect(engine="in-memory")


def list_items(layout: Layout, ledger: Ledger) -> Items:
    """Count the rows of each item and give each a bucket, about ``CELLS`` values in one."""
    columns = layout.config.item_id
    width = 2 + len(layout.values())
    with reading(layout.source.name, layout.source.files):
        frame = layout.source.scan(columns or layout.values()[:1])
        # An id of one column says which one; several columns may join to the same id.
        several = columns if len(columns) > 1 else []
        keys = [layout.item_id().alias("item_id"), *(pl.col(column).alias(f"key:{column}") for column in several)]
        counts = frame.group_by(keys).len().collect(engine="streaming")
    by_id = (
        counts.group_by("item_id").agg(pl.col("len").cast(pl.Int64).sum(), pl.len().alias("distinct")).sort("item_id")
    )
    clashes = by_id.filter((pl.col("distinct") > 1) & pl.col("item_id").is_not_null())
    if len(columns) > 1 and len(clashes):
        said = "{count} ids shared by several combinations"
        ledger.add("item_id_clash", "error", count=len(clashes), examples=clashes["item_id"].head(5), said=said)
    by_id = by_id.filter(pl.col("item_id").is_not_null())
    before = by_id["len"].cum_sum().shift(1, fill_value=0) * width
    return Items(by_id["item_id"], (before // CELLS).rle_id().cast(pl.Int32))


def read_buckets(layout: Layout, items: Items, work: Path) -> Buckets:
    """Return the buckets of ``layout``; more than one are first written below ``work`` by the streaming engine."""
    code = pl.col("item_id").cast(pl.Enum(items.ids)).to_physical().cast(pl.Int32)
    coded = layout.scan().select(code.alias(CODE), pl.exclude("item_id"))
    if items.count == 1:
        return Buckets((coded,))
    of_code = items.buckets.to_numpy()
    # Polars' own look-ups (replace_strict, gather from a literal) hold gigabytes here; numpy's holds one batch.
    bucket = pl.col(CODE).map_batches(
        lambda codes: pl.Series(of_code[codes.to_numpy()]), return_dtype=pl.Int32, is_elementwise=True
    )
    group = OPEN_CELLS // items.count // (2 + len(layout.values()))
    with reading(layout.source.name, layout.source.files):
        coded.with_columns(bucket.alias(_BUCKET)).sink_parquet(
            pl.PartitionBy(work, key=_BUCKET, include_key=False),
            compression="lz4",
            row_group_size=min(max(group, SMALLEST_GROUP), LARGEST_GROUP),
            mkdir=True,
        )
    folders = [work / f"{_BUCKET}={i}" for i in range(items.count)]
    return Buckets(tuple(pl.scan_parquet(sorted(folder.glob("*.parquet")), glob=False) for folder in folders))
