"""Whether the databases in a home are of the versions that are installed, asked before a server opens one.

Each of the three libraries keeps the revision of its tables in a table of the database, and its revisions as files of
the installation, so that both can be read without starting or importing any of them.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path

from tasks.environment import Environment
from tasks.errors import InputError


@dataclass(frozen=True)
class Schema:
    """The tables that a library makes.

    Args:
        owner: the library, as it is installed.
        scripts: where it keeps its revisions, relative to its package.
    """

    owner: str
    scripts: str

    def check(self, name: str, revision: str, upgrade: str | None) -> None:
        """Check that the installed library can use the database ``name``, whose tables are of ``revision``.

        Args:
            name: what the database is called in messages.
            revision: that of its tables.
            upgrade: the command that brings it up to date; none: the library does so when it starts.

        Raises:
            InputError: it is of another version, or another library's.
        """
        rule = f"{name} must be of the version of {self.owner} that is installed"
        if revision not in self.known:
            if others := [other for other in SCHEMAS if other != self.owner and revision in SCHEMAS[other].known]:
                received = f"a database with the tables of {others[0]}"
                raise InputError(rule, received, f"give {self.owner} a database of its own: both count their revisions")
            raise InputError(
                rule,
                f"a database of another version, with tables of revision {revision}",
                f"install the version of {self.owner} that made it, or name another database: CAROUSEL_HOME or its URI",
            )
        if upgrade and revision != self.newest:
            raise InputError(
                rule,
                f"a database of an older version, with tables of revision {revision}, not {self.newest}",
                f"make a copy of it, then run: {upgrade}",
            )

    @cached_property
    def known(self) -> set[str]:
        return {found for script in self._scripts for found in _named("revision", script)}

    @cached_property
    def newest(self) -> str:
        """The revision that no other one follows."""
        followed = {found for script in self._scripts for found in _named("down_revision", script)}
        [newest] = self.known - followed
        return newest

    @cached_property
    def _scripts(self) -> list[str]:
        package = find_spec(self.owner)
        if package is None or package.origin is None:
            raise RuntimeError(f"{self.owner} is not installed")
        return [path.read_text() for path in (Path(package.origin).parent / self.scripts).glob("*.py")]


SCHEMAS = {
    "prefect": Schema("prefect", "server/database/_migrations/versions/sqlite"),
    "mlflow": Schema("mlflow", "store/db_migrations/versions"),
    "optuna": Schema("optuna", "storages/_rdb/alembic/versions"),
}


@dataclass(frozen=True)
class Database:
    """An SQLite database in the home.

    Args:
        owner: the library that made it, as it is installed.
        path: its file.
        upgrade: the command that brings it up to date; none: the library does so when it starts.
    """

    owner: str
    path: Path
    upgrade: str | None = None

    def check(self) -> None:
        """Check that the installed library can use it, if it exists.

        Raises:
            InputError: it is of another version, or no database.
        """
        if self.path.exists() and (revision := self._revision()) is not None:
            SCHEMAS[self.owner].check(str(self.path), revision, self.upgrade)

    def _revision(self) -> str | None:
        """Return the revision of its tables; none: it has no tables yet."""
        try:
            with closing(sqlite3.connect(f"{self.path.as_uri()}?mode=ro", uri=True)) as connection:
                tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
                if "alembic_version" not in tables:
                    return None
                row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.DatabaseError as error:
            raise InputError(
                f"{self.path} must be a database of {self.owner}",
                str(error),
                "move the file away: a new one is made, without what the old one held",
            ) from None
        return row[0] if row else None


def check_databases(env: Environment) -> None:
    """Check the databases that the servers of ``carousel up`` and its runs would open.

    Raises:
        InputError: one of them is not of the installed version.
    """
    for owner in SCHEMAS:
        path = env.prefect_home / "prefect.db" if owner == "prefect" else env.root / f"{owner}.db"
        Database(owner, path, upgrade_command(owner, f"sqlite:///{path}")).check()


def upgrade_command(owner: str, uri: str) -> str | None:
    """Return the command that brings the database at ``uri`` up to date; Prefect's server migrates its own itself."""
    return {"mlflow": f"mlflow db upgrade {uri}", "optuna": f"optuna storage upgrade --storage {uri}"}.get(owner)


def _named(variable: str, script: str) -> list[str]:
    """Return the revisions that ``script`` assigns to ``variable``: one, none, or several that a merge follows."""
    found = re.search(rf"^{variable}\b[^=\n]*=\s*(\([^)]*\)|[^\n]*)", script, re.MULTILINE)
    return re.findall(r"[\"']([^\"']+)[\"']", found[1]) if found else []
