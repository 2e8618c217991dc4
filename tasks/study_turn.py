"""One worker at a time asks a study what is next, wherever the workers are."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock
from optuna.storages import RDBStorage
from sqlalchemy import text


@contextmanager
def turn(storage: RDBStorage, study_name: str, lock: Path) -> Iterator[None]:
    """Hold the study for as long as the block runs.

    PostgreSQL keeps an advisory lock, which ends with the connection of whoever holds it; a database that is a file is
    on one machine, where the file ``lock`` serves.
    """
    if storage.engine.dialect.name != "postgresql":
        with FileLock(lock):
            yield
        return
    key = {"key": int.from_bytes(hashlib.sha256(study_name.encode()).digest()[:8], signed=True)}
    with storage.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        connection.execute(text("SELECT pg_advisory_lock(:key)"), key)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:key)"), key)
