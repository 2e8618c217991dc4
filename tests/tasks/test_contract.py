"""Every breach of the data contract is refused, or reported with counts, places and what was done."""

from __future__ import annotations

import pytest

from tasks.data.contract import Ledger
from tasks.errors import InputError

STEPS = ["k,t,y,x", *(f"a,2024-01-{day:02d},{day * day % 7},{day % 5}" for day in range(1, 15))]


def changed(line: int, text: str) -> list[str]:
    return [*STEPS[:line], text, *STEPS[line + 1 :]]


REFUSED = {
    "missing column": (STEPS, {"target": "Y"}, ["column 'Y' must exist", "columns k, t, y, x", "data.target"]),
    "misspelt column": (STEPS, {"past_covariates": "xx"}, ["close to it: 'x'", "data.past_covariates"]),
    "two roles": (
        STEPS,
        {"past_covariates": "y"},
        ["column 'y' must have one role", "data.target and data.past_covariates"],
    ),
    "twice in one role": (STEPS, {"target": ["y", "y"]}, ["twice in data.target"]),
    "categorical target": (STEPS, {"categorical": "y"}, ["must name covariates", "in the role target"]),
    "categorical stranger": (STEPS, {"categorical": "z"}, ["must name covariates", "'z'"]),
    "null id": (changed(3, ",2024-01-03,1,1"), {}, ["item column 'k'", "1 nulls: None in row 3", "null_values"]),
    "null stamp": (changed(3, "a,NA,1,1"), {}, ["time column 't'", "'NA' in row 3"]),
    "text in the target": (changed(5, "a,2024-01-05,much,1"), {}, ["numbers", "'much' in row 5", "data.unparsable"]),
    "text in a covariate": (
        changed(5, "a,2024-01-05,1,?"),
        {"past_covariates": "x"},
        ["'?' in row 5", "data.categorical"],
    ),
    "bad stamp": (changed(5, "a,5th of January,1,1"), {}, ["ISO dates", "'5th of January' in row 5"]),
    "impossible date": (changed(5, "a,2024-01-35,1,1"), {}, ["'2024-01-35' in row 5"]),
    "infinity": (
        changed(5, "a,2024-01-05,inf,1"),
        {},
        ["finite", "1 values that are not: 'inf' in row 5", "data.infinite"],
    ),
    "more than can be learned": (changed(5, "a,2024-01-05,-1e30,1"), {}, ["below 1e+30", "'-1e30' in row 5"]),
    "duplicates": ([*STEPS, STEPS[2]], {}, ["one row for each stamp", "a at 2024-01-02", "data.duplicates"]),
    "all null target": (["t,y", "1,NA", "2,"], {"item_id": []}, ["target 'y' must have values", "2 nulls"]),
    "one row": (STEPS[:2], {}, ["no two stamps", "set data.frequency"]),
    "off the grid": (
        changed(5, "a,2024-01-05T01:30,1,1"),
        {},
        ["grid of 1d", "1 stamps of 1 items", "a at 2024-01-05T01:30"],
    ),
    "mixed zones": (changed(5, "a,2024-01-05T00:00Z,1,1"), {}, ["agree on their time zone", "13 stamps without"]),
    "two offsets": (
        ["t,y", "2024-03-31T01:00+01:00", "2024-03-31T03:00+02:00"],
        {"item_id": []},
        ["offsets from +01:00 to +02:00", "set data.time_zone"],
    ),
    "unknown zone": (STEPS, {"time_zone": "Europe/Atlantis"}, ["'Europe/Atlantis'", "IANA"]),
    "zone of an index": (["t,y", "1,1", "2,2"], {"item_id": [], "time_zone": "UTC"}, ["'UTC' for an integer index"]),
    "unit of dates": (
        STEPS,
        {"timestamp_unit": "s"},
        ["data.timestamp_unit must fit", "'s' for dates", "leave it out"],
    ),
    "too coarse a unit": (
        ["t,y", "1704067200000,1", "1704070800000,2"],
        {"item_id": [], "timestamp_unit": "s"},
        ["1704067200000 in the unit 's'", "before the year 10000", "s, ms, us, ns"],
    ),
    "text among whole numbers": (
        ["t,y", "1704067200,1", "2024-01-01T01:00,2", "1704074400,3"],
        {"item_id": [], "timestamp_unit": "s"},
        ["whole numbers", "'2024-01-01T01:00' in row 2"],
    ),
    "skipped hour": (
        ["t,y", "2024-03-31T01:00,1", "2024-03-31T02:30,1", "2024-03-31T03:00,1"],
        {"item_id": [], "time_zone": "Europe/Berlin"},
        ["exactly once on the clock of Europe/Berlin", "in row 2", "offset"],
    ),
    "frequency of an index": (["t,y", "1,1", "2,2"], {"item_id": [], "frequency": "1h"}, ["'1h' for an integer index"]),
    "index frequency of dates": (STEPS, {"frequency": "1"}, ["'1' for dates"]),
    "too fine a frequency": (
        ["t,y", "2000-01-01,1", "2020-01-01,2"],
        {"item_id": [], "frequency": "1m"},
        ["almost empty", "10,519,201 steps for 2 rows"],
    ),
    "gaps": (
        [*STEPS[:5], *STEPS[7:]],
        {"gaps": "error"},
        ["every step of an item", "2 steps of 1 items", "2024-01-05"],
    ),
    "null target": (changed(5, "a,2024-01-05,,1"), {"gaps": "error"}, ["targets have no nulls", "a at 2024-01-05"]),
    "static that varies": (
        STEPS,
        {"static_covariates": "x"},
        ["constant within an item", "1 items", "past_covariates"],
    ),
    "clashing ids": (
        ["k,l,t,y", "a|b,c,1,1", "a,b|c,1,1", "a,b|c,2,1"],
        {"item_id": ["k", "l"]},
        ["ids joined by '|' must differ", "a|b|c"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_with_place_and_remedy_and_nothing_is_kept(name: str, csv, ingest, home) -> None:
    lines, config, said = REFUSED[name]
    with pytest.raises(InputError) as raised:
        ingest(csv(*lines), **{"item_id": "k", **config})
    for part in said:
        assert part in str(raised.value)
    assert not list(home.glob("stages/ingest/*/manifest.json"))
    assert [path for path in home.glob("work/*") if path.is_dir()] == []


def test_mixed_frequencies_name_the_items_of_the_minority(csv, ingest) -> None:
    lines = [
        f"{k},2024-01-{1 + step * day:02d},{day}" for k, step in (("a", 1), ("b", 1), ("c", 7)) for day in range(5)
    ]
    with pytest.raises(InputError, match=r"all items must have the same step .*1 items .* the 1d of most: c has 1w"):
        ingest(csv("k,t,y", *lines), item_id="k")


def test_all_errors_of_a_pass_are_listed_at_once(csv, ingest) -> None:
    path = csv("k,t,y,x", ",2024-01-01,1,inf", "a,yesterday,one,1", "a,2024-01-03,2,1")
    with pytest.raises(InputError) as raised:
        ingest(path, item_id="k", past_covariates="x")
    assert raised.value.rule == "item column 'k' must have no nulls"
    assert raised.value.received == "1 nulls: None in row 1"
    for part in ("also: column 'y'", "'one' in row 2", "also: column 'x'", "'inf' in row 1", "'yesterday' in row 2"):
        assert part in str(raised.value)


def test_row_of_several_csv_files_is_named_with_its_file(csv, ingest) -> None:
    csv("t,y", "1,1", "2,2", name="1.csv")
    last = csv("t,y", "3,3", "4,four", name="2.csv")
    with pytest.raises(InputError, match=r"'four' in row 2 of 2\.csv"):
        ingest(last.parent / "*.csv")


def test_examples_end_after_five(csv, ingest) -> None:
    with pytest.raises(InputError, match=r"9 values .* row 3, 'x' in row 4, 'x' in row 5, \.\.\."):
        ingest(csv("t,y", *(f"{i},x" for i in range(9)), *(f"{i},1" for i in range(9, 20))))


def test_unsorted_rows_are_sorted_and_reported(csv, ingest) -> None:
    ingested = ingest(csv("t,y", "2,2", "1,1", "3,3"))
    assert ingested.rows["y"].to_list() == [1, 2, 3]
    assert ingested.finding("unsorted") | {"examples": ["series at 1"], "count": 1, "items": 1, "action": "sorted"} == (
        ingested.finding("unsorted")
    )


@pytest.mark.parametrize(("policy", "kept"), [("first", 5.0), ("last", 7.0), ("mean", 6.0)])
def test_duplicates_are_merged_as_chosen_in_the_order_of_the_source(policy: str, kept: float, csv, ingest) -> None:
    ingested = ingest(csv("t,y,c", "3,3,a", "2,5,b", "1,1,c", "2,7,d"), duplicates=policy, past_covariates="c")
    assert ingested.rows["y"].to_list() == [1, kept, 3]
    assert ingested.rows["c"].to_list() == ["c", "d" if policy == "last" else "b", "a"]
    assert ingested.finding("duplicates")["action"] == f"merged: {policy}"


@pytest.mark.parametrize("spelling", ["null", None])
def test_unparsable_and_infinite_values_become_nulls_on_request(spelling, csv, ingest) -> None:
    ingested = ingest(csv("t,y", "1,1", "2,two", "3,-inf", "4,4"), unparsable=spelling, infinite=spelling)
    assert ingested.rows["y"].to_list() == [1, None, None, 4]
    assert ingested.finding("unparsable")["examples"] == ["'two' in row 2"]
    assert ingested.finding("infinite")["count"] == 1


@pytest.mark.parametrize(
    ("policy", "filled"),
    [
        ("mask", [None, 2, None, None, 8, None]),
        ("zero", [0, 2, 0, 0, 8, None]),
        ("forward_fill", [None, 2, 2, 2, 8, None]),
        ("interpolate", [None, 2, 4, 6, 8, None]),
    ],
)
def test_gaps_are_treated_as_chosen_up_to_the_last_target(policy: str, filled: list, csv, ingest) -> None:
    ingested = ingest(
        csv("t,y,x", "1,,1", "2,2,1", "4,,1", "5,8,1", "6,,9"), gaps=policy, known_covariates="x", frequency="1"
    )
    assert ingested.rows["timestamp"].to_list() == [1, 2, 3, 4, 5, 6]
    assert ingested.rows["y"].to_list() == filled
    assert ingested.rows["x"].to_list() == [1, 1, None, 1, 1, 9]
    assert (ingested.finding("gaps")["count"], ingested.finding("gaps")["examples"]) == (1, ["series at 3"])
    assert ingested.finding("null_target")["count"] == 2
    assert ingested.finding("future_rows") | {"level": "info", "examples": ["series at 6"]} == ingested.finding(
        "future_rows"
    )


def test_poor_series_are_reported_and_kept(csv, ingest) -> None:
    lines = [
        f"{k},{t},{y}" for k, y in (("flat", "5"), ("void", ""), ("good", None)) for t in range(12) for y in [y or t]
    ]
    lines = [line for line in lines if not line.startswith("void")] + ["void,1,", "void,2,", "brief,1,1", "brief,2,3"]
    ingested = ingest(csv("k,t,y", *lines), item_id="k")
    assert ingested.items["item_id"].to_list() == ["brief", "flat", "good", "void"]
    examples = {check: ingested.finding(check)["examples"] for check in ("constant", "short", "unobserved")}
    assert examples == {"constant": ["flat"], "short": ["brief"], "unobserved": ["void"]}


def test_known_covariate_that_gives_the_target_away_is_suspected(csv, ingest) -> None:
    lines = [
        f"{k},{t},{t * t % 7},{level + 3 * (t * t % 7)},{t % 7}"
        for k, level in (("a", 0), ("b", 900))
        for t in range(20)
    ]
    ingested = ingest(csv("k,t,y,x,weekday", *lines), item_id="k", known_covariates=["x", "weekday"])
    leaks = [finding["column"] for finding in ingested.facts["findings"] if finding["check"] == "future_leak"]
    assert leaks == ["x"]


def test_known_covariate_that_ends_before_the_target_is_suspected(csv, ingest) -> None:
    lines = [f"{t},{t * t % 7},{t % 3 if t < 18 else ''}" for t in range(20)]
    assert ingest(csv("t,y,x", *lines), known_covariates="x").finding("future_leak")["column"] == "x"
    assert "future_leak" not in ingest(csv("t,y,x", *lines), past_covariates="x").checks()


def test_entries_of_one_check_and_column_add_up() -> None:
    ledger = Ledger()
    for part in range(4):
        ledger.add("gaps", "warning", count=2, items=1, examples=[f"{part}", f"{part}{{x}}"], said="{count} of {items}")
    assert [finding["message"] for finding in ledger.report()] == ["8 of 4: 0, 0{x}, 1, 1{x}, 2, ..."]
    ledger.raise_errors()
