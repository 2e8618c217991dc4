"""Which clock the stamps of a source are of: chosen by what was counted of them, and by zone and unit of the Config."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from tasks.data import stamps
from tasks.data.cells import TEXT
from tasks.data.contract import Ledger
from tasks.data.stamps import PER_SECOND, Clock, Unit

if TYPE_CHECKING:
    from tasks.ingest import SeriesData

LAST_SECOND = 253_402_300_799
"""Of the year 9999, since 1970."""


def counts(stamp: pl.Expr, dtype: pl.DataType) -> Iterator[tuple[str, pl.Expr]]:
    """Yield the aggregates of the time column, which is of ``dtype``, that ``choose_clock`` has to know."""
    if isinstance(dtype, TEXT):
        offset = stamps.parse_offset(stamp)
        yield "stamp:integer", stamps.is_integer(stamp).sum()
        yield "stamp:iso", stamps.parse_wall(stamp).count()
        yield "stamp:offset", offset.count()
        yield "stamp:least", offset.min()
        yield "stamp:most", offset.max()
        stamp = pl.when(stamps.is_integer(stamp)).then(stamp.cast(pl.Int64, strict=False))
    if isinstance(dtype, TEXT) or dtype.is_integer():
        yield "stamp:first", stamp.min().cast(pl.Int64, strict=False)
        yield "stamp:last", stamp.max().cast(pl.Int64, strict=False)


def choose_clock(config: SeriesData, dtype: pl.DataType, told: dict[str, Any], ledger: Ledger) -> Clock:
    """Return how the time column, which is of ``dtype``, is read; what does not fit together goes to ``ledger``.

    Args:
        told: what ``counts`` came to.
    """
    column, zone, unit = config.timestamp, config.time_zone, config.timestamp_unit
    if zone is not None and not _zone_exists(zone):
        remedy = "write an IANA name such as Europe/Berlin, America/New_York or UTC"
        ledger.add("time_zone", "error", column, said="{what}", what=repr(zone), remedy=remedy)
        zone = None
    if isinstance(dtype, TEXT):
        clock = _clock_of_text(column, zone, told, ledger)
    elif dtype.is_integer():
        clock = Clock("integer", None, False)
    elif isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        clock = Clock("instant", zone or dtype.time_zone, False)
    else:
        clock = Clock("wall", zone, False)
    if clock.kind != "integer":
        if unit is not None:
            ledger.add(
                "timestamp_unit", "error", column, said="{what} for dates", what=repr(unit), remedy="leave it out"
            )
        return clock
    first, last = told["stamp:first"], told["stamp:last"]
    if unit is not None:
        _check_unit(column, unit, first, last, ledger)
        return Clock("instant", zone or "UTC", clock.text, unit)
    if zone is not None:
        remedy = "leave it out, or set data.timestamp_unit if they count the time since 1970"
        ledger.add("time_zone", "error", column, said="{what} for an integer index", what=repr(zone), remedy=remedy)
    elif first is not None and (unit := stamps.epoch_unit(first, last)) is not None:
        _report_epoch(column, unit, first, last, ledger)
    return clock


def _check_unit(column: str, unit: Unit, first: int | None, last: int | None, ledger: Ledger) -> None:
    most = LAST_SECOND * PER_SECOND[unit]
    for stamp in (first, last):
        if stamp is not None and abs(stamp) > most:
            what = f"{stamp} in the unit {unit!r}, which is no date before the year 10000"
            remedy = f"name the unit in which they count: {', '.join(PER_SECOND)}"
            ledger.add("timestamp_unit", "error", column, said="{what}", what=what, remedy=remedy)
            return


def _report_epoch(column: str, unit: Unit, first: int, last: int, ledger: Ledger) -> None:
    days = [datetime.fromtimestamp(stamp // PER_SECOND[unit], UTC).date() for stamp in (first, last)]
    said = "{what}, which run from " + f"{days[0]} to {days[1]} if they count the time since 1970"
    action = f"taken as an index; data.timestamp_unit: {unit} would read them as times"
    ledger.add("epoch", "warning", column, said=said, what=f"{first} to {last}", action=action)


def _clock_of_text(column: str, zone: str | None, told: dict[str, Any], ledger: Ledger) -> Clock:
    if told["stamp:integer"] > told["stamp:iso"]:
        return Clock("integer", None, True)
    if 0 < told["stamp:offset"] < told["stamp:iso"]:
        naive = told["stamp:iso"] - told["stamp:offset"]
        said = "{count} stamps without an offset beside {what} with one"
        remedy = "write all stamps with an offset, or none"
        what = f"{told['stamp:offset']:,}"
        ledger.add("mixed_zones", "error", column, count=naive, said=said, what=what, remedy=remedy)
    elif told["stamp:offset"] and told["stamp:least"] != told["stamp:most"] and zone is None:
        said = "offsets from {what}"
        what = f"{_offset(told['stamp:least'])} to {_offset(told['stamp:most'])}"
        remedy = "set data.time_zone to the zone whose clock shapes the data (or to UTC)"
        ledger.add("mixed_zones", "error", column, said=said, what=what, remedy=remedy)
    return Clock("instant", zone or "UTC", True) if told["stamp:offset"] else Clock("wall", zone, True)


def _offset(minutes: int) -> str:
    return f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02d}:{abs(minutes) % 60:02d}"


def _zone_exists(zone: str) -> bool:
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        return False
    return True
