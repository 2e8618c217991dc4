"""A search's trials as child runs of a real MLflow server: seconds, requests, and what its pages then wait for.

    python benchmarks/trials_in_mlflow.py --trials 500

The server is the one of ``carousel up``, on an SQLite database, on the same cores. Each trial has a dozen parameters
and ten values. "pages" are the requests that MLflow's table of runs sends: a hundred runs, and all of them.
"""

from __future__ import annotations

import argparse
import datetime
import json
import logging
import os
import platform
import random
import tempfile
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

RESULT = Path(__file__).parent / "results" / "trials_in_mlflow.json"
VALUES = 10


class Counter(logging.Handler):
    """Counts the HTTP requests of this process."""

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.requests = 0

    def emit(self, record: logging.LogRecord) -> None:
        self.requests += '"' in record.getMessage()


def write_study(storage: str, trials: int) -> None:
    """Write a study as a search leaves it."""
    import optuna
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
    from optuna.trial import TrialState, create_trial

    from tasks.studies import open_storage

    draw = random.Random(0)
    space: dict[str, Any] = {f"rate_{i}": FloatDistribution(1e-4, 1e-1) for i in range(6)}
    space |= {f"size_{i}": IntDistribution(1, 128) for i in range(4)}
    space |= {f"kind_{i}": CategoricalDistribution(["a", "b"]) for i in range(2)}
    points = [
        {
            name: draw.choice(one.choices) if hasattr(one, "choices") else _between(draw, one)
            for name, one in space.items()
        }
        for _ in range(trials)
    ]
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    study = optuna.create_study(study_name="study", storage=open_storage(storage))
    for point in points:
        values = {100 * step: 1.0 + draw.random() / step for step in range(1, VALUES + 1)}
        told = {"best": list(values.values()), "step": 100 * VALUES, "training": 3.0, "validation": 1.0}
        ended = create_trial(
            state=TrialState.COMPLETE,
            value=values[100 * VALUES],
            params=point,
            distributions=space,
            intermediate_values=values,
            user_attrs={"progress": told},
        )
        study.add_trial(ended)


def _between(draw: random.Random, one: Any) -> float | int:
    drawn = draw.uniform(one.low, one.high)
    return drawn if isinstance(one.low, float) else round(drawn)


def timed(act: Callable[[], Any]) -> float:
    began = time.perf_counter()
    act()
    return round(time.perf_counter() - began, 2)


def measure(trials: int, home: Path) -> dict[str, Any]:
    """Start the server, log the study, ask for it again; return seconds and requests."""
    import mlflow

    from carousel import listening, services
    from tasks.environment import environment
    from tasks.registry import client
    from tasks.reporting.trials import log_trials

    env, port = environment(), services.free_port()
    command = listening.mlflow_command(f"sqlite:///{home}/mlflow.db", home / "artifacts", port)
    server = services.Service.start(env, "mlflow", command, {"MLFLOW_DISABLE_TELEMETRY": "true"})
    counter, logger = Counter(), logging.getLogger("urllib3.connectionpool")
    try:
        server.wait_for(f"http://127.0.0.1:{port}/health")
        os.environ["MLFLOW_TRACKING_URI"] = f"http://127.0.0.1:{port}"
        asked = client()
        experiment = mlflow.create_experiment("study")
        with mlflow.start_run(experiment_id=experiment) as run:
            parent = run.info.run_id
        storage = f"sqlite:///{home}/optuna.db"
        write_study(storage, trials)
        logger.setLevel(logging.DEBUG)
        logger.addHandler(counter)
        logger.propagate = False
        found: dict[str, Any] = {"seconds": timed(lambda: log_trials(parent, "study", storage, "mase"))}
        found["requests"] = counter.requests
        found["seconds_again"] = timed(lambda: log_trials(parent, "study", storage, "mase"))
        children = f"tags.mlflow.parentRunId = '{parent}'"
        found["page_of_100"] = timed(lambda: asked.search_runs([experiment], children, max_results=100))
        found["page_of_all"] = timed(lambda: asked.search_runs([experiment], children, max_results=trials))
        found["page_by_metric"] = timed(
            lambda: asked.search_runs([experiment], children, max_results=100, order_by=["metrics.best_mase"])
        )
        assert len(asked.search_runs([experiment], children, max_results=trials + 1)) == trials
    finally:
        server.stop()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--trials", type=int, default=500)
    trials = parser.parse_args().trials
    with tempfile.TemporaryDirectory() as home:
        os.environ["CAROUSEL_HOME"] = home
        found = measure(trials, Path(home))
    print(f"{trials} trials: {found['seconds']} s, {found['requests']} requests; again {found['seconds_again']} s")
    print(
        f"pages: 100 runs {found['page_of_100']} s, all {found['page_of_all']} s, by metric {found['page_by_metric']} s"
    )
    record = {
        "date": datetime.date.today().isoformat(),
        "cpus": len(os.sched_getaffinity(0)),
        "machine": platform.machine(),
        "versions": {name: version(name) for name in ("mlflow", "optuna")},
        "trials": trials,
        **found,
    }
    RESULT.parent.mkdir(exist_ok=True)
    RESULT.write_text(json.dumps(record, indent=2) + "\n")


if __name__ == "__main__":
    main()
