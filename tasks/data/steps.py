"""A long table of sequences, a row a step, as items: grouped, ordered, checked; memory holds one bucket of items."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import polars as pl

from models.sequence_columns import StepType
from tasks.data import cells, stamps
from tasks.data.buckets import CODE, list_items, read_buckets
from tasks.data.channels import drop_valueless, holds_numbers
from tasks.data.contract import EXAMPLES, severity
from tasks.data.files import reading
from tasks.data.intake import PLACE, SIZE, Intake
from tasks.data.sources import Source

STEP, ITEM_TARGET = "item:step", "item:target"


@dataclass(frozen=True)
class StepLayout:
    """How rows become canonical: ``item_id``, ``item:step``, ``read:NAME`` of each channel, target and others.

    Args:
        dated: the step column holds dates.
        carried: other columns, of which an item has one value.
    """

    intake: Intake
    dated: bool = False
    carried: tuple[str, ...] = ()

    @property
    def source(self) -> Source:
        return self.intake.source

    @property
    def config(self) -> Any:
        return self.intake.config

    def values(self) -> list[str]:
        return [*self.intake.options.reads, *self.intake.targets, *self.carried]

    def item_id(self) -> pl.Expr:
        nulls = self.config.null_values
        return pl.concat_str([cells.identity(c, self.source, nulls) for c in self.config.item_id], separator="|")

    def channel(self, column: str) -> pl.Expr:
        return cells.number(column, self.intake.schema[column], self.config.null_values)

    def step(self) -> pl.Expr:
        column = self.intake.options.step
        dtype = self.intake.schema[column]
        if isinstance(dtype, cells.TEXT) and self.dated:
            return stamps.parse_wall(cells.text(column, self.config.null_values))
        return self.channel(column) if isinstance(dtype, cells.TEXT) else pl.col(column)

    def scan(self) -> pl.LazyFrame:
        """Return the rows in canonical types, in the order of the source."""
        columns = dict.fromkeys([*self.config.item_id, *self.values()])
        channels = [self.channel(column) for column in self.intake.options.columns]
        finite = [pl.when(~cells.infinite(value)).then(value) for value in channels]
        named = [value.alias(f"read:{c}") for c, value in zip(self.intake.options.columns, finite, strict=True)]
        step = [self.step().alias(STEP)] if self.intake.options.step else []
        target = [self.intake.target_of(column).alias(ITEM_TARGET) for column in self.intake.targets]
        others = [pl.col(column).alias(f"other:{column}") for column in self.carried]
        return self.source.scan(list(columns)).select(self.item_id().alias("item_id"), *step, *named, *target, *others)


def read_steps(intake: Intake) -> Iterator[pl.DataFrame]:
    """Yield canonical parts of a table with a row a step; the target is a list with a value for each.

    Raises:
        InputError: rows cannot be read or told apart, so that nothing further can be checked.
    """
    _require_roles(intake)
    intake.layout = "steps"
    layout = _survey(intake)
    intake.ledger.raise_errors()
    items = list_items(layout, intake.ledger)
    intake.ledger.raise_errors()
    for rows in read_buckets(layout, items, intake.work / "buckets"):
        yield _grouped(layout, rows, items.ids)


def _require_roles(intake: Intake) -> None:
    config, ledger = intake.config, intake.ledger
    for column in intake.options.columns:
        intake.require_type(column, holds_numbers(intake.schema[column]), "a channel (all numbers, or all lists)")
    if (step := intake.options.step) is not None:
        dtype = intake.schema[step]
        fits = isinstance(dtype, cells.TEXT) or dtype.is_numeric() or dtype.is_temporal()
        intake.require_type(step, fits, "data.input.step")
    if not config.item_id:
        ledger.add("no_item_id", "error", said="none, and a row for each step")
    if len(intake.targets) > 1:
        ledger.add("several_targets", "error", said="{what}", what=", ".join(intake.targets))
    ledger.raise_errors()


def _survey(intake: Intake) -> StepLayout:
    """Count, in one streamed pass, what cannot be read, and find the columns of which an item has one value."""
    layout, step = StepLayout(intake), intake.options.step
    with reading(intake.source.name, intake.source.files):
        frame = intake.source.scan(list(dict.fromkeys([*intake.config.item_id, *intake.options.reads])))
        counts = frame.select(**dict(_counts(layout))).collect(engine="streaming").row(0, named=True)
    if not counts["rows"]:
        intake.ledger.add("empty", "error", said="0 rows in {what}", what=intake.source.name)
        return layout
    for column in intake.config.item_id:
        if count := counts[f"null:{column}"]:
            nulls = cells.identity(column, intake.source, intake.config.null_values).is_null()
            places = cells.places(intake.source, column, nulls)
            intake.ledger.add("null_item_id", "error", column, count=count, examples=places, said="{count} nulls")
    for column in intake.options.columns:
        _check_channel(layout, column, counts)
    dated = step is not None and _check_step(layout, step, counts)
    if step is not None:
        intake.step_type = _step_type(intake.schema[step], dated, counts)
    return StepLayout(intake, dated, _constant(intake))


def _counts(layout: StepLayout) -> Iterator[tuple[str, pl.Expr]]:
    intake, nulls = layout.intake, layout.config.null_values
    yield "rows", pl.len()
    for column in layout.config.item_id:
        yield f"null:{column}", cells.identity(column, intake.source, nulls).null_count()
    for column in layout.intake.options.columns:
        number = layout.channel(column)
        yield f"given:{column}", _given(layout, column).is_not_null().sum()
        yield f"number:{column}", number.count()
        yield f"infinite:{column}", cells.infinite(number).sum()
    if (step := layout.intake.options.step) is not None:
        given = _given(layout, step)
        yield "step:given", given.is_not_null().sum()
        if isinstance(intake.schema[step], cells.TEXT):
            yield "step:number", given.cast(pl.Float64, strict=False).is_finite().sum()
            yield "step:whole", given.cast(pl.Int64, strict=False).count()
            yield "step:date", stamps.parse_wall(given).count()


def _given(layout: StepLayout, column: str) -> pl.Expr:
    is_text = isinstance(layout.intake.schema[column], cells.TEXT)
    return cells.text(column, layout.config.null_values) if is_text else pl.col(column)


def _check_channel(layout: StepLayout, column: str, counts: dict[str, Any]) -> None:
    intake, options = layout.intake, layout.intake.options
    number, given = layout.channel(column), _given(layout, column)
    breaches = {
        "unparsable": (counts[f"given:{column}"] - counts[f"number:{column}"], given.is_not_null() & number.is_null()),
        "infinite": (counts[f"infinite:{column}"], cells.infinite(number)),
    }
    for check, (count, bad) in breaches.items():
        if count:
            intake.ledger.add(
                check, severity(getattr(options, check)), column, count=count,
                examples=cells.places(intake.source, column, bad), said="{count} values that are not",
                action="set to null", key="input.", what="numbers", remedy="set data.input.unparsable: null",
            )  # fmt: skip


def _check_step(layout: StepLayout, step: str, counts: dict[str, Any]) -> bool:
    """Find steps that order nothing; return whether they are dates."""
    intake, given = layout.intake, _given(layout, step)
    if count := counts["rows"] - counts["step:given"]:
        places = cells.places(intake.source, step, given.is_null())
        intake.ledger.add("null_step", "error", step, count=count, examples=places, said="{count} nulls")
    if "step:number" not in counts:
        return False
    dated = counts["step:date"] > counts["step:number"]
    if count := counts["step:given"] - counts["step:date" if dated else "step:number"]:
        readable = stamps.parse_wall(given).is_not_null() if dated else given.cast(pl.Float64, strict=False).is_finite()
        places = cells.places(intake.source, step, given.is_not_null() & ~readable.fill_null(False))
        said = "{count} values that are neither"
        intake.ledger.add("unparsable_step", "error", step, count=count, examples=places, said=said)
    return dated


def _step_type(dtype: pl.DataType, dated: bool, counts: dict[str, Any]) -> StepType:
    """Return what a served model's step column is to hold; of durations that is a number of any unit."""
    if isinstance(dtype, cells.TEXT) and not dated:
        return "integer" if counts["step:whole"] == counts["step:given"] else "number"
    if dated or dtype in (pl.Date, pl.Datetime):
        return "datetime"
    if dtype == pl.Time:
        return "text"
    return "integer" if dtype.is_integer() else "number"


