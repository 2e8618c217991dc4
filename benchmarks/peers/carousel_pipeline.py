"""Carousel as a forecaster: ``carousel run`` in a home of its own, then its model on the same windows.

Every setting but the search's time budget is the default. Of the baselines the quickest alone is evaluated: they are
forecasters of their own here.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from exchange import Forecasts, Request, serve


def forecast(request: Request) -> Forecasts:
    from models import bundle
    from models.panel import Panel

    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        began = time.perf_counter()
        _run(request.asked["experiment"], request.asked["budget"], home)
        whole = time.perf_counter() - began
        stages = {path.parts[-3]: json.loads(path.read_text()) for path in home.glob("stages/*/*/manifest.json")}
        proved = bundle.load(next(home.glob("stages/fit/*/manifest.json")).parent)
    began = time.perf_counter()
    panel = Panel.open(Path(request.asked["dataset"]) / "sealed")
    quantiles_WFQ = proved.predict(panel, request.items_W, request.ends_W)
    facts: dict[str, Any] = {name: stages["search"]["facts"][name] for name in ("trials", "best_value", "clock")}
    facts["stage_seconds"] = {name: manifest["seconds"] for name, manifest in stages.items()}
    facts["run_seconds"], facts["predict_seconds"] = whole, time.perf_counter() - began
    return Forecasts(quantiles_WFQ, stages["search"]["seconds"] + stages["fit"]["seconds"], facts)


def _run(experiment: str, budget: float, home: Path) -> None:
    command = [str(Path(sys.executable).with_name("carousel")), "run", experiment]
    command += ["--set", f"search.time_budget={budget:g}s", "--set", "evaluate.baselines=[seasonal_naive]"]
    subprocess.run(command, check=True, env={**os.environ, "CAROUSEL_HOME": str(home)})


if __name__ == "__main__":
    serve(forecast, ("carousel", "torch", "optuna", "pytorch-lightning"))
