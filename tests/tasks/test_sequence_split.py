"""Splits of whole sequences: shares, classes, groups, and a split that the source gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl
import pytest

from tasks.data.contract import Ledger
from tasks.errors import InputError
from tasks.inputs.registry import input_kind
from tasks.kinds import sequence_keys, sequence_split
from tasks.kinds.sequence_split import TEST, TRAIN, VALIDATION, report_absent
from tasks.prepare import SplitConfig

OPTIONS = SplitConfig()


def assign(items: pl.DataFrame, strata: list[str] | None, options: SplitConfig) -> np.ndarray:
    """Split items that have ids."""
    return sequence_split.assign(items, sequence_keys.of_items(items["item_id"]), strata, options)


def items(count: int, **columns: list[Any]) -> pl.DataFrame:
    return pl.DataFrame({"item_id": [f"i{i}" for i in range(count)], **columns})


@pytest.mark.parametrize("seed", range(5))
def test_stratified_parts_have_their_size_and_each_class_its_share(seed: int) -> None:
    strata = [str(label) for label in np.random.default_rng(seed).choice(6, 1000, p=[0.5, 0.2, 0.1, 0.1, 0.06, 0.04])]
    parts = assign(items(1000), strata, SplitConfig(seed=seed))
    assert np.bincount(parts).tolist() == [680, 120, 200]
    for label in set(strata):
        mine = parts[np.array(strata) == label]
        assert abs((mine == TEST).sum() - 0.2 * len(mine)) <= 1
        assert abs((mine == VALIDATION).sum() - 0.12 * len(mine)) <= 2


def test_the_draw_depends_on_the_seed_alone() -> None:
    strata = ["a", "b"] * 50
    first, again, other = (assign(items(100), strata, SplitConfig(seed=seed)) for seed in (1, 1, 2))
    assert (first == again).all()
    assert (first != other).any()


def test_without_stratification_classes_fall_as_they_may() -> None:
    strata = ["a"] * 10 + ["b"] * 990
    shares = [(assign(items(1000), strata, SplitConfig(stratify=False, seed=s))[:10] == TEST).sum() for s in range(20)]
    assert len(set(shares)) > 2


def test_a_class_too_small_to_share_out_stays_in_training_and_is_reported() -> None:
    strata, ledger = ["common"] * 40 + ["rare"], Ledger()
    parts = assign(items(41), strata, SplitConfig())
    assert parts[40] == TRAIN
    report_absent(strata, parts, SplitConfig(), ledger)
    (test, validation) = ledger.report()
    assert (test["column"], validation["column"]) == ("test part", "validation part")
    assert test["examples"] == ["'rare' (1 items)"]
    assert "too few items" in test["action"]


def test_what_was_sealed_stays_sealed_when_a_table_grows_and_is_sorted_anew() -> None:
    rng = np.random.default_rng(0)
    table = items(523, label=[str(one) for one in rng.choice(3, 523, p=[0.6, 0.3, 0.1])])
    before = table.head(500).with_columns(part=assign(table.head(500), table["label"].head(500).to_list(), OPTIONS))
    grown = table.sample(fraction=1, shuffle=True, seed=1)
    after = grown.with_columns(part=assign(grown, grown["label"].to_list(), OPTIONS))
    both = before.join(after, on="item_id", suffix="_after")
    sealed = both.filter(pl.col("part_after") == TEST)
    assert len(sealed) > 90
    assert (sealed["part"] != TEST).sum() <= 5
    assert ((both["part"] == VALIDATION) & (both["part_after"] == TRAIN)).sum() <= 5


def test_groups_that_were_sealed_stay_sealed_when_they_and_others_join() -> None:
    rng = np.random.default_rng(0)
    speaker = [f"s{one}" for one in rng.choice(60, 3000)] + [f"t{one}" for one in rng.choice(3, 100)]
    options = SplitConfig(group="speaker")
    before = assign(items(2800, speaker=speaker[:2800]), None, options)
    after = assign(items(3100, speaker=speaker), None, options)[:2800]
    assert (before[after == TEST] != TEST).mean() < 0.15


def test_the_order_of_rows_changes_no_part() -> None:
    table = items(300, speaker=[f"s{i % 23}" for i in range(300)], label=["a", "b", "b"] * 100)
    shuffled = table.sample(fraction=1, shuffle=True, seed=3)
    for options in (OPTIONS, SplitConfig(group="speaker")):
        parts = [one.with_columns(part=assign(one, one["label"].to_list(), options)) for one in (table, shuffled)]
        assert parts[0].equals(parts[1].sort(pl.col("item_id").str.slice(1).cast(int)))


def test_items_without_ids_are_told_apart_by_their_content_and_repeats_by_their_order() -> None:
    kind, texts = input_kind("text"), ["yes", "no", "yes", "maybe", "no", "yes"]
    keys = sequence_keys.of_contents([pl.DataFrame({"input": texts[:2]}), pl.DataFrame({"input": texts[2:]})], kind)
    assert len({*keys.tolist()}) == 6
    moved = sequence_keys.of_contents([pl.DataFrame({"input": ["new", *sorted(texts)]})], kind)
    assert {*keys.tolist()} < {*moved.tolist()}
    tokens = sequence_keys.of_contents([pl.DataFrame({"input": [["a", "b"], ["ab"]]})], input_kind("tokens"))
    steps = pl.DataFrame({"input": [[[1.0, None]], [[1.0, 2.0]]]})
    assert len({*tokens.tolist(), *sequence_keys.of_contents([steps], input_kind("numeric")).tolist()}) == 4


def test_groups_of_classes_of_their_own_fill_the_test_part_as_well() -> None:
    group = np.repeat([f"g{i}" for i in range(30)], 20).tolist()
    parts = assign(items(600, group=group), group, SplitConfig(group="group"))
    assert np.bincount(parts).tolist() == [460, 40, 100]


@pytest.mark.parametrize("seed", range(5))
def test_a_group_lies_in_one_part_and_parts_come_near_their_shares(seed: int) -> None:
    rng = np.random.default_rng(seed)
    speaker = [f"s{one}" for one in rng.choice(30, 1500, p=rng.dirichlet(np.full(30, 3.0)))]
    parts = assign(items(1500, speaker=speaker), None, SplitConfig(group="speaker", seed=seed))
    whole = pl.DataFrame({"speaker": speaker, "part": parts}).group_by("speaker").agg(pl.col("part").n_unique())
    assert whole["part"].max() == 1
    shares = np.bincount(parts) / 1500
    assert np.abs(shares - [0.68, 0.12, 0.2]).max() < 0.05


def test_groups_are_dealt_so_that_classes_keep_their_shares() -> None:
    # Every other group has one class alone: by size only, a part could be all of one class.
    group = np.repeat([f"g{i}" for i in range(40)], 10).tolist()
    strata = np.repeat(["a", "b"] * 20, 10).tolist()
    for seed in range(5):
        parts = assign(items(400, group=group), strata, SplitConfig(group="group", seed=seed))
        for part in (TEST, VALIDATION):
            held = [strata[i] == "a" for i in np.flatnonzero(parts == part)]
            assert 0.3 <= np.mean(held) <= 0.7


def test_three_groups_fill_three_parts_however_unlike_they_are() -> None:
    group = ["huge"] * 1000 + ["small"] * 5 + ["tiny"]
    parts = assign(items(1006, group=group), None, SplitConfig(group="group"))
    assert {*parts} == {TRAIN, VALIDATION, TEST}
    assert (parts[:1000] == TRAIN).all()


def test_a_given_split_is_kept_and_its_synonyms_are_read() -> None:
    given = ["train", "Training", "dev", " valid ", "test", "TEST", "val"]
    parts = assign(items(7, part=given), None, SplitConfig(column="part"))
    assert parts.tolist() == [TRAIN, TRAIN, VALIDATION, VALIDATION, TEST, TEST, VALIDATION]


def test_without_given_validation_items_some_of_the_training_items_are_drawn_by_class_and_group() -> None:
    part, strata = ["train"] * 100 + ["test"] * 50, ["a", "b"] * 75
    parts = assign(items(150, part=part), strata, SplitConfig(column="part"))
    assert (parts[100:] == TEST).all()
    assert np.bincount(parts).tolist() == [85, 15, 50]
    group = [f"g{i // 10}" for i in range(150)]
    parts = assign(items(150, part=part, group=group), strata, SplitConfig(column="part", group="group"))
    assert (parts[100:] == TEST).all()
    assert all(len(set(parts[i : i + 10])) == 1 for i in range(0, 150, 10))


REFUSED: dict[str, tuple[dict[str, Any], dict[str, Any], list[str]]] = {
    "unknown column": ({"column": "fold"}, {"part": ["train"] * 6}, ["split.column must name", "'fold'", "part"]),
    "unknown group": ({"group": "speakr"}, {"speaker": ["a"] * 6}, ["split.group must name", "speaker"]),
    "unknown values": ({"column": "part"}, {"part": ["train", "test", "holdout"] * 2}, ["'holdout' (2 items)"]),
    "null part": ({"column": "part"}, {"part": ["train", None, "test"] * 2}, ["a value for every item", "i1, i4"]),
    "null group": ({"group": "speaker"}, {"speaker": ["a", "b", None] * 2}, ["split.group 'speaker'", "i2, i5"]),
    "no test items": ({"column": "part"}, {"part": ["train", "dev"] * 3}, ["into the test part", "is drawn"]),
    "no training items": ({"column": "part"}, {"part": ["test", "dev"] * 3}, ["into the train part"]),
    "one group": ({"group": "speaker"}, {"speaker": ["a"] * 6}, ["must have 3 groups", "1: a"]),
    "two groups": ({"group": "speaker"}, {"speaker": ["a", "b"] * 3}, ["must have 3 groups", "2: a, b"]),
    "one group to validate": (
        {"group": "speaker", "column": "part"},
        {"speaker": ["a"] * 3 + ["b"] * 3, "part": ["train"] * 3 + ["test"] * 3},
        ["must have 2 groups", "1: a", "mark validation items"],
    ),
    "torn group": (
        {"group": "speaker", "column": "part"},
        {"speaker": ["a", "b"] * 3, "part": ["train"] * 2 + ["dev"] * 2 + ["test"] * 2},
        ["must lie in one part", "2 groups in several: a, b"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_splits_that_cannot_be_are_refused_with_the_reason(name: str) -> None:
    options, columns, said = REFUSED[name]
    with pytest.raises(InputError) as refused:
        assign(items(6, **columns), None, SplitConfig(**options))
    for part in said:
        assert part in str(refused.value)


def test_too_few_items_are_refused() -> None:
    with pytest.raises(InputError, match="there must be 3 items to train, validate and test on"):
        assign(items(2), None, SplitConfig())
    assert sorted(assign(items(3), None, SplitConfig())) == [TRAIN, VALIDATION, TEST]