def _constant(intake: Intake) -> tuple[str, ...]:
    """Return the other columns of which every item has one value; the rest are left out."""
    layout, extras = StepLayout(intake), intake.extras
    if not extras:
        return ()
    columns = list(dict.fromkeys([*intake.config.item_id, *extras]))
    with reading(intake.source.name, intake.source.files):
        frame = intake.source.scan(columns).group_by(layout.item_id().alias("item:id"))
        varied = [(pl.col(c).drop_nulls().n_unique() > 1).alias(f"varies:{c}") for c in extras]
        varies = frame.agg(varied).select(pl.exclude("item:id").any()).collect(engine="streaming").row(0)
    for column in (column for column, some in zip(extras, varies, strict=True) if some):
        said = "column {column}, which varies within an item"
        intake.ledger.add("left_out", "info", column, said=said, action="left out")
    return tuple(column for column, some in zip(extras, varies, strict=True) if not some)


def _grouped(layout: StepLayout, rows: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Turn the rows of a bucket into a row an item."""
    intake, stepped = layout.intake, layout.intake.options.step is not None
    ordered = rows.sort([CODE, STEP] if stepped else [CODE], maintain_order=True)
    if stepped:
        ordered = _distinct(layout, ordered, ids)
    channels = [f"read:{column}" for column in layout.intake.options.columns]
    target = [pl.col(ITEM_TARGET).alias("target")] if intake.targets else []
    others = [pl.col(f"other:{c}").drop_nulls().first().alias(c) for c in layout.carried]
    steps = ordered.group_by(CODE, maintain_order=True)
    frame = steps.agg(pl.concat_list(channels).alias("input"), pl.len().cast(pl.Int64).alias(SIZE), *target, *others)
    item_id = ids.gather(frame[CODE]).alias("item_id")
    frame = frame.drop(CODE).with_columns(item_id).with_columns((pl.lit("item ") + pl.col("item_id")).alias(PLACE))
    if intake.targets:
        labelled = pl.col("target").list.drop_nulls().list.len() > 0
        frame = frame.with_columns(pl.when(labelled).then(pl.col("target")).alias("target"))
    return drop_valueless(intake, frame)


def _distinct(layout: StepLayout, ordered: pl.DataFrame, ids: pl.Series) -> pl.DataFrame:
    """Leave one row for each step of an item, as ``data.input.duplicates`` says."""
    policy, column = layout.intake.options.duplicates, layout.intake.options.step
    repeated = ordered.filter(pl.struct(CODE, STEP).is_duplicated()).group_by(CODE, STEP, maintain_order=True).len()
    if repeated.is_empty():
        return ordered
    named = repeated.head(EXAMPLES).select(ids.gather(repeated[CODE].head(EXAMPLES)).alias("id"), pl.col(STEP))
    layout.intake.ledger.add(
        "duplicate_steps", severity(policy), column, count=int(repeated["len"].sum()) - len(repeated),
        items=repeated[CODE].n_unique(), examples=[f"item {item} at {step}" for item, step in named.rows()],
        said="{count} rows too many in {items} items", action=f"the {policy} kept",
    )  # fmt: skip
    return ordered.unique([CODE, STEP], keep="last" if policy == "last" else "first", maintain_order=True)
