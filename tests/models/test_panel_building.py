"""New data laid out for a trained model: the same windows as those of a panel on disk, or a plain refusal."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from panels import PLAIN, RICH, make_facts

from models.calendar import Frequency, features
from models.encoding import Encoding
from models.forecaster_facts import Facts
from models.panel import Panel, Windows, allocate
from models.panel_building import Upcoming, build

DAY = 86400 * 10**6
NAN = float("nan")
START = {"a": 19_800, "b": 19_803}
STEPS = {"a": 20, "b": 12}
Columns = dict[str, np.ndarray]


def table(facts: Facts, seed: int = 0) -> tuple[np.ndarray, np.ndarray, Columns]:
    """Two items of 20 and 12 days, 15 and 7 of them with a target, a day of each missing, as shuffled rows."""
    rng = np.random.default_rng(seed)
    ids = np.repeat(list(STEPS), list(STEPS.values()))
    stamps = np.concatenate([(START[item] + np.arange(steps)) * DAY for item, steps in STEPS.items()])
    columns: Columns = {target: rng.normal(50, 9, 32) for target in facts.targets}
    for target in facts.targets:
        columns[target][[15, 16, 17, 18, 19, *range(27, 32)]] = NAN
    encoding = facts.encoding
    for name in encoding.numeric:
        columns[name] = rng.normal(5, 2, 32)
        columns[name][rng.integers(0, 32, 3)] = NAN
    for name in encoding.categorical:
        columns[name] = rng.choice(np.array([*encoding.vocabularies[name], "new", None], dtype=object), 32)
    columns |= {name: np.repeat([3.0, 9.0], [20, 12]) for name in encoding.static_numeric}
    static = [name for name in encoding.static_categorical if name != Encoding.TARGET]
    columns |= {name: np.repeat(np.array(["south", None], dtype=object), [20, 12]) for name in static}
    order = rng.permutation(np.delete(np.arange(32), [4, 23]))
    return ids[order], stamps[order], {name: values[order] for name, values in columns.items()}


def on_disk(facts: Facts, ids: np.ndarray, stamps: np.ndarray, columns: Columns, directory: Path) -> Panel:
    """Write the same data as a panel, row by row, and open it."""
    encoding, frequency = facts.encoding, Frequency.parse(facts.frequency)
    reach = [steps + facts.horizon for steps in STEPS.values()]
    calendar = [features(frequency.grid(START[i] * DAY, n), frequency) for i, n in zip(STEPS, reach, strict=True)]
    arrays = allocate(directory, encoding, 32, 2, np.concatenate(calendar))
    arrays["offsets"][:], arrays["calendar_start"][:] = [0, 20, 32], [0, reach[0]]
    arrays["target"][:], arrays["numeric"][:], arrays["error_scale"][:] = NAN, NAN, NAN
    for row, (item, stamp) in enumerate(zip(ids, stamps, strict=True)):
        number = list(STEPS).index(item)
        at = (0, 20)[number] + stamp // DAY - START[item]
        arrays["target"][at] = columns["y"][row]
        for name, key, kind in [
            *((name, "numeric", "numeric") for name in encoding.numeric),
            *((name, "codes", "categorical") for name in encoding.categorical),
        ]:
            place = getattr(encoding, kind).index(name)
            arrays[key][at, place] = coded(encoding, name, columns[name][row : row + 1])
        for place, name in enumerate(encoding.static_numeric):
            arrays["static_numeric"][number, place] = coded(encoding, name, columns[name][row : row + 1])
        for place, name in enumerate(encoding.static_categorical):
            arrays["static_codes"][number, place] = coded(encoding, name, columns[name][row : row + 1])
    return Panel.open(directory)


def coded(encoding: Encoding, name: str, value: np.ndarray) -> np.ndarray:
    if name in encoding.affine:
        return encoding.encode_numeric(name, value)[0]
    return encoding.encode_categories(name, value.tolist())[0]


def same_windows(one: Panel, other: Panel, ends: np.ndarray, items: np.ndarray | None = None) -> None:
    places = torch.arange(len(ends)) if items is None else torch.from_numpy(items)
    left, right = (panel.gather(places, torch.from_numpy(ends), 8, 5) for panel in (one, other))
    for field in fields(Windows):
        expected = getattr(right, field.name).numpy()
        np.testing.assert_array_equal(getattr(left, field.name).numpy(), expected, err_msg=field.name)


@pytest.mark.parametrize("encoding", [PLAIN, RICH], ids=["plain", "rich"])
def test_windows_are_those_of_the_panel_on_disk_for_the_same_data(encoding: Encoding, tmp_path: Path) -> None:
    facts = make_facts(encoding)
    ids, stamps, columns = table(facts)
    upcoming, panel = build(facts, ids, stamps, columns), on_disk(facts, ids, stamps, columns, tmp_path / "panel")
    assert (upcoming.item_ids, upcoming.targets) == (["a", "b"], ["y", "y"])
    assert upcoming.ends_N.tolist() == [15, 7]
    for earlier in range(6):
        same_windows(upcoming.panel, panel, upcoming.ends_N - earlier)


def test_the_order_of_the_rows_does_not_matter() -> None:
    facts = make_facts(RICH)
    ids, stamps, columns = table(facts)
    order = np.random.default_rng(1).permutation(len(ids))
    one = build(facts, ids, stamps, columns)
    other = build(facts, ids[order], stamps[order], {name: values[order] for name, values in columns.items()})
    same_windows(one.panel, other.panel, one.ends_N)


def test_the_horizon_begins_after_the_last_observed_target_and_has_its_stamps() -> None:
    facts = make_facts()
    upcoming = build(facts, *table(facts))
    expected = [[(START["a"] + 15 + i) * DAY for i in range(5)], [(START["b"] + 7 + i) * DAY for i in range(5)]]
    assert upcoming.stamps(facts).tolist() == expected


def test_the_horizon_of_months_ends_keeps_to_months_ends() -> None:
    facts = make_facts(frequency="1mo")
    given = np.array(["2023-10-31", "2023-11-30", "2023-12-31"], "datetime64[us]").astype(np.int64)
    upcoming = build(facts, np.full(3, "a"), given, {"y": np.arange(3.0)})
    shown = upcoming.stamps(facts)[0].astype("datetime64[us]").astype("datetime64[D]")
    assert [str(day) for day in shown] == ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30", "2024-05-31"]


def test_each_target_of_each_item_is_a_series_with_its_own_end_and_name() -> None:
    named = RICH.model_copy(
        update={
            "static_categorical": ["region", Encoding.TARGET],
            "vocabularies": {**RICH.vocabularies, Encoding.TARGET: ["y", "z"]},
        }
    )
    facts = make_facts(named, targets=["y", "z"])
    ids, stamps, columns = table(facts)
    columns["z"] = np.where((ids == "b") & (stamps >= (START["b"] + 3) * DAY), NAN, columns["z"])
    upcoming = build(facts, ids, stamps, columns)
    assert upcoming.item_ids == ["a", "a", "b", "b"]
    assert upcoming.targets == ["y", "z", "y", "z"]
    assert upcoming.ends_N.tolist() == [15, 15, 7, 3]
    assert upcoming.panel.static_codes.tolist() == [[2, 1], [2, 2], [0, 1], [0, 2]]
    for number, target in enumerate(["y", "z"]):
        alone = build(make_facts(RICH, targets=[target]), ids, stamps, columns)
        both = upcoming.panel.gather(torch.tensor([number, number + 2]), torch.from_numpy(alone.ends_N), 8, 5)
        one = alone.panel.gather(torch.tensor([0, 1]), torch.from_numpy(alone.ends_N), 8, 5)
        for field in fields(Windows):
            if field.name != "static_codes_BK":
                expected = getattr(one, field.name).numpy()
                np.testing.assert_array_equal(getattr(both, field.name).numpy(), expected, err_msg=field.name)


def test_items_that_share_a_prefix_and_items_of_one_step_are_told_apart() -> None:
    facts = make_facts()
    ids = np.array(["a", "a1", "a10", "a1"])
    stamps = np.array([7, 7, 9, 8]) * DAY
    upcoming = build(facts, ids, stamps, {"y": np.array([1.0, 2.0, 3.0, NAN])})
    assert upcoming.item_ids == ["a", "a1", "a10"]
    assert upcoming.ends_N.tolist() == [1, 1, 1]
    assert [upcoming.panel.history(i, 1).tolist() for i in range(3)] == [[1.0], [2.0], [3.0]]


def test_an_integer_index_is_a_grid_like_any_other() -> None:
    facts = make_facts(frequency="5")
    upcoming = build(facts, np.full(3, "a"), np.array([3, 18, 8]), {"y": np.array([1.0, 4.0, 2.0])})
    np.testing.assert_array_equal(upcoming.panel.target.numpy(), [1, 2, NAN, 4])
    assert upcoming.stamps(facts).tolist() == [[23, 28, 33, 38, 43]]


def broken(change: str) -> tuple[Facts, np.ndarray, np.ndarray, Columns]:
    facts = make_facts(RICH)
    ids, stamps, columns = table(facts)
    last = np.flatnonzero((ids == "b") & (stamps == (START["b"] + 11) * DAY))
    if change == "duplicate":
        stamps[0] = stamps[np.flatnonzero(ids == ids[0])[1]]
    elif change == "off the grid":
        stamps[last] += 3600 * 10**6
    elif change == "no stamp":
        stamps[3] = np.iinfo(np.int64).min
    elif change == "unobserved":
        columns["y"][ids == "b"] = NAN
    elif change == "short":
        keep = np.setdiff1d(np.arange(len(ids)), last)
        ids, stamps, columns = ids[keep], stamps[keep], {name: values[keep] for name, values in columns.items()}
    elif change == "infinite":
        columns["y"][np.flatnonzero(ids == "a")[0]] = np.inf
    elif change == "far apart":
        stamps[last] += 2_000_000 * DAY
    elif change == "empty":
        ids, stamps, columns = ids[:0], stamps[:0], {name: values[:0] for name, values in columns.items()}
    return facts, ids, stamps, columns


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("duplicate", r"an item's stamps must differ \(got 2024-\S+ of '[ab]'\): leave that row out or mend it"),
        ("off the grid", r"grid of 1d \(got 2024-\S+T01:00:00\.000000 of 'b'\): leave that row out or mend it"),
        ("no stamp", r"every row must have a stamp \(got none in a row of '[ab]'\): leave that row out or mend it"),
        ("unobserved", r"must have an observed target \(got none for 'b'\): leave it out or give its history"),
        ("short", r"5 steps past the last target \(got 4 for 'b'\): add rows for the horizon, with the target empty"),
        (
            "infinite",
            r"in column 'y' must be finite, and below 1e\+30 in size \(got inf of 'a'\): leave that row out or",
        ),
        ("far apart", r"missing for each row \(got 30 rows over 2,000,032 steps, 2,000,012 of them of 'b'\): check"),
        ("empty", r"there must be rows to predict from \(got none\): give each item's history"),
    ],
)
def test_data_that_cannot_be_predicted_from_is_refused_with_rule_value_and_remedy(change: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build(*broken(change))


def test_without_known_covariates_the_history_is_enough() -> None:
    facts = make_facts(Encoding(past_numeric=["wind"], affine=RICH.affine))
    ids, stamps, columns = table(make_facts(RICH))
    observed = ~np.isnan(columns["y"])
    upcoming = build(facts, ids[observed], stamps[observed], {n: v[observed] for n, v in columns.items()})
    windows = upcoming.panel.gather(torch.arange(2), torch.from_numpy(upcoming.ends_N), 8, 5)
    assert windows.truth_BF.isnan().all()
    assert windows.known_calendar_BFA.shape == (2, 5, 5)


def test_what_is_laid_out_shares_nothing_with_what_was_given() -> None:
    facts = make_facts()
    given: Any = table(facts)
    before = {name: values.copy() for name, values in given[2].items()}
    upcoming: Upcoming = build(facts, *given)
    upcoming.panel.target[:] = 0
    np.testing.assert_array_equal(given[2]["y"], before["y"])
