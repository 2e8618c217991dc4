"""Input kind ``tokens``: texts that are cut into tokens already, such as those that bear a tag each."""

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

UNIT = "tokens"
KEPT = True
COMPARED = True
REQUIREMENTS = ()
USE = 'table = pd.DataFrame({{"{input}": [["a", "list", "of", "tokens"]]}})'
_BLANKS = " "

open_input = open_table


class TokensInput(ColumnInput):
    """A column of token lists, or of text in which a separator stands between tokens."""

    model_config = ConfigDict(title="Tokens")

    kind: Literal["tokens"] = "tokens"
    column: str = Field("tokens", title="Token column")
    separator: str = Field(
        _BLANKS,
        title="Separator",
        description="Between tokens, where the column is text; a blank stands for any white space.",
        min_length=1,
    )


def parts(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts: ``input`` is List(String)."""
    import polars as pl

    from tasks.data.intake import SIZE

    column = intake.options.column
    intake.require_type(column, _holds_tokens(intake.schema[column]), "lists of text, or text")
    for rows in intake.rows():
        tokens = _cut(rows[f"read:{column}"], intake.options.separator)
        size = tokens.list.len().fill_null(0).cast(pl.Int64)
        blank = tokens.list.eval(pl.element().str.strip_chars().fill_null("") == "").list.any().fill_null(False)
        frame = rows.with_columns(tokens.alias("input"), size.alias(SIZE))
        yield intake.sift(frame, column, {"empty_tokens": size == 0, "empty_token": blank})


def _holds_tokens(dtype: pl.DataType) -> bool:
    import polars as pl

    from tasks.data.cells import TEXT

    return isinstance(dtype, TEXT) or (isinstance(dtype, pl.List | pl.Array) and isinstance(dtype.inner, TEXT))


def _cut(column: pl.Series, separator: str) -> pl.Series:
    import polars as pl

    if isinstance(column.dtype, pl.List | pl.Array):
        return column.cast(pl.List(pl.String))
    if separator == _BLANKS:
        return column.cast(pl.String).str.extract_all(r"\S+")
    return column.cast(pl.String).str.split(separator)


def raws(part: pl.DataFrame, facts: Any = None) -> Iterator[list[str]]:
    """Yield each item's tokens."""
    yield from part["input"].to_list()


def fit(items: Callable[[], Iterator[list[str]]], table: dict[str, Any]) -> Any:
    """Return ``TokensFacts``: the vocabulary."""
    from models.inputs.tokens import fit_tokens

    return fit_tokens(items())


def difference(theirs: Any, ours: Any) -> str | None:
    """Find none: a vocabulary is the model's own."""
    return None


def signature(facts: Any, columns: SequenceColumns) -> tuple[Specs, pd.DataFrame]:
    """Return the column of token lists, and an example of two."""
    import pandas as pd
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    (column,) = columns.input
    tokens = [["an", "example"], ["another", "one", "."]]
    return [ColSpec(Array(DataType.string), column)], pd.DataFrame({column: tokens}, index=["item 0", "item 1"])


def goes_in(facts: Any, columns: SequenceColumns) -> str:
    """Say that a list of tokens is a row."""
    return f"A row for each list of tokens, in the column `{columns.input[0]}`. {ids_go_in(columns)}".strip()
