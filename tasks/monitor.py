"""Stage ``monitor``: is a version still as good as at registration, and are its data still what it learned from?

health.json     degraded, reasons, each test of drift, error and coverage then and now, notes
health.html     the same as a page
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task
from pydantic import Field

from tasks import store
from tasks.config import Config
from tasks.errors import worth_retrying
from tasks.kinds.registry import kind
from tasks.references import DEGRADED, Health, ModelVersion, Table
from tasks.reporting.failure import explain_stage
from tasks.reporting.shown import show

VERSION = 1
PAGE, FACTS = "health.html", "health.json"
MOST_FINDINGS = 20


class MonitorConfig(Config):
    """How sure an alarm must be."""

    significance: float = Field(
        0.05,
        title="False alarms",
        description="Share of runs that may raise an alarm though nothing has changed.",
        gt=0,
        lt=0.5,
    )


@task(
    name="monitor",
    task_run_name="monitor {version.name} {version.version}",
    retries=1,
    retry_condition_fn=worth_retrying,
    on_failure=[explain_stage],
)
def watch_model(version: ModelVersion, table: Table, monitor: MonitorConfig) -> Health:
    """Hold ``table`` and past predictions of ``version`` against what it was registered with.

    A run that finds it degraded sends the event ``DEGRADED``, each time that it is called.

    Raises:
        InputError: the version has no profile, or the table is of another kind.
    """
    from tasks.registry import load_bundle, profile

    profiled, source = profile(version), store.path(table)
    predictions = store.made_from("predict", version.fingerprint)
    inputs = (version.fingerprint, table.fingerprint, *(one.fingerprint for one in predictions))
    key = store.Key("monitor", VERSION, monitor, inputs)

    def compute(out: Path) -> dict[str, Any]:
        from tasks.monitoring.health import conclude
        from tasks.reporting.health_page import render

        bundle = load_bundle(version)
        asked = kind(bundle.kind)
        registered, since = asked.live(bundle, profiled, [store.path(one) for one in predictions], source)
        found = conclude(asked.watch(profiled, source), asked.ERROR, registered, since, monitor.significance)
        told = {"model": version.name, "version": version.version, **found}
        (out / FACTS).write_text(json.dumps(told, indent=2, allow_nan=False), encoding="utf-8")
        (out / PAGE).write_text(render(told, registered, since), encoding="utf-8")
        return {"degraded": told["degraded"], "reasons": told["reasons"]}

    health = Health(key.uri, key.fingerprint, **store.commit(key, compute))
    _publish(version, health)
    return health


def _publish(version: ModelVersion, health: Health) -> None:
    """Show the outcome beside the task run that this is called in, if there is one, and send the event."""
    from prefect.context import TaskRunContext

    if TaskRunContext.get() is None:
        return
    from tasks.reporting.health_page import markdown

    place = store.path(health)
    told = json.loads((place / FACTS).read_text(encoding="utf-8"))
    text = f"{markdown(told)}\n\nHealth report: `{place / PAGE}`"
    show(text, "health", f"{version.name} version {version.version}")
    if health.degraded:
        _emit(version, told)


def _emit(version: ModelVersion, told: dict[str, Any]) -> None:
    """Send the event with its evidence, and wait until it is sent: a process that ends would drop it."""
    from prefect.events import emit_event
    from prefect.events.worker import EventsWorker

    name = version.name
    worst = [one for one in told["drift"] if one["drifted"]] + [one for one in told["live"] if one["degraded"]]
    payload = {"model": name, "version": version.version, "reasons": told["reasons"], "findings": worst[:MOST_FINDINGS]}
    resource = {"prefect.resource.id": f"carousel.model.{name}", "prefect.resource.name": name}
    if emit_event(DEGRADED, resource=resource, payload=payload) is not None:
        EventsWorker.instance().wait_until_empty()
