"""Read time stamps of any form as one type: an integer index, or date-times with or without a zone.

A stamp with an offset is an instant, and is kept in UTC or in ``time_zone``. A stamp without one is a wall clock's:
with ``time_zone`` that zone's, else nobody's. Midnight stands for a day, so where clocks change at midnight it is the
day's first instant; any other wall-clock time that does not exist, or exists twice, is refused. Whole numbers are an
index, unless a unit is named: then they are instants, counted from 1970 in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import polars as pl

_ISO = r"^(\d{4}-\d{2}(?:-\d{2})?)(?:[T ](\d{2}:\d{2}(?::\d{2}(?:\.\d{1,9})?)?) ?(Z|[+-]\d{2}(?::?\d{2})?)?)?$"
_INTEGER = r"^[+-]?\d{1,19}$"

Unit = Literal["s", "ms", "us", "ns"]
PER_SECOND: dict[Unit, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
CENTURY = (946_684_800, 4_102_444_800)
"""Seconds from 1970 to 2000 and to 2100: an index does not run between them, nor between thousands of them."""


@dataclass(frozen=True)
class Clock:
    """How the stamps of a source are read.

    Args:
        kind: what they are: whole numbers, wall-clock times, or instants.
        zone: the zone of the result, if any.
        text: they are text.
        unit: of whole numbers that are instants.
    """

    kind: Literal["integer", "wall", "instant"]
    zone: str | None
    text: bool
    unit: Unit | None = None

    @property
    def dtype(self) -> pl.DataType:
        return pl.Int64() if self.kind == "integer" else pl.Datetime("us", self.zone)

    def read(self, value: pl.Expr) -> pl.Expr:
        """Return ``value`` as canonical stamps; null where it is not one."""
        if self.kind == "integer":
            return value.cast(pl.Int64, strict=False)
        if self.unit is not None:
            instants = parse_epoch(value.cast(pl.Int64, strict=False), self.unit)
            return instants.dt.convert_time_zone(self.zone or "UTC")
        if self.kind == "instant":
            instants = parse_instants(value) if self.text else value.cast(pl.Datetime("us", "UTC"))
            return instants.dt.convert_time_zone(self.zone or "UTC")
        naive = parse_wall(value) if self.text else value.cast(pl.Datetime("us"))
        return localise(naive, self.zone) if self.zone else naive


def is_integer(value: pl.Expr) -> pl.Expr:
    return value.str.contains(_INTEGER) & value.cast(pl.Int64, strict=False).is_not_null()


def parse_wall(value: pl.Expr) -> pl.Expr:
    """Return the date-time of ISO text as written, its offset left aside."""
    parts = value.str.extract_groups(_ISO)
    date, time = parts.struct[0], parts.struct[1].fill_null("00:00")
    day = pl.when(date.str.len_bytes() == 7).then(date + "-01").otherwise(date)
    clock = pl.when(time.str.len_bytes() == 5).then(time + ":00").otherwise(time)
    return (day + "T" + clock).str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", strict=False, time_unit="us")


def parse_offset(value: pl.Expr) -> pl.Expr:
    """Return the offset of ISO text from UTC in minutes; null if it has none."""
    offset = value.str.extract_groups(_ISO).struct[2].str.replace("Z", "+0000").str.replace(":", "")
    sign = pl.when(offset.str.starts_with("-")).then(-1).otherwise(1)
    hours = offset.str.slice(1, 2).cast(pl.Int32, strict=False)
    return sign * (60 * hours + offset.str.slice(3, 2).cast(pl.Int32, strict=False).fill_null(0))


def parse_instants(value: pl.Expr) -> pl.Expr:
    """Return the instants of ISO text with offsets, in UTC."""
    return (parse_wall(value) - pl.duration(minutes=parse_offset(value))).dt.replace_time_zone("UTC")


def parse_epoch(value: pl.Expr, unit: Unit) -> pl.Expr:
    """Return the instants of whole numbers that count from 1970, in UTC; a part of a microsecond is cut off."""
    return pl.from_epoch(value, unit).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")


def epoch_unit(least: int, most: int) -> Unit | None:
    """Return the unit in which whole numbers from ``least`` to ``most`` all lie in this century; None: an index."""
    first, last = CENTURY
    return next((u for u, count in PER_SECOND.items() if first * count <= least and most < last * count), None)


def localise(naive: pl.Expr, zone: str) -> pl.Expr:
    """Return the instants of a zone's wall clock; null where it does not exist or exists twice, but for midnight."""
    midnight = naive.dt.time() == pl.time(0)
    exact = naive.dt.replace_time_zone(zone, ambiguous="null", non_existent="null")
    return pl.when(midnight).then(first_instants(naive, zone)).otherwise(exact)


def first_instants(naive: pl.Expr, zone: str) -> pl.Expr:
    """Return the first instant that the wall clock shows ``naive`` or, where it skips it, the same an hour later."""
    here = naive.dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    later = (naive + pl.duration(hours=1)).dt.replace_time_zone(zone, ambiguous="earliest", non_existent="null")
    return pl.coalesce(here, later)
