"""A section of the report: what a problem kind shows beside what every report has."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclass(frozen=True)
class Table:
    """Rows of cells: text, numbers, or None for what is not known. All text is escaped by the page.

    A column of numbers is aligned to the right; ``formats`` gives a column's format as ``Metric.format`` does, else
    integers are written whole and floats with three digits. ``code`` names columns that are shown in a fixed width
    with their blanks kept, as alignments need it; ``bold`` are places (row, column).
    """

    headings: list[str]
    rows: list[list[Any]]
    formats: dict[str, str] = field(default_factory=dict)
    code: tuple[str, ...] = ()
    bold: frozenset[tuple[int, int]] = frozenset()


@dataclass(frozen=True)
class Section:
    """A card of the page: ``hint`` is a sentence or two on how to read ``body``, a figure, a table or one sentence.

    Two sections in a row that are not ``wide`` stand side by side.
    """

    title: str
    hint: str
    body: go.Figure | Table | str
    wide: bool = True

    @property
    def name(self) -> str:
        """The title as an identifier: ``plot-error-by-horizon`` is the element of a figure."""
        return re.sub(r"[^a-z0-9]+", "-", self.title.lower()).strip("-")
