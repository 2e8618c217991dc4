"""Monitor as an operator meets it: the command, what Prefect shows of the run, and the event that others wait for."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from registered import register_untrained

from carousel.services import Addresses

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]
TRAINED, SINCE = 140, 21
ROLES: dict[str, Any] = {"item_id": "shop", "timestamp": "day", "target": "sold"}


def shops(days: int, shift: float = 0.0) -> pl.DataFrame:
    """Two daily series; ``shift`` is added after the training."""
    rng, day = np.random.default_rng(2), np.arange(TRAINED + SINCE)
    values = [20 + np.sin(2 * np.pi * day / 7) + rng.normal(0, 0.3, len(day)) + shift * (day >= TRAINED) for _ in "ab"]
    stamps = np.datetime64("2024-01-01", "us") + day * np.timedelta64(1, "D")
    return pl.concat(
        pl.DataFrame({"shop": s, "day": stamps, "sold": v}).head(days) for s, v in zip("ab", values, strict=True)
    )


def carousel(home: Path, running: Addresses, *arguments: str) -> str:
    """Run ``carousel ARGUMENTS`` to its end with that Prefect; return what it printed."""
    code = "import sys; from carousel.cli import main; sys.exit(main())"
    inherited = {k: v for k, v in os.environ.items() if not k.startswith(("PREFECT_", "MLFLOW_"))}
    variables = {"CAROUSEL_HOME": str(home), "PREFECT_API_URL": f"{running.prefect}/api"}
    variables["PYTHONPATH"] = str(Path(__file__).parents[2])
    command = [sys.executable, "-c", code, *arguments]
    done = subprocess.run(command, env={**inherited, **variables}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def asked(running: Addresses, path: str, body: dict[str, Any]) -> Any:
    request = urllib.request.Request(
        f"{running.prefect}/api/{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def degradations(running: Addresses) -> list[dict[str, Any]]:
    return asked(running, "events/filter", {"filter": {"event": {"name": ["carousel.model.degraded"]}}})["events"]


def test_a_degraded_model_raises_an_event_with_the_evidence_and_one_that_is_well_does_not(
    home: Path, tmp_path: Path, running: Addresses, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    register_untrained("shops", shops(TRAINED), tmp_path, 7, windows=8, **ROLES)
    source = tmp_path / "shops.parquet"
    shops(TRAINED + SINCE).write_parquet(source)
    printed = carousel(home, running, "monitor", "shops/1")
    assert printed.startswith("shops version 1 is well.\nHealth report: ")
    assert Path(printed.split("Health report: ")[1].strip()).exists()
    assert degradations(running) == []
    shops(TRAINED + SINCE, shift=5.0).write_parquet(tmp_path / "other.parquet")
    printed = carousel(home, running, "monitor", "shops/1", str(tmp_path / "other.parquet"))
    assert printed.startswith("shops version 1 has degraded.\n  the level of sold is ")
    deadline = time.monotonic() + 60
    while not (events := degradations(running)):
        assert time.monotonic() < deadline, "no event came"
        time.sleep(0.2)
    [event] = events
    assert event["resource"] == {"prefect.resource.id": "carousel.model.shops", "prefect.resource.name": "shops"}
    assert (event["payload"]["model"], event["payload"]["version"]) == ("shops", "1")
    assert event["payload"]["findings"][0]["column"] == "sold"
    assert printed.splitlines()[1].strip() == event["payload"]["reasons"][0]
    shown = asked(running, "artifacts/filter", {"artifacts": {"key": {"any_": ["health"]}}})
    told = {artifact["data"].splitlines()[0] for artifact in shown}
    assert told == {"# Health of shops version 1: well", "# Health of shops version 1: degraded"}
