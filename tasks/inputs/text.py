"""Input kind ``text``: one text an item, as it was written; what it is cut into is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field

from tasks.config import Config

if TYPE_CHECKING:
    import polars as pl

    from tasks.data.intake import Intake
    from tasks.data.sources import Source

UNIT = "characters"


class TextInput(Config):
    """A column of texts."""

    kind: Literal["text"] = "text"
    column: str = Field(title="Text column")

    @property
    def reads(self) -> list[str]:
        return [self.column]

    @property
    def step(self) -> None:
        return None


def open_input(config: Any, work: Path) -> Source:
    """Open the table of texts."""
    from tasks.data.sources import open_source

    return open_source(config.source, None, work)


def parts(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts: ``input`` is String."""
    import polars as pl

    from tasks.data.cells import TEXT
    from tasks.data.intake import SIZE

    column = intake.options.column
    intake.require_type(column, isinstance(intake.schema[column], TEXT), "text")
    for rows in intake.rows():
        text = rows[f"read:{column}"].cast(pl.String)
        broken = text.str.contains("\ufffd", literal=True).fill_null(False)
        intake.note("broken_text", "warning", column, rows, broken, "{count} texts with the character U+FFFD")
        empty = (text.str.strip_chars() == "").fill_null(True)
        frame = rows.with_columns(text.alias("input"), text.str.len_chars().cast(pl.Int64).alias(SIZE))
        yield intake.sift(frame, column, {"empty_text": empty})


def raws(part: pl.DataFrame, facts: Any = None) -> Iterator[str]:
    """Yield each item's text."""
    yield from part["input"]


def fit(items: Callable[[], Iterator[str]], table: dict[str, Any]) -> Any:
    """Return ``TextFacts``: the vocabularies of each way to cut a text."""
    from models.inputs.text import fit_text

    return fit_text(items())
