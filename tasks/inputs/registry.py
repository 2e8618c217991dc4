"""The registry of what a sequence may consist of: a new one is a file beside this one and a line in each of the two."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol, TypeAlias, cast

from pydantic import Discriminator

from tasks.config import Choice
from tasks.inputs.audio import AudioInput
from tasks.inputs.numeric import NumericInput
from tasks.inputs.text import TextInput
from tasks.inputs.tokens import TokensInput

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from mlflow.types import ColSpec

    from models.sequence_columns import SequenceColumns
    from tasks.data.intake import Intake
    from tasks.data.sources import Source

    Specs: TypeAlias = list[ColSpec]

Input = Annotated[NumericInput | TextInput | TokensInput | AudioInput, Discriminator("kind"), Choice()]
"""What ``data.input`` may be."""

MODULES: dict[str, str] = {
    "numeric": "tasks.inputs.numeric",
    "text": "tasks.inputs.text",
    "tokens": "tasks.inputs.tokens",
    "audio": "tasks.inputs.audio",
}
"""The module of each input kind."""


class InputKind(Protocol):
    """What an input kind's module holds."""

    @property
    def UNIT(self) -> str:
        """What an item's length is counted in."""
        ...

    @property
    def KEPT(self) -> bool:
        """Whether ``items.parquet`` keeps the input, for baselines and examples."""
        ...

    @property
    def COMPARED(self) -> bool:
        """Whether the input is read again to check each target beside it, such as a label for each token."""
        ...

    @property
    def REQUIREMENTS(self) -> tuple[str, ...]:
        """Packages that a registered model needs to read the input."""
        ...

    @property
    def USE(self) -> str:
        """A line of Python for the card that makes a ``table`` to predict; ``{input}`` is the column's name."""
        ...

    def open_input(self, config: Any, work: Path) -> Source:
        """Open the source of a section ``data``; its fingerprint covers all content that items are made of."""
        ...

    def parts(self, intake: Intake) -> Iterator[pl.DataFrame]:
        """Yield canonical parts: what ``intake`` gives each item, and ``input``, ``item:size`` and perhaps ``source``.

        ``item:size`` is the item's length in ``UNIT``; ``source`` the path of a file that it is.
        """
        ...

    def raws(self, part: pl.DataFrame, facts: Any = None) -> Iterator[Any]:
        """Yield each item of a canonical part as the input facts' ``encode`` takes it."""
        ...

    def fit(self, items: Callable[[], Iterator[Any]], table: dict[str, Any]) -> Any:
        """Return the input's facts, fitted on ``items()``: raws of the training items; ``table`` is ``table.json``."""
        ...

    def difference(self, theirs: Any, ours: Any) -> str | None:
        """Say why a model of the input facts ``theirs`` cannot read items that were prepared with ``ours``.

        Other vocabularies or scalers are no reason where the input is ``KEPT`` or the facts have ``decode``: then it
        reads the items anew.
        """
        ...

    def signature(self, facts: Any, columns: SequenceColumns) -> tuple[Specs, pd.DataFrame]:
        """Return what a registered model takes beside the item columns, and an example, indexed by its items' names.

        Args:
            facts: the input's.
            columns: the names that the training data had.
        """
        ...

    def goes_in(self, facts: Any, columns: SequenceColumns) -> str:
        """Return the sentence of the card on what a row is; ``facts`` and ``columns`` as above."""
        ...


def input_kind(name: str) -> InputKind:
    """Return the module of the input kind called ``name``."""
    return cast(InputKind, import_module(MODULES[name]))
