"""Whether Optuna's storage answers and its tables are of the version that is installed."""

from __future__ import annotations

from pathlib import Path

from carousel.databases import SCHEMAS, Database, upgrade_command
from carousel.doctor.connections import check_schema, connected, place_shown
from carousel.doctor.findings import Found, broken
from carousel.doctor.place import Place, sqlite_path

VARIABLE = "CAROUSEL_STUDY_STORAGE"


def look(place: Place) -> Found:
    """Open the storage as a search does, but make no tables."""
    uri = place.env.studies_uri
    if path := sqlite_path(uri):
        yield from local("optuna", path, place)
        return
    with connected(uri, VARIABLE) as connection:
        yield place_shown(uri)
        # The variable stands for the URI, which may hold a password.
        upgrade = upgrade_command("optuna", f'"${VARIABLE}"')
        yield check_schema(connection, "optuna", f"the database of {VARIABLE}", upgrade or "")


def local(owner: str, path: Path, place: Place) -> Found:
    """Check the database of ``owner`` in a file, which need not exist yet."""
    if not path.parent.is_dir() and not path.is_relative_to(place.env.root):
        remedy = f"make the directory {path.parent}, or name another in the variable"
        yield broken(f"the database of {owner} must lie in a directory that exists", str(path), remedy)
        return
    Database(owner, path, upgrade_command(owner, f"sqlite:///{path}")).check()
    yield f"{path}, schema {SCHEMAS[owner].newest}" if path.exists() else f"{path}, which the first run makes"
