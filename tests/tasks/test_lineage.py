"""What MLflow is told of the data: where they lie and a digest, and nothing that may be secret."""

from __future__ import annotations

import json
from typing import Any

import mlflow
import pytest
from mlflow.types import ColSpec, DataType, Schema

from tasks.reporting.lineage import dataset_input

SCHEMA = Schema([ColSpec(DataType.double, "sold")])
SECRET = "Zx9sentinel7Qk"


def told(source: Any) -> Any:
    return dataset_input(source, "0123456789abcdef", {"rows": 70, "items": 6, "observed": 60}, SCHEMA).dataset


@pytest.mark.parametrize(
    ("source", "kind", "where", "name"),
    [
        ("data/sales.parquet", "local", {"uri": "data/sales.parquet"}, "sales.parquet"),
        ("https://host/a/sales.csv", "http", {"url": "https://host/a/sales.csv"}, "sales.csv"),
        (
            f"https://me:${{PW}}@host:80/sales.csv?sig={SECRET}",
            "http",
            {"url": "https://host:80/sales.csv"},
            "sales.csv",
        ),
        (f"s3://key:{SECRET}@bucket/sales/*.parquet", "s3", {"uri": "s3://bucket/sales/*.parquet"}, "*.parquet"),
    ],
)
def test_an_address_is_told_without_what_may_be_secret(
    source: str, kind: str, where: dict[str, str], name: str
) -> None:
    dataset = told(source)
    assert (dataset.source_type, json.loads(dataset.source), dataset.name) == (kind, where, name)
    assert (dataset.digest, json.loads(dataset.profile)) == ("0123456789abcdef", {"rows": 70, "items": 6})
    assert json.loads(dataset.schema)["mlflow_colspec"][0]["name"] == "sold"


def test_of_a_query_the_database_is_told_and_a_digest_of_its_text() -> None:
    query = {"connection": f"postgresql://me:{SECRET}@host/db?password={SECRET}", "sql": f"select '{SECRET}'"}
    dataset = told(query)
    kept = json.loads(dataset.source)
    assert (dataset.source_type, kept["uri"], len(kept["sql_sha256"])) == ("sql", "postgresql://host/db", 64)
    assert told(query | {"sql": "select 2"}).source != dataset.source
    assert SECRET not in str(dataset.to_proto())


def test_mlflow_opens_the_source_that_it_was_told() -> None:
    source = mlflow.data.get_source(told("data/sales.parquet"))
    assert source.uri == "data/sales.parquet"
