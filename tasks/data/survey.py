"""The first pass over a source: roles, types and unreadable values, counted by one streamed aggregation.

What it returns, a Layout, reads the rows in canonical types; that every value can be read has been checked before.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import polars as pl

from tasks.data import cells, clocks, stamps
from tasks.data.cells import TEXT
from tasks.data.contract import Ledger, severity
from tasks.data.files import reading
from tasks.data.roles import check_roles, used_columns, value_columns
from tasks.data.sources import Source
from tasks.data.stamps import Clock

if TYPE_CHECKING:
    from tasks.ingest import SeriesData

ONE_SERIES = "series"


@dataclass(frozen=True)
class Layout:
    """How the rows of a source become canonical.

    Args:
        schema: the source's columns and their types.
        clock: how stamps are read.
        categorical: covariates that are text.
        numeric: all other value columns.
        rows: of the source.
    """

    source: Source
    config: SeriesData
    schema: dict[str, pl.DataType]
    clock: Clock
    categorical: tuple[str, ...]
    numeric: tuple[str, ...]
    rows: int

    def values(self) -> list[str]:
        """Return the value columns in canonical order."""
        return value_columns(self.config)

    def item_id(self) -> pl.Expr:
        parts = [_identity(column, self) for column in self.config.item_id]
        return pl.concat_str(parts, separator="|") if parts else pl.lit(ONE_SERIES)

    def scan(self) -> pl.LazyFrame:
        """Return ``item_id``, ``timestamp`` and the value columns in the order of the source."""
        config = self.config
        numbers = [_number(column, self).fill_nan(None).alias(column) for column in self.numeric]
        if config.infinite == "null":
            numbers = [
                pl.when(cells.infinite(number)).then(None).otherwise(number).alias(number.meta.output_name())
                for number in numbers
            ]
        texts = [_category(column, self).alias(column) for column in self.categorical]
        stamp = self.clock.read(_stamp(config.timestamp, self))
        frame = self.source.scan(used_columns(config))
        named = {expression.meta.output_name(): expression for expression in [*numbers, *texts]}
        return frame.select(
            self.item_id().alias("item_id"), stamp.alias("timestamp"), *(named[column] for column in self.values())
        )


def survey(source: Source, config: SeriesData, ledger: Ledger) -> Layout:
    """Check roles, types and values of ``source``; findings go to ``ledger``.

    Raises:
        InputError: the columns do not bear their roles, or there are no rows, so that nothing further can be checked.
    """
    schema = source.columns()
    check_roles(config, schema, ledger)
    ledger.raise_errors()
    draft = Layout(source, config, schema, Clock("wall", None, False), (), (), 0)
    with reading(source.name, source.files):
        counts = (
            source.scan(used_columns(config))
            .select(**dict(_counts(draft)))
            .collect(engine="streaming")
            .row(0, named=True)
        )
    if not counts["rows"]:
        ledger.add("empty", "error", said="0 rows in {what}", what=source.name)
        ledger.raise_errors()
    categorical = [column for column in value_columns(config) if _is_categorical(column, draft, counts)]
    numeric = [column for column in value_columns(config) if column not in categorical]
    clock = clocks.choose_clock(config, schema[config.timestamp], counts, ledger)
    layout = Layout(source, config, schema, clock, tuple(categorical), tuple(numeric), counts["rows"])
    _check_values(layout, counts, ledger)
    _check_stamps(layout, counts, ledger)
    return layout


def _text(column: str, layout: Layout) -> pl.Expr:
    return cells.text(column, layout.config.null_values)


def _is_text(column: str, layout: Layout) -> bool:
    return isinstance(layout.schema[column], TEXT)


def _number(column: str, layout: Layout) -> pl.Expr:
    return cells.number(column, layout.schema[column], layout.config.null_values)


def _category(column: str, layout: Layout) -> pl.Expr:
    return cells.identity(column, layout.source, layout.config.null_values)


def _identity(column: str, layout: Layout) -> pl.Expr:
    return _category(column, layout)


def _stamp(column: str, layout: Layout) -> pl.Expr:
    return _text(column, layout) if _is_text(column, layout) else pl.col(column)


def _counts(layout: Layout) -> Iterator[tuple[str, pl.Expr]]:
    """Yield the aggregates of the pass, named ``what:column``."""
    config = layout.config
    yield "rows", pl.len()
    for column in config.item_id:
        yield f"null:{column}", _identity(column, layout).null_count()
    for column in value_columns(config):
        value = _text(column, layout) if _is_text(column, layout) else pl.col(column)
        number = _number(column, layout)
        yield f"given:{column}", value.count()
        yield f"number:{column}", number.count()
        yield f"nan:{column}", number.is_nan().sum()
        yield f"infinite:{column}", cells.infinite(number).sum()
    stamp = _stamp(config.timestamp, layout)
    yield f"null:{config.timestamp}", stamp.null_count()
    yield from clocks.counts(stamp, layout.schema[config.timestamp])


def _is_categorical(column: str, layout: Layout, counts: dict[str, Any]) -> bool:
    if column in layout.config.target:
        return False
    if column in layout.config.categorical:
        return True
    if layout.source.text:
        return 2 * counts[f"number:{column}"] < counts[f"given:{column}"]
    return _is_text(column, layout)


def _check_values(layout: Layout, counts: dict[str, Any], ledger: Ledger) -> None:
    config = layout.config
    for column in config.item_id:
        if count := counts[f"null:{column}"]:
            places = _places(layout, column, _identity(column, layout).is_null())
            ledger.add("null_item_id", "error", column, count=count, examples=places, said="{count} nulls")
    for column in layout.numeric:
        given, number = counts[f"given:{column}"], counts[f"number:{column}"]
        if given > number:
            _find_unparsable(layout, column, given - number, ledger)
        if count := counts[f"infinite:{column}"]:
            places = _places(layout, column, cells.infinite(_number(column, layout)))
            level, said = severity(config.infinite), "{count} values that are not"
            ledger.add("infinite", level, column, count=count, examples=places, said=said, action="set to null")
        missing = layout.rows - number + counts[f"nan:{column}"]
        if column in config.target and given == number and missing == layout.rows:
            ledger.add("all_null_target", "error", column, count=missing, said="{count} nulls in as many rows")


def _find_unparsable(layout: Layout, column: str, count: int, ledger: Ledger) -> None:
    remedy = "set data.unparsable: null"
    if column not in layout.config.target:
        remedy += f" (or add {column!r} to data.categorical)"
    bad = _text(column, layout).is_not_null() & _number(column, layout).is_null()
    ledger.add(
        "unparsable",
        severity(layout.config.unparsable),
        column,
        count=count,
        examples=_places(layout, column, bad),
        said="{count} values that are not",
        action="set to null",
        what="numbers",
        remedy=remedy,
    )


def _check_stamps(layout: Layout, counts: dict[str, Any], ledger: Ledger) -> None:
    column, clock = layout.config.timestamp, layout.clock
    stamp = _stamp(column, layout)
    if count := counts[f"null:{column}"]:
        places = _places(layout, column, stamp.is_null())
        ledger.add("null_timestamp", "error", column, count=count, examples=places, said="{count} nulls")
    if clock.text:
        whole = clock.kind == "integer" or clock.unit is not None
        readable = "stamp:integer" if whole else "stamp:iso"
        what = "whole numbers" if whole else "ISO dates or date-times"
        if count := layout.rows - counts[f"null:{column}"] - counts[readable]:
            good = stamps.is_integer(stamp) if whole else stamps.parse_wall(stamp).is_not_null()
            places = _places(layout, column, stamp.is_not_null() & ~good)
            ledger.add(
                "unparsable_stamp",
                "error",
                column,
                count=count,
                examples=places,
                said="{count} values that are not",
                what=what,
            )
    if clock.kind == "wall" and clock.zone:
        wall = stamps.parse_wall(stamp) if clock.text else stamp
        bad = wall.is_not_null() & clock.read(stamp).is_null()
        count = layout.source.scan([column]).select(bad.sum()).collect(engine="streaming").item()
        if count:
            places = _places(layout, column, bad)
            said = "{count} that it skips or shows twice"
            ledger.add("wall_clock", "error", column, count=count, examples=places, said=said, what=clock.zone)


def _places(layout: Layout, column: str, bad: pl.Expr) -> list[str]:
    return cells.places(layout.source, column, bad)
