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
class Database:
    """A database in the home.

    Args:
        owner: the library that made it, as it is installed.
        path: its file.
        scripts: where the library keeps its revisions, relative to its package.
        upgrade: the command that brings it up to date; none: the library does so when it starts.
    """

    owner: str
    path: Path
    scripts: str
    upgrade: str | None = None

    def check(self) -> None:
        """Check that the installed library can use it, if it exists.

        Raises:
            InputError: it is of another version, or no database.
        """
        if not self.path.exists() or (revision := self._revision()) is None:
            return
        rule = f"{self.path} must be of the version of {self.owner} that is installed"
        if revision not in self._known:
            raise InputError(
                rule,
                f"a database of another version, with tables of revision {revision}",
                f"install the version of {self.owner} that made it, or set CAROUSEL_HOME to another directory",
            )
        if self.upgrade and revision != self._newest:
            raise InputError(
                rule,
                f"a database of an older version, with tables of revision {revision}, not {self._newest}",
                f"make a copy of it, then run: {self.upgrade}",
            )

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

    @cached_property
    def _scripts(self) -> list[str]:
        package = find_spec(self.owner)
        if package is None or package.origin is None:
            raise RuntimeError(f"{self.owner} is not installed")
        return [path.read_text() for path in (Path(package.origin).parent / self.scripts).glob("*.py")]

    @cached_property
    def _known(self) -> set[str]:
        return {found for script in self._scripts for found in _named("revision", script)}

    @cached_property
    def _newest(self) -> str:
        """The revision that no other one follows."""
        followed = {found for script in self._scripts for found in _named("down_revision", script)}
        [newest] = self._known - followed
        return newest


def check_databases(env: Environment) -> None:
    """Check the databases that the servers of ``carousel up`` and its runs would open.

    Raises:
        InputError: one of them is not of the installed version.
    """
    for database in _databases(env):
        database.check()


def _databases(env: Environment) -> list[Database]:
    mlflow, optuna = env.root / "mlflow.db", env.root / "optuna.db"
    return [
        # Prefect's server migrates its database itself.
        Database("prefect", env.prefect_home / "prefect.db", "server/database/_migrations/versions/sqlite"),
        Database("mlflow", mlflow, "store/db_migrations/versions", f"mlflow db upgrade sqlite:///{mlflow}"),
        Database(
            "optuna",
            optuna,
            "storages/_rdb/alembic/versions",
            f"optuna storage upgrade --storage sqlite:///{optuna}",
        ),
    ]


def _named(variable: str, script: str) -> list[str]:
    """Return the revisions that ``script`` assigns to ``variable``: one, none, or several that a merge follows."""
    found = re.search(rf"^{variable}\b[^=\n]*=\s*(\([^)]*\)|[^\n]*)", script, re.MULTILINE)
    return re.findall(r"[\"']([^\"']+)[\"']", found[1]) if found else []
