"""Which item lies in which part: as a column says, by whole groups, or at random with equal shares of each class.

::

    |---------------- train ----------------|-- validation --|---- test, sealed ----|
     fit of facts; search trains here        trials compared   evaluate, once

The test part is drawn first, then the validation part from what remains. Items stand in the order of a hash of
``split.seed`` and of who they are, and the first are drawn: so what was sealed stays sealed, all but a few items at
the border, when a table grows or is sorted anew. A group lies in one part only: in the order of a hash of their names,
those groups are drawn that bring the part nearer to its share of the items and of each class, and a few are exchanged.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from tasks.data.contract import EXAMPLES, Ledger
from tasks.errors import InputError, shortened
from tasks.kinds import sequence_keys
from tasks.kinds.kind import SplitOptions
from tasks.kinds.sequence_keys import Keys

PARTS = ("train", "validation", "test")
TRAIN, VALIDATION, TEST = 0, 1, 2
SYNONYMS = {
    "train": TRAIN, "training": TRAIN,
    "validation": VALIDATION, "valid": VALIDATION, "val": VALIDATION, "dev": VALIDATION, "development": VALIDATION,
    "test": TEST, "testing": TEST,
}  # fmt: skip


CLASS_WEIGHT = 2.0
"""How much an item of a class that a part lacks counts beside an item that it lacks, when groups are drawn."""
SWAPS, MOST_SWAPPED, NEAR = 2, 2000, 0.05
"""Exchanges of groups after the draw, for balance at the cost of order: none among many groups, which balance anyway,
and none where what is lacking is so small a share of what is wanted."""


@dataclass(frozen=True)
class Draw:
    """Draws a share of some items.

    Args:
        strata: int64 [N], the class of each item; of no meaning to one another.
        groups: int64 [N], the group of each item; none: each item is a group of its own.
        ranks: uint64 [N], of the items, or of their groups: the lowest are drawn first.
    """

    strata: np.ndarray
    groups: np.ndarray | None
    ranks: Keys

    def __call__(self, items: np.ndarray, share: float, groups_left: int = 1) -> np.ndarray:
        """Return about ``share`` of ``items`` (numbers), sorted; at least one, and at least one is left."""
        if self.groups is None:
            return np.sort(self._stratified(items, share))
        return np.sort(self._grouped(items, share, groups_left))

    def _stratified(self, items: np.ndarray, share: float) -> np.ndarray:
        """Take ``share`` of each class; what rounding leaves goes to the classes with the largest remainders."""
        shuffled = items[np.argsort(self.ranks[items], kind="stable")]
        _, first, code = np.unique(self.strata[shuffled], return_index=True, return_inverse=True)
        held = np.bincount(code)
        wanted = held * share
        taken = np.floor(wanted).astype(np.int64)
        total = min(max(round(len(items) * share), 1), len(items) - 1)
        spare = np.minimum(held - 1, np.ceil(wanted).astype(np.int64)) - taken
        for one in np.lexsort((first, -(wanted - taken))):
            if taken.sum() < total and spare[one] > 0:
                taken[one] += 1
        by_class = shuffled[np.argsort(code, kind="stable")]
        starts = np.cumsum(held) - held
        chosen = np.concatenate([by_class[a : a + n] for a, n in zip(starts, taken, strict=True)])
        return chosen if len(chosen) else shuffled[:1]

    def _grouped(self, items: np.ndarray, share: float, groups_left: int) -> np.ndarray:
        """Take the groups that bring a part nearer to its share of all items and of each class: squared distance."""
        assert self.groups is not None
        groups, first, code = np.unique(self.groups[items], return_index=True, return_inverse=True)
        classes, stratum = np.unique(self.strata[items], return_inverse=True)
        held, ranks = np.zeros((len(groups), len(classes) + 1)), self.ranks[items][first]
        np.add.at(held, (code, stratum), CLASS_WEIGHT)
        sizes = held[:, -1] = np.bincount(code)
        wanted, side = held.sum(axis=0) * share, np.zeros(len(groups), np.int64)
        lacking = wanted.copy()
        for group in np.argsort(ranks, kind="stable"):
            if held[group] @ (held[group] - 2 * lacking) < 0:
                side[group] = 1
                lacking -= held[group]
        for _ in range(SWAPS if len(groups) <= MOST_SWAPPED else 0):
            if np.linalg.norm(lacking) > NEAR * np.linalg.norm(wanted):
                _swap(held, lacking, side)
        return items[self._bounded(side, np.lexsort((ranks, sizes)), groups_left)[code] == 1]

    def _bounded(self, side: np.ndarray, smallest: np.ndarray, groups_left: int) -> np.ndarray:
        """Move the ``smallest`` groups, so that one is drawn and ``groups_left`` are left."""
        for group in smallest:
            if not (side == 1).any():
                side[group] = 1
            elif (side == 0).sum() < groups_left and (side == 1).sum() > 1 and side[group] == 1:
                side[group] = 0
        return side


def _swap(held: np.ndarray, lacking: np.ndarray, side: np.ndarray) -> None:
    """Exchange a group that is drawn for one that is not, if that lessens what is ``lacking``: the best pair, in place.

    Args:
        held: of each group what is counted [groups, K].
        lacking: of the drawn part [K].
        side: 1 for a group that is drawn [groups].
    """
    drawn, left = np.flatnonzero(side == 1), np.flatnonzero(side == 0)
    if not len(drawn) or not len(left):
        return
    squared, along = np.square(held).sum(axis=1), 2 * held @ lacking
    change = (squared + along)[drawn][:, None] + (squared - along)[left] - 2 * held[drawn] @ held[left].T
    out, into = np.unravel_index(int(change.argmin()), change.shape)
    if change[out, into] < 0:
        side[drawn[out]], side[left[into]] = 0, 1
        lacking += held[drawn[out]] - held[left[into]]


def assign(items: pl.DataFrame, keys: Keys, strata: list[str] | None, options: SplitOptions) -> np.ndarray:
    """Give each item its part: int64 [N] of ``TRAIN``, ``VALIDATION`` and ``TEST``.

    Args:
        items: item_id and the columns that ``options`` names, one row an item.
        keys: who each item is, as ``sequence_keys`` numbers them.
        strata: a class for each item, whose shares the parts have alike; none: there is no such thing.

    Raises:
        InputError: a column is missing, a value of it is unknown or null, or there are too few items or groups.
    """
    given = _given(items, options.column) if options.column else None
    groups = _groups(items, options.group) if options.group else None
    codes = _codes(strata) if strata is not None and options.stratify else np.zeros(len(items), np.int64)
    drawn = keys if options.group is None else sequence_keys.of_groups(items[options.group])
    draw = Draw(codes, groups, sequence_keys.ranks(drawn, options.seed))
    parts = np.full(len(items), TRAIN) if given is None else given.copy()
    if given is None:
        _require(items, groups, np.arange(len(items)), 3, options)
        parts[draw(np.arange(len(items)), options.test_share, groups_left=2)] = TEST
    if not (parts == VALIDATION).any():
        rest = np.flatnonzero(parts != TEST)
        _require(items, groups, rest, 2, options)
        parts[draw(rest, options.validation_share)] = VALIDATION
    if groups is not None and given is not None:
        _require_whole_groups(items, groups, parts, options)
    return parts


def _column(items: pl.DataFrame, name: str, key: str) -> pl.Series:
    if name not in items.columns:
        known = [column for column in items.columns if column not in ("input", "source", "target")]
        raise InputError(
            f"{key} must name a column with one value an item",
            f"{name!r}; there are {shortened(known, 20)}",
            "correct the name; columns that vary within an item and lists are no such columns",
        )
    column = items[name]
    if column.null_count():
        places = items.filter(column.is_null())["item_id"].head(EXAMPLES + 1)
        raise InputError(
            f"{key} {name!r} must have a value for every item",
            f"{column.null_count()} nulls, in items {shortened(places)}",
            "complete the column in the source",
        )
    return column


def _given(items: pl.DataFrame, name: str) -> np.ndarray:
    """Read the parts from a column of the source."""
    values = _column(items, name, "split.column").cast(pl.String)
    words = values.str.strip_chars().str.to_lowercase()
    if unknown := sorted(set(words.unique()) - set(SYNONYMS)):
        counts = [f"{word!r} ({int((words == word).sum())} items)" for word in unknown]
        raise InputError(
            f"split.column {name!r} must hold {', '.join(PARTS[:2])} or {PARTS[2]}",
            shortened(counts),
            "rename the values, or leave split.column out",
        )
    parts = words.replace_strict(SYNONYMS, return_dtype=pl.Int64).to_numpy()
    for part in (TRAIN, TEST):
        if not (parts == part).any():
            raise InputError(
                f"split.column {name!r} must put items into the {PARTS[part]} part",
                f"no item marked {PARTS[part]!r} of {len(parts)}",
                f"mark some as {PARTS[part]}, or leave split.column out: then a test part is drawn",
            )
    return parts


def _groups(items: pl.DataFrame, name: str) -> np.ndarray:
    return _codes(_column(items, name, "split.group").cast(pl.String).to_list())


def _codes(values: list[Any]) -> np.ndarray:
    return np.unique(np.array(values, dtype=object).astype(str), return_inverse=True)[1]


def _require(
    items: pl.DataFrame, groups: np.ndarray | None, among: np.ndarray, parts: int, options: SplitOptions
) -> None:
    """Refuse fewer items or groups than there are parts to fill."""
    if groups is None:
        if len(among) < parts:
            what = "train, validate and test on" if parts == 3 else "train and validate on"
            raise InputError(f"there must be {parts} items to {what}", f"{len(among)}", "give more items")
    elif (count := len(np.unique(groups[among]))) < parts:
        names = items[options.group or ""].gather(among).unique().sort()
        what = "the train, validation and test parts" if parts == 3 else "the train and validation parts"
        raise InputError(
            f"split.group {options.group!r} must have {parts} groups, one at least for each of {what}",
            f"{count}: {shortened(names)}",
            "choose a finer column, leave split.group out, or mark validation items in split.column",
        )


def _require_whole_groups(items: pl.DataFrame, groups: np.ndarray, parts: np.ndarray, options: SplitOptions) -> None:
    """Refuse a given split that puts a group into several parts."""
    pairs = np.unique(np.stack([groups, parts]), axis=1)
    split, counts = np.unique(pairs[0], return_counts=True)
    torn = split[counts > 1]
    if len(torn):
        names = [items[options.group or ""][int(np.flatnonzero(groups == one)[0])] for one in torn[: EXAMPLES + 1]]
        raise InputError(
            f"each group of split.group {options.group!r} must lie in one part of split.column {options.column!r}",
            f"{len(torn)} groups in several: {shortened(names)}",
            "mend split.column, or leave one of the two out",
        )


def report_absent(strata: list[str], parts: np.ndarray, options: SplitOptions, ledger: Ledger) -> None:
    """Tell of classes that are missing from a part: of the items of one, too few to share out, none may be drawn."""
    table = pl.DataFrame({"class": strata, "part": parts}).group_by("class").agg(
        *((pl.col("part") == part).sum().alias(name) for part, name in enumerate(PARTS)), pl.len().alias("items")
    ).sort("class")  # fmt: skip
    for part, name in ((TEST, "test"), (VALIDATION, "validation")):
        absent = table.filter(pl.col(name) == 0)
        if len(absent):
            examples = [f"{value!r} ({count} items)" for value, count in absent.select("class", "items").head(5).rows()]
            drawn = options.group or (options.column and part == TEST)
            why = "the split does not share classes out" if drawn else "too few items to share out"
            said = "{count} classes without an item in the {what} part"
            ledger.add(
                "missing_class", "warning", f"{name} part", count=len(absent), examples=examples, said=said,
                action=f"kept elsewhere: {why}", what=name,
            )  # fmt: skip
