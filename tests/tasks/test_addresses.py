"""No address holds a secret that is written out: the Configs refuse it, and their schemas, by which Prefect judges."""

from __future__ import annotations

import time
from typing import Any

import pytest
from prefect.utilities.schema_tools.validation import is_valid
from pydantic import BaseModel, ValidationError

from tasks.addresses import check_address
from tasks.errors import InputError
from tasks.ingest import Query, SeriesData
from tasks.inputs.audio import AudioInput

WRITTEN_OUT = [
    "s3://AKIA:hunter2@bucket/a.csv",
    "s3://AKIA:hun/ter2+@bucket/a.csv",
    "https://u:hunter2@host/a.csv",
    "https://u:hunter2@host:8080/a.csv",
    "https://:hunter2@host/a.csv",
    "https://u:hunter2#x@host/a.csv",
    "https://u:hunter2?x@host/a.csv",
    "ftp://u:1234@host/a.csv",
    "sftp://u:hun@ter2@host/a.csv",
    "simplecache::s3://AKIA:hunter2@bucket/a.csv",
    "zip://a.csv::https://u:hunter2@host/a.zip",
    "postgresql://u:hunter2@host/db",
    "postgresql://u@host/db?password=hunter2",
    "postgresql://u:hunter2${X}@host/db",
    "postgresql://u:${X}hunter2@host/db",
    "https://host/a.csv?token=hunter2",
    "https://host/a.csv?part=1&access_token=hunter2",
    "https://host/a.csv?X-Amz-Signature=hunter2",
    "https://host/a.csv?sv=2024&sig=hunter2",
    "https://host/a.csv?token=${X}hunter2",
]
SOUND = [
    "a.csv",
    "data/*.parquet",
    "C:\\data\\x:y@z.csv",
    "file:///data/a:b@c.csv",
    "s3://bucket/year=2024/*.parquet",
    "https://host",
    "https://host:8080/a@b.csv",
    "https://host:8080/x:y@b.csv",
    "https://[::1]:8080/a@b.csv",
    "https://u@host/a.csv",
    "https://u:${PASSWORD}@host/a.csv",
    "https://${U}:${PASSWORD}@${HOST}:${PORT}/a@b.csv",
    "https://host/a.csv?key=3&token=${TOKEN}&page=2",
    "zip://a.csv::https://host/a@b.zip",
    "sqlite:///a.db",
    "postgresql://postgres:@/db?host=/run/postgresql",
    "postgresql://u:${PASSWORD}@/db?host=/run/postgresql",
    "postgresql://u@host/db?password=${PASSWORD}",
    "${WHOLE}",
]


def forms(address: str) -> list[tuple[type[BaseModel], dict[str, Any]]]:
    """Return each Config that takes an address, with values that are sound but for it."""
    series: dict[str, Any] = {"timestamp": "t", "target": ["y"]}
    return [
        (SeriesData, {**series, "source": address}),
        (SeriesData, {**series, "source": {"sql": "select 1", "connection": address}}),
        (Query, {"sql": "select 1", "connection": address}),
        (AudioInput, {"kind": "audio", "root": address}),
    ]


@pytest.mark.parametrize("address", WRITTEN_OUT)
def test_a_secret_that_is_written_out_is_refused_without_being_shown(address: str) -> None:
    with pytest.raises(
        InputError, match=r"data\.source must not hold a password or token .* write \$\{NAME\}"
    ) as raised:
        check_address(address, "data.source")
    for config, values in forms(address):
        with pytest.raises(ValidationError, match="an address must not hold a password or token"):
            config.model_validate(values)
        assert not is_valid(values, config.model_json_schema())
    assert not any(part in str(raised.value) for part in ("hunter2", "ter2", "1234"))


@pytest.mark.parametrize("address", SOUND)
def test_an_address_without_one_is_taken(address: str) -> None:
    assert check_address(address, "data.source") == address
    for config, values in forms(address):
        config.model_validate(values)
        assert is_valid(values, config.model_json_schema())


@pytest.mark.parametrize("text", ["://a:" * 800, "?token" * 800, "://" * 1300])
def test_an_address_of_thousands_of_characters_is_judged_at_once(text: str) -> None:
    began = time.perf_counter()
    check_address(text, "data.source")
    assert time.perf_counter() - began < 1
