"""What stage ``ingest`` left in the store, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl

from tasks.references import Table


@dataclass(frozen=True)
class Ingested:
    """A canonical table; ``items`` is kept of series alone."""

    table: Table
    directory: Path

    @property
    def facts(self) -> dict[str, Any]:
        return json.loads((self.directory / "table.json").read_text())

    @property
    def rows(self) -> pl.DataFrame:
        return pl.concat([pl.read_parquet(part) for part in sorted(self.directory.glob("part-*.parquet"))])

    @property
    def items(self) -> pl.DataFrame:
        return pl.read_parquet(self.directory / "items.parquet")

    def finding(self, check: str) -> dict[str, Any]:
        return next(finding for finding in self.facts["findings"] if finding["check"] == check)

    def checks(self) -> list[str]:
        return [finding["check"] for finding in self.facts["findings"]]
