"""Whether Optuna's storage answers and its tables are of the version that is installed."""

from __future__ import annotations

from carousel.databases import SCHEMAS, Database, database, upgrade_command
from carousel.doctor.connections import check_schema, connected, place_shown
from carousel.doctor.findings import Found
from carousel.doctor.place import Place, is_database

VARIABLE = "CAROUSEL_STUDY_STORAGE"


def look(place: Place) -> Found:
    """Open the storage as a search does, but make no tables."""
    uri = place.env.studies_uri
    if not place.env.study_storage:
        yield from local(database(place.env, "optuna"))
        return
    with connected(uri, VARIABLE) as connection:
        yield place_shown(uri)
        # The variable stands for the URI, which may hold a password.
        upgrade = upgrade_command("optuna", uri if not is_database(uri) else f'"${VARIABLE}"')
        yield check_schema(connection, "optuna", f"the database of {VARIABLE}", upgrade or "")


def local(kept: Database) -> Found:
    """Check a database in the home."""
    kept.check()
    state = f"schema {SCHEMAS[kept.owner].newest}" if kept.path.exists() else "the first run makes it"
    yield f"{kept.path.name} in the home, {state}"
