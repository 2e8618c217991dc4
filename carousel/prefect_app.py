"""Prefect's server as every command of Carousel starts it: open to programs and to its own pages, closed to others.

Without authentication Prefect serves whatever a browser on this machine sends it: a page from elsewhere could create a
flow run, under its own name or, by DNS rebinding, under the server's, and WebSockets know no CORS. Prefect's CSRF
tokens stop only the first, and with it what its own automations do, which send none. A check stands before all of it.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.types import ASGIApp

from carousel.authentication import LOOPBACK
from carousel.origins import OwnPages


def create_app() -> ASGIApp:
    """Return Prefect's server for pages of its CORS origins, which must be set, under their host names alone.

    Where it listens beyond this machine nobody knows its names: then its pages are those of the host that a request
    names, and Prefect's own authentication must be set.
    """
    from prefect.server.api.server import create_app as create_prefect_app
    from prefect.settings import get_current_settings

    _keep_parameters_of_schedules()
    api = get_current_settings().server.api
    if api.host not in LOOPBACK:
        if api.auth_string is None:
            raise RuntimeError("a server that listens beyond this machine needs PREFECT_SERVER_API_AUTH_STRING")
        return OwnPages(create_prefect_app(final=True))
    origins = api.cors_allowed_origins.split(",")
    hosts = [urlsplit(origin).hostname or "" for origin in origins]
    # Prefect's own services call what is inside, under a host name that nobody else can use.
    return TrustedHostMiddleware(OwnPages(create_prefect_app(final=True), origins), allowed_hosts=hosts)


def _keep_parameters_of_schedules() -> None:
    """Let a change of a schedule leave what it does not name, such as the model that its runs train.

    Prefect 3.8.8 takes parameters that are not sent for none, so that its own user interface empties them when it
    switches a schedule off or on.
    """
    from prefect.server.models import deployments

    change: Callable[..., Awaitable[bool]] = deployments.update_deployment_schedule

    async def kept(*, schedule: Any, **where: Any) -> bool:
        if "parameters" not in schedule.model_fields_set:
            schedule = schedule.model_copy(update={"parameters": None})
        return await change(schedule=schedule, **where)

    deployments.update_deployment_schedule = kept
