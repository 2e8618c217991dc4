"""Every kind of source gives the same table, and a fingerprint of its content alone."""

from __future__ import annotations

import datetime
import gzip
import sqlite3
from pathlib import Path

import fsspec
import polars as pl
import pytest
import sqlalchemy

from tasks.data import database
from tasks.data.database import connection_url
from tasks.data.sources import open_source
from tasks.errors import InputError
from tasks.ingest import Query

FRAME = pl.DataFrame(
    {
        "k": ["a"] * 4 + ["b"] * 4,
        "t": [datetime.date(2024, 1, day) for day in (1, 2, 3, 4)] * 2,
        "y": [1.0, 2.0, 3.0, 4.5, 10.0, 20.0, 30.0, 45.0],
    }
)


def read(ingested) -> list[tuple]:
    return ingested.rows.select("item_id", pl.col("timestamp").dt.date(), "y").rows()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "in"
    path.mkdir()
    return path


def test_every_file_layout_gives_the_same_rows(folder: Path, ingest) -> None:
    FRAME.write_parquet(folder / "all.parquet")
    FRAME.write_csv(folder / "all.csv")
    FRAME.write_csv(folder / "semicolon.csv", separator=";")
    (folder / "packed.csv.gz").write_bytes(gzip.compress((folder / "all.csv").read_bytes()))
    (folder / "plain").mkdir()
    FRAME.head(3).write_csv(folder / "plain" / "1.csv")
    FRAME.tail(5).select("y", "t", "k").write_csv(folder / "plain" / "2.csv")
    FRAME.write_parquet(pl.PartitionBy(folder / "hive", key="k", include_key=False), mkdir=True)
    FRAME.head(3).write_parquet(folder / "part-1.pq")
    FRAME.tail(5).write_parquet(folder / "part-2.pq")
    memory = fsspec.filesystem("memory")
    for name in ("all.csv", "part-1.pq", "part-2.pq"):
        memory.pipe(f"/carousel/{name}", (folder / name).read_bytes())
    sources = ["all.parquet", "all.csv", "semicolon.csv", "packed.csv.gz", "plain", "plain/*.csv", "hive", "part-*.pq"]
    places = [str(folder / name) for name in sources]
    places += [f"file://{folder}/all.csv", "memory://carousel/all.csv", "memory://carousel/part-*.pq"]
    for place in places:
        assert read(ingest(place, item_id="k")) == FRAME.rows(), place


def test_fingerprint_follows_content_and_not_place_or_time(folder: Path, tmp_path: Path) -> None:
    FRAME.write_csv(folder / "a.csv")
    (tmp_path / "other").mkdir()
    FRAME.write_csv(tmp_path / "other" / "a.csv")
    first = open_source(str(folder), ["y"], tmp_path).fingerprint
    assert open_source(str(tmp_path / "other"), ["y"], tmp_path).fingerprint == first
    (folder / "a.csv").rename(folder / "b.csv")
    assert open_source(str(folder), ["y"], tmp_path).fingerprint != first
    (tmp_path / "other" / "a.csv").write_text("k,t,y\n")
    assert open_source(str(tmp_path / "other"), ["y"], tmp_path).fingerprint != first


def test_unchanged_source_is_not_written_again_and_a_changed_one_is(csv, ingest) -> None:
    path = csv("t,y", "1,1", "2,2")
    first = ingest(path)
    made = first.directory.stat().st_ino
    again = ingest(path)
    assert again.table == first.table
    assert again.directory.stat().st_ino == made
    path.write_text("t,y\n1,1\n2,3\n")
    assert ingest(path).table.fingerprint != first.table.fingerprint


