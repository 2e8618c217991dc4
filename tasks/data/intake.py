"""What every input kind needs to make its source canonical: rows in batches, items sifted, findings with their places.

A batch of rows has:

    item_id      String
    item:place   where an example stands, for messages: ``row 17`` or ``wav/7.wav in row 17``
    read:NAME    a column of the source that the input reads
    target       as the source has it; several target columns are one List(String) of those that hold 1
    ...          the other columns of the source that hold one value a row, under their own names
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, Protocol

import polars as pl

from models.sequence_columns import Layout, StepType
from tasks.data import cells
from tasks.data.cells import TEXT
from tasks.data.contract import EXAMPLES, RESERVED, Ledger, Level
from tasks.data.files import reading
from tasks.data.sources import FILE, ROW, Source

PLACE, SIZE = "item:place", "item:size"
_BYTES, _SAMPLE, _MOST_ROWS = 64_000_000, 256, 50_000


class Section(Protocol):
    """``tasks.ingest.SequenceData`` is one; named here so that an input kind need not import a stage."""

    @property
    def source(self) -> Any: ...
    @property
    def input(self) -> Any: ...
    @property
    def target(self) -> list[str] | None: ...
    @property
    def item_id(self) -> list[str]: ...
    @property
    def unusable(self) -> Literal["error", "drop"]: ...
    @property
    def null_values(self) -> list[str]: ...


@dataclass
class Intake:
    """One reading of a source of sequences.

    Args:
        schema: the source's columns and their types.
        work: an empty directory.
        facts: what an input kind adds to ``table.json``.
        layout: what a row of the source is; an input kind may say that it is a step.
        step_type: of the step column, if there is one.
    """

    source: Source
    config: Section
    schema: dict[str, pl.DataType]
    ledger: Ledger
    work: Path
    facts: dict[str, Any] = field(default_factory=dict)
    layout: Layout = "items"
    step_type: StepType | None = None

    @property
    def options(self) -> Any:
        """``data.input``: the Config of the input kind."""
        return self.config.input

    @property
    def targets(self) -> list[str]:
        return self.config.target or []

    @property
    def extras(self) -> list[str]:
        """The columns that are carried along: a split or a report may ask for them."""
        read = {*self.options.reads, *self.targets}
        return [column for column, dtype in self.schema.items() if column not in read and _carried(column, dtype)]

    def require_type(self, column: str, fits: bool, wanted: str) -> None:
        """Refuse a column of a type that the input cannot read.

        Raises:
            InputError: ``fits`` is false.
        """
        if not fits:
            what = f"{self.schema[column]} for {wanted}"
            self.ledger.add("type", "error", column, said="{what}", what=what)
            self.ledger.raise_errors()

    def rows(self) -> Iterator[pl.DataFrame]:
        """Yield the rows of the source in its order, each an item, in batches of about 64 megabytes."""
        source = self.source
        columns = list(dict.fromkeys([*self.options.reads, *self.targets, *self.extras, *self.config.item_id]))
        lazy, seen = source.scan(columns, numbered=True), 0
        with reading(source.name, source.files):
            sample = lazy.head(_SAMPLE).collect(engine="streaming")
            size = max(1, int(sample.estimated_size()) // max(1, len(sample)))
            for batch in lazy.collect_batches(chunk_size=max(1, min(_MOST_ROWS, _BYTES // size)), maintain_order=True):
                row = pl.int_range(seen + 1, seen + 1 + len(batch)).alias("item:row")
                yield self._labelled(batch.with_columns(row))
                seen += len(batch)
        if not seen:
            self.ledger.add("empty", "error", said="0 rows in {what}", what=source.name)

    def sift(self, frame: pl.DataFrame, column: str, bad: Mapping[str, pl.Series], **words: str) -> pl.DataFrame:
        """Take out the items that are ``bad``, by the rule that they break; ``data.unusable`` says how grave it is."""
        level: Level = "error" if self.config.unusable == "error" else "warning"
        kept = pl.repeat(True, len(frame), eager=True)
        for check, mask in bad.items():
            self.note(check, level, column, frame, mask & kept, "{count} items", action="left out", **words)
            kept = kept & ~mask
        if "target" in frame.columns:
            missing = frame["target"].is_null() & kept
            said = "{count} items without one"
            self.note("null_label", level, ", ".join(self.targets), frame, missing, said, action="left out")
            kept = kept & ~missing
        return frame.filter(kept)

    def note(
        self,
        check: str,
        level: Level,
        column: str | None,
        frame: pl.DataFrame,
        mask: pl.Series,
        said: str,
        action: str = "",
        **words: str,
    ) -> None:
        """Add a finding for the rows of ``frame`` where ``mask`` holds, with the places of the first."""
        if count := int(mask.sum()):
            examples = frame.filter(mask)[PLACE].head(EXAMPLES)
            self.ledger.add(
                check, level, column, count=count, items=count, examples=examples, said=said, action=action, **words
            )

    def target_of(self, column: str) -> pl.Expr:
        """Return a target column with null for what means missing.

        An empty text stays, if it is one: to some problems it says something, such as that nobody speaks.
        """
        dtype = self.schema[column]
        if isinstance(dtype, TEXT):
            return cells.text(column, [text for text in self.config.null_values if text])
        return pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)

    def _labelled(self, batch: pl.DataFrame) -> pl.DataFrame:
        """Name the items of a batch of rows and give them their target."""
        ids = [cells.identity(column, self.source, self.config.null_values) for column in self.config.item_id]
        row = pl.lit("row ") + pl.col(ROW).cast(pl.String)
        place = row + pl.lit(" of ") + pl.col(FILE) if FILE in batch.columns else row
        named = batch.with_columns(place.alias(PLACE), *self._target(batch)).with_columns(
            pl.concat_str(ids, separator="|").alias("item:id")
            if ids
            else pl.col("item:row").cast(pl.String).alias("item:id")
        )
        if len(self.targets) > 1:
            unclear = named["item:unclear"]
            self.note("indicators", "error", None, named, unclear, "{count} items with another value or none")
        if ids:
            missing, column = named["item:id"].is_null(), ", ".join(self.config.item_id)
            self.note("null_item_id", "error", column, named, missing, "{count} nulls")
        extras = [column for column in self.extras if column not in self.options.reads]
        target = [pl.col("item:target").alias("target")] if self.targets else []
        read = [pl.col(column).alias(f"read:{column}") for column in self.options.reads]
        return named.select(pl.col("item:id").alias("item_id"), PLACE, *target, *extras, *read)

    def _target(self, batch: pl.DataFrame) -> list[pl.Expr]:
        if not self.targets:
            return []
        if len(self.targets) == 1:
            return [self.target_of(self.targets[0]).alias("item:target")]
        held = {column: self._indicator(column) for column in self.targets}
        names = [pl.when(holds).then(pl.lit(column)) for column, holds in held.items()]
        unclear = pl.any_horizontal(*(holds.is_null() for holds in held.values()))
        return [pl.concat_list(names).list.drop_nulls().alias("item:target"), unclear.alias("item:unclear")]

    def _indicator(self, column: str) -> pl.Expr:
        """Return whether the label ``column`` holds; null where the cell is neither 0 nor 1."""
        if isinstance(self.schema[column], TEXT):
            value = cells.text(column, self.config.null_values).str.to_lowercase()
            return value.replace_strict({"1": True, "0": False, "true": True, "false": False}, default=None)
        value = pl.col(column).cast(pl.Float64)
        return pl.when(value.is_in([0.0, 1.0])).then(value == 1.0)


def _carried(column: str, dtype: pl.DataType) -> bool:
    """Say whether a column of the source holds one value a row and may keep its name."""
    return column not in RESERVED and not dtype.is_nested() and dtype not in (pl.Binary, pl.Object)
