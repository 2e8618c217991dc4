"""A home of its own for each test, and tables written in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ingested import Ingested

from tasks import store
from tasks.ingest import SeriesData, ingest_table


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
