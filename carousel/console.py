"""What the CLI prints: breaches and failures on stderr, progress on stderr, results on stdout.

Stages report through ``logging.getLogger("carousel.<stage>")``. A record with ``extra={"passing": True}`` is a state
that the next one replaces: on a terminal it rewrites its line, elsewhere it is printed every ten seconds at most.
"""

from __future__ import annotations

import logging
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
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


def input_errors(error: BaseException) -> list[InputError]:
    """Return the InputErrors that ``error`` is, holds or was raised from; none: it is a failure of another kind."""
    if isinstance(error, InputError):
        return [error]
    if isinstance(error, BaseExceptionGroup):
        return [found for one in error.exceptions for found in input_errors(one)]
    return []


def print_breaches(errors: Iterable[InputError]) -> None:
    """Print rule, received value and remedy of each error on stderr."""
    for error in errors:
        print(f"error: {error.rule}\n  received: {error.received}\n  remedy: {error.remedy}", file=sys.stderr)


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


def _cell(value: object) -> str:
    if value is None:
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
