"""Whether Prefect's server has what lets a triggered run begin: pool, worker, deployments, automations."""

from __future__ import annotations

import json
import os
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

import yaml

from carousel.doctor.answers import ask, prefect_known
from carousel.doctor.findings import Fault, Found, broken, told, warning
from carousel.doctor.place import TIMEOUT, Place
from carousel.doctor.studies import local

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

_ROOT = Path(__file__).parents[2]
_REGISTER = "run 'carousel deploy' with this PREFECT_API_URL, or start 'carousel up' on the server's home"


def look(place: Place) -> Found:
    """Ask the server, if there is one that runs use together."""
    if (api := place.prefect_api) is None:
        yield "no server: each run starts one for itself"
        yield from local("prefect", place.env.prefect_home / "prefect.db", place)
        return
    yield api
    try:
        answer = ask(f"{api}/admin/version", known=prefect_known())
    except OSError as error:
        remedy = "start the server, or correct PREFECT_API_URL; see that a firewall lets this machine through"
        yield broken("Prefect's server must answer", f"{api}: {told(error)}", remedy)
        return
    if answer.refused:
        own, theirs = "CAROUSEL_AUTH as where 'carousel up' was started", "PREFECT_API_AUTH_STRING=user:password"
        received = f"{answer.status} to {'what is' if prefect_known() else 'none'} given"
        remedy = f"set {own if place.own_prefect else theirs}"
        yield broken("Prefect's server must be told user and password that it knows", received, remedy)
        return
    try:
        server = str(json.loads(answer.body))
    except ValueError:
        remedy = "correct PREFECT_API_URL: something else answers there, or a proxy"
        yield broken("Prefect's API must tell its version", f"{answer.status}, and no JSON", remedy)
        return
    yield f"version {server}"
    if fault := _version(server):
        yield fault
    if fault is None or fault.level == "warning":
        yield from _server(api)


def _version(server: str) -> Fault | None:
    client = version("prefect")
    if server == client:
        return None
    kind = warning if server.split(".")[:2] == client.split(".")[:2] else broken
    remedy = f"install prefect {client} on the server, too"
    return kind("Prefect's server and client must be of one version", f"{server} and {client}", remedy)


def _server(api: str) -> Found:
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(
        api,
        auth_string=os.environ.get("PREFECT_API_AUTH_STRING"),
        api_key=os.environ.get("PREFECT_API_KEY"),
        httpx_settings={"timeout": TIMEOUT},
    ) as client:
        yield from _pool(client)
        yield from _deployments(client)
        yield from _automations(client)
        yield from _late(client)


def _pool(client: SyncPrefectClient) -> Found:
    from prefect.client.schemas.objects import WorkerStatus
    from prefect.exceptions import ObjectNotFound

    from carousel.registration import POOL

    try:
        pool = client.read_work_pool(POOL)
    except ObjectNotFound:
        yield broken(f"the work pool '{POOL}' must exist", f"no work pool '{POOL}'", _REGISTER)
        return
    if pool.is_paused:
        yield broken(f"the work pool '{POOL}' must not be paused", "paused", f"prefect work-pool resume {POOL}")
    workers = client.read_workers_for_work_pool(POOL)
    online = [one for one in workers if one.status == WorkerStatus.ONLINE]
    yield f"{len(online)} workers online"
    if not online:
        remedy = f"prefect worker start --pool {POOL}; 'carousel up' starts one and keeps it alive"
        received = f"no worker online of {len(workers)} that were"
        yield broken(f"the work pool '{POOL}' must have a worker, or runs stay scheduled", received, remedy)


def _deployments(client: SyncPrefectClient) -> Found:
    from carousel.automations import of_pool
    from carousel.registration import DEPLOYMENTS, POOL

    wanted = {one["name"] for one in yaml.safe_load((_ROOT / DEPLOYMENTS).read_text())["deployments"]}
    missing = sorted(wanted - {one.name for one in of_pool(client, POOL)})
    yield f"{len(wanted) - len(missing)} of {len(wanted)} deployments"
    if missing:
        received = f"no deployment {', '.join(missing)}"
        yield broken(f"the deployments of {DEPLOYMENTS} must be registered", received, _REGISTER)


def _automations(client: SyncPrefectClient) -> Found:
    from carousel.automations import automations

    names = [one.name for one in automations([], UUID(int=0))]
    kept = {name: client.read_automations_by_name(name) for name in names}
    if missing := [name for name in names if not kept[name]]:
        yield broken(
            "the automations of Carousel must be there: they take up crashed runs and retrain degraded models",
            f"no automation {', '.join(missing)}",
            _REGISTER,
        )
    if off := [name for name in names if kept[name] and not any(one.enabled for one in kept[name])]:
        yield f"switched off: {', '.join(off)}"


def _late(client: SyncPrefectClient) -> Found:
    from prefect.client.schemas.filters import FlowRunFilter, WorkPoolFilter

    from carousel.registration import POOL

    late = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate({"state": {"name": {"any_": ["Late"]}}}),
        work_pool_filter=WorkPoolFilter.model_validate({"name": {"any_": [POOL]}}),
    )
    if late:
        yield warning(
            "scheduled runs should begin in time",
            f"{len(late)} late runs, such as {late[0].name}",
            "see that a worker is online and its pool's limit is not reached, or delete them: prefect flow-run delete",
        )
