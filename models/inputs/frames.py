"""The table that a served model is given, as inputs read it. Its index is 0, 1, ...; pandas is not imported here."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd


def required_column(frame: pd.DataFrame, name: str) -> pd.Series:
    """Return the column called ``name``.

    Raises:
        ValueError: there is none.
    """
    if name not in frame:
        raise ValueError(f"the table must have the column {name!r} (it has {list(frame)[:5]}): add or rename it")
    return frame[name]


def refuse_rows(wrong: pd.Series, column: pd.Series, what: str) -> None:
    """Refuse ``column`` where ``wrong`` holds; ``what`` is what it must hold.

    Raises:
        ValueError: a row is wrong; it names the first.
    """
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise ValueError(f"column {column.name!r} must hold {what} (row {row} has {column[row]!r}): mend or remove it")
