"""What the CLI prints: breaches and failures on stderr, progress on stderr, results on stdout.

Stages report through ``logging.getLogger("carousel.<stage>")``. A record with ``extra={"passing": True}`` is a state
that the next one replaces: on a terminal it rewrites its line, elsewhere it is printed every ten seconds at most.
"""

from __future__ import annotations

import getpass
import logging
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, TextIO

from tasks.errors import InputError

PASSING_INTERVAL = 10.0


class ProgressHandler(logging.Handler):
    """Print the stages' reports on ``stream``."""

    def __init__(self, stream: TextIO) -> None:
        super().__init__(logging.INFO)
        self.stream, self.rewritten, self.printed_at = stream, False, 0.0

    def emit(self, record: logging.LogRecord) -> None:
        line = f"{record.name.rpartition('.')[2]:>9}  {record.getMessage()}"
        passing = getattr(record, "passing", False)
        if self.stream.isatty():
            self.stream.write(f"\r\x1b[2K{line}" if passing else f"\r\x1b[2K{line}\n")
            self.rewritten = passing
        elif not passing or time.monotonic() - self.printed_at > PASSING_INTERVAL:
            self.stream.write(f"{line}\n")
            self.printed_at = time.monotonic()
        self.stream.flush()

    def end_line(self) -> None:
        if self.rewritten:
            self.stream.write("\n")
            self.rewritten = False


@contextmanager
def progress_shown() -> Iterator[None]:
    """Let the stages' reports appear on stderr for as long as the block runs."""
    handler = ProgressHandler(sys.stderr)
    logger = logging.getLogger("carousel")
    level, propagate = logger.level, logger.propagate
    logger.setLevel(logging.INFO)
    logger.propagate = False
    logger.addHandler(handler)
    try:
        yield
    finally:
        handler.end_line()
        logger.removeHandler(handler)
        logger.setLevel(level)
        logger.propagate = propagate


def print_breaches(errors: Iterable[InputError]) -> None:
    """Print rule, received value and remedy of each error on stderr."""
    for error in errors:
        print(f"error: {error.rule}\n  received: {error.received}\n  remedy: {error.remedy}", file=sys.stderr)


def user() -> str:
    """Return who is at the keyboard, for the log of a model's aliases."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return f"user {os.getuid()}"


def print_leaderboard(model: str | None) -> None:
    """Print the leaderboard of ``model``, or those of all models."""
    from tasks.leaderboard import leaderboard

    for place, rows in enumerate(leaderboard(model)):
        if place:
            print()
        print_table(rows)


def print_table(rows: Sequence[Mapping[str, Any]]) -> None:
    """Print ``rows`` on stdout as an aligned table under the keys of the first one."""
    if not rows:
        return
    head = list(rows[0])
    cells = [head, *([_cell(row.get(name)) for name in head] for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(head))]
    numeric = [all(not isinstance(row.get(name), str) for row in rows) for name in head]
    for line in cells:
        aligned = (
            f"{cell:>{width}}" if right else f"{cell:<{width}}"
            for cell, width, right in zip(line, widths, numeric, strict=True)
        )
        print("  ".join(aligned).rstrip())


def local_time(instant: datetime) -> str:
    """Return ``instant`` for a reader at this machine, to the minute."""
    return instant.astimezone().strftime("%Y-%m-%d %H:%M")


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
