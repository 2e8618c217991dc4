"""A database of another version is named with what to do, before a server opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import optuna
import pytest

from carousel.cli import main
from carousel.databases import check_databases
from tasks.environment import Environment
from tasks.errors import InputError


def test_what_the_installed_version_made_passes_and_what_is_missing_does(tmp_path: Path) -> None:
    env = Environment(home=tmp_path)
    check_databases(env)
    optuna.create_study(storage=f"sqlite:///{tmp_path / 'optuna.db'}")
    (tmp_path / "mlflow.db").touch()
    check_databases(env)


@pytest.mark.parametrize(
    ("name", "revision", "said"),
    [
        ("mlflow.db", "df50e92ffc5e", "make a copy of it, then run: mlflow db upgrade sqlite:///"),
        ("optuna.db", "v3.0.0.d", "make a copy of it, then run: optuna storage upgrade --storage sqlite:///"),
        ("mlflow.db", "ffffffffffff", "install the version of mlflow that made it"),
        ("prefect/prefect.db", "ffffffffffff", "install the version of prefect that made it"),
    ],
)
def test_a_database_of_another_version_is_refused_by_up(
    name: str,
    revision: str,
    said: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write(tmp_path / name, revision)
    monkeypatch.setenv("CAROUSEL_HOME", str(tmp_path))
    assert main(["up"]) == 2
    refused = capsys.readouterr().err
    assert f"with tables of revision {revision}" in refused
    assert said in refused


def test_prefect_migrates_an_older_database_itself(tmp_path: Path) -> None:
    write(tmp_path / "prefect" / "prefect.db", "f416ea180ae1")
    check_databases(Environment(home=tmp_path))


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mlflow.db").write_text("no database " * 100)
    with pytest.raises(InputError, match="must be a database of mlflow"):
        check_databases(Environment(home=tmp_path))


def write(path: Path, revision: str) -> None:
    """Write a database that says of what revision its tables are."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
        connection.execute("INSERT INTO alembic_version VALUES (?)", [revision])
