"""Steps in time: a frequency such as ``1h`` or ``1mo``, its grid of stamps, and what the calendar says of a stamp.

Stamps are ``datetime64[us]`` without a zone. For steps under a day they are instants in UTC, and ``wall_clock`` turns
them into what a clock on the wall of ``time_zone`` shows; for a day and longer they are local dates already.

A grid of months that begins on a month's last day keeps to last days: 31 January, 29 February, 31 March. One that
begins on another day keeps that day, or the last where a month is shorter.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np

_MICROSECONDS = {"s": 10**6, "m": 60 * 10**6, "h": 3600 * 10**6, "d": 86400 * 10**6, "w": 7 * 86400 * 10**6}
_MONTHS = {"mo": 1, "q": 3, "y": 12}
_SEASON_OF_UNIT = {"s": 60, "m": 60, "h": 24, "d": 7, "w": 52, "mo": 12, "q": 4, "y": 1}
_DAY = 86400
_MICROS_OF_DAY = _DAY * 10**6


@dataclass(frozen=True)
class Frequency:
    """A step: ``count`` times ``unit``; the empty unit is that of an integer index."""

    count: int
    unit: str

    @classmethod
    def parse(cls, text: str) -> Frequency:
        found = re.fullmatch(r"([1-9]\d*)(s|m|h|d|w|mo|q|y)?", text)
        if not found:
            rule = "a frequency is a number above zero and one of s, m, h, d, w, mo, q, y"
            raise ValueError(f"{rule} (got {text!r}): write for example 1h")
        return cls(int(found[1]), found[2] or "")

    def __str__(self) -> str:
        return f"{self.count}{self.unit}"

    @property
    def subdaily(self) -> bool:
        return self.unit in ("s", "m", "h")

    @property
    def season_length(self) -> int:
        """Steps in the unit's natural season: a day of minutes or hours, a week of days, a year of months."""
        if self.unit in ("s", "m", "h"):
            steps = _DAY * 10**6 // (self.count * _MICROSECONDS[self.unit])
            return int(steps) if steps <= 1440 else _SEASON_OF_UNIT[self.unit]
        return max(1, _SEASON_OF_UNIT.get(self.unit, 1) // self.count)

    def grid(self, start: int, steps: int, begin: int = 0) -> np.ndarray:
        """Return ``steps`` stamps of the grid from ``start``, its step ``begin`` the first of them: int64 ``[steps]``.

        ``start`` is microseconds since 1970, or the first index.
        """
        index = np.arange(begin, begin + steps, dtype=np.int64)
        if self.unit in _MONTHS:
            first = np.array([start])
            return _stamps_in(_month(first) + index * (self.count * _MONTHS[self.unit]), first)
        return start + index * (self.count * _MICROSECONDS.get(self.unit, 1))

    def steps_from(self, firsts: np.ndarray, stamps: np.ndarray) -> np.ndarray:
        """Return the step of each stamp, counted from its ``firsts``: int64, -1 where it is off the grid."""
        if self.unit in _MONTHS:
            months, unit = _month(stamps), self.count * _MONTHS[self.unit]
            distance = (months - _month(firsts)).astype(np.int64)
            # A series that begins on the last day of a short month may mean that day, not the last one.
            same_day = stamps - _micros(months) == firsts - _micros(_month(firsts))
            on_grid = (distance % unit == 0) & (same_day | (stamps == _stamps_in(months, firsts)))
            return np.where(on_grid, distance // unit, -1)
        distance, unit = stamps - firsts, self.count * _MICROSECONDS.get(self.unit, 1)
        return np.where(distance % unit == 0, distance // unit, -1)

    def phase(self, start: int) -> int:
        """Return what two items must share for their stamps to lie on one grid."""
        if self.unit in _MONTHS:
            first = np.array([start])
            month = _month(first)
            within = -1 - start % _MICROS_OF_DAY if _month_end(first)[0] else int((first - _micros(month))[0])
            return within * 10_000 + int(month.astype(np.int64)[0]) % (self.count * _MONTHS[self.unit])
        return start % (self.count * _MICROSECONDS.get(self.unit, 1))

    def steps_between(self, start: int, stop: int) -> int:
        """Return how many steps lie between two stamps of one grid."""
        if self.unit in _MONTHS:
            months = np.array([start, stop]).astype("datetime64[us]").astype("datetime64[M]").astype(np.int64)
            return int(months[1] - months[0]) // (self.count * _MONTHS[self.unit])
        return (stop - start) // (self.count * _MICROSECONDS.get(self.unit, 1))


def _month(stamps: np.ndarray) -> np.ndarray:
    return stamps.astype("datetime64[us]").astype("datetime64[M]")


def _micros(months: np.ndarray) -> np.ndarray:
    return months.astype("datetime64[us]").astype(np.int64)


def _month_end(stamps: np.ndarray) -> np.ndarray:
    """Say which stamps lie on the last day of their month."""
    return stamps + _MICROS_OF_DAY >= _micros(_month(stamps) + 1)


def _stamps_in(months: np.ndarray, firsts: np.ndarray) -> np.ndarray:
    """Return the stamp of each month on the grid of ``firsts``."""
    of_day = firsts % _MICROS_OF_DAY
    last = _micros(months + 1) - _MICROS_OF_DAY + of_day
    same = _micros(months) + firsts - _micros(_month(firsts))
    return np.where(_month_end(firsts), last, np.minimum(same, last))


def wall_clock(stamps: np.ndarray, time_zone: str | None) -> np.ndarray:
    """Turn instants in UTC (int64 microseconds) into local clock readings of ``time_zone``, likewise."""
    if time_zone is None:
        return stamps
    zone = ZoneInfo(time_zone)
    block = 900 * 10**6  # every change of a zone's offset in use since 1970 falls on a quarter of an hour
    blocks, inverse = np.unique(stamps // block, return_inverse=True)
    instants = (datetime.fromtimestamp(int(b) * 900, UTC).astimezone(zone).utcoffset() for b in blocks)
    offsets = np.array([int(offset.total_seconds()) if offset else 0 for offset in instants], dtype=np.int64)
    return stamps + offsets[inverse] * 10**6


def feature_names(frequency: Frequency) -> list[str]:
    """Name the columns of ``features``."""
    names: list[str] = []
    if frequency.subdaily:
        names += ["day_sin", "day_cos"]
    if frequency.subdaily or frequency.unit == "d":
        names += ["week_sin", "week_cos", "weekend"]
    if frequency.unit and frequency.unit != "y":
        names += ["year_sin", "year_cos"]
    return names


def features(wall: np.ndarray, frequency: Frequency) -> np.ndarray:
    """Return calendar features of local clock readings: float32 ``[len(wall), len(feature_names)]``.

    Cycles are sine and cosine of the phase within the day, the week (from Monday) and the year.
    """
    stamps = wall.astype("datetime64[us]")
    days = stamps.astype("datetime64[D]")
    weekday = (days.astype(np.int64) + 3) % 7
    of_day = (stamps - days.astype("datetime64[us]")).astype(np.int64) / (_DAY * 10**6)
    of_year = (days - days.astype("datetime64[Y]").astype("datetime64[D]")).astype(np.int64) / 366
    columns: dict[str, np.ndarray] = {"weekend": (weekday >= 5).astype(float)}
    for name, phase in (("day", of_day), ("week", (weekday + of_day) / 7), ("year", of_year)):
        columns[f"{name}_sin"] = np.sin(2 * np.pi * phase)
        columns[f"{name}_cos"] = np.cos(2 * np.pi * phase)
    names = feature_names(frequency)
    return np.stack([columns[name] for name in names], axis=1).astype(np.float32) if names else _no_columns(len(wall))


def _no_columns(rows: int) -> np.ndarray:
    return np.zeros((rows, 0), dtype=np.float32)
