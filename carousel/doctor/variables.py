"""Whether the environment variables are ones that something reads, and of the form that it reads."""

from __future__ import annotations

import os
import re
from difflib import get_close_matches

from carousel.authentication import VARIABLE, credentials
from carousel.doctor.findings import Fault, Found, broken, fault_of, warning
from carousel.doctor.place import STORE_VARIABLE, Place, names_api
from tasks.addresses import SECRET
from tasks.children import PARENT
from tasks.environment import Environment
from tasks.errors import InputError
from tasks.pulse import DIRECTORY as PULSE

KNOWN = {VARIABLE, STORE_VARIABLE, PARENT, PULSE, "CAROUSEL_DIRECTORY"} | {
    f"CAROUSEL_{name}".upper() for name in Environment.model_fields
}


def look(place: Place) -> Found:
    """Compare the names and forms of what is set with what Carousel, MLflow and Prefect read."""
    mine = sorted(name for name in os.environ if name.startswith("CAROUSEL_"))
    yield ", ".join([*mine, *(name for name in ("MLFLOW_TRACKING_URI", "PREFECT_API_URL") if name in os.environ)])
    for name in mine:
        if name not in KNOWN:
            yield _unknown(name)
    try:
        credentials()
    except InputError as error:
        yield fault_of(error)
    url = os.environ.get("PREFECT_API_URL")
    if url and not names_api(url):
        yield broken("PREFECT_API_URL must end in /api", url, f"PREFECT_API_URL={url.rstrip('/')}/api")
    yield from _tracking(os.environ.get("MLFLOW_TRACKING_URI", ""))


def invalid(errors: list[tuple[str, str]]) -> list[Fault]:
    """Return the faults of variables that have no value that the environment takes: names and what is wrong."""
    return [
        broken(
            f"CAROUSEL_{name.upper()} must have a value that it takes",
            f"{os.environ.get(f'CAROUSEL_{name.upper()}', '')!r}: {why}",
            "correct it or unset it; the table in README.md says what each variable means",
        )
        for name, why in errors
    ]


def is_file_store(uri: str) -> bool:
    """Say whether ``uri`` leads MLflow to a directory."""
    return bool(uri) and (uri.startswith("file:") or "://" not in uri) and not uri.startswith("databricks")


def holds_secret(uri: str) -> bool:
    """Say whether ``uri`` leads to a server by a URL that holds a password, which ``tasks.registry`` refuses."""
    return uri.startswith("http") and re.search(SECRET, uri) is not None


def _unknown(name: str) -> Fault:
    rule = "a variable that begins with CAROUSEL_ should be one that Carousel reads"
    if near := get_close_matches(name, KNOWN, n=1, cutoff=0.8):
        return broken(rule, f"{name}, which nothing reads", f"did you mean {near[0]}?")
    return warning(rule, f"{name}, which nothing reads", "call it otherwise, or unset it")


def _tracking(uri: str) -> Found:
    if is_file_store(uri):
        yield broken(
            "MLFLOW_TRACKING_URI must be a server or a database: MLflow 3.17 refuses to track into files",
            uri,
            "unset it, or set a server's URL or sqlite:///PATH/mlflow.db; 'mlflow migrate-filestore' moves old runs",
        )
    if holds_secret(uri):
        yield broken(
            "MLFLOW_TRACKING_URI must not hold a password or token: MLflow prints it",
            "one that is not shown",
            "set MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD instead",
        )
