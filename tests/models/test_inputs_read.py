"""A served model finds the items in its user's table, and names the row of what it cannot read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import soundfile
from raw_inputs import raw_facts, tone

from models.sequence_columns import SequenceColumns


def read(kind: str, table: dict[str, Any], names: list[str], **roles: Any) -> tuple[list[int], list[Any]]:
    columns = SequenceColumns(input=names, target=[], **{"item_id": [], "step": None} | roles)
    rows, raws = raw_facts(kind).read(pd.DataFrame(table), columns)
    return rows.tolist(), raws


def test_a_long_table_becomes_items_in_the_order_of_their_first_rows_and_steps() -> None:
    table = {"who": ["y", "x", "y", "x", "y"], "when": [3, 1, 1, 2, 2], "b": [1, 2, 3, 4, 5], "d": [1, None, 3, 4, 5]}
    rows, (first, second) = read("numeric", table, ["b", "d"], item_id=["who"], step="when")
    assert rows == [2, 1]
    np.testing.assert_array_equal(first, [[3, 3], [5, 5], [1, 1]])
    np.testing.assert_array_equal(second, [[2, np.nan], [4, 4]])


def test_a_long_table_without_item_columns_is_one_item() -> None:
    rows, (item,) = read("numeric", {"a": [1, 2, 3]}, ["a"])
    assert rows == [0]
    np.testing.assert_array_equal(item, [[1.0], [2.0], [3.0]])


def test_channels_of_lists_are_an_item_a_row() -> None:
    table: dict[str, Any] = {"a": [[1.0, 2.0], [5.0]], "b": [[3.0, 4.0], [6.0]]}
    rows, (first, second) = read("numeric", table, ["a", "b"])
    assert rows == [0, 1]
    np.testing.assert_array_equal(first, [[1, 3], [2, 4]])
    np.testing.assert_array_equal(second, [[5, 6]])


def test_an_empty_table_has_no_items() -> None:
    assert read("numeric", {"who": [], "a": []}, ["a"], item_id=["who"]) == ([], [])
    assert read("text", {"x": []}, ["x"]) == ([], [])


def test_texts_and_tokens_are_an_item_a_row() -> None:
    assert read("text", {"x": ["two words", "one"]}, ["x"]) == ([0, 1], ["two words", "one"])
    assert read("tokens", {"x": [["a", "b"], np.array([1, 2])]}, ["x"]) == ([0, 1], [["a", "b"], ["1", "2"]])


def test_audio_comes_as_samples_with_their_rate_or_as_a_path(tmp_path: Path) -> None:
    soundfile.write(tmp_path / "clip.wav", tone(0.3, 16_000), 16_000)
    table: dict[str, Any] = {"path": [str(tmp_path / "clip.wav"), None, None]}
    table |= {"samples": [None, tone(0.2), tone(0.1, 4000)], "sample_rate": [np.nan, 8000, 4000]}
    rows, (file, given, slow) = read("audio", table, ["path"])
    assert rows == [0, 1, 2]
    assert [len(samples) for samples in (file, given, slow)] == [2400, 1600, 800]
    np.testing.assert_array_equal(given, tone(0.2))
    for rate in ({}, {"sample_rate": [None]}):
        ((bare,)) = read("audio", {"samples": [tone(0.2)], **rate}, ["path"])[1]
        np.testing.assert_array_equal(bare, tone(0.2))


@pytest.mark.parametrize(
    ("kind", "table", "names", "told"),
    [
        ("text", {"x": ["a", " "]}, ["x"], r"column 'x' must hold text \(row 1 has ' '\): mend or remove it"),
        ("text", {"x": ["a", None]}, ["x"], r"column 'x' must hold text \(row 1 has None\)"),
        ("tokens", {"x": [["a"], []]}, ["x"], r"column 'x' must hold a list of tokens \(row 1 has \[\]\)"),
        ("tokens", {"x": [["a"], None]}, ["x"], r"column 'x' must hold a list of tokens \(row 1 has None\)"),
        ("tokens", {"x": ["a b"]}, ["x"], r"column 'x' must hold a list of tokens \(row 0 has 'a b'\)"),
        ("audio", {"samples": [[0.1, float("nan")]]}, ["path"], r"\(row 0 has NaN or infinite ones\)"),
        ("audio", {"samples": [[[0.1, 0.2]]]}, ["path"], r"of one channel \(row 0 has several channels\)"),
        ("audio", {"samples": [[0.1]], "sample_rate": [1]}, ["path"], r"1,000,000 Hz \(row 0 has 1\): mend it"),
        ("audio", {"samples": [[0.1]], "sample_rate": [0]}, ["path"], r"from 1,000 to 1,000,000 Hz \(row 0 has 0\)"),
        ("audio", {"path": [None]}, ["path"], r"each row must have a path or samples \(row 0 has neither\)"),
        ("text", {"y": ["a"]}, ["x"], r"the table must have the column 'x' \(it has \['y'\]\): add or rename it"),
        ("numeric", {"a": [1.0]}, ["a", "b"], r"the table must have the column 'b' \(it has \['a'\]\)"),
        ("numeric", {"a": [[1.0], [1.0, 2.0]], "b": [[1.0], [1.0]]}, ["a", "b"], r"row 1 has 2 steps, 1 steps\): mend"),
        ("numeric", {"a": [[1.0], None], "b": [[1.0], [1.0]]}, ["a", "b"], r"row 1 has no list, 1 steps\): mend"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_row(kind: str, table: Any, names: list[str], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        read(kind, table, names)


def test_a_long_table_without_its_item_columns_or_with_an_unknown_step_is_refused() -> None:
    with pytest.raises(
        ValueError, match=r"the table must have the column 'who' \(it has \['t', 'a'\]\): add or rename"
    ):
        read("numeric", {"t": [1, 2], "a": [1.0, 2.0]}, ["a"], item_id=["who"], step="t")
    with pytest.raises(ValueError, match=r"column 't' must hold what orders the rows of an item \(row 1 has None\)"):
        read("numeric", {"t": ["2024-01", None], "a": [1.0, 2.0]}, ["a"], step="t")
