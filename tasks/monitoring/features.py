"""What the columns of series look like, block of time by block of time: what a drift test compares.

A block is ``Spans.length`` steps, whole seasons of them, counted from the last step ``position`` -1 that the reference
knows of an item: its blocks are -1, -2, ... backwards, those of new data 0, 1, ... Only whole blocks count. Each item
is first put on its own scale, its median and spread in the reference, so that large items do not drown small ones; then
a block's feature is the mean over items. Features of a column of numbers, and of one of categories::

    level            change of the block's mean against the block before, in scales of the item; tests add them up
    spread           logarithm of what is left when the block's mean and the reference's season are taken off
    season           how much of the reference's season is there: 1 is all of it, 0 none, -1 the opposite
    stuck            share of steps that repeat the step before: a dead sensor repeats all
    missing          share of steps without a value
    unseen           share of steps with a category that appears for the first time
    share:<name>     share of steps with one of the most frequent categories

A season is fitted on the reference, so a block of the reference is held against the season of the others alone; else
it would fit its own noise and every new block would look worse.

Frames hold a row a step: ``item_id``, ``position``, and the columns. Items are whole within a frame.
"""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

FEWEST_STEPS = 6
"""Of a block: fewer tell nothing of its spread."""
LARGEST = 20.0
"""Scales that a value counts at most: one absurd value shall not hide what the rest of the block does."""
FAR = 1 << 40
"""Positions are shifted by about this for a division that never sees a number below zero."""
MOST_SHARES = 10
KEY = ["item_id", "block"]


