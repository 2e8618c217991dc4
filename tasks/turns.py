"""One retraining of a model at a time: a limit of Prefect's for each model, which is seen in its user interface."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from tasks.schedule import CatchUp

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.objects import State

LEASE = 60.0
"""Seconds after which a turn is free again if whoever has it is killed; Prefect takes no less."""

_LOCKED = 423
"""HTTP status of a limit that is reached."""


@contextmanager
def turn(model: str, catch_up: CatchUp) -> Iterator[State[Any] | None]:
    """Let the flow run wait for the turn of ``model``, and hold it for as long as the block runs.

    Outside of a flow run there is nothing to wait for. A run that was killed and begins again waits in any case: the
    turn, or the place of who waits for it, may still be its own.

    Args:
        model: NAME, NAME@alias or NAME/version; turns are of NAME.
        catch_up: ``latest``: another one that waits already is enough, since it takes the data of its turn; ``none``:
            so is one that is at work; ``all``: wait whoever waits.

    Yields:
        None when the turn has come; instead of it, the state in which the run shall end, if others are enough.
    """
    from prefect.client.orchestration import get_client
    from prefect.context import FlowRunContext
    from prefect.states import Completed

    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        yield None
        return
    name = re.split("[/@]", model)[0]
    with get_client(sync_client=True) as client:
        policy = "all" if client.read_flow_run(context.flow_run.id).run_count > 1 else catch_up
        at_work, waiting = (_limit(client, f"{use}-{limit_name(name)}") for use in ("retrain", "retrain-next"))
    with ExitStack() as held, ExitStack() as place:
        if policy == "latest" and not _taken(place, waiting, wait=False):
            yield Completed(name="Skipped", message=f"Another run waits to retrain {name} with the newest data.")
        elif not _taken(held, at_work, wait=policy != "none"):
            yield Completed(name="Skipped", message=f"Another run is retraining {name}.")
        else:
            place.close()
            yield None


def limit_name(model: str) -> str:
    """Return a name for limits and schedules of the model called ``model``; not every character may stand in one."""
    readable = re.sub(r"[^\w.-]", "-", model)[:100]
    return f"{readable}-{hashlib.sha256(model.encode()).hexdigest()[:8]}"


def _taken(held: ExitStack, limit: str, wait: bool) -> bool:
    """Take the one place of ``limit`` until ``held`` is closed; return whether it was had, in time if not to ``wait``.

    Prefect may be away in between: the run goes on, and has its place still if the server is back within the lease.
    """
    from prefect.concurrency.sync import concurrency

    retries = None if wait else 0
    place = concurrency(
        limit, lease_duration=LEASE, strict=True, raise_on_lease_renewal_failure=False, max_retries=retries
    )
    try:
        held.enter_context(place)
    except Exception as error:
        if getattr(getattr(error.__cause__, "response", None), "status_code", None) != _LOCKED:
            raise
        return False
    return True


def _limit(client: SyncPrefectClient, name: str) -> str:
    """Return ``name``, by which there is a limit of one from now on."""
    from prefect.exceptions import ObjectAlreadyExists

    try:
        client.upsert_global_concurrency_limit_by_name(name, 1)
    except ObjectAlreadyExists:
        # Another run of the model made it in between.
        client.read_global_concurrency_limit_by_name(name)
    return name
