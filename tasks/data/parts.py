"""Turn buckets into the canonical parts of a table: one pass to agree on the step, one to write."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import polars as pl

from tasks.data import buckets
from tasks.data.buckets import CODE
from tasks.data.contract import EXAMPLES, Ledger
from tasks.data.frequency import VOTE, Step
from tasks.data.regular import Bucket, agree, pieces, regularise, tidy, vote
from tasks.data.series import Leaks, complete
from tasks.data.survey import Layout


def choose_step(frames: Iterable[pl.DataFrame], layout: Layout, ids: pl.Series, ledger: Ledger) -> Step:
    """Return the frequency of the Config or, on ``auto``, the step of most items of the first bucket that has any.

    Raises:
        InputError: it does not fit the type of the stamps, or there is nothing to infer it from.
    """
    column, integer = layout.config.timestamp, layout.clock.kind == "integer"
    if layout.config.frequency != "auto":
        given = Step.parse(layout.config.frequency)
        if (given.kind == "integer") != integer:
            what = "an integer index" if integer else "dates"
            remedy = "write a whole number such as 1" if integer else "write a step with a unit, such as 1h or 1mo"
            said = "{frequency} for {what}"
            ledger.add("frequency", "error", column, said=said, frequency=repr(str(given)), what=what, remedy=remedy)
            ledger.raise_errors()
        return given
    votes = []
    for rows in frames:
        votes += vote(tidy(rows, layout, ids, Ledger()), ids)
        if any(seen >= VOTE for _, _, seen in votes):
            break
    if (step := agree(votes)) is not None:
        return step
    said = "no two stamps of one item to infer it from, or steps under a second"
    ledger.add("frequency", "error", column, said=said, remedy="set data.frequency")
    raise ledger.refusal()


class Parts:
    """Writes buckets as parts and counts what went into them.

    Args:
        out: the directory of the table.
    """

    def __init__(self, out: Path, layout: Layout, ids: pl.Series, step: Step, ledger: Ledger) -> None:
        self.layout, self.step = layout, step
        self._out, self._ids, self._ledger = out, ids, ledger
        self._leaks = Leaks(layout.config, layout.numeric)
        self._items: list[pl.DataFrame] = []

        self.rows = self.items = self.observed = 0

    def write(self, rows: pl.DataFrame) -> None:
        """Make a bucket canonical and write it as the next part, or as several if its gaps blow it up."""
        bucket = tidy(rows, self.layout, self._ids, self._ledger)
        if self.layout.config.frequency == "auto":
            self._compare(vote(bucket, self._ids))
        steps = max(1, buckets.CELLS // bucket.frame.width)
        for piece in pieces(bucket, self.step, steps):
            self._write_part(piece)

    def _write_part(self, bucket: Bucket) -> None:
        """Write a part, unless an error has been found already."""
        regular = regularise(bucket, self.step, self.layout, self._ids, self._ledger)
        if regular is None:
            return
        self._leaks.add(regular)
        frame = complete(regular, self.layout, self._ledger)
        if self._ledger.errors():
            return
        part = len(self._items)
        frame.drop(CODE).write_parquet(self._out / f"part-{part:05d}.parquet")
        self._count(frame, regular.offsets, part)

    def close(self) -> None:
        """Write ``items.parquet``.

        Raises:
            InputError: errors have been found in any of the buckets.
        """
        self._leaks.report(self._ledger)
        self._ledger.raise_errors()
        pl.concat(self._items).write_parquet(self._out / "items.parquet")

    def _compare(self, votes: list[tuple[Step, str, int]]) -> None:
        other = [(step, name) for step, name, seen in votes if seen >= VOTE and step != self.step]
        if other:
            examples = [f"{name} has {step}" for step, name in other[:EXAMPLES]]
            said = "{count} items with another step than the {what} of most"
            self._ledger.add(
                "mixed_frequencies",
                "error",
                count=len(other),
                items=len(other),
                examples=examples,
                said=said,
                what=str(self.step),
            )

    def _count(self, frame: pl.DataFrame, offsets: np.ndarray, part: int) -> None:
        first, last = offsets[:-1], offsets[1:] - 1
        given = frame[self.layout.config.target[0]].is_not_null().to_numpy()
        observed = np.add.reduceat(given.astype(np.int64), first)
        self._items.append(
            pl.DataFrame(
                {
                    "item_id": frame["item_id"].gather(first),
                    "part": pl.Series(np.full(len(first), part, dtype=np.int32)),
                    "rows": np.diff(offsets),
                    "start": frame["timestamp"].gather(first),
                    "end": frame["timestamp"].gather(last),
                    "observed": observed,
                }
            )
        )
        self.rows += len(frame)
        self.items += len(first)
        self.observed += int(observed.sum())
