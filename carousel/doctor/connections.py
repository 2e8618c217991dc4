"""Connections to database servers, and what it means when there is none."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from carousel.databases import SCHEMAS
from carousel.doctor.findings import hidden, told
from carousel.doctor.place import TIMEOUT
from carousel.doctor.versions import extra_of
from tasks.errors import InputError

if TYPE_CHECKING:
    from sqlalchemy import Connection

_DRIVERS = {"psycopg2": "psycopg", "MySQLdb": "pymysql", "psycopg": "psycopg"}
"""What to install for a missing driver."""

_REFUSED = r"authentication failed|access denied|no password supplied|role .* does not exist"
_NO_DATABASE = r"database .* does not exist|unknown database"


@contextmanager
def connected(uri: str, name: str) -> Iterator[Connection]:
    """Connect to the database at ``uri``, which the variable ``name`` holds.

    Raises:
        InputError: there is no connection; the remedy is one for what is in its way.
    """
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

    rule = f"{name} must lead to a database"
    try:
        url = sqlalchemy.make_url(uri)
        engine = sqlalchemy.create_engine(url, poolclass=sqlalchemy.NullPool, connect_args=_limits(url))
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise _unusable(rule, uri, error) from None
    try:
        connection = engine.connect()
    except (SQLAlchemyError, OSError) as error:
        raise _without_connection(rule, name, error) from None
    with connection:
        yield connection


def check_schema(connection: Connection, owner: str, shown: str, upgrade: str) -> str:
    """Check that the tables in the database are of the installed version of ``owner``, and return their revision.

    Raises:
        InputError: they are not; ``upgrade`` is the command for it.
    """
    import sqlalchemy

    if not sqlalchemy.inspect(connection).has_table("alembic_version"):
        return "no tables yet"
    revision = connection.execute(sqlalchemy.text("SELECT version_num FROM alembic_version")).scalar()
    if revision is None:
        return "no tables yet"
    SCHEMAS[owner].check(shown, revision, upgrade)
    return f"schema {revision}"


def place_shown(uri: str) -> str:
    """Return where the database at ``uri`` is, without user, password and parameters."""
    import sqlalchemy

    url = sqlalchemy.make_url(uri)
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()} {url.database or ''} at {url.host or 'this machine'}{port}"


def _limits(url: Any) -> dict[str, Any]:
    seconds = int(TIMEOUT)
    if url.get_driver_name() in ("psycopg", "psycopg2"):
        return {"connect_timeout": seconds}
    if url.get_driver_name() in ("pymysql", "mysqldb"):
        return {"connect_timeout": seconds, "read_timeout": seconds, "write_timeout": seconds}
    return {}


def _unusable(rule: str, uri: str, error: Exception) -> InputError:
    if not isinstance(error, ModuleNotFoundError):
        return InputError(rule, hidden(f"{uri}: {told(error)}"), "write it as postgresql+psycopg://USER@HOST/DATABASE")
    missing = (error.name or "").partition(".")[0]
    package = _DRIVERS.get(missing, missing)
    scheme = uri.partition("://")[0]
    as_written = f", and write postgresql+psycopg:// in place of {scheme}://" if missing == "psycopg2" else ""
    return InputError(rule, f"no driver: {missing} is not installed", f"pip install {extra_of(package)}{as_written}")


def _without_connection(rule: str, name: str, error: Exception) -> InputError:
    said = told(getattr(error, "orig", None) or error)
    remedy = f"see that the database server runs and that host and port in {name} lead to it from this machine"
    if re.search(_REFUSED, str(error), re.IGNORECASE):
        remedy = f"correct user and password in {name}"
    elif re.search(_NO_DATABASE, str(error), re.IGNORECASE):
        remedy = f"make the database that {name} names (createdb), or name another"
    return InputError(rule, hidden(said), remedy)
