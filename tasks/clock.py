"""Where a worker's seconds go: one account at a time is open, so that they add up to the wall clock."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ACCOUNTS = ("training", "validation", "bookkeeping", "idle")


class Clock:
    """Counts seconds into ``ACCOUNTS``; what is in no block is bookkeeping."""

    def __init__(self) -> None:
        self.seconds = dict.fromkeys(ACCOUNTS, 0.0)
        self._account, self._since = "bookkeeping", time.perf_counter()

    @contextmanager
    def on(self, account: str) -> Iterator[None]:
        """Count the block's seconds into ``account``."""
        before = self._switch(account)
        try:
            yield
        finally:
            self._switch(before)

    def write(self, path: Path) -> None:
        """Write the seconds so far: whole or not at all."""
        self._switch(self._account)
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(self.seconds))
        os.replace(partial, path)

    def _switch(self, account: str) -> str:
        now, before = time.perf_counter(), self._account
        self.seconds[before] += now - self._since
        self._account, self._since = account, now
        return before


def total(paths: list[Path]) -> dict[str, float]:
    """Return the sum of what the clocks of several workers wrote."""
    read = [json.loads(path.read_text()) for path in paths]
    return {account: round(sum(one[account] for one in read), 2) for account in ACCOUNTS}