def test_environment_variable_in_a_path_is_expanded_and_an_unset_one_refused(csv, ingest, monkeypatch) -> None:
    path = csv("t,y", "1,1", "2,2")
    monkeypatch.setenv("CAROUSEL_TEST_PLACE", str(path.parent))
    assert ingest("${CAROUSEL_TEST_PLACE}/data.csv").table.rows == 2
    with pytest.raises(InputError, match="CAROUSEL_TEST_ABSENT not set"):
        ingest("${CAROUSEL_TEST_ABSENT}/data.csv")


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("absent.csv", None, "nothing at"),
        ("empty.csv", b"", "an empty file"),
        ("header.csv", b"t,y\n", "0 rows"),
        ("empty.parquet", b"", "readable CSV or parquet"),
        ("torn.parquet", b"PAR1 and then nothing of the kind", "readable CSV or parquet"),
        ("ragged.csv", b"t,y\n1,2\n3,4,5\n", "readable CSV or parquet"),
        ("latin.csv", b"t,y\n1,\xff\xfe\n", "readable CSV or parquet"),
        ("twice.csv", b"t,y,y\n1,2,3\n", "more than one column 'y'"),
        ("book.xlsx", b"PK\x03\x04", "an unknown format"),
    ],
)
def test_unreadable_file_is_an_input_error(folder: Path, ingest, home: Path, name: str, content, said: str) -> None:
    if content is not None:
        (folder / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        ingest(folder / name)
    assert not list(home.glob("stages/ingest/*/manifest.json"))


def test_misspelt_path_names_its_neighbour(csv, ingest) -> None:
    path = csv("t,y", "1,1", name="weather.csv")
    with pytest.raises(InputError, match=r"near it lies weather\.csv"):
        ingest(path.with_name("wether.csv"))


def test_folder_of_two_formats_and_one_of_two_layouts_are_refused(folder: Path, ingest) -> None:
    (folder / "a.csv").write_text("t,y\n1,1\n")
    (folder / "b.csv").write_text("t,z\n1,1\n")
    with pytest.raises(InputError, match=r"no 'y' in b\.csv"):
        ingest(folder)
    FRAME.write_parquet(folder / "b.parquet")
    with pytest.raises(InputError, match="csv, parquet"):
        ingest(folder)


def test_unreachable_and_unknown_addresses_are_input_errors(ingest) -> None:
    for address in ("http://127.0.0.1:9/x.csv", "nosuch://bucket/x.csv", "memory://absent/x.csv"):
        with pytest.raises(InputError, match="must be reachable"):
            ingest(address)


@pytest.fixture
def sqlite(tmp_path: Path) -> str:
    with sqlite3.connect(tmp_path / "data.db") as connection:
        connection.execute("create table series (k text, t text, y numeric, z)")
        rows = [(k, str(t), y, None) for k, t, y in FRAME.rows()]
        connection.executemany("insert into series values (?, ?, ?, ?)", rows)
    return f"sqlite:///{tmp_path}/data.db"


def test_sqlite_query_gives_the_same_rows_in_any_batch_size(sqlite: str, ingest, monkeypatch) -> None:
    query = Query(sql="select * from series where y < 1e9", connection=sqlite)
    whole = ingest(query, item_id="k")
    assert read(whole) == FRAME.rows()
    monkeypatch.setattr(database, "BATCH", 3)
    assert ingest(query, item_id="k").table == whole.table


def test_query_whose_batches_differ_in_type_gets_one_type(tmp_path: Path, ingest, monkeypatch) -> None:
    with sqlite3.connect(tmp_path / "mixed.db") as connection:
        connection.execute("create table series (t, y)")
        connection.executemany("insert into series values (?, ?)", [(1, None), (2, 3), (3, 0.5), (4, "7"), (5, None)])
    monkeypatch.setattr(database, "BATCH", 1)
    query = Query(sql="select * from series", connection=f"sqlite:///{tmp_path}/mixed.db")
    assert ingest(query).rows["y"].to_list() == [None, 3, 0.5, 7, None]


def test_query_fingerprint_is_of_the_rows_in_any_order(sqlite: str, tmp_path: Path) -> None:
    def digest(sql: str, name: str) -> str:
        (tmp_path / name).mkdir()
        return open_source(Query(sql=sql, connection=sqlite), ["k", "t", "y"], tmp_path / name).fingerprint

    first = digest("select * from series", "1")
    assert digest("select *, 1 as further from series order by y desc", "2") == first
    assert digest("select * from series where y > 1", "3") != first


def test_bad_queries_and_databases_are_input_errors(sqlite: str, ingest, tmp_path: Path) -> None:
    cases = {
        "syntax error": Query(sql="selekt 1", connection=sqlite),
        "no such table": Query(sql="select * from absent", connection=sqlite),
        "no file": Query(sql="select 1", connection=f"sqlite:///{tmp_path}/absent.db"),
        "refused": Query(sql="select 1", connection="postgresql://user@127.0.0.1:9/db"),
        "not shown": Query(sql="select 1", connection="not a uri"),
        "driver": Query(sql="select 1", connection="oracle://user@host/db"),
        "0 rows": Query(sql="select k, t, y from series where y > 1000", connection=sqlite),
        "the columns q": Query(sql="select 1 as q", connection=sqlite),
        "more than one column 't'": Query(sql="select 1 as t, 2 as t", connection=sqlite),
    }
    for said, query in cases.items():
        with pytest.raises(InputError, match=said):
            ingest(query)


def test_postgresql_query_is_streamed_with_its_types_and_zone(postgresql: str, ingest, monkeypatch) -> None:
    engine = sqlalchemy.create_engine(connection_url(postgresql))
    with engine.begin() as connection:
        connection.execute(sqlalchemy.text("create table hourly (k int, t timestamptz, y numeric(8, 2), z real)"))
        series = "select k, timestamptz '2024-03-30 20:00+00' + h * interval '1 hour', h + 0.25, null from"
        both = f"insert into hourly {series} generate_series(1, 2) k, generate_series(0, 29) h"
        connection.execute(sqlalchemy.text(both))
    monkeypatch.setattr(database, "BATCH", 7)
    query = Query(sql="select k, t::timestamptz as t, y, z from hourly order by random()", connection=postgresql)
    config = {"item_id": "k", "past_covariates": "z", "time_zone": "Europe/Berlin", "frequency": "1h"}
    ingested = ingest(query, **config)
    assert ingested.table.rows == 60
    assert ingested.rows["timestamp"].dtype == pl.Datetime("us", "Europe/Berlin")
    assert ingested.rows.schema["z"] == pl.Float64
    assert ingested.rows["y"].head(3).to_list() == [0.25, 1.25, 2.25]
    assert ingest(query, **config).table == ingested.table


def test_password_stays_out_of_messages_manifests_and_fingerprints(
    postgresql: str, ingest, home: Path, monkeypatch
) -> None:
    secret = "p@ss/w:rd%"
    address = sqlalchemy.engine.make_url(postgresql)
    where = f"?host={address.query['host']}" if "host" in address.query else ""
    connection = f"postgresql://{address.username}:${{CAROUSEL_TEST_PW}}@{address.host or ''}/{address.database}{where}"
    query = Query(sql="select n as t, n as y from generate_series(1, 9) n", connection=connection)
    fingerprints = set()
    for value in (secret, "another"):
        monkeypatch.setenv("CAROUSEL_TEST_PW", value)
        fingerprints.add(ingest(query).table.fingerprint)
    assert len(fingerprints) == 1
    monkeypatch.setenv("CAROUSEL_TEST_PW", secret)
    with pytest.raises(InputError) as raised:
        ingest(Query(sql=f"select '{secret}' from nothing", connection=connection))
    assert secret not in f"{raised.value}{raised.value.__cause__}"
    files = [path.read_bytes() for path in home.rglob("*") if path.is_file()]
    assert files
    assert not any(secret.encode() in content for content in files)


def test_password_written_out_is_refused_without_being_shown() -> None:
    for uri in (
        "postgresql://u:hunter2@h/db",
        "postgresql://u@h/db?password=hunter2",
        "postgresql://u:hunter2${X}@h/db",
    ):
        with pytest.raises(InputError, match=r"must not hold a password|not set") as raised:
            connection_url(uri)
        assert "hunter2" not in str(raised.value)


def test_whole_uri_and_plain_postgresql_take_psycopg_3(monkeypatch) -> None:
    monkeypatch.setenv("CAROUSEL_TEST_URI", "postgresql://u:x@h:5/db")
    url = connection_url("${CAROUSEL_TEST_URI}")
    assert (url.drivername, url.password, url.port) == ("postgresql+psycopg", "x", 5)
    assert connection_url("postgresql+pg8000://h/db").drivername == "postgresql+pg8000"
