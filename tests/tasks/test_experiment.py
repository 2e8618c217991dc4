"""Sections of an experiment that do not fit each other are refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from tasks.errors import InputError
from tasks.evaluate import EvaluateConfig
from tasks.experiment import check_sections, model_name
from tasks.ingest import Data, SeriesData
from tasks.kinds.registry import Problem
from tasks.prepare import SplitConfig
from tasks.search_config import SearchConfig

NUMERIC = {"kind": "numeric", "columns": "x"}


def check(problem: dict[str, Any], split: dict[str, Any] | None = None, **data: Any) -> list[str]:
    """Return what is said of an experiment."""
    section = {"source": "data.parquet", "input": NUMERIC, "target": "y", **data}
    read = TypeAdapter(Data).validate_python(section)
    asked = TypeAdapter(Problem).validate_python(problem)
    try:
        check_sections(read, asked, SplitConfig(**(split or {})), SearchConfig(), EvaluateConfig())
    except ExceptionGroup as group:
        return [str(error) for error in group.exceptions]
    return []


@pytest.mark.parametrize("kind", ["classify", "regress", "tag", "transcribe"])
def test_several_target_columns_are_for_items_of_several_labels_alone(kind: str) -> None:
    (said,) = check({"kind": kind}, target=["red", "big"])
    assert f"(got data.target: red, big for problem {kind}): name one target column, or set problem" in said
    assert check({"kind": kind}, target=["red"]) == []
    assert check({"kind": "classify", "multi_label": True}, target=["red", "big"]) == []


@pytest.mark.parametrize("key", ["group", "column"])
@pytest.mark.parametrize("name", ["item_id", "input", "source", "target"])
def test_a_split_by_a_column_that_is_called_as_one_of_carousels_is_refused(key: str, name: str) -> None:
    (said,) = check({"kind": "classify"}, {key: name})
    assert f"split.{key} must name a column of the source" in said
    assert f"(got '{name}'" in said
    assert "rename the column in the source" in said
    assert check({"kind": "classify"}, {key: "speaker"}) == []


def test_a_split_by_a_column_that_has_the_role_of_its_name_is_not() -> None:
    assert check({"kind": "classify"}, {"group": "item_id"}, item_id="item_id") == []
    assert check({"kind": "classify"}, {"group": "target"}, target="target") == []


NAMES = {
    "": "must be text without control characters",
    " ": "must be text without control characters",
    "a\nb": "must be text without control characters",
    "a\0b": "must be text without control characters",
    "a\x1b[2Jb": "must be text without control characters",
    "a\u202eb": "must be text without control characters",
    "a\ud800b": "must be text without control characters",
    ".": "must not begin with a dot",
    "..": "must not begin with a dot",
    ".hidden": "must not begin with a dot",
    "../up": "must not begin with a dot",
    "a/b": "must be text without / ",
    "/etc/a": "must be text without / ",
    "a\\..\\b": "must be text without / ",
    "a' or name='b": "must be text without / ",
    "a" * 201: "must have at most 200 characters",
    "ä" * 101: "must have at most 200 characters",
}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_name_that_could_be_a_path_or_command_is_refused(name: str) -> None:
    problem = TypeAdapter(Problem).validate_python({"kind": "forecast", "horizon": 3})
    data = SeriesData(source="a.csv", timestamp="t", target="y")
    with pytest.raises(InputError) as raised:
        model_name(name, problem, data)
    assert NAMES[name] in raised.value.rule
    assert raised.value.received.isprintable()
    assert "choose another name" in raised.value.remedy


@pytest.mark.parametrize("name", ["tourism", "sales 2024-v1.2", "Umsätze", "売上", "a" * 200])
def test_a_name_of_letters_in_any_script_is_none_of_these(name: str) -> None:
    problem = TypeAdapter(Problem).validate_python({"kind": "forecast", "horizon": 3})
    assert model_name(name, problem, SeriesData(source="a.csv", timestamp="t", target="y")) == name
