"""Each stage runs alone, from JSON references, in a fresh process."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tiny import finish, write_panel

Start = Callable[..., subprocess.Popen[str]]
pytestmark = pytest.mark.slow


def test_every_stage_runs_alone_in_a_fresh_process_from_json_references(tmp_path: Path, carousel: Start) -> None:
    write_panel(tmp_path / "panel.parquet")

    def run(stage: str, **arguments: Any) -> dict[str, Any]:
        request = tmp_path / f"{stage}.json"
        request.write_text(json.dumps(arguments))
        return json.loads(finish(carousel("stage", stage, str(request))).splitlines()[-1])

    source = str(tmp_path / "panel.parquet")
    data = {"source": source, "item_id": "item", "timestamp": "step", "target": "value"}
    table = run("ingest", data=data)
    problem = {"kind": "forecast", "horizon": 4, "season_length": 4}
    dataset = run("prepare", table=table, problem=problem, split={})
    study = run("search", dataset=dataset, search={"max_trials": 2, "max_steps": 20})
    model = run("fit", dataset=dataset, study=study, fit={"members": 1})
    rival = run("rival", name="alone", model=model)
    assert rival is None
    baselines = {"baselines": ["last_value", "seasonal_naive"]}
    evaluation = run("evaluate", model=model, dataset=dataset, rival=rival, evaluate=baselines)
    decision = run("gate", model=model, evaluation=evaluation, register={})
    report = run(
        "report", table=table, dataset=dataset, study=study, model=model, evaluation=evaluation, decision=decision
    )
    profile = run("profile", table=table, dataset=dataset, evaluation=evaluation)
    version = run(
        "register", name="alone", experiment={"data": data, "problem": problem}, model=model, rival=rival,
        evaluation=evaluation, decision=decision, report=report, profile=profile,
    )  # fmt: skip
    assert version["version"] == "1"
    predictions = run("predict", version=version, table=table)
    assert predictions["rows"] == 12 * 4
    assert run("monitor", version=version, table=table, monitor={})["degraded"] is False