@dataclass(frozen=True)
class Spans:
    """Steps of a season and of a block, which is whole seasons."""

    season: int
    length: int

    @classmethod
    def of(cls, season: int) -> Spans:
        """Return the shortest blocks of whole seasons that have ``FEWEST_STEPS``."""
        return cls(season, season * -(-FEWEST_STEPS // season))


def blocked(frame: pl.DataFrame, column: str, spans: Spans) -> pl.DataFrame:
    """Return ``item_id``, ``block``, ``phase``, ``value`` of the steps that lie in whole blocks of ``frame``."""
    shift = FAR // spans.length * spans.length
    moved = pl.col("position") + shift
    return frame.select(
        "item_id",
        block=moved // spans.length - shift // spans.length,
        phase=moved % spans.season,
        value=pl.col(column),
    ).filter(pl.len().over(KEY) == spans.length)


def fitted(steps: pl.DataFrame) -> pl.DataFrame:
    """Return what new steps of a column of numbers are compared by, a row an item.

    Args:
        steps: of the reference, as ``blocked`` returns them.

    Returns:
        ``item_id``, ``centre``, ``scale``, ``blocks`` (how many), ``level`` of block -1 (null: not seen), ``season``
        (a value for each phase).
    """
    value = pl.col("value")
    centre = value.median()
    items = steps.group_by("item_id", maintain_order=True).agg(
        centre=centre.fill_null(0.0),
        near=1.4826 * (value - centre).abs().median(),
        wide=(value - value.mean()).abs().mean(),
        blocks=pl.col("block").n_unique(),
    )
    scale = pl.when(pl.col("near") > 0).then("near").when(pl.col("wide") > 0).then("wide")
    items = items.select("item_id", "centre", "blocks", scale=scale.otherwise(pl.col("centre").abs().clip(1.0)))
    centred = _centred(steps.join(items, on="item_id"))
    last = centred.filter(pl.col("block") == -1).group_by("item_id").agg(pl.col("level").first())
    phases = centred.group_by("item_id", "phase").agg(season=pl.col("centred").mean().fill_null(0.0))
    season = phases.sort("item_id", "phase").group_by("item_id").agg("season")
    return items.join(last, on="item_id", how="left").join(season, on="item_id", how="left", maintain_order="left")


def numbers(steps: pl.DataFrame, items: pl.DataFrame, spans: Spans, reference: bool) -> pl.DataFrame:
    """Return the features of a column of numbers as sums over items, which add up over the parts of a table.

    Args:
        steps: as ``blocked`` returns them.
        items: as ``fitted`` returns them; steps of other items do not count.
        spans: of the profile.
        reference: whether ``steps`` are those that ``items`` was fitted on.

    Returns:
        ``feature``, ``block``, ``total``, ``weight``: the feature is total / weight.
    """
    lined = _against_season(_centred(steps.join(items.drop("season"), on="item_id")), items, reference)
    blocks = lined.group_by(KEY).agg(
        level=pl.col("level").first(),
        left=(pl.col("centred") - pl.col("season")).abs().mean(),
        along=(pl.col("centred") * pl.col("season")).sum(),
        season=(pl.col("season") ** 2).filter(pl.col("centred").is_not_null()).sum(),
        stuck=pl.col("repeats").sum().cast(pl.Float64),
        compared=pl.col("repeats").count().cast(pl.Float64),
        missing=pl.col("value").is_null().sum().cast(pl.Float64),
        steps=pl.len().cast(pl.Float64),
        seen=2 * pl.col("value").count() >= spans.length,
    )
    seen = blocks.filter("seen")
    found = [
        _summed(_changes(seen, items, reference), "level", "change", pl.lit(1.0)),
        _summed(seen, "spread", (pl.col("left") + 0.01).log(), pl.lit(1.0)),
        _summed(blocks, "stuck", "stuck", "compared"),
        _summed(blocks, "missing", "missing", "steps"),
    ]
    if spans.season > 1:
        found.append(_summed(seen, "season", "along", "season"))
    return pl.concat(found)


def categories(steps: pl.DataFrame) -> pl.DataFrame:
    """Return how often each category occurs: ``block``, ``value`` (null: missing), ``count``; counts add up."""
    return steps.group_by("block", "value").agg(count=pl.len())


def shares(counts: pl.DataFrame, known: pl.DataFrame) -> pl.DataFrame:
    """Return the features of a column of categories from the sums of ``categories``, as ``numbers`` does.

    Args:
        counts: of the blocks that are asked for.
        known: those of the reference, which may be the same.
    """
    named = known.drop_nulls("value").group_by("value").agg(first=pl.col("block").min(), count=pl.col("count").sum())
    frequent = named.sort("count", "value", descending=True)["value"].head(MOST_SHARES).to_list()
    steps = counts.join(named.select("value", "first"), on="value", how="left")
    new = pl.col("value").is_not_null() & (pl.col("first") == pl.col("block")).fill_null(True)
    wanted = {"missing": pl.col("value").is_null(), "unseen": new}
    wanted |= {f"share:{name}": (pl.col("value") == name).fill_null(False) for name in frequent}
    weighed = [
        steps.group_by("block").agg(
            feature=pl.lit(feature),
            total=pl.col("count").filter(which).sum().cast(pl.Float64),
            weight=pl.col("count").sum().cast(pl.Float64),
        )
        for feature, which in wanted.items()
    ]
    return pl.concat(weighed).select("feature", "block", "total", "weight")


def summed(parts: list[pl.DataFrame], by: list[str]) -> pl.DataFrame:
    """Add up what several parts of a table gave."""
    return pl.concat(parts).group_by(by).agg(pl.all().sum()).sort(by)


def _centred(steps: pl.DataFrame) -> pl.DataFrame:
    """Add ``level``, the block's mean in scales of the item, ``centred``, what is left, and whether a step repeats."""
    scaled = ((pl.col("value") - pl.col("centre")) / pl.col("scale")).clip(-LARGEST, LARGEST)
    return (
        steps.with_columns(scaled=scaled, repeats=pl.col("value") == pl.col("value").shift(1).over("item_id"))
        .with_columns(level=pl.col("scaled").mean().over(KEY))
        .with_columns(centred=pl.col("scaled") - pl.col("level"))
    )


def _against_season(lined: pl.DataFrame, items: pl.DataFrame, reference: bool) -> pl.DataFrame:
    """Add ``season``: the item's at the step's phase, without the step's own block if that is of the reference."""
    seasons = items.select("item_id", "season").explode("season")
    seasons = seasons.with_columns(phase=pl.int_range(pl.len(), dtype=pl.Int64).over("item_id"))
    lined = lined.join(seasons, on=["item_id", "phase"], how="left", maintain_order="left")
    if not reference:
        return lined
    own, count = pl.col("centred").mean().over(*KEY, "phase").fill_null(0.0), pl.col("blocks")
    others = pl.when(count > 1).then((count * pl.col("season") - own) / (count - 1)).otherwise(0.0)
    return lined.with_columns(season=others)


def _changes(blocks: pl.DataFrame, items: pl.DataFrame, reference: bool) -> pl.DataFrame:
    """Return ``block`` and ``change``, of an item's level against the block before, where both were seen."""
    levels = blocks.select(*KEY, "level")
    if not reference:
        first = items.filter(pl.col("level").is_not_null())
        levels = pl.concat([levels, first.select("item_id", pl.lit(-1, pl.Int64).alias("block"), "level")])
    levels = levels.sort(KEY)
    change = (pl.col("level") - pl.col("level").shift(1)).over("item_id")
    follows = (pl.col("block") - pl.col("block").shift(1)).over("item_id") == 1
    return levels.with_columns(change=change).filter(follows & pl.col("change").is_not_null())


def _summed(blocks: pl.DataFrame, feature: str, total: str | pl.Expr, weight: str | pl.Expr) -> pl.DataFrame:
    expressions = [pl.col(one) if isinstance(one, str) else one for one in (total, weight)]
    chosen = blocks.select("block", total=expressions[0], weight=expressions[1]).drop_nulls()
    added = chosen.group_by("block").agg(pl.col("total").sum(), pl.col("weight").sum())
    return added.select(pl.lit(feature).alias("feature"), "block", "total", "weight")
