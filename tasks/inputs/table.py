"""What inputs that come as a table share."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from tasks.config import Config

if TYPE_CHECKING:
    from models.sequence_columns import SequenceColumns
    from tasks.data.sources import Source


class ColumnInput(Config):
    """A column with an item in each row; a subclass says what ``kind`` is and what ``column`` holds."""

    kind: str
    column: str

    @property
    def reads(self) -> list[str]:
        return [self.column]

    @property
    def step(self) -> None:
        return None


def open_table(config: Any, work: Path) -> Source:
    """Open the source of a section ``data`` as the table that it is."""
    from tasks.data.sources import open_source

    return open_source(config.source, None, work)


def ids_go_in(columns: SequenceColumns) -> str:
    """Return the sentence of a card on item columns that only name the rows, with a blank after it; "" without them."""
    if not columns.item_id:
        return ""
    ids, types = ", ".join(f"`{name}`" for name in columns.item_id), dict.fromkeys(columns.item_id, "str")
    return f"Beside it, if the answer is to repeat it, {ids} as text: `table = table.astype({types})`. "
