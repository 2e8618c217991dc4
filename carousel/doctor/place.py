"""Where the checks look: the addresses that a run of this environment would use, none of which is opened here."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from urllib.parse import urlsplit

from carousel import services
from carousel.authentication import LOOPBACK
from carousel.listening import client_variables
from tasks.environment import Environment
from tasks.errors import InputError

STORE_VARIABLE = "CAROUSEL_STORE"
TIMEOUT = 10.0
"""Seconds that a connection may take, and each answer: a loaded machine takes some of them itself."""

_LIMITS = {
    "MLFLOW_HTTP_REQUEST_TIMEOUT": str(int(TIMEOUT)),
    "MLFLOW_HTTP_REQUEST_MAX_RETRIES": "0",
    "PREFECT_CLIENT_MAX_RETRIES": "0",
    "AWS_MAX_ATTEMPTS": "1",
}


@dataclass(frozen=True)
class Place:
    """This machine with the environment ``env``, and the servers of ``carousel up`` on its home, if they run."""

    env: Environment
    addresses: services.Addresses | None

    @cached_property
    def tracking_uri(self) -> str:
        given = os.environ.get("MLFLOW_TRACKING_URI")
        return given or (self.addresses.mlflow if self.addresses else self.env.tracking_uri)

    @cached_property
    def prefect_api(self) -> str | None:
        """The URL of Prefect's API; None: each run starts a server of its own."""
        given = os.environ.get("PREFECT_API_URL")
        if not given:
            return self.addresses.prefect_api if self.addresses else None
        # A missing /api is the fault of the variable, not of the server.
        return given.rstrip("/") if names_api(given) else f"{given.rstrip('/')}/api"

    @property
    def own_prefect(self) -> bool:
        """Whether Prefect's server is that of ``carousel up``."""
        return self.addresses is not None and self.prefect_api == self.addresses.prefect_api

    @property
    def own_tracking(self) -> bool:
        """Whether MLflow's server is that of ``carousel up``."""
        return self.addresses is not None and self.tracking_uri.rstrip("/") == self.addresses.mlflow

    @cached_property
    def store_url(self) -> str:
        """The fsspec URL of the store that machines share; empty: it lies below the home."""
        return self.env.shared_store

    @property
    def libraries(self) -> list[str]:
        """What the checks will import and is slow to: one after the other, before anything has a time limit."""
        needed = {
            "sqlalchemy": any(is_database(uri) for uri in (self.env.studies_uri, self.tracking_uri)),
            "prefect.client.orchestration": self.prefect_api is not None,
            "mlflow": self.tracking_uri.startswith("http") or is_database(self.tracking_uri),
            "torch": shutil.which("nvidia-smi") is not None,
        }
        return [name for name, wanted in needed.items() if wanted]


def place_of(env: Environment) -> Place:
    """Return the place of ``env``. Clients of this process get time limits, and the password of the home's servers."""
    for name, value in _LIMITS.items():
        os.environ.setdefault(name, value)
    place = Place(env, services.running(env))
    if place.own_prefect or place.own_tracking:
        # One that is too short is told by the check of the environment.
        with suppress(InputError):
            os.environ.update(client_variables())
    return place


def elsewhere(url: str) -> bool:
    """Say whether ``url`` leads to another machine."""
    return urlsplit(url).hostname not in (*LOOPBACK, "::1")


def sqlite_path(uri: str) -> Path | None:
    """Return the file of an SQLite database; None: ``uri`` is another's."""
    scheme, _, path = uri.partition(":///")
    return Path(path.partition("?")[0]).resolve() if scheme.partition("+")[0] == "sqlite" and path else None


def names_api(url: str) -> bool:
    return "api" in urlsplit(url).path.split("/")


def is_database(uri: str) -> bool:
    """Say whether ``uri`` is SQLAlchemy's, of a database that is not a file."""
    kind = uri.partition("://")[0].partition("+")[0]
    return kind in {"postgresql", "postgres", "mysql", "mariadb", "mssql", "oracle", "cockroachdb"}
