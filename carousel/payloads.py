"""Requests and answers of a served model: JSON as MLflow's scoring server speaks it, and CSV, read by the signature.

What a column holds is never guessed from its values: the signature says it. In CSV an empty field is a missing value,
and a list is JSON text, such as ``["fly", "to", "oslo"]``.

    {"dataframe_records": [{"day": "2024-01-01", "sold": 3.0}, ...]}
    {"dataframe_split": {"columns": ["day", "sold"], "data": [["2024-01-01", 3.0], ...]}}
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
from mlflow.types import DataType, Schema
from mlflow.types.schema import Array
from mlflow.utils.proto_json_utils import NumpyEncoder

from tasks.errors import InputError, shortened

JSON, CSV = "application/json", "text/csv"
TYPES = (JSON, CSV)
FORMS = ("dataframe_records", "dataframe_split")

_ZONE = re.compile(r"[Zz]$|:\d\d.*[+-]\d\d(:?\d\d)?$")
"""What a stamp with a zone ends in."""

Columns = dict[str, list[Any]]
"""Values by column, as they came: numbers, text, lists, None."""


def read(body: bytes, media_type: str, schema: Schema, most_rows: int) -> pd.DataFrame:
    """Return the table of a request, its columns of the types of ``schema``; others are left out.

    Args:
        body: UTF-8.
        media_type: one of ``TYPES``.
        schema: of the model's input.
        most_rows: how many rows it may have.

    Raises:
        InputError: it is no such table, has too many rows, lacks a column or has a value of another type.
    """
    columns, rows = _from_csv(body) if media_type == CSV else _from_json(body)
    if rows > most_rows:
        raise InputError(f"a request may have at most {most_rows:,} rows", f"{rows:,}", "send several requests")
    wanted: dict[str, Any] = {str(spec.name): spec for spec in schema.inputs}
    if missing := [name for name, spec in wanted.items() if spec.required and name not in columns]:
        raise InputError(
            "a request must have the columns of the model's signature",
            f"none called {shortened(missing)}",
            "add them, or rename yours",
        )
    known = {name: spec for name, spec in wanted.items() if name in columns}
    typed = {name: _typed(name, columns[name], spec.type, spec.required) for name, spec in known.items()}
    return pd.DataFrame(typed, index=range(rows))


def write(predicted: pd.DataFrame, accept: str) -> tuple[bytes, str]:
    """Return predictions as CSV if ``accept`` names it, else as MLflow's JSON, and which of the two.

    Raises:
        ValueError: a prediction is not finite, which neither JSON nor its reader knows.
    """
    if CSV in accept:
        texts = predicted.apply(lambda column: column.map(_text))
        return texts.to_csv(index=False).encode(), CSV
    records = {"predictions": predicted.to_dict(orient="records")}
    return json.dumps(records, cls=NumpyEncoder, allow_nan=False).encode(), JSON


def _text(value: Any) -> Any:
    """Return ``value`` as it stands in a field of CSV."""
    if isinstance(value, list | np.ndarray):
        return json.dumps(value, cls=NumpyEncoder, allow_nan=False, ensure_ascii=False)
    return value.isoformat() if isinstance(value, pd.Timestamp) else value


def _from_csv(body: bytes) -> tuple[Columns, int]:
    import polars as pl

    try:
        table = pl.read_csv(body, infer_schema=False)
    except (pl.exceptions.PolarsError, UnicodeDecodeError) as error:
        told = str(error).splitlines()[0][:200]
        raise InputError(
            "a CSV request must be UTF-8 with a header and as many fields in each row", told, "mend it"
        ) from None
    return {column.name: [text or None for text in column] for column in table}, len(table)


def _from_json(body: bytes) -> tuple[Columns, int]:
    try:
        told = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise InputError("a JSON request must be valid JSON in UTF-8", str(error)[:200], "mend it") from None
    forms = [form for form in FORMS if form in told] if isinstance(told, dict) else []
    if len(forms) != 1 or told.get("params"):
        rule = f"a JSON request must have one of the keys {' and '.join(FORMS)}, and no parameters"
        received = f"the keys {shortened(told)}" if isinstance(told, dict) else f"a {type(told).__name__}"
        raise InputError(rule, received or "none", "send for instance the JSON that pandas' to_dict('records') gives")
    (form,) = forms
    return _from_records(told[form]) if form == FORMS[0] else _from_split(told[form])


def _from_records(records: Any) -> tuple[Columns, int]:
    if not isinstance(records, list) or not all(isinstance(record, dict) for record in records):
        raise InputError(f"{FORMS[0]} must be a list of rows", "something else", "give each row as a JSON object")
    names = dict.fromkeys(name for record in records for name in record)
    return {name: [record.get(name) for record in records] for name in names}, len(records)


def _from_split(split: Any) -> tuple[Columns, int]:
    given: dict[str, Any] = split if isinstance(split, dict) else {}
    names: Any = given.get("columns", [])
    rows: Any = given.get("data")
    if not _is_table(names, rows):
        raise InputError(
            f"{FORMS[1]} must have columns, and data with a list of as many values for each row",
            "something else",
            "send what pandas' to_dict('split') gives",
        )
    return {name: [row[place] for row in rows] for place, name in enumerate(names)}, len(rows)


def _is_table(names: Any, rows: Any) -> bool:
    if not isinstance(names, list) or not isinstance(rows, list) or not all(isinstance(name, str) for name in names):
        return False
    return all(isinstance(row, list) and len(row) == len(names) for row in rows)


def _typed(name: str, values: list[Any], kind: Any, required: bool) -> pd.Series:
    """Return ``values`` of column ``name`` as the type of its signature; numbers may be missing.

    Raises:
        InputError: a value is of another type, or missing where there must be one.
    """
    inner: Any = kind.dtype if isinstance(kind, Array) else kind
    what, convert = _CONVERSIONS[f"{inner.name}s" if isinstance(kind, Array) else inner.name]
    try:
        column = convert(values)
    except (ValueError, TypeError, OverflowError):
        _refuse(name, values, what, lambda value: not _converts(convert, value))
        raise
    if required and kind != DataType.double:
        _refuse(name, values, what, lambda value: value is None)
    return pd.Series(column, index=range(len(values)))


def _converts(convert: Callable[[list[Any]], Any], value: Any) -> bool:
    try:
        convert([value])
    except (ValueError, TypeError, OverflowError):
        return False
    return True


def _refuse(name: str, values: list[Any], what: str, wrong: Callable[[Any], bool]) -> None:
    """Raise InputError if one of ``values`` is wrong; it names the first."""
    for row, value in enumerate(values):
        if wrong(value):
            shown = "nothing" if value is None else f"{value!r:.60}"
            raise InputError(f"column {name!r} must hold {what}", f"{shown} in row {row}", "mend or remove that row")


def _strings(values: list[Any]) -> pd.Series:
    return pd.Series([None if value is None else _string(value) for value in values], dtype=object)


def _string(value: Any) -> str:
    if not isinstance(value, str | int | float):
        raise TypeError
    return value if isinstance(value, str) else str(value)


def _doubles(values: list[Any]) -> np.ndarray:
    numbers = np.array(values, dtype=np.float64)
    if numbers.ndim != 1:
        raise ValueError
    return numbers


def _longs(values: list[Any]) -> pd.Series | np.ndarray:
    whole = [None if value is None else _whole(value) for value in values]
    return pd.Series(whole, dtype=object) if None in whole else np.array(whole, dtype=np.int64)


def _whole(value: Any) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63 or (isinstance(value, float) and number != value):
        raise ValueError
    return number


def _stamps(values: list[Any]) -> pd.Series:
    """Return ISO 8601 stamps; if some have zones, all are instants, and one without a zone is in UTC."""
    if not all(value is None or isinstance(value, str) for value in values):
        raise TypeError
    zoned = any(value and _ZONE.search(value) for value in values)
    return pd.to_datetime(pd.Series(values, dtype=object), format="ISO8601", utc=zoned)


def _list(value: Any) -> list[Any]:
    try:
        told = json.loads(value) if isinstance(value, str) else value
    except RecursionError:
        raise ValueError from None
    if not isinstance(told, list):
        raise TypeError
    return told


def _string_lists(values: list[Any]) -> pd.Series:
    lists = [None if value is None else [_string(one) for one in _list(value)] for value in values]
    return pd.Series(lists, dtype=object)


def _double_lists(values: list[Any]) -> pd.Series:
    column = pd.Series([None] * len(values), dtype=object)
    for row, value in enumerate(values):
        column.iat[row] = None if value is None else _doubles(_list(value))
    return column


_CONVERSIONS: dict[str, tuple[str, Callable[[list[Any]], Any]]] = {
    "string": ("text", _strings),
    "double": ("numbers", _doubles),
    "long": ("whole numbers", _longs),
    "datetime": ("stamps of ISO 8601, such as 2024-01-31T12:00:00", _stamps),
    "strings": ("lists of text", _string_lists),
    "doubles": ("lists of numbers", _double_lists),
}
"""What a column of a type holds, and what makes it of values."""
