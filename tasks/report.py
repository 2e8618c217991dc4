"""Stage ``report``: one self-contained HTML page on data, search, predictions and errors."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from prefect import task

from tasks import store
from tasks.config import Config
from tasks.environment import environment
from tasks.kinds.registry import kind
from tasks.references import Dataset, Decision, Evaluation, Model, Reference, Report, StudyResult, Table
from tasks.reporting.failure import explain_stage

VERSION = 4
PAGE = "report.html"


class ReportConfig(Config):
    """Nothing about a report is the user's choice."""


@task(name="report", task_run_name="report on {study.trials} trials", on_failure=[explain_stage])
def write_report(
    table: Table, dataset: Dataset, study: StudyResult, model: Model, evaluation: Evaluation, decision: Decision
) -> Report:
    """Write ``report.html``: leaderboard, decision, what the kind shows, the search, the data contract's findings."""
    stages = (table, dataset, study, model, evaluation, decision)
    key = store.Key("report", VERSION, ReportConfig(), tuple(reference.fingerprint for reference in stages))
    places = {reference.stage: store.path(reference) for reference in stages}
    fingerprints = [(reference.stage, reference.fingerprint) for reference in stages]

    def compute(out: Path) -> dict[str, Any]:
        from tasks.reporting.page import Findings, render
        from tasks.reporting.study_summary import summarise

        evaluated = _read(places["evaluate"] / "evaluation.json")
        table_facts, dataset_facts = _read(places["ingest"] / "table.json"), _read(places["prepare"] / "dataset.json")
        notices = [*table_facts["findings"], *dataset_facts.get("findings", [])]
        page = render(
            Findings(
                table=table_facts,
                evaluation=evaluated,
                decision=_read(places["gate"] / "decision.json"),
                sections=kind(dataset.kind).sections(places["evaluate"], places["fit"]),
                model=_read(places["fit"] / "model.json"),
                study=summarise(environment().studies_uri, study.study_name),
                seconds=_seconds(stages[:-1], evaluated),
                fingerprints=fingerprints,
                notices=notices,
            )
        )
        (out / PAGE).write_text(page, encoding="utf-8")
        return {"findings": notices}

    store.commit(key, compute)
    return Report(key.uri, key.fingerprint)


def _seconds(stages: tuple[Reference, ...], evaluated: dict[str, Any]) -> list[tuple[str, float]]:
    """Return what took how long: the stages as their manifests tell, and the shares of search and evaluate."""
    manifests = [(reference.stage, store.manifest(reference)) for reference in stages]
    told = [(stage, written.get("seconds") or written["facts"].get("seconds")) for stage, written in manifests]
    known = [(stage, seconds) for stage, seconds in told if seconds is not None]
    clock: dict[str, float] = next(
        (made["facts"]["clock"] for stage, made in manifests if "clock" in made["facts"]), {}
    )
    known += [(f"search: {account}, all workers", spent) for account, spent in clock.items()]
    return known + [(f"evaluate: {row['name']}", row["seconds"]) for row in evaluated["leaderboard"]]


def _read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))
