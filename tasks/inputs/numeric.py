"""Input kind ``numeric``: channels of numbers, as a long table with a row a step or as lists with a row an item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from tasks.config import Columns, Config

if TYPE_CHECKING:
    import numpy as np
    import polars as pl

    from tasks.data.intake import Intake
    from tasks.data.sources import Source

UNIT = "steps"
Policy = Annotated[Literal["error", "null"], BeforeValidator(lambda value: "null" if value is None else value)]


class NumericInput(Config):
    """Columns of numbers: one for each channel, a row for each step of an item; or of lists, a row for each item."""

    kind: Literal["numeric"] = "numeric"
    columns: Columns = Field(title="Channels", min_length=1)
    step: str | None = Field(
        None,
        title="Step column",
        description="Numbers or ISO dates that order the rows of an item; none: they are in order.",
    )
    duplicates: Literal["error", "first", "last"] = Field("error", title="Duplicate steps of an item")
    unparsable: Policy = Field("error", title="Values that do not parse")
    infinite: Policy = Field("error", title="Infinite values")

    @property
    def reads(self) -> list[str]:
        return [*self.columns, *([self.step] if self.step else [])]


def open_input(config: Any, work: Path) -> Source:
    """Open the table."""
    from tasks.data.sources import open_source

    return open_source(config.source, None, work)


def parts(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts: ``input`` is List(List(Float64)), steps x channels, null where a value is missing."""
    import polars as pl

    from tasks.data import channels, steps

    nested = [isinstance(intake.schema[column], pl.List | pl.Array) for column in intake.options.columns]
    seen = channels.Channels(intake)
    for part in channels.read_lists(intake) if all(nested) else steps.read_steps(intake):
        seen.count(part)
        yield part
    seen.report()


def raws(part: pl.DataFrame, facts: Any = None) -> Iterator[np.ndarray]:
    """Yield each item's values: float64 ``[T, C]``, NaN where one is missing."""
    import numpy as np
    import polars as pl

    if part.is_empty():
        return
    lengths = part["input"].list.len().to_numpy()
    flat = part["input"].explode(keep_nulls=False, empty_as_null=False).list.explode().cast(pl.Float64)
    values = flat.to_numpy().reshape(int(lengths.sum()), -1)
    yield from np.split(values, np.cumsum(lengths)[:-1])


def fit(items: Callable[[], Iterator[np.ndarray]], table: dict[str, Any]) -> Any:
    """Return ``NumericFacts``: mean and standard deviation of each channel."""
    from models.inputs.channels import fit_numeric

    return fit_numeric(table["columns"]["input"], items())
