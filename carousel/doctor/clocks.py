"""Whether this machine's clock agrees with those of the servers: heartbeats and deadlines compare them."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import suppress
from email.utils import parsedate_to_datetime
from functools import partial

from carousel.doctor.answers import ask
from carousel.doctor.connections import connected
from carousel.doctor.findings import Found, broken, warning
from carousel.doctor.place import Place, is_database
from carousel.doctor.sharing import endpoint
from carousel.doctor.threads import side_by_side

WARNING, BROKEN = 2.0, 30.0
"""Seconds."""
LIMIT = 10.0

_NOW = {"postgresql": "SELECT EXTRACT(EPOCH FROM clock_timestamp())", "mysql": "SELECT UNIX_TIMESTAMP(NOW(6))"}


def look(place: Place) -> Found:
    """Compare with all servers at once; what does not answer is told by its own check."""
    asked = _clocks(place)
    found: dict[str, float] = {}

    def compare(name: str, difference: Callable[[], float | None]) -> None:
        with suppress(Exception):
            if (seconds := difference()) is not None:
                found[name] = seconds

    side_by_side([partial(compare, name, difference) for name, difference in asked.items()], LIMIT)
    yield f"compared with {', '.join(sorted(found)) or 'none: everything is on this machine or does not answer'}"
    for name, seconds in sorted(dict(found).items()):
        if abs(seconds) > WARNING:
            direction = "ahead of" if seconds > 0 else "behind"
            yield (broken if abs(seconds) > BROKEN else warning)(
                f"clocks must agree within {WARNING:.0f} s: heartbeats and deadlines compare them",
                f"{name} is {abs(seconds):.0f} s {direction} this machine",
                "let both machines take their time from NTP (timedatectl set-ntp true, chronyc makestep)",
            )


def _clocks(place: Place) -> dict[str, Callable[[], float | None]]:
    """Return for each server what measures by how many seconds it is ahead."""
    clocks: dict[str, Callable[[], float | None]] = {}
    for name, uri in (("the study storage", place.env.studies_uri), ("MLflow's database", place.tracking_uri)):
        if is_database(uri):
            clocks[name] = partial(_of_database, uri)
    if place.prefect_api:
        clocks["Prefect"] = partial(_of_server, f"{place.prefect_api}/health")
    if place.tracking_uri.startswith("http"):
        clocks["MLflow"] = partial(_of_server, f"{place.tracking_uri.rstrip('/')}/health")
    if place.store_url:
        clocks["the object store"] = partial(_of_store, place.store_url)
    return clocks


def _of_store(url: str) -> float | None:
    at = endpoint(url)
    return _of_server(at) if at else None


def _of_server(url: str) -> float | None:
    """Return how far the header Date is ahead: it has no fractions, so nothing within its second counts."""
    answer = ask(url, method="HEAD")
    if not answer.date:
        return None
    date = parsedate_to_datetime(answer.date).timestamp()
    return max(0.0, date - answer.got) or min(0.0, date + 1 - answer.asked)


def _of_database(uri: str) -> float | None:
    import sqlalchemy

    with connected(uri, "") as connection:
        statement = _NOW.get(connection.dialect.name)
        if statement is None:
            return None
        asked = time.time()
        now = float(connection.execute(sqlalchemy.text(statement)).scalar_one())
        return max(0.0, now - time.time()) or min(0.0, now - asked)
