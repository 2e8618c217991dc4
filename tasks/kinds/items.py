"""What the kinds of sequences share: targets read from a table's columns, items named in messages and examples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tasks.errors import InputError, shortened

if TYPE_CHECKING:
    import polars as pl

LONGEST_SHOWN = 240


def as_text(column: pl.Series) -> pl.Series:
    """Return a column of labels as String, or lists of them as List(String): 3 and 3.0 are "3", true is "true".

    An empty text and a NaN are no label: null.
    """
    import polars as pl

    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if isinstance(column.dtype, pl.List):
        inner = as_text(column.explode(empty_as_null=False, keep_nulls=False))
        lengths = column.list.len().fill_null(0)
        ends = lengths.cum_sum().to_list()
        values = inner.to_list()
        cut = [values[end - length : end] for end, length in zip(ends, lengths.to_list(), strict=True)]
        known = [one if kept else None for one, kept in zip(cut, column.is_not_null().to_list(), strict=True)]
        return pl.Series(column.name, known, pl.List(pl.String))
    if column.dtype.is_float():
        column = column.fill_nan(None)
        if bool((column.drop_nulls() == column.drop_nulls().round()).all()):
            column = column.cast(pl.Int64, strict=False)
    text = column.cast(pl.String)
    return text.set(text == "", None)


def one_each(column: pl.Series) -> pl.Series:
    """Return a column of lists as one value an item, where all of a list's values are the same; else null.

    A long table has its item's target in every row.
    """
    import polars as pl

    if isinstance(column.dtype, pl.Array):
        column = column.arr.to_list()
    if not isinstance(column.dtype, pl.List):
        return column
    distinct = column.list.drop_nulls().list.unique()
    return pl.select(pl.when(distinct.list.len() == 1).then(distinct.list.first())).to_series().alias(column.name)


def require_targets(frame: pl.DataFrame, what: str, remedy: str) -> None:
    """Refuse items whose column ``target`` is null.

    Args:
        frame: item_id and target.
        what: what every item must have, such as "one label".
        remedy: what to do if the items are right.

    Raises:
        InputError: names the first items.
    """
    lacking = frame.filter(frame["target"].is_null())["item_id"].to_list()
    if lacking:
        raise InputError(
            f"every item must have {what} as its target",
            f"{counted(len(lacking), 'item')} without: {shortened(lacking)}",
            remedy,
        )


def shown(items: pl.DataFrame) -> list[str]:
    """Return what an example says of each item: its text or tokens, else the path of its audio, else its id."""
    import polars as pl

    told = items["item_id"].cast(pl.String)
    if "source" in items.columns:
        told = items["source"].cast(pl.String).fill_null(told)
    if "input" in items.columns:
        given = items["input"]
        if given.dtype == pl.List(pl.String):
            given = given.list.join(" ", ignore_nulls=True)
        if given.dtype == pl.String:
            told = given
    return [cut(text) for text in told.fill_null("").to_list()]


def cut(text: str, longest: int = LONGEST_SHOWN) -> str:
    """Return ``text`` with an ellipsis where it is longer."""
    return text if len(text) <= longest else text[: longest - 1] + "…"


def counted(count: int, noun: str) -> str:
    """Return "1 item" or "1,234 items"."""
    return f"{count:,} {noun}" + ("" if count == 1 else "s")


def natural(labels: Sequence[str]) -> list[str]:
    """Return labels sorted: as numbers where all are, else as texts."""
    try:
        return sorted(labels, key=lambda label: (float(label), label))
    except ValueError:
        return sorted(labels)
