"""Whether MLflow answers, knows who asks, is of a fitting version, and takes artifacts from this machine."""

from __future__ import annotations

import json
from importlib.metadata import version
from typing import Any

from carousel.databases import upgrade_command
from carousel.doctor.answers import Answer, ask, mlflow_known
from carousel.doctor.artifacts import written
from carousel.doctor.connections import check_schema, connected, place_shown
from carousel.doctor.findings import Fault, Found, broken, told, warning
from carousel.doctor.place import Place, elsewhere, sqlite_path
from carousel.doctor.studies import local
from carousel.doctor.variables import holds_secret, is_file_store

VARIABLE = "MLFLOW_TRACKING_URI"


def look(place: Place) -> Found:
    """Ask the server, or look into the database that clients open themselves."""
    uri = place.tracking_uri
    if is_file_store(uri) or holds_secret(uri):
        yield f"not asked: the check of the environment says what is wrong with {VARIABLE}"
    elif uri.startswith("http"):
        yield uri
        yield from _server(uri.rstrip("/"), place)
    elif path := sqlite_path(uri):
        yield from local("mlflow", path, place)
    else:
        with connected(uri, VARIABLE) as connection:
            yield place_shown(uri)
            upgrade = upgrade_command("mlflow", f'"${VARIABLE}"')
            yield (state := check_schema(connection, "mlflow", f"the database of {VARIABLE}", upgrade or ""))
        if state.startswith("schema"):
            yield from written(uri, remote=False)


def _server(uri: str, place: Place) -> Found:
    try:
        answer = ask(f"{uri}/version", known=mlflow_known())
        search = ask(f"{uri}/api/2.0/mlflow/experiments/search", {"max_results": 1}, mlflow_known())
    except OSError as error:
        remedy = f"start the server, or correct {VARIABLE}; see that a firewall lets this machine through"
        yield broken("MLflow's server must answer", f"{uri}: {told(error)}", remedy)
        return
    if fault := _refused(uri, search, place):
        yield fault
        return
    if answer.status == 200:
        yield from _version(answer.body.decode(errors="replace").strip())
    yield from written(uri, remote=elsewhere(uri))


def _refused(uri: str, answer: Answer, place: Place) -> Fault | None:
    if answer.status == 200:
        return None
    if answer.status == 401:
        own = "CAROUSEL_AUTH as where 'carousel up' was started"
        theirs = "MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD, or MLFLOW_TRACKING_TOKEN"
        remedy = f"set {own if place.own_tracking else theirs}"
        received = f"401 to {'what is' if mlflow_known() else 'none'} given"
        return broken("MLflow's server must be told user and password that it knows", received, remedy)
    if answer.status == 403:
        remedy = "start it with --allowed-hosts and the name in the URL, or give this user the right to read"
        return broken("MLflow's server must answer this machine", f"403: {_message(answer)}", remedy)
    remedy = f"see the server's log; a 404 means that {VARIABLE} is not the root of an MLflow server"
    return broken("MLflow's server must find its experiments", f"{answer.status}: {_message(answer)}", remedy)


def _message(answer: Answer) -> str:
    """Return what the server says, in one short line."""
    try:
        said: Any = json.loads(answer.body)
    except ValueError:
        said = answer.body.decode(errors="replace")
    if isinstance(said, dict):
        said = said.get("message", said)
    return " ".join(str(said).split())[:200]


def _version(server: str) -> Found:
    client = version("mlflow")
    yield f"version {server}"
    if server.split(".")[:1] != client.split(".")[:1]:
        remedy = f"start the server with mlflow {client}, which upgrades its database by 'mlflow db upgrade'"
        yield broken("MLflow's server and client must be of one major version", f"{server} and {client}", remedy)
    elif server.split(".")[:2] != client.split(".")[:2]:
        remedy = f"install mlflow {client} on the server, or {server} here if pyproject.toml allows it"
        yield warning("MLflow's server and client should be of one version", f"{server} and {client}", remedy)
