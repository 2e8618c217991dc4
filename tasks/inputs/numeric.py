"""Input kind ``numeric``: channels of numbers, as a long table with a row a step or as lists with a row an item."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from tasks.config import Columns, Config
from tasks.inputs.table import ids_go_in, open_table

if TYPE_CHECKING:
    import numpy as np
    import pandas as pd
    import polars as pl

    from models.sequence_columns import SequenceColumns, StepType
    from tasks.data.intake import Intake
    from tasks.inputs.registry import Specs

UNIT = "steps"
KEPT = False
COMPARED = True
REQUIREMENTS = ()
USE = 'table = pd.read_parquet("new.parquet")  # of the types that "What goes in" names'
EXAMPLE_STEPS = 12
Policy = Annotated[Literal["error", "null"], BeforeValidator(lambda value: "null" if value is None else value)]

open_input = open_table


class NumericInput(Config):
    """Columns of numbers: one for each channel, a row for each step of an item; or of lists, a row for each item."""

    model_config = ConfigDict(title="Numeric")

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


def difference(theirs: Any, ours: Any) -> str | None:
    """Compare the channels."""
    if theirs.columns == ours.columns:
        return None
    return f"it reads {', '.join(theirs.columns)} and the channels are now {', '.join(ours.columns)}"


def signature(facts: Any, columns: SequenceColumns) -> tuple[Specs, pd.DataFrame]:
    """Return the step column and the channels, and an example of one item: a wave in each channel."""
    import numpy as np
    import pandas as pd
    from mlflow.types import ColSpec, DataType
    from mlflow.types.schema import Array

    wave = np.sin(np.arange(EXAMPLE_STEPS) / 2)
    if columns.layout == "items":
        lists = [ColSpec(Array(DataType.double), channel) for channel in columns.input]
        return lists, pd.DataFrame({channel: [wave.tolist()] for channel in columns.input}, index=["item"])
    channels = [ColSpec(DataType.double, channel) for channel in columns.input]
    example = pd.DataFrame(dict.fromkeys(columns.input, wave), index=["item"] * EXAMPLE_STEPS)
    if columns.step is None:
        return channels, example
    example.insert(0, columns.step, _example_steps(columns.step_type))
    types = {"integer": "long", "number": "double", "datetime": "datetime", "text": "string"}
    return [ColSpec(types[columns.step_type or "integer"], columns.step), *channels], example


def _example_steps(step_type: StepType | None) -> Any:
    """Return the steps of the example: an array, or texts that are times of a day."""
    import numpy as np

    number = np.arange(EXAMPLE_STEPS)
    if step_type == "datetime":
        return np.datetime64("2024-01-01", "ns") + number.astype("timedelta64[D]")
    if step_type == "text":
        return [f"{hour:02d}:00:00" for hour in number]
    return number.astype(np.float64) if step_type == "number" else number


def goes_in(facts: Any, columns: SequenceColumns) -> str:
    """Say what a row is, of which item and in which order, and how its columns get the types that MLflow takes."""
    ids, channels = (", ".join(f"`{name}`" for name in names) for names in (columns.item_id, columns.input))
    if columns.layout == "items":
        lists = f"table[{columns.input}]"
        return (
            f"A row for each item, its channels as lists of as many floats each: {channels}. {ids_go_in(columns)}"
            f"MLflow turns no integers into floats: `{lists} = {lists}.map(lambda item: [*map(float, item)])`."
        )
    order = f", ordered by `{columns.step}`" if columns.step else ""
    kinds = {"integer": "int64", "number": "float64", "datetime": "datetime64[ns]", "text": "str"}
    types = dict.fromkeys(columns.item_id, "str") | dict.fromkeys(columns.input, "float64")
    if columns.step:
        types[columns.step] = kinds[columns.step_type or "integer"]
    zone = " Stamps have no zone." if columns.step_type == "datetime" else ""
    return (
        f"A long table with a row for each step{f' of each {ids}' if ids else ''}{order}: {channels}. "
        f"MLflow turns no integers into other types: `table = table.astype({types})`.{zone}"
    )
