"""Input kind ``text``: one text an item, as it was written; what it is cut into is searched."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

from pydantic import ConfigDict, Field

from tasks.inputs.table import ColumnInput, ids_go_in, open_table

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from models.sequence_columns import SequenceColumns
    from tasks.data.intake import Intake
    from tasks.inputs.registry import Specs

UNIT = "characters"
KEPT = True
COMPARED = True
REQUIREMENTS = ("tokenizers",)
USE = 'table = pd.DataFrame({{"{input}": ["a text", "another one"]}})'

open_input = open_table


class TextInput(ColumnInput):
    """A column of texts."""

    model_config = ConfigDict(title="Text")

    kind: Literal["text"] = "text"
    column: str = Field("text", title="Text column")


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


def difference(theirs: Any, ours: Any) -> str | None:
    """Find none: a vocabulary is the model's own."""
    return None


def signature(facts: Any, columns: SequenceColumns) -> tuple[Specs, pd.DataFrame]:
    """Return the column of texts, and an example of two."""
    import pandas as pd
    from mlflow.types import ColSpec, DataType

    (column,) = columns.input
    example = pd.DataFrame({column: ["an example", "another one"]}, index=["item 0", "item 1"])
    return [ColSpec(DataType.string, column)], example


def goes_in(facts: Any, columns: SequenceColumns) -> str:
    """Say that a text is a row."""
    return f"A row for each text, in the column `{columns.input[0]}`. {ids_go_in(columns)}".strip()
