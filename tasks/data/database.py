"""Stream a SQL query's result into parquet files, in batches, and fingerprint the rows.

The fingerprint does not depend on the order in which the database returns the rows, nor on how it is reached.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import sqlalchemy
from sqlalchemy.engine import URL, make_url

from tasks.addresses import check_address
from tasks.data.sources import expand
from tasks.errors import InputError, shortened

BATCH = 100_000
_MARK = "90071992547"


def fetch_query(query: Any, columns: Sequence[str] | None, work: Path) -> str:
    """Write the query's result to ``work`` as ``batch-00000.parquet``, ...

    Args:
        query: an ``ingest.Query``.
        columns: what is kept of the result; one that is not there is left out; none: all of them.
        work: an existing directory.

    Returns:
        the fingerprint of the rows.

    Raises:
        InputError: the URI, the database or the query is at fault.
    """
    url = connection_url(query.connection)
    engine = _engine(url)
    try:
        with engine.connect().execution_options(stream_results=True, max_row_buffer=BATCH) as connection:
            result = connection.execute(sqlalchemy.text(_escaped(query.sql)))
            names = _distinct(list(result.keys()))
            columns = names if columns is None else columns
            batches = [_write(rows, names, columns, work, i) for i, rows in enumerate(result.partitions(BATCH))]
            batches = batches or [_write([], names, columns, work, 0)]
    except sqlalchemy.exc.SQLAlchemyError as error:
        raise _refused(error, url, query) from None
    finally:
        engine.dispose()
    return _unify(work, batches, columns)


def connection_url(connection: str) -> URL:
    """Parse a connection URI; plain ``postgresql://`` gets the driver psycopg 3.

    ``${NAME}`` is the whole URI, or a part of it that needs no percent-encoding.

    Raises:
        InputError: it is no URI, a variable is not set, or a password stands in it.
    """
    check_address(connection, "data.source.connection")
    names = list(dict.fromkeys(re.findall(r"\$\{(\w+)\}", connection)))
    values = {f"{_MARK}{i}": expand(f"${{{name}}}", "data.source.connection") for i, name in enumerate(names)}
    marked = connection
    for mark, name in zip(values, names, strict=True):
        marked = marked.replace(f"${{{name}}}", mark)
    try:
        url = make_url(values[marked]) if marked in values else _filled(make_url(marked), values)
    except (sqlalchemy.exc.ArgumentError, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            "data.source.connection must be a SQLAlchemy URI",
            "something else (not shown: it may hold a password)",
            "write it as sqlite:///file.db or postgresql://user:${PASSWORD}@host/database",
        ) from None
    return url.set(drivername="postgresql+psycopg") if url.drivername in ("postgresql", "postgres") else url


def _filled(url: URL, values: dict[str, str]) -> URL:
    def fill(part: Any) -> Any:
        text = str(part)
        for mark, value in values.items():
            text = text.replace(mark, value)
        return text if part is not None else None

    query = {name: fill(part) if isinstance(part, str) else part for name, part in url.query.items()}
    port = None if url.port is None else int(fill(url.port))
    return URL.create(
        url.drivername, fill(url.username), fill(url.password), fill(url.host), port, fill(url.database), query
    )


def _engine(url: URL) -> sqlalchemy.Engine:
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        raise InputError(
            "the SQLite database of data.source.connection must exist",
            f"no file {url.database!r}",
            "correct the path (sqlite:///relative.db, sqlite:////absolute.db)",
        )
    try:
        return sqlalchemy.create_engine(url)
    except (sqlalchemy.exc.ArgumentError, ImportError) as error:
        raise InputError(
            "the driver of data.source.connection must be installed",
            f"{url.drivername}: {type(error).__name__}",
            "install it (for PostgreSQL: the extra carousel[postgresql])",
        ) from None


def _escaped(sql: str) -> str:
    """Keep ``:name`` in the SQL (casts, times in quotes) from being taken for a parameter."""
    return sql.replace(":", r"\:")


def _distinct(names: list[str]) -> list[str]:
    if repeated := {name for name in names if names.count(name) > 1}:
        raise InputError(
            "column names of the query's result must differ",
            f"more than one column {shortened(sorted(map(repr, repeated)))}",
            "name them apart in data.source.sql (select ... as ...)",
        )
    return names


def _refused(error: sqlalchemy.exc.SQLAlchemyError, url: URL, query: Any) -> InputError:
    said = str(getattr(error, "orig", None) or error).strip()
    for secret in {str(url.password or ""), str(url.query.get("password", ""))} - {""}:
        said = said.replace(secret, "***")
    where = url.set(query={}).render_as_string(hide_password=True)
    return InputError(
        "data.source must be a database that answers and a query that it understands",
        f"{' '.join(said.split())[:300]} from {where}",
        "check data.source.connection and data.source.sql in the database's own shell",
    )


def _write(rows: Any, names: list[str], columns: Sequence[str], work: Path, number: int) -> pl.DataFrame:
    """Write one batch, other columns than those wanted as nulls, and return its schema as an empty frame."""
    wanted = {name: i for i, name in enumerate(names) if name in set(columns)}
    values = [_series(name, [row[i] for row in rows]) for name, i in wanted.items()]
    others = [pl.Series(name, [None] * len(rows), dtype=pl.Null) for name in names if name not in wanted]
    frame = pl.DataFrame(values + others)
    frame.write_parquet(work / f"batch-{number:05d}.raw", compression="lz4")
    return frame.clear()


def _series(name: str, values: list[Any]) -> pl.Series:
    first = next((value for value in values if value is not None), None)
    if isinstance(first, Decimal):
        values = [None if value is None else float(value) for value in values]
    elif isinstance(first, datetime.datetime) and first.tzinfo is not None:
        values = [None if value is None else value.astimezone(datetime.UTC) for value in values]
    return pl.Series(name, values, strict=False)


def _unify(work: Path, batches: list[pl.DataFrame], columns: Sequence[str]) -> str:
    """Give all batches one schema: a batch of nulls alone, or of whole numbers alone, has guessed another."""
    schema = pl.concat(batches, how="vertical_relaxed").schema
    kept = sorted(name for name in schema if name in set(columns))
    total, rows = [0, 0], 0
    for raw in sorted(work.glob("batch-*.raw")):
        frame = pl.read_parquet(raw).cast(schema)
        frame.write_parquet(raw.with_suffix(".parquet"), compression="lz4")
        raw.unlink()
        rows += len(frame)
        for seed in (0, 1) if kept else ():
            total[seed] += int(frame.select(kept).hash_rows(seed=seed).to_numpy().sum(dtype="uint64"))
    text = f"{[(name, str(schema[name])) for name in kept]} {rows} {[value % 2**64 for value in total]}"
    return hashlib.sha256(text.encode()).hexdigest()[:32]
