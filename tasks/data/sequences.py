"""Make any source of sequences canonical: one row an item, in parts that fit into memory.

    part-00000.parquet   item_id, input, source, target, and the other columns that hold one value an item
    table.json           what the columns were, how many items there are and how long, findings

``input`` is String for text, List(String) for tokens, List(List(Float64)) for numeric channels (steps x channels),
Binary for audio (the file as it is). ``source`` is the path of an audio file, else null. ``target`` is as in the
source; of a table with a row a step it is a list with a value for each, since only the problem says whose label it is.
"""

from __future__ import annotations

import difflib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from tasks.data.contract import EXAMPLES, RESERVED, Ledger
from tasks.data.intake import SIZE, Intake, Section
from tasks.data.sources import Source
from tasks.errors import shortened
from tasks.inputs.registry import input_kind


def open_sequences(config: Section, work: Path) -> Source:
    """Open the source; its fingerprint covers the content of all files that items lie in.

    Raises:
        InputError: nothing is there, or it cannot be read.
    """
    return input_kind(config.input.kind).open_input(config, work)


def write_sequences(source: Source, config: Section, work: Path, out: Path) -> dict[str, Any]:
    """Write the canonical table into ``out`` and return its facts: ``rows`` and ``items``.

    Raises:
        InputError: the source breaks the contract; nothing is kept.
    """
    intake = Intake(source, config, source.columns(), Ledger(), work)
    kind = input_kind(config.input.kind)
    _check_columns(intake)
    intake.ledger.raise_errors()
    parts = _Parts(out, intake)
    for part in kind.parts(intake):
        parts.write(part)
    parts.close()
    facts = {"rows": parts.items, "items": parts.items}
    table = {
        "form": "sequences",
        "input": config.input.kind,
        "columns": {
            "item_id": config.item_id,
            "input": [column for column in config.input.reads if column != config.input.step],
            "step": config.input.step,
            "target": config.target or [],
            "layout": intake.layout,
            "step_type": intake.step_type,
        },
        "size": parts.size(kind.UNIT),
        **intake.facts,
        **facts,
        "findings": intake.ledger.report(),
    }
    (out / "table.json").write_text(json.dumps(table, indent=2, ensure_ascii=False))
    return facts


def _check_columns(intake: Intake) -> None:
    config, schema, ledger = intake.config, intake.schema, intake.ledger
    read = config.input.reads
    for key, columns in (("input", read), ("target", intake.targets), ("item_id", config.item_id)):
        for column in columns:
            if column not in schema:
                near = difflib.get_close_matches(column, schema, n=3)
                hint = f"; close to it: {shortened(map(repr, near))}" if near else ""
                what = shortened(schema, 20) + hint
                ledger.add("missing_column", "error", column, said="the columns {what}", key=key, what=what)
            elif columns.count(column) > 1:
                ledger.add("two_roles", "error", column, said="twice in data.{key}", key=key)
            elif not _bears(schema[column], key, several=len(columns) > 1):
                ledger.add("type", "error", column, said="{what}", what=f"{schema[column]} for data.{key}")
    for column in set(read) & set(intake.targets):
        ledger.add("two_roles", "error", column, said="data.input and data.target")
    for column in (column for column in RESERVED if column in schema):
        if column not in {*read, *intake.targets, *config.item_id}:
            said = "column {column}, whose name Carousel gives to another"
            ledger.add("left_out", "info", column, said=said, action="left out")


def _bears(dtype: pl.DataType, key: str, several: bool) -> bool:
    """Say whether a column can have the role ``key``; the input kinds check their own."""
    if key == "input":
        return True
    held: Any = dtype
    while key == "target" and not several and isinstance(held, pl.List | pl.Array):
        held = held.inner
    return not held.is_nested() and held not in (pl.Binary, pl.Object)


@dataclass
class _Parts:
    """Writes parts and counts what went into them."""

    out: Path
    intake: Intake
    items: int = 0
    _parts: int = 0
    _sizes: list[np.ndarray] = field(default_factory=list)
    _inputs: list[np.ndarray] = field(default_factory=list)
    _labelled: list[np.ndarray] = field(default_factory=list)

    def write(self, part: pl.DataFrame) -> None:
        """Write a part, unless it is empty or an error has been found already."""
        if part.is_empty() or self.intake.ledger.errors():
            return
        self._sizes.append(part[SIZE].to_numpy())
        if (digest := _digest(part["input"])) is not None:
            self._inputs.append(digest)
            if "target" in part.columns and (target := _digest(part["target"])) is not None:
                self._labelled.append(digest ^ target)
        if "source" not in part.columns:
            part = part.with_columns(pl.lit(None, pl.String).alias("source"))
        canonical = [column for column in ("item_id", "input", "source", "target") if column in part.columns]
        extras = [column for column in self.intake.extras if column in part.columns]
        part.select(*canonical, *extras).write_parquet(self.out / f"part-{self._parts:05d}.parquet")
        self.items += len(part)
        self._parts += 1

    def close(self) -> None:
        """Check what only the whole table shows.

        Raises:
            InputError: errors have been found in any of the parts.
        """
        ledger = self.intake.ledger
        if not self.items and not ledger.errors():
            ledger.add("no_items", "error", said="0 items in {what}", what=self.intake.source.name)
        ledger.raise_errors()
        if self.intake.config.item_id:
            self._find_repeated_ids()
        self._find_repeated_inputs()
        ledger.raise_errors()

    def size(self, unit: str) -> dict[str, Any]:
        """Return how long the items are."""
        sizes = np.concatenate(self._sizes)
        least, median, most = (round(float(np.quantile(sizes, q)), 3) for q in (0.0, 0.5, 1.0))
        return {"unit": unit, "total": round(float(sizes.sum()), 3), "least": least, "median": median, "most": most}

    def _find_repeated_ids(self) -> None:
        counts = pl.scan_parquet(self.out / "part-*.parquet").select("item_id").group_by("item_id").len()
        repeated = counts.filter(pl.col("len") > 1).sort("item_id").collect(engine="streaming")
        if len(repeated):
            column, examples = ", ".join(self.intake.config.item_id), repeated["item_id"].head(EXAMPLES)
            said = "{count} ids with more than one row"
            self.intake.ledger.add(
                "duplicate_items", "error", column, count=len(repeated), examples=examples, said=said
            )

    def _find_repeated_inputs(self) -> None:
        if not self._inputs:
            return
        inputs, ledger = np.concatenate(self._inputs), self.intake.ledger
        repeated = len(inputs) - len(distinct := np.unique(inputs))
        if repeated:
            said = "{count} items whose input another item has, too"
            ledger.add("repeated_input", "info", count=repeated, items=repeated, said=said, action="kept")
        if len(self._labelled) == len(self._inputs):
            disputed = len(np.unique(np.concatenate(self._labelled))) - len(distinct)
            if disputed:
                said = "{count} items whose input another item has with another target"
                ledger.add("disputed_input", "warning", count=disputed, items=disputed, said=said, action="kept")


def _digest(column: pl.Series) -> np.ndarray | None:
    """Return a number [N] that tells values apart; None for numbers, which differ anyway."""
    if isinstance(column.dtype, pl.List):
        if column.dtype.inner != pl.String:
            return None
        column = column.list.join("\0", ignore_nulls=True)
    return column.hash().to_numpy() if not column.dtype.is_nested() and not column.dtype.is_float() else None
