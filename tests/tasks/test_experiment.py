"""Sections of an experiment that do not fit each other are refused before anything is read."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import TypeAdapter

from tasks.evaluate import EvaluateConfig
from tasks.experiment import check_sections
from tasks.ingest import Data
from tasks.kinds.registry import Problem
from tasks.prepare import SplitConfig
from tasks.search import SearchConfig

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
