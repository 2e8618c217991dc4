"""What a request may look like: the signature says what a column holds, and a wrong value is named with its row."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from mlflow.types import ColSpec, DataType, Schema
from mlflow.types.schema import Array

from carousel.payloads import CSV, JSON, read, write
from tasks.errors import InputError

SCHEMA = Schema(
    [
        ColSpec(DataType.string, "item"),
        ColSpec(DataType.datetime, "day"),
        ColSpec(DataType.double, "sold"),
        ColSpec(DataType.long, "step", required=False),
        ColSpec(Array(DataType.string), "words", required=False),
        ColSpec(Array(DataType.double), "samples", required=False),
    ]
)


def of_records(*records: dict[str, Any]) -> pd.DataFrame:
    return read(json.dumps({"dataframe_records": records}).encode(), JSON, SCHEMA, 100)


def of_csv(text: str) -> pd.DataFrame:
    return read(text.encode(), CSV, SCHEMA, 100)


def test_columns_have_the_types_of_the_signature_however_they_come() -> None:
    first = '3,007,2024-01-31,4,"[""a"", ""b""]","[0, 0.5]",x'
    csv = of_csv(f'sold,item,day,step,words,samples,other\n{first}\n"",b,2024-02-01,,,,\n')
    whole = {"item": "007", "day": "2024-01-31", "sold": 3, "step": 4.0, "words": ["a", "b"], "samples": [0, 0.5]}
    records = of_records(whole | {"other": "x"}, {"item": "b", "day": "2024-02-01", "sold": None})
    rows = [[*whole.values()], ["b", "2024-02-01", None, None, None, None]]
    split = {"columns": list(whole), "data": rows, "index": [7, 8]}
    for table in (csv, records, read(json.dumps({"dataframe_split": split}).encode(), JSON, SCHEMA, 100)):
        assert list(table) == ["item", "day", "sold", "step", "words", "samples"]
        assert table["item"].tolist() == ["007", "b"]
        assert table["day"].tolist() == [pd.Timestamp(2024, 1, 31), pd.Timestamp(2024, 2, 1)]
        np.testing.assert_array_equal(table["sold"], [3.0, np.nan])
        assert table["step"].tolist() == [4, None]
        assert table["words"].tolist() == [["a", "b"], None]
        np.testing.assert_array_equal(table["samples"][0], [0.0, 0.5])


def test_identifiers_stay_the_text_that_they_are() -> None:
    assert of_records({"item": 7, "day": "2024-01-01", "sold": 1.5})["item"].tolist() == ["7"]
    table = of_csv("item,day,sold\nNaN,2024-01-01,1\n1e5,2024-01-01,2\n")
    assert table["item"].tolist() == ["NaN", "1e5"]


@pytest.mark.parametrize(
    ("stamps", "instants"),
    [
        (["2024-01-31T12:00:00", "2024-02-01"], ["2024-01-31T12:00:00", "2024-02-01"]),
        (["2024-01-31T12:00:00Z", "2024-02-01"], ["2024-01-31T12:00:00Z", "2024-02-01T00:00:00Z"]),
        (["2024-01-31 12:00:00+02:00", "2024-02-01 00:00:00-05:00"], ["2024-01-31T10:00:00Z", "2024-02-01T05:00:00Z"]),
    ],
)
def test_stamps_with_zones_are_instants(stamps: list[str], instants: list[str]) -> None:
    table = of_records(*({"item": "a", "day": stamp, "sold": 1} for stamp in stamps))
    assert table["day"].tolist() == [pd.Timestamp(instant) for instant in instants]


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"sold": "much"}, r"column 'sold' must hold numbers \(got 'much' in row 1\)"),
        ({"sold": [1]}, r"column 'sold' must hold numbers \(got \[1\] in row 1\)"),
        ({"sold": 10**400}, r"column 'sold' must hold numbers \(got 1000"),
        ({"day": "31.1.2024"}, r"column 'day' must hold stamps of ISO 8601, .* \(got '31.1.2024' in row 1\)"),
        ({"day": 20240131}, r"column 'day' must hold stamps .* \(got 20240131 in row 1\)"),
        ({"day": None}, r"column 'day' must hold stamps .* \(got nothing in row 1\)"),
        ({"item": ["a"]}, r"column 'item' must hold text \(got \['a'\] in row 1\)"),
        ({"item": None}, r"column 'item' must hold text \(got nothing in row 1\)"),
        ({"step": 1.5}, r"column 'step' must hold whole numbers \(got 1.5 in row 1\)"),
        ({"step": 2**63}, r"column 'step' must hold whole numbers"),
        ({"words": "a b"}, r"column 'words' must hold lists of text \(got 'a b' in row 1\)"),
        ({"words": [["a"]]}, r"column 'words' must hold lists of text"),
        ({"samples": [[0.5]]}, r"column 'samples' must hold lists of numbers"),
        ({"samples": "[" * 100_000}, r"column 'samples' must hold lists of numbers"),
    ],
)
def test_a_wrong_value_is_refused_with_its_row(wrong: dict[str, Any], told: str) -> None:
    sound = {"item": "a", "day": "2024-01-31", "sold": 1.0, "step": 1, "words": ["a"], "samples": [0.5]}
    with pytest.raises(InputError, match=told):
        of_records(sound, sound | wrong)


@pytest.mark.parametrize(
    ("body", "media_type", "told"),
    [
        (b"{", JSON, "must be valid JSON in UTF-8"),
        (b"\xff", JSON, "must be valid JSON in UTF-8"),
        (b"[" * 100_000, JSON, "must be valid JSON in UTF-8"),
        (b"[]", JSON, r"must have one of the keys dataframe_records and dataframe_split.* \(got a list\)"),
        (b'{"instances": []}', JSON, r"must have one of the keys .* \(got the keys instances\)"),
        (b'{"dataframe_records": [], "params": {"a": 1}}', JSON, "and no parameters"),
        (b'{"dataframe_records": {}}', JSON, "dataframe_records must be a list of rows"),
        (b'{"dataframe_split": {"columns": ["a"], "data": [[1, 2]]}}', JSON, "as many values for each row"),
        (b'{"dataframe_split": {"columns": [1], "data": []}}', JSON, "as many values for each row"),
        (
            b'{"dataframe_records": [{"day": "2024-01-01"}]}',
            JSON,
            r"columns .* signature \(got none called item, sold\)",
        ),
        (b"", CSV, "must be UTF-8 with a header"),
        (b"item,day\na,b,c\n", CSV, "as many fields in each row"),
        (b"item,day\n\xff,b\n", CSV, "must be UTF-8"),
    ],
)
def test_what_is_no_table_is_refused(body: bytes, media_type: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        read(body, media_type, SCHEMA, 100)


def test_more_rows_than_the_limit_are_refused_before_they_are_converted() -> None:
    body = json.dumps({"dataframe_records": [{"item": None}] * 3}).encode()
    with pytest.raises(InputError, match=r"at most 2 rows \(got 3\)"):
        read(body, JSON, SCHEMA, 2)


def test_an_answer_is_json_or_csv_with_lists_as_json_text_and_never_a_number_that_json_has_not() -> None:
    predicted = pd.DataFrame(
        {"day": [pd.Timestamp(2024, 1, 1)], "tags": [["ä", "b"]], "value": [np.float32(0.5)], "odds": [np.array([1.0])]}
    )
    content, media_type = write(predicted, "application/json, */*")
    told = [{"day": "2024-01-01T00:00:00", "tags": ["ä", "b"], "value": 0.5, "odds": [1.0]}]
    assert (json.loads(content), media_type) == ({"predictions": told}, JSON)
    content, media_type = write(predicted, "text/csv")
    lines = 'day,tags,value,odds\n2024-01-01T00:00:00,"[""ä"", ""b""]",0.5,[1.0]\n'
    assert (content.decode(), media_type) == (lines, CSV)
    for accept in (JSON, CSV):
        with pytest.raises(ValueError, match="JSON compliant"):
            write(pd.DataFrame({"odds": [[float("nan")]]}), accept)
